"""`llmclf agreement`: how far annotators agree, from the long table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmclf.cli.common import JsonOption, coefficient_cells, console, split_list
from llmclf.errors import InputError, unknown
from llmclf.levels import Level

if TYPE_CHECKING:
    from llmclf.agreement import Coefficient, Rating, Ratings


def agreement(
    ratings: Annotated[
        Path, typer.Argument(metavar="RATINGS", help="A long table with the columns item, annotator and label.")
    ],
    level: Annotated[Level, typer.Option("--level", help="The level of measurement of the labels.")],
    scale: Annotated[
        str | None, typer.Option("--scale", help="All possible labels, in order, separated by commas.")
    ] = None,
    question: Annotated[
        str | None, typer.Option("--question", "-q", help="The question, in a table of several.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the agreement of annotators, with 95 % intervals over items.

    Example: llmclf agreement ratings.csv --level ordinal --scale 1,2,3,4,5
    """
    from llmclf.agreement import Ratings, coefficients
    from llmclf.tables import json_text

    name, rows = _rows(ratings, question, level)
    table = Ratings.from_rows(rows, level, split_list(scale) if scale is not None else None)
    found = coefficients(table)
    if as_json:
        print(json_text(_document(name, table, found)))
    else:
        _show(name, table, found)


def _rows(path: Path, question: str | None, level: Level) -> tuple[str, list["Rating"]]:
    """Read the ratings of the one question that is meant."""
    from llmclf.agreement import Rating
    from llmclf.annotations import AnnotationColumns, Kind, label_text, read_annotations

    # What an annotator is does not count here, so any kind will do for a table that does not say it.
    read = list(read_annotations(path, AnnotationColumns(kind=Kind.EXPERT)))
    questions = list(dict.fromkeys(annotation.question for _, annotation in read))
    if question is None and len(questions) > 1:
        raise InputError(f"{path} has the questions {', '.join(questions)}", "Choose one with --question")
    if question is not None and question not in questions:
        raise InputError(f"{path}: {unknown('question', question, questions)}")
    name = questions[0] if question is None else question
    rows = []
    for number, annotation in read:
        if annotation.question != name:
            continue
        if isinstance(annotation.label, tuple) and level is not Level.SET:
            raise InputError(f"{path}: row {number}: the label is a set", "Give --level set")
        rows.append(Rating(annotation.item, annotation.annotator, label_text(annotation.label), f"row {number}"))
    return name, rows


def _document(question: str, ratings: "Ratings", found: "dict[str, Coefficient]") -> dict[str, Any]:
    return {
        "question": question,
        "level": str(ratings.level),
        "scale": ratings.scale,
        "scale_declared": ratings.scale_declared,
        "n_items": len(ratings.items),
        "n_annotators": len(ratings.annotators),
        "coefficients": {name: coefficient.to_dict() for name, coefficient in found.items()},
    }


def _show(question: str, ratings: "Ratings", found: "dict[str, Coefficient]") -> None:
    from rich.table import Table

    about = f"{len(ratings.items)} items, {len(ratings.annotators)} annotators, {ratings.level}"
    title = f"{question}: {about}" if question else about
    table = Table("coefficient", "value", "95 % interval", "items", title=title, title_justify="left")
    for name, coefficient in found.items():
        table.add_row(name, *coefficient_cells(coefficient))
    terminal = console()
    terminal.print(table)
    origin = "declared" if ratings.scale_declared else "the labels that occur; declare all with --scale"
    terminal.print(f"scale: {', '.join(ratings.scale)} ({origin})", markup=False)
