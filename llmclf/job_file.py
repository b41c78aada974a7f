"""What a job file holds, without the model that it was asked of: labels, failures, and the asking of those again."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llmclf.annotations import Annotation
from llmclf.backends.base import Completion, Failure, Likelihoods, Reply
from llmclf.classifier import annotation
from llmclf.codebook import Codebook, Question
from llmclf.errors import StoreError, unknown
from llmclf.job import Job, Plan
from llmclf.served import Served, served
from llmclf.status import Status
from llmclf.store import ItemRow, Store


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """One question about one item that has no label, and why."""

    item: str
    question: str
    status: Status
    detail: str
    """What the backend said of it, or what the model wrote."""
    can_retry: bool
    """Whether the same request may be answered another time."""
    keys: tuple[bytes, ...] = ()
    """Of the failed requests in the record."""


@dataclass(slots=True)
class Progress:
    """How far a job is."""

    items: int = 0
    statuses: Counter[Status] = field(default_factory=Counter)
    """By question and item."""
    can_retry: int = 0
    """Of those without a label, how many may be answered another time."""


class JobFile:
    """A job file, opened to look into it.

    Raises:
        StoreError: there is none at the path, or it is none of this version.

    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        if not self._path.is_file():
            raise StoreError(f"no job file at {path}", "Give the --job of an earlier `llmclf annotate`")
        self._store = Store(path)
        self.plans: Mapping[int, Plan] = {number: Plan(**content) for number, content in self._store.plans().values()}

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()

    def choose(self, number: int | None) -> int:
        """Give the number of a plan: the one given, or the only one.

        Raises:
            StoreError: there is no such plan, or there are several and none is given.

        """
        if number is None and len(self.plans) == 1:
            return next(iter(self.plans))
        if number is None or number not in self.plans:
            hint = f"Give one of them with --plan: see `llmclf job status {self._path}`"
            if number is None:
                raise StoreError(f"{self._path} holds {len(self.plans)} plans", hint)
            raise StoreError(f"{self._path}: {unknown('plan', str(number), map(str, self.plans))}")
        return number

    def codebook(self, number: int) -> Codebook:
        """Give the codebook of a plan."""
        return Codebook.model_validate(self.plans[number].codebook)

    def annotations(self, number: int) -> Iterator[Annotation]:
        """Give the answers that were recorded, in the order of the input; asks nothing."""
        annotator = self.plans[number].annotator
        for row, question, keys in self._answers(number):
            replies = Status(row.problem) if row.problem else self._replies(keys)
            yield annotation(row.item, question, replies, annotator, row.words or "")

    def unlabelled(self, number: int) -> Iterator[Unlabelled]:
        """Give the questions that have no label, in the order of the input."""
        annotator = self.plans[number].annotator
        for row, question, keys in self._answers(number):
            if row.problem:
                yield Unlabelled(row.item, question.name, Status(row.problem), "", can_retry=False)
                continue
            replies = self._replies(keys)
            status = annotation(row.item, question, replies, annotator, row.words or "").status
            if status is not Status.OK:
                failed = {key: r for key, r in zip(keys, replies, strict=True) if isinstance(r, Failure)}
                can_retry = any(reply.retryable for reply in failed.values())
                yield Unlabelled(row.item, question.name, status, _detail(replies), can_retry, tuple(failed))

    def progress(self, number: int) -> Progress:
        """Count a plan's answers by what became of them."""
        found = Progress(items=sum(1 for _ in self._store.rows(number)))
        for one in self.unlabelled(number):
            found.statuses[one.status] += 1
            found.can_retry += one.can_retry
        answers = found.items * len(self.codebook(number).questions)
        found.statuses[Status.OK] = answers - found.statuses.total()
        return found

    def failed(self, number: int, *, also_final: bool) -> list[bytes]:
        """Give the keys of the requests that failed, by default of those only that may be answered another time."""
        chosen = (one for one in self.unlabelled(number) if also_final or one.can_retry)
        return list(dict.fromkeys(key for one in chosen for key in one.keys))

    def served(self, number: int) -> list[Served]:
        """Give the models that answered a plan, as the server named them."""
        return served(self._store, number)

    def _answers(self, number: int) -> Iterator[tuple[ItemRow, Question, tuple[bytes, ...]]]:
        questions, samples = self.codebook(number).questions, self.plans[number].samples
        for row in self._store.rows(number):
            start = 0
            for question in questions:
                count = samples * self._requests(question, row.keys[start:]) if row.keys else 0
                yield row, question, row.keys[start : start + count]
                start += count

    def _requests(self, question: Question, keys: Sequence[bytes]) -> int:
        """Say how many requests a question took: a set's labels are asked about one by one where they are scored."""
        if question.kind != "set" or question.reasons:
            return 1
        record = self._store.record(keys[0])
        is_scored = record is not None and isinstance(record.request.form, Likelihoods)
        return len(question.labels) if is_scored else 1

    def _replies(self, keys: Sequence[bytes]) -> list[Reply]:
        replies = [self._store.reply(key) for key in keys]
        if None in replies:
            raise StoreError(f"{self._path} lacks a reply that one of its rows needs", "Run the same annotate again")
        return [reply for reply in replies if reply is not None]


def retry(path: str | Path, number: int | None = None, *, also_final: bool = False) -> Iterator[Reply]:
    """Ask again what failed, and give the replies as they come; the model is opened as the job was begun.

    Raises:
        StoreError: another process works on the file.

    """
    file = JobFile(path)
    try:
        number = file.choose(number)
        plan, codebook, keys = file.plans[number], file.codebook(number), file.failed(number, also_final=also_final)
    finally:
        file.close()
    if not keys:
        return
    job = Job(path, codebook, plan.uri)
    try:
        yield from job.ask_again(keys)
    finally:
        job.close()


def _detail(replies: Sequence[Reply]) -> str:
    failure = next((reply for reply in replies if isinstance(reply, Failure)), None)
    if failure:
        return failure.detail
    return next((reply.text for reply in replies if isinstance(reply, Completion)), "")
