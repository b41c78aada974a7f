"""`llmclf annotate`: a table of items in, the table of annotations out."""

import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmclf.cli.columns import (
    ConversationOption,
    FormatOption,
    IdOption,
    SpeakerOption,
    TableArgument,
    TextOption,
    TurnOption,
    TurnsOption,
    item_columns,
)
from llmclf.cli.common import (
    SOME_UNLABELLED,
    BackendOption,
    CodebookOption,
    JsonOption,
    LocalOnlyOption,
    OrderOption,
    SamplesOption,
    SettingOption,
    parse_order,
    parse_settings,
    progress,
)
from llmclf.errors import InputError
from llmclf.status import Status

if TYPE_CHECKING:
    from llmclf.annotations import Annotation
    from llmclf.codebook import Codebook
    from llmclf.items import ItemColumns
    from llmclf.prompts import Order


def annotate(
    table: TableArgument,
    codebook: CodebookOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="The table to write: *.csv, *.jsonl or *.parquet.")],
    backend: BackendOption = "local",
    setting: SettingOption = None,
    id_column: IdOption = "id",
    text_column: TextOption = "text",
    turns_column: TurnsOption = None,
    turn: TurnOption = None,
    conversation_column: ConversationOption = None,
    speaker_column: SpeakerOption = "speaker",
    input_format: FormatOption = None,
    job: Annotated[Path | None, typer.Option(help="The record of replies; default: OUT.job.sqlite.")] = None,
    order: OrderOption = None,
    best_only: Annotated[
        bool,
        typer.Option("--best-only", help="Local models: find the best label alone, without probabilities."),
    ] = False,
    samples: SamplesOption = None,
    reproducible: Annotated[
        bool, typer.Option("--reproducible", help="Local models: the same bits each time, several times slower.")
    ] = False,
    max_requests: Annotated[
        int | None, typer.Option("--max-requests", min=1, help="Stop before more requests are asked; exit code 6.")
    ] = None,
    local_only: LocalOnlyOption = False,
    as_json: JsonOption = False,
) -> None:
    """Ask a codebook's questions about every row, and write one row an item and question.

    What was answered once is not asked again: after any end, the same command goes on.

    Example: llmclf annotate reviews.csv --codebook prompts/sentiment --out labels.csv
    """
    columns = item_columns(id_column, text_column, turns_column, turn, conversation_column, speaker_column)
    run_annotation(
        table,
        codebook,
        out,
        backend=backend,
        settings=parse_settings(setting) | ({"reproducible": True} if reproducible else {}),
        columns=columns,
        input_format=input_format,
        job=job,
        order=parse_order(order),
        best_only=best_only,
        samples=samples,
        max_requests=max_requests,
        local_only=local_only,
        as_json=as_json,
    )


def run_annotation(
    table: str | Path,
    codebook: Path,
    out: Path,
    *,
    backend: str,
    settings: Mapping[str, Any] | None = None,
    columns: "ItemColumns | None" = None,
    input_format: str | None = None,
    job: Path | None = None,
    order: "Order | None" = None,
    best_only: bool = False,
    samples: int | None = None,
    max_requests: int | None = None,
    local_only: bool = False,
    as_json: bool = False,
) -> None:
    """Annotate a table, with progress on standard error and a summary at the end."""
    from llmclf.annotations import write_annotations
    from llmclf.backends.base import Reading
    from llmclf.codebook import Codebook
    from llmclf.items import ItemColumns, check_items, stream_items
    from llmclf.job import Job
    from llmclf.prompts import Prompt
    from llmclf.tables import json_text, table_format

    columns = columns or ItemColumns()
    book = Codebook.load(codebook)
    Prompt(book).check()
    table_format(out)
    if out.exists() and out.samefile(table):
        raise InputError(f"--out {out} is the input", "Give another path")
    count = check_items(table, columns, input_format)
    record = job or out.with_name(f"{out.name}.job.sqlite")
    work = Job(
        record, book, backend, settings, order, samples=samples, max_requests=max_requests, local_only=local_only
    )
    summary = _Summary(book)
    try:
        items = stream_items(table, columns, input_format)
        annotations = work.annotate(items, best_only=Reading() if best_only else None)
        with progress("annotating", count and count * len(book.questions)) as step:
            write_annotations(out, summary.watch(annotations, step), book.reasons)
    except KeyboardInterrupt:
        print(f"llmclf: stopped; {work.asked} new replies are kept in {record}; {_go_on()}", file=sys.stderr)
        raise
    finally:
        work.close()
    if as_json:
        written = {"out": str(out), "job": str(record), "asked": work.asked, "found": work.found}
        print(json_text(summary.to_dict() | written))
    else:
        for line in summary.lines():
            print(line)
        print(f"{work.asked} requests asked, {work.found} answered from the record {record}")
        print(f"wrote {out}")
    if summary.unlabelled:
        raise typer.Exit(SOME_UNLABELLED)


def _go_on() -> str:
    """Say which command goes on: the one that was given."""
    program, *arguments = sys.argv
    name = Path(program).name
    return f"go on with: {shlex.join(['llmclf', *arguments])}" if name == "llmclf" else "the same command goes on"


class _Summary:
    """Counts annotations as they pass."""

    def __init__(self, codebook: "Codebook") -> None:
        self.codebook = codebook
        self.quotes = self.misquoted = 0
        self.statuses: Counter[Status] = Counter()
        self.labels: dict[str, Counter[str]] = {}

    @property
    def unlabelled(self) -> int:
        return self.statuses.total() - self.statuses[Status.OK]

    def watch(self, annotations: Iterable["Annotation"], step: Callable[[int], None]) -> Iterator["Annotation"]:
        for annotation in annotations:
            self.statuses[annotation.status] += 1
            self.quotes += len(annotation.evidence)
            self.misquoted += len(annotation.misquoted)
            counts = self.labels.setdefault(annotation.question, Counter())
            match annotation.label:
                case None:
                    pass
                case str(label):
                    counts[label] += 1
                case labels:
                    counts.update(labels or ["(none)"])
            step(self.unlabelled)
            yield annotation

    def to_dict(self) -> dict[str, Any]:
        counted = {"statuses": {str(status): n for status, n in self.statuses.items()}, "labels": self.labels}
        if "evidence" in self.codebook.reasons:
            counted["evidence"] = {"quotes": self.quotes, "misquoted": self.misquoted}
        return counted

    def lines(self) -> Iterator[str]:
        total = self.statuses.total()
        yield f"{total} answers: {', '.join(f'{n} {status}' for status, n in self.statuses.most_common())}"
        for question, counts in self.labels.items():
            shares = (f"{label} {count * len(self.labels) / total:.0%}" for label, count in counts.most_common())
            yield f"{question}: {', '.join(shares)}"
        if "evidence" in self.codebook.reasons:
            yield f"evidence: {self.misquoted} of {self.quotes} quotes are not in the {self.codebook.unit}"
