"""`llmclf agreement`: how far annotators agree, from a table of their ratings."""

from collections import defaultdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmclf.cli.columns import (
    FormatOption,
    ItemColumnOption,
    LabelColumnOption,
    QuestionColumnsOption,
    question_columns_of,
)
from llmclf.cli.common import JsonOption, console, number, split_list
from llmclf.errors import InputError, unknown
from llmclf.levels import Level

if TYPE_CHECKING:
    from llmclf.agreement import Coefficient, Ratings
    from llmclf.rating_tables import Answers

ALL = "all"
MOST_SHOWN_LABELS = 20


class Intervals(StrEnum):
    """What is taken for a sample."""

    ITEMS = "items"
    ITEMS_AND_RATERS = "items+raters"
    NONE = "none"


def agreement(
    ratings: Annotated[
        Path, typer.Argument(metavar="RATINGS", help="CSV, JSONL or Parquet; a rating a row, if no option says else.")
    ],
    level: Annotated[Level, typer.Option("--level", help="The level of measurement of the labels.")],
    scale: Annotated[
        str | None,
        typer.Option("--scale", help="All possible labels, in order, separated by commas; of sets, all members."),
    ] = None,
    question: Annotated[
        str | None, typer.Option("--question", "-q", help="The question, in a table of several.")
    ] = None,
    item_column: ItemColumnOption = "item",
    annotator_column: Annotated[
        str, typer.Option(help="The column with the annotators' names.", show_default="annotator")
    ] = "",
    label_column: LabelColumnOption = "label",
    question_columns: QuestionColumnsOption = "",
    wide: Annotated[bool, typer.Option("--wide", help="One row is an item, with a column a rater.")] = False,
    rater_columns: Annotated[
        str, typer.Option(metavar="A,B,...", help="In a wide table, the raters' columns; default: all but the items'.")
    ] = "",
    input_format: FormatOption = None,
    set_separator: Annotated[
        str | None, typer.Option(help='What parts the members of a set that is not written as ["a", "b"].')
    ] = None,
    coefficients: Annotated[
        str, typer.Option(metavar="all|NAME,...", help="Which; the table of all leaves out those for other levels.")
    ] = ALL,
    intervals: Annotated[
        Intervals, typer.Option(help="Of 95 %: for other items, or for other raters too.")
    ] = Intervals.ITEMS,
    as_json: JsonOption = False,
) -> None:
    """Print the agreement of annotators, with 95 % intervals.

    Example: llmclf agreement ratings.csv --level ordinal --scale 1,2,3,4,5
    """
    from llmclf.agreement import coefficients as compute
    from llmclf.agreement.coefficients import NAMES
    from llmclf.rating_tables import RatingColumns, read_answers
    from llmclf.tables import json_text

    columns = RatingColumns(
        item=item_column,
        annotator=annotator_column,
        label=label_column,
        questions=question_columns_of(question_columns),
        wide=wide,
        raters=tuple(split_list(rater_columns)),
    )
    name, answers = _chosen(ratings, read_answers(ratings, columns, input_format), question)
    table = answers.ratings(level, split_list(scale) if scale is not None else None, set_separator)
    del answers
    chosen = split_list(coefficients) if coefficients != ALL else NAMES if as_json else None
    if chosen is not None and not chosen:
        raise InputError("no coefficients", f"Give some of {', '.join(NAMES)}, or leave --coefficients out")
    found = compute(table, chosen, intervals.value)
    if as_json:
        print(json_text(_document(name, table, intervals, found)))
    else:
        _show(name, table, intervals, found)


def _chosen(path: Path, answers: "dict[str, Answers]", question: str | None) -> "tuple[str, Answers]":
    """Give the answers to the one question that is meant."""
    if question is None and len(answers) > 1:
        raise InputError(f"{path} has the questions {', '.join(answers)}", "Choose one with --question")
    name = next(iter(answers)) if question is None else question
    if name not in answers:
        raise InputError(f"{path}: {unknown('question', name, answers)}")
    return name, answers[name]


def _document(
    question: str, ratings: "Ratings", intervals: Intervals, found: "dict[str, Coefficient]"
) -> dict[str, Any]:
    return {
        "question": question,
        "level": str(ratings.level),
        "scale": ratings.scale,
        "scale_declared": ratings.scale_declared,
        "n_items": len(ratings.items),
        "n_annotators": len(ratings.annotators),
        "n_ratings": int((ratings.codes >= 0).sum()),
        "intervals": str(intervals),
        "coefficients": {name: coefficient.to_dict() for name, coefficient in found.items()},
    }


def _show(question: str, ratings: "Ratings", intervals: Intervals, found: "dict[str, Coefficient]") -> None:
    from rich.table import Table

    from llmclf.agreement import Undefined

    terminal = console()
    n_ratings = int((ratings.codes >= 0).sum())
    about = f"{n_ratings:,} ratings of {len(ratings.items):,} items by {len(ratings.annotators):,} annotators"
    terminal.print(f"{question}: {about}" if question else about, markup=False)
    terminal.print(f"level {ratings.level}; {_scale(ratings)}", markup=False)
    without = intervals is Intervals.NONE
    over = "items and raters" if intervals is Intervals.ITEMS_AND_RATERS else "items"
    table = Table("coefficient", "value", *([] if without else [f"95 % interval over {over}"]), "items")
    undefined: dict[str, list[str]] = defaultdict(list)
    for name, coefficient in found.items():
        if isinstance(coefficient, Undefined):
            undefined[coefficient.undefined].append(name)
            continue
        interval = (
            coefficient.method
            if coefficient.low is None
            else f"{number(coefficient.low)} to {number(coefficient.high)}"
        )
        cells = [number(coefficient.value), *([] if without else [interval]), f"{coefficient.n_items:,}"]
        table.add_row(name, *cells)
    if table.row_count:
        terminal.print(table)
    for reason, names in undefined.items():
        terminal.print(f"undefined: {', '.join(names)} ({reason})", markup=False)


def _scale(ratings: "Ratings") -> str:
    if ratings.level is Level.SET:
        return f"{len(ratings.scale)} different sets"
    shown = ", ".join(ratings.scale[:MOST_SHOWN_LABELS])
    if len(ratings.scale) > MOST_SHOWN_LABELS:
        shown += f" ... {ratings.scale[-1]}: {len(ratings.scale):,} labels"
    return f"scale {shown}" if ratings.scale_declared else f"labels {shown} (that occur; declare all with --scale)"
