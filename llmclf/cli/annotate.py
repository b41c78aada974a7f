"""`llmclf annotate`: a table of items in, the table of annotations out."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmclf.cli.common import SOME_UNLABELLED, BackendOption, JsonOption, SettingOption, parse_settings, progress
from llmclf.errors import InputError
from llmclf.status import Status

if TYPE_CHECKING:
    from llmclf.annotations import Annotation
    from llmclf.items import ItemColumns


def annotate(
    table: Annotated[str, typer.Argument(metavar="INPUT", help="CSV, JSONL or Parquet; - is standard input.")],
    codebook: Annotated[Path, typer.Option("--codebook", "-c", help="A folder with codebook.toml, or a TOML file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The table to write: *.csv, *.jsonl or *.parquet.")],
    backend: BackendOption = "local",
    setting: SettingOption = None,
    id_column: Annotated[str, typer.Option(help="The column with the items' ids.")] = "id",
    text_column: Annotated[str, typer.Option(help="The column with the texts, or the turns' texts.")] = "text",
    turns_column: Annotated[
        str | None, typer.Option(help="Conversations: the column with JSON of speakers and texts.")
    ] = None,
    turn: Annotated[
        list[str] | None, typer.Option(metavar="SPEAKER=COLUMN", help="Conversations: one column a turn; repeatable.")
    ] = None,
    conversation_column: Annotated[
        str | None, typer.Option(help="Conversations of one row a turn: the column with their ids.")
    ] = None,
    speaker_column: Annotated[
        str, typer.Option(help="The column with the speakers, beside --conversation-column.")
    ] = "speaker",
    input_format: Annotated[
        str | None, typer.Option("--format", help="csv, jsonl or parquet, where the name does not say.")
    ] = None,
    job: Annotated[Path | None, typer.Option(help="The record of replies; default: OUT.job.sqlite.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a codebook's questions about every row, and write one row an item and question.

    What was answered once is not asked again: after any end, the same command goes on.

    Example: llmclf annotate reviews.csv --codebook prompts/sentiment --out labels.csv
    """
    from llmclf.items import ItemColumns

    columns = ItemColumns(
        id=id_column,
        text=text_column,
        turns=turns_column,
        speakers=tuple(_speaker(pair) for pair in turn or ()),
        conversation=conversation_column,
        speaker=speaker_column,
    )
    run_annotation(
        table,
        codebook,
        out,
        backend=backend,
        settings=setting,
        columns=columns,
        input_format=input_format,
        job=job,
        as_json=as_json,
    )


def run_annotation(
    table: str | Path,
    codebook: Path,
    out: Path,
    *,
    backend: str,
    settings: Iterable[str] | None = None,
    columns: "ItemColumns | None" = None,
    input_format: str | None = None,
    job: Path | None = None,
    as_json: bool = False,
) -> None:
    """Annotate a table, with progress on standard error and a summary at the end."""
    from llmclf.annotations import write_annotations
    from llmclf.backends.recorded import RecordedBackend
    from llmclf.backends.registry import open_backend
    from llmclf.classifier import annotate as annotations_of
    from llmclf.codebook import Codebook
    from llmclf.items import ItemColumns, check_items, stream_items
    from llmclf.prompts import Prompt
    from llmclf.store import Store
    from llmclf.tables import json_text, table_format

    columns = columns or ItemColumns()
    book = Codebook.load(codebook)
    Prompt(book).check()
    table_format(out)
    if out.exists() and out.samefile(table):
        raise InputError(f"--out {out} is the input", "Give another path")
    count = check_items(table, columns, input_format)
    job = job or out.with_name(f"{out.name}.job.sqlite")
    engine = RecordedBackend(open_backend(backend, **parse_settings(settings)), Store(job))
    summary = _Summary()
    try:
        items = stream_items(table, columns, input_format)
        with progress("annotating", count and count * len(book.questions)) as step:
            write_annotations(out, summary.watch(annotations_of(items, book, engine), step))
    except KeyboardInterrupt:
        print(
            f"llmclf: stopped; {engine.asked} new replies are kept in {job}; the same command goes on", file=sys.stderr
        )
        raise
    finally:
        engine.close()
    if as_json:
        written = {"out": str(out), "job": str(job), "asked": engine.asked, "found": engine.found}
        print(json_text(summary.to_dict() | written))
    else:
        for line in summary.lines():
            print(line)
        print(f"{engine.asked} requests asked, {engine.found} answered from the record {job}")
        print(f"wrote {out}")
    if summary.unlabelled:
        raise typer.Exit(SOME_UNLABELLED)


def _speaker(pair: str) -> tuple[str, str]:
    speaker, equals, column = pair.partition("=")
    if not (speaker and equals and column):
        raise InputError(f"--turn {pair}: no column", "Write SPEAKER=COLUMN, as in --turn Seeker=seeker_post")
    return speaker, column


class _Summary:
    """Counts annotations as they pass."""

    def __init__(self) -> None:
        self.statuses: Counter[Status] = Counter()
        self.labels: dict[str, Counter[str]] = {}

    @property
    def unlabelled(self) -> int:
        return self.statuses.total() - self.statuses[Status.OK]

    def watch(self, annotations: Iterable["Annotation"], step: Callable[[int], None]) -> Iterator["Annotation"]:
        for annotation in annotations:
            self.statuses[annotation.status] += 1
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
        return {"statuses": {str(status): n for status, n in self.statuses.items()}, "labels": self.labels}

    def lines(self) -> Iterator[str]:
        total = self.statuses.total()
        yield f"{total} answers: {', '.join(f'{n} {status}' for status, n in self.statuses.most_common())}"
        for question, counts in self.labels.items():
            shares = (f"{label} {count * len(self.labels) / total:.0%}" for label, count in counts.most_common())
            yield f"{question}: {', '.join(shares)}"
