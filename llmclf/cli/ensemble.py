"""`llmclf ensemble`: the answers of several models, pooled."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmclf.annotations import AnnotationColumns, Kind
from llmclf.audit.numbers import shown
from llmclf.cli.columns import AnnotatorColumnOption, ItemColumnOption, LabelColumnOption
from llmclf.cli.common import SOME_UNLABELLED, CodebookOption, JsonOption, OutputFormatOption, console, number
from llmclf.cli.reading import read_by_question
from llmclf.errors import InputError
from llmclf.status import Status

if TYPE_CHECKING:
    from rich.console import Console

    from llmclf.ensembles.decide import Ensemble

_MOST_LABELS = 20


def ensemble(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Tables that `llmclf annotate` wrote, or jobs.")
    ],
    codebook: CodebookOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="The table to write: *.csv, *.jsonl or *.parquet.")],
    method: Annotated[
        str,
        typer.Option(
            "--method",
            "-m",
            help="votes; mean or log-mean (of probabilities); dawid-skene (votes, by each model's errors); weighted "
            "(log-mean, by each model's accuracy).",
        ),
    ] = "votes",
    expert: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="People's labels, by which weighted measures the models; repeatable."),
    ] = None,
    item_column: ItemColumnOption = "item",
    annotator_column: AnnotatorColumnOption = "annotator",
    label_column: LabelColumnOption = "label",
    output_format: OutputFormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide on one label an item by the answers of several models, and write them as one more annotator's.

    A model without an answer to an item is left out there. A tie has no label and the status tied. The column options
    are of --expert. Labels of people that weighted has used must not be those of an audit.

    Example: llmclf ensemble small.csv large.csv third.csv --codebook prompts/sentiment -m votes --out labels.csv
    """
    from llmclf.annotations import write_annotations
    from llmclf.codebook import Codebook
    from llmclf.ensembles.answers import answers_by_model, labels_of_people
    from llmclf.ensembles.decide import ensemble as pooled
    from llmclf.table_writing import check_writable
    from llmclf.tables import json_text

    check_writable(out, output_format)
    if any(out.exists() and out.samefile(path) for path in [*files, *(expert or ())] if path.exists()):
        raise InputError(f"--out {out} is an input", "Give another path")
    if expert and method != "weighted":
        raise InputError(f"--method {method} does not use --expert", "Give --method weighted, or leave --expert out")
    book = Codebook.load(codebook)
    by_question = read_by_question(book, files, Kind.MODEL)
    columns = AnnotationColumns(item=item_column, annotator=annotator_column, label=label_column)
    people = read_by_question(book, expert, Kind.EXPERT, columns) if expert else {}
    found = []
    for question in book.questions:
        if question.name in by_question:
            models = list(answers_by_model(question, by_question[question.name]).values())
            labels = labels_of_people(question, people.get(question.name, [])) if expert else None
            found.append(pooled(question, models, method, labels))
    write_annotations(out, chain.from_iterable(one.annotations for one in found), (), output_format)
    if as_json:
        print(json_text({"out": str(out), "questions": [one.to_dict() for one in found]}))
    else:
        for one in found:
            _show(one, console())
        print(f"wrote {out}")
    if any(status != Status.OK for one in found for status in one.statuses):
        raise typer.Exit(SOME_UNLABELLED)


def _show(found: "Ensemble", terminal: "Console") -> None:
    from rich.table import Table

    total = len(found.annotations)
    statuses = ", ".join(f"{n:,} {status}" for status, n in found.statuses.items())
    terminal.print(
        f"{found.question}: {found.method} of {len(found.members)} models, {total:,} items: {statuses}", markup=False
    )
    if found.n_several:
        share = found.n_unanimous / found.n_several
        terminal.print(f"unanimous: {share:.0%} of the {found.n_several:,} items that several models labelled")
    measured = any(member.accuracy is not None for member in found.members)
    left_out = any(member.n_left_out for member in found.members)
    weighed = any(member.weight is not None for member in found.members)
    table = Table("model", box=None, pad_edge=False)
    shown_columns = {
        "labels": True,
        "agrees with it": True,
        "left out": left_out,
        "accuracy": measured,
        "weight": weighed,
    }
    for name, is_shown in shown_columns.items():
        if is_shown:
            table.add_column(name, justify="right")
    for member in found.members:
        cells = {
            "labels": f"{member.n_labels:,}",
            "agrees with it": "" if member.agreement is None else shown(member.agreement, 3),
            "left out": f"{member.n_left_out:,}",
            "accuracy": "" if member.accuracy is None else shown(member.accuracy, 3),
            "weight": number(member.weight),
        }
        table.add_row(member.model, *(cells[name] for name, is_shown in shown_columns.items() if is_shown))
    terminal.print(table)
    if left_out:
        terminal.print("left out: labels without all probabilities, which the method pools")
    if measured:
        terminal.print(f"accuracy: measured by {found.measured_by}", markup=False)
    shares = [f"{label} {share:.0%}" for label, share in found.label_shares.items()]
    more = f" and {len(shares) - _MOST_LABELS} more" if len(shares) > _MOST_LABELS else ""
    terminal.print(f"labels: {', '.join(shares[:_MOST_LABELS])}{more}", markup=False)
