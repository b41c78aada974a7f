"""`llmclf distil`: a teacher's recorded labels in, a small classifier's labels of a whole table out."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
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
from llmclf.cli.common import SOME_UNLABELLED, JsonOption, OutputFormatOption, Progress, progress, split_list
from llmclf.cli.distil_summary import Summary, report
from llmclf.errors import InputError

if TYPE_CHECKING:
    from llmclf.annotations import Annotation
    from llmclf.items import Item, ItemColumns, ItemTable
    from llmclf.students.distillation import Example, Student
    from llmclf.students.embeddings import EmbeddingOf
    from llmclf.table_writing import Write
    from llmclf.tables import Row

_STEP = 1000


def distil(
    table: TableArgument,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The table to write: *.csv, *.jsonl or *.parquet; - is standard output.")
    ],
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The teacher's labels: a table by annotate, or its job.")
    ] = None,
    student: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="In place of --labels, a student that was saved.")
    ] = None,
    question: Annotated[str, typer.Option("--question", "-q", help="Which, where --labels has several.")] = "",
    annotator: Annotated[str, typer.Option(help="The teacher, where --labels has several annotators.")] = "",
    id_column: IdOption = "id",
    text_column: TextOption = "text",
    turns_column: TurnsOption = None,
    turn: TurnOption = None,
    conversation_column: ConversationOption = None,
    speaker_column: SpeakerOption = "speaker",
    input_format: FormatOption = None,
    output_format: OutputFormatOption = None,
    embeddings: Annotated[
        str,
        typer.Option(
            metavar="A,B,...|FILE.npy",
            help="Learn from these in place of words: columns with numbers or lists of them, or an array of a row an "
            "item.",
        ),
    ] = "",
    save: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Keep the student; the file holds words of the texts.")
    ] = None,
    route: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the rows of which it is unsure there, as they are, for annotate."),
    ] = None,
    below: Annotated[
        float | None, typer.Option(min=0, max=1, help="With --route: the probability of its label that is unsure.")
    ] = None,
    unsure_share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="With --route: the share of the teacher's texts that sets --below."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a small classifier on recorded labels, and label every row with it.

    Its labels of texts that the teacher labelled are by a student that has not learned from them, so that all of its
    table may be audited like any annotator's.

    Example: llmclf distil news.csv --labels sample.csv --out student.csv --route unsure.csv --unsure-share 0.05
    """
    columns = item_columns(id_column, text_column, turns_column, turn, conversation_column, speaker_column)
    summary = run_distil(
        table,
        out,
        labels=labels,
        student=student,
        question=question,
        annotator=annotator,
        columns=columns,
        input_format=input_format,
        output_format=output_format,
        embeddings=embeddings,
        save=save,
        route=route,
        below=below,
        unsure_share=unsure_share,
    )
    report(summary, out, {"save": save, "route": route}, as_json=as_json)
    if summary.unlabelled:
        raise typer.Exit(SOME_UNLABELLED)


def run_distil(
    table: str | Path,
    out: Path,
    *,
    labels: Path | None = None,
    student: Path | None = None,
    question: str = "",
    annotator: str = "",
    columns: "ItemColumns | None" = None,
    input_format: str | None = None,
    output_format: str | None = None,
    embeddings: str = "",
    save: Path | None = None,
    route: Path | None = None,
    below: float | None = None,
    unsure_share: float | None = None,
) -> Summary:
    """Label a table by a student, with progress on standard error, and sum up."""
    from llmclf.items import ItemColumns, ItemTable
    from llmclf.students.file import save_student
    from llmclf.table_writing import check_writable
    from llmclf.tables import is_stream

    if (labels is None) == (student is None):
        raise InputError("a student learns or is there", "Give one of --labels and --student")
    if (below is None) == (unsure_share is None) if route else (below, unsure_share) != (None, None):
        raise InputError("it is not said which rows go where", "Give --route with one of --below and --unsure-share")
    if labels and is_stream(table):
        raise InputError(f"{table} can be read once only", "Give a file, or a --student that was saved")
    for option, path, form in (("--out", out, output_format), ("--route", route, None)):
        if path:
            check_writable(path, form)
            if path.exists() and Path(table).exists() and path.samefile(table):
                raise InputError(f"{option} {path} is the input", "Give another path")
    items = ItemTable(table, columns or ItemColumns(), input_format)
    rows = _Rows(items, items.check(), embeddings)
    learned = _student(rows, labels, student, question, annotator)
    if save:
        save_student(save, learned)
    summary = Summary(learned, below if unsure_share is None else learned.threshold(unsure_share))
    began, processor_began = time.monotonic(), time.process_time()
    _label(rows, summary, out, output_format, route)
    summary.seconds, summary.processor_seconds = time.monotonic() - began, time.process_time() - processor_began
    return summary


