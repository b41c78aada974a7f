"""What a job file holds, without the model that it was asked of: labels, and why there are none."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile, is_zipfile

from llmclf.annotations import Annotation
from llmclf.backends.base import Completion, Failure, Identity, Json, Reply, Usage
from llmclf.codebook import Codebook
from llmclf.errors import StoreError, unknown
from llmclf.item_sample import SAMPLE
from llmclf.log_scores import answer_status
from llmclf.plan import Plan, tokens_per_second
from llmclf.policy import RAW, Policy
from llmclf.recorded_decisions import decided
from llmclf.records import ItemRow, Records
from llmclf.redaction import Redactor
from llmclf.served import Served, served
from llmclf.status import Status
from llmclf.variants import PLAIN, Asked, asked_questions

JOB_IN_BUNDLE = "job.sqlite"


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
    replies: tuple[int, ...] = ()
    """The numbers of those that failed, in the record."""


@dataclass(slots=True)
class Progress:
    """How far a job is."""

    items: int = 0
    statuses: Counter[Status] = field(default_factory=Counter)
    """By question and item."""
    can_retry: int = 0
    """Of those without a label, how many may be answered another time."""


class JobFile:
    """What is on record of the jobs in one file.

    Args:
        records: the file, opened.
        codebooks: those that are at hand already, by their plans' numbers.

    """

    def __init__(self, records: Records, codebooks: Mapping[int, Codebook] | None = None) -> None:
        self.records = records
        self._codebooks = dict(codebooks or {})
        self._plans: Mapping[int, Plan] = {number: Plan(**content) for number, content in records.plans().values()}

    @property
    def plans(self) -> Mapping[int, Plan]:
        """How its jobs were begun, by number."""
        return self._plans

    @property
    def mains(self) -> list[int]:
        """The numbers of the plans about tables; of those that ask the same in other ways, the first.

        One for stability alone counts where there is no other.
        """
        found: list[int] = []
        about_tables = (number for number, plan in self.plans.items() if not plan.is_about_texts)
        for number in sorted(about_tables, key=lambda number: self.plans[number].for_stability):
            if not any(self._goes_with(number, other) for other in found):
                found.append(number)
        return found

    def of_same_table(self, number: int) -> list[int]:
        """Give the number of a plan and those of others that ask the same about its table, or about a sample of it."""
        others = (other for other, plan in self.plans.items() if other != number and not plan.is_about_texts)
        return [number, *(other for other in others if self._goes_with(other, number))]

    def _goes_with(self, number: int, other: int) -> bool:
        return self.plans[number].asks_with(self.plans[other]) and self._table(number) == self._table(other)

    def _table(self, number: int) -> Mapping[str, Json]:
        """Give what tells the table that a plan is about, whether all of it or a sample, from others."""
        found = self.records.input(number)
        table = found[0]["table"] if found and found[0] else {}
        return {name: value for name, value in table.items() if name != SAMPLE}

    def beside(self, number: int) -> list[int]:
        """Give the number of a plan and those of others that ask the same in other ways, or about texts."""
        others = (other for other in self.plans if other != number)
        return [number, *(other for other in others if self.plans[other].asks_with(self.plans[number]))]

    def choose(self, number: int | None) -> int:
        """Give the number of a plan that was asked about a table: the one given, or the only one.

        Raises:
            StoreError: there is no such plan, or there are several and none is given.

        """
        path = self.records.path
        mains = self.mains
        if number is None and len(mains) == 1:
            return mains[0]
        if number not in mains:
            hint = f"Give one of them with --plan: see `llmclf job status {path}`"
            if number is None:
                raise StoreError(f"{path} holds {len(mains)} plans", hint)
            raise StoreError(f"{path}: {unknown('plan', str(number), map(str, mains))}")
        return number

    def codebook(self, number: int) -> Codebook:
        """Give the codebook of a plan."""
        if number not in self._codebooks:
            plan = self.plans[number]
            self._codebooks[number] = Codebook.model_validate(plan.codebook).with_templates(plan.templates)
        return self._codebooks[number]

    def annotations(
        self, number: int, redactor: Redactor | None = None, policy: Policy | None = None
    ) -> Iterator[Annotation]:
        """Give the answers that were recorded, in the order of the input; asks nothing.

        Args:
            number: of the plan.
            redactor: puts back what was redacted.
            policy: decides on labels; None is the one by which they were decided on at last.

        Raises:
            MissingRecords: the policy takes answers that were not asked for.

        """
        return (found for found, _ in self.recorded(number, redactor, policy))

    def recorded(
        self, number: int, redactor: Redactor | None = None, policy: Policy | None = None
    ) -> Iterator[tuple[Annotation, tuple[int, ...]]]:
        """Give the answers as `annotations` does, each with the numbers of the replies that it rests on."""
        for row, found in decided(self, number, policy or self.policy(number)):
            for annotation, replies in found:
                yield redactor.annotation(annotation, row.words) if redactor else annotation, replies

    def policy(self, number: int) -> Policy:
        """Give the policy by which a plan's labels were decided on at last."""
        return Policy.model_validate(self.plans[number].policy or RAW)

    def unlabelled(self, number: int) -> Iterator[Unlabelled]:
        """Give the questions that have no answer, in the order of the input, in each way in which they were asked."""
        for row, asked, replies in self._answers(number):
            if row.problem:
                yield Unlabelled(row.item, _name(asked), Status(row.problem), "", can_retry=False)
                continue
            said = list(replies.values())
            status = answer_status(asked, said)
            if status is not Status.OK:
                failed = {number: reply for number, reply in replies.items() if isinstance(reply, Failure)}
                can_retry = any(reply.retryable for reply in failed.values())
                yield Unlabelled(row.item, _name(asked), status, _detail(said), can_retry, tuple(failed))

    def progress(self, number: int) -> Progress:
        """Count a plan's answers by what became of them."""
        last = self.records.last_row(number)
        found = Progress(items=last[0] + 1 if last else 0)
        for one in self.unlabelled(number):
            found.statuses[one.status] += 1
            found.can_retry += one.can_retry
        answers = found.items * len(self.asked(number))
        found.statuses[Status.OK] = answers - found.statuses.total()
        return found

    def spent(self, number: int) -> Usage:
        """Give the tokens that the replies on record of a plan's model took."""
        return self.records.spent(Identity(**self.plans[number].identity))

    def answered(self, number: int) -> int:
        """Count the replies on record of a plan's model."""
        return self.records.replies_of(Identity(**self.plans[number].identity))

    def seconds_for(self, number: int, usage: Usage) -> float | None:
        """Give how long a plan's model takes for so many tokens on the machine where it was measured, if it was."""
        speed = tokens_per_second(self.plans[number].measured, self.plans[number].settings)
        return (usage.prompt_tokens + usage.completion_tokens) / speed if speed else None

    def failed(self, number: int, *, also_final: bool) -> list[int]:
        """Give the numbers of the replies that failed, by default of those only that may be answered another time."""
        chosen = (one for one in self.unlabelled(number) if also_final or one.can_retry)
        return list(dict.fromkeys(reply for one in chosen for reply in one.replies))

    def served(self, number: int) -> list[Served]:
        """Give the models that answered a plan, as the server named them."""
        return served(self.records, Identity(**self.plans[number].identity))

    def asked(self, number: int) -> tuple[Asked, ...]:
        """Give what a plan asks about each item."""
        return asked_questions(self.codebook(number), self.plans[number].ways)

    def _answers(self, number: int) -> Iterator[tuple[ItemRow, Asked, dict[int, Reply]]]:
        questions = self.asked(number)
        for row, replies in self.records.rows(number):
            for asked, numbers in zip(questions, row.replies, strict=True):
                yield row, asked, {reply: replies[reply] for reply in numbers}


