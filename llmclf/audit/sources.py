"""What an audit reads: tables of annotations and job files, each row with where it stands and what it rests on."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Self
from zipfile import is_zipfile

from llmclf.annotations import Annotation, AnnotationColumns, Kind, read_annotations
from llmclf.audit.report import Plan, RecordOfAnswer, Source
from llmclf.backends.base import Completion, Failure, Reply
from llmclf.errors import TableError
from llmclf.job_file import JobFile, open_records, open_redactor, redactions_of
from llmclf.record_json import compact_json, digest, reply_json
from llmclf.records import Records
from llmclf.stability.measures import Change, changes
from llmclf.stability.ways import WayAnswers, way_answers
from llmclf.tables import hash_of_file, is_blank, read_rows

_SQLITE = b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True)
class Sourced:
    """An annotation, where it stands, and what its table says beside it."""

    annotation: Annotation
    where: str
    """For error messages."""
    prompt: str = ""
    """Which wording of the prompt it answers, where a model was asked by several."""
    run: str = ""
    """Which repeat it is, where a model was asked several times."""
    sampling_probability: float | None = None
    """With which the item was chosen for the experts, chosen or not."""
    job: str = ""
    replies: tuple[int, ...] = ()
    """In a job, the numbers of the replies that it rests on."""


class Sources(AbstractContextManager["Sources"]):
    """Tables and job files, opened; several plans of one model about tables in a job have asked by several prompts.

    A job's labels are decided on by each plan's own policy. What was asked in other ways, or about texts that say
    nothing, is no annotation of its own: see `changes`.

    Args:
        columns: where tables that `llmclf annotate` has not written hold their annotations.

    """

    def __init__(self, columns: AnnotationColumns | None = None) -> None:
        self._columns = columns or AnnotationColumns()
        self._opened = ExitStack()
        self._jobs: dict[str, Records] = {}
        self._in_ways: dict[tuple[str, int], Mapping[str, WayAnswers]] = {}
        self.read: list[Source] = []
        self.plans: list[Plan] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def annotations(self, files: Iterable[tuple[Path, Kind | None]]) -> Iterator[Sourced]:
        """Read files one after the other, each with what its annotators are, where its table does not say it.

        Raises:
            TableError: a table cannot be read.
            StoreError: a job file cannot be read.

        """
        for path, kind in files:
            count = 0
            for row in self._of_job(path) if is_job(path) else self._of_table(path, kind):
                count += 1
                yield row
            self.read.append(Source(name=path.name, sha256=hash_of_file(path), n_annotations=count))

    def record(self, job: str, number: int) -> RecordOfAnswer:
        """Look up a request and its reply."""
        record = self._jobs[job].record(number)
        said = [(message.role, message.content) for message in record.request.messages]
        reply = _words(record.reply) or compact_json(reply_json(record.request, record.reply))
        return RecordOfAnswer(job=Path(job).name, number=number, prompt=said, reply=reply)

    def changes(self, annotator: str, question: str) -> list[Change]:
        """Measure what other ways of asking do to a model's answers, by the first job that has asked in several."""
        for job, records in self._jobs.items():
            file = JobFile(records)
            for number in file.mains:
                if file.plans[number].annotator != annotator:
                    continue
                if (job, number) not in self._in_ways:
                    self._in_ways[job, number] = way_answers(file, file.of_same_table(number))
                if question in self._in_ways[job, number]:
                    return changes(self._in_ways[job, number][question])
        return []

    def asked_texts(self, most: int = 5_000) -> Iterator[str]:
        """Give what the requests of the jobs were made of."""
        for records in self._jobs.values():
            for _, record in islice(records.numbered(), most):
                yield from (part for message in record.request.messages for part in message.parts)

    def _of_table(self, path: Path, kind: Kind | None) -> Iterator[Sourced]:
        first = next(read_rows(path))
        annotations = read_annotations(path, replace(self._columns, kind=kind))
        if not {"prompt", "run", "sampling_probability"} & set(first):
            for number, annotation in annotations:
                yield Sourced(annotation, f"{path}: row {number}")
            return
        beside = enumerate(read_rows(path), start=1)
        at, row = next(beside)
        for number, annotation in annotations:
            while at < number:
                at, row = next(beside)
            where = f"{path}: row {number}"
            yield Sourced(
                annotation,
                where,
                prompt=_text(row.get("prompt")),
                run=_text(row.get("run")),
                sampling_probability=_probability(where, row.get("sampling_probability")),
            )

    def _of_job(self, path: Path) -> Iterator[Sourced]:
        records = self._opened.enter_context(open_records(path))
        self._jobs[str(path)] = records
        file = JobFile(records)
        for number in file.mains:
            plan = file.plans[number]
            self.plans.append(_plan(path, file, number))
            redactor = open_redactor(path, plan) if redactions_of(path).exists() else None
            try:
                for annotation, replies in file.recorded(number, redactor):
                    where = f"{path}: item {annotation.item!r}"
                    yield Sourced(annotation, where, prompt=f"plan {number}", job=str(path), replies=replies)
            finally:
                if redactor:
                    redactor.close()


def is_job(path: Path) -> bool:
    """Say whether a file is a job or a bundle of one.

    Raises:
        TableError: there is no such file.

    """
    if not path.is_file():
        raise TableError(f"no file at {path}", "Check the path")
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE or is_zipfile(path)


def _plan(path: Path, file: JobFile, number: int) -> Plan:
    plan = file.plans[number]
    return Plan(
        job=path.name,
        number=number,
        annotator=plan.annotator,
        model=dict(plan.identity["model"]),
        settings=dict(plan.identity["settings"]),
        prompts={name: digest(source).hex() for name, source in plan.templates.items()},
        order=plan.order,
        samples=plan.samples,
        policy=file.policy(number).name,
        ways=list(dict.fromkeys(str(way) for beside in file.of_same_table(number) for way in file.plans[beside].ways)),
        versions=dict(plan.versions),
        served=file.served(number),
    )


def _words(reply: Reply) -> str:
    if isinstance(reply, Failure):
        return f"{reply.status}: {reply.detail}"
    return reply.text if isinstance(reply, Completion) else ""


def _text(cell: object) -> str:
    return "" if is_blank(cell) else str(cell)


def _probability(where: str, cell: object) -> float | None:
    if is_blank(cell):
        return None
    try:
        probability = float(cell)  # type: ignore[arg-type]  # anything else is the error below
    except (TypeError, ValueError):
        probability = math.nan
    if not 0 < probability <= 1:
        raise TableError(f"{where}: {cell!r} is no sampling probability", "Give a number above 0 and at most 1")
    return probability