@dataclass(frozen=True)
class _Rows:
    """A table's items, with their embeddings and rows."""

    items: "ItemTable"
    count: int | None
    embeddings: str

    def read(self) -> Iterator[tuple["Example", list["Row"]]]:
        from llmclf.items import items_with_rows
        from llmclf.students.distillation import Example
        from llmclf.students.embeddings import open_embeddings

        embedding: EmbeddingOf | None = None
        if self.embeddings:
            embedding = open_embeddings(self.embeddings, split_list(self.embeddings), self.count)
        stream = items_with_rows(self.items.path, self.items.columns, self.items.given_format)
        for number, (item, rows) in enumerate(stream):
            yield Example(item, embedding(number, rows[0]) if embedding and not item.problem else None), rows


def _student(rows: _Rows, labels: Path | None, student: Path | None, question: str, annotator: str) -> "Student":
    """Read a student, or teach one."""
    from llmclf.students.distillation import Student
    from llmclf.students.file import load_student
    from llmclf.students.lessons import Lesson
    from llmclf.students.teaching import read_teacher

    if student:
        return load_student(student)
    assert labels is not None
    teacher = read_teacher(labels, question, annotator)
    lessons = [
        Lesson(item.words, said.label, said.probabilities, vector)
        for (item, vector), _ in rows.read()
        if not item.problem and (said := teacher.by_item.get(item.id)) and said.label is not None
    ]
    if not lessons:
        raise InputError(f"no item of {labels} is in {rows.items.path}", "Give the table that was annotated")
    return Student.fit(lessons, question=teacher.question, teacher=teacher.annotator, source=teacher.source)


def _label(rows: _Rows, summary: "Summary", out: Path, output_format: str | None, route: Path | None) -> None:
    """Write the labels, and the rows of which the student is unsure."""
    from llmclf.annotations import write_annotations
    from llmclf.table_writing import write_rows

    stream = rows.read()
    first = next(stream)
    columns = list(first[1][0])
    waiting: deque[tuple[Item, list[Row]]] = deque()

    def examples() -> "Iterator[Example]":
        for example, its_rows in chain([first], stream):
            waiting.append((example.item, its_rows))
            yield example

    def labelled(step: Progress, write: "Write | None") -> Iterator["Annotation"]:
        done = failed = 0
        for annotation in summary.student.annotate(examples()):
            item, its_rows = waiting.popleft()
            if summary.take(annotation, item) and write:
                for row in its_rows:
                    write({column: _printable(row.get(column)) for column in columns})
            done, failed = done + 1, failed + (annotation.label is None)
            if done == _STEP:
                step(done, failed)
                done = failed = 0
            yield annotation
        if done:
            step(done, failed)

    with ExitStack() as opened:
        step = opened.enter_context(progress("labelling", rows.count, "items"))
        write = opened.enter_context(write_rows(route, columns)) if route else None
        write_annotations(out, labelled(step, write), given_format=output_format)


def _printable(cell: Any) -> Any:  # noqa: ANN401 - any cell
    from llmclf.tables import printable

    return printable(cell) if isinstance(cell, str) else cell