def open_redactor(path: str | Path, plan: Plan) -> Redactor | None:
    """Open the file beside a job's that keeps what was redacted; None where nothing was."""
    if plan.phone_regions is None:
        return None
    return Redactor.open(redactions_of(path), plan.phone_regions)


def redactions_of(path: str | Path) -> Path:
    """Give where a job keeps what it has redacted."""
    return Path(f"{path}.redactions")


@contextmanager
def open_records(path: str | Path) -> Iterator[Records]:
    """Open a job file, or a bundle that holds one, to look into it.

    Raises:
        StoreError: there is none at the path, or it is none of this version.

    """
    if not Path(path).is_file():
        raise StoreError(f"no job file at {path}", "Give the --job of an earlier `llmclf annotate`")
    with ExitStack() as undo:
        file = Path(path)
        if is_zipfile(path):
            folder = Path(undo.enter_context(TemporaryDirectory(prefix="llmclf-")))
            with ZipFile(path) as bundle:
                if JOB_IN_BUNDLE not in bundle.namelist():
                    raise StoreError(f"{path} is no bundle of a job", "Give one that `llmclf job bundle` wrote")
                file = Path(bundle.extract(JOB_IN_BUNDLE, folder))
        yield undo.enter_context(Records(file))


def known_items(path: str | Path, source: Json) -> int | None:
    """Give how many items a table has that a job file knows; None where it does not."""
    if not Path(path).is_file():
        return None
    with Records(path) as records:
        known = (records.input(number) for number, _ in records.plans().values())
        return next((count for found, count in filter(None, known) if found and found["table"] == source), None)


def _detail(replies: Sequence[Reply]) -> str:
    failure = next((reply for reply in replies if isinstance(reply, Failure)), None)
    if failure:
        return failure.detail
    return next((reply.text for reply in replies if isinstance(reply, Completion)), "")


def _name(asked: Asked) -> str:
    return asked.base.name if asked.variant == PLAIN else f"{asked.base.name} ({asked.variant})"
