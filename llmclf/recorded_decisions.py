"""Labels from a job's records by any policy: which records it takes, which are missing, and what it makes of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Protocol, TypeAlias

from llmclf.annotations import Annotation
from llmclf.backends.base import Reply
from llmclf.classifier import annotations
from llmclf.codebook import Codebook
from llmclf.deciding import Decider, ItemReplies
from llmclf.errors import InputError, StoreError
from llmclf.plan import Plan
from llmclf.policy import Policy
from llmclf.records import ItemRow, Records
from llmclf.status import Status
from llmclf.variants import Asked, asked_questions

_AT_ONCE = 1000
Found: TypeAlias = tuple[Annotation, tuple[int, ...]]
"""An annotation, and the numbers of the replies that it rests on."""


class File(Protocol):
    """A job file, as far as decisions need it."""

    records: Records

    @property
    def plans(self) -> Mapping[int, Plan]:
        """How its jobs were begun, by number."""

    def codebook(self, number: int) -> Codebook:
        """Give the codebook of a plan."""

    def beside(self, number: int) -> list[int]:
        """Give the number of a plan and those of others that ask the same in other ways, or about texts."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Questions that a policy takes the answers to, and that were not asked."""

    what: str
    """In which way, or about which texts."""
    questions: tuple[str, ...]
    items: int
    requests: int


class MissingRecords(InputError):
    """A policy takes answers that were not asked for."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the replies to a question stand: in which plan's rows, and there at which place."""

    plan: int
    place: int


class Sources:
    """Where a job file has the records that a policy takes.

    Raises:
        InputError: the policy names questions or labels that the codebook does not have.

    """

    def __init__(self, file: File, number: int, policy: Policy) -> None:
        self._file = file
        self._number = number
        self._policy = policy
        codebook = file.codebook(number)
        policy.check(codebook)
        self.asked = asked_questions(codebook, policy.variants)
        alike = file.beside(number)
        tables = [other for other in alike if self._is_of_same_table(other)]
        self._places = [self._find(asked, tables) for asked in self.asked]
        about_texts = [other for other in reversed(alike) if policy.takes_texts and self._has_texts(file.plans[other])]
        self._text_places = [self._find(asked, about_texts) for asked in self.asked] if policy.takes_texts else []

    def _is_of_same_table(self, other: int) -> bool:
        if self._file.plans[other].is_about_texts:
            return False
        return other == self._number or self._input(other) == self._input(self._number)

    def _input(self, number: int) -> object:
        found = self._file.records.input(number)
        return found and found[0] and found[0]["table"]

    def _has_texts(self, plan: Plan) -> bool:
        has_fixed = set(self._policy.content_free) <= set(plan.texts)
        return plan.is_about_texts and has_fixed and len(plan.random_texts) >= self._policy.random_texts

    def _find(self, asked: Asked, plans: Sequence[int]) -> _Place | None:
        whole = self._file.records.last_row(self._number)
        for number in plans:
            ways = asked_questions(self._file.codebook(number), self._file.plans[number].ways)
            place = next((place for place, one in enumerate(ways) if one.is_same(asked)), None)
            is_of_table = not self._file.plans[number].is_about_texts
            last = self._file.records.last_row(number)
            if place is not None and last and (not is_of_table or last == whole):
                return _Place(number, place)
        return None

    @property
    def missing(self) -> list[Missing]:
        """What was not asked, or not to its end."""
        last = self._file.records.last_row(self._number)
        items = last[0] + 1 if last else 0
        found = list(self._group(self._places, items, "{way}"))
        if self._policy.takes_texts:
            count = len(self._policy.content_free) + self._policy.random_texts
            found += self._group(self._text_places, count, "{way}, texts that say nothing")
        return found

    def _group(self, places: Sequence[_Place | None], items: int, what: str) -> Iterator[Missing]:
        lost = [asked for asked, place in zip(self.asked, places, strict=True) if place is None]
        for way in dict.fromkeys(asked.variant for asked in lost):
            questions = [asked.base for asked in lost if asked.variant == way]
            requests = sum(requests_for(one) for one in lost if one.variant == way)
            names = tuple(question.name for question in questions)
            yield Missing(what.format(way=way), names, items, items * requests)

    def check(self) -> None:
        """Check that all is on record.

        Raises:
            MissingRecords: something is not.

        """
        if self.missing:
            what = "; ".join(f"{one.what} ({one.requests:,} requests)" for one in self.missing)
            raise MissingRecords(
                f"the policy {self._policy.name} takes answers that were not asked for: {what}",
                f"See `llmclf decide {self._file.records.path} --policy {self._policy.name}`",
            )

    def decider(self) -> Decider:
        """Give what decides by the policy, its correction learned from the records."""
        decider = Decider(self._policy, self.asked)
        if self._policy.takes_texts:
            decider.learn(self._about_texts())
        elif self._policy.learns:
            decider.learn([[said for _, said, _ in islice(self.rows(), self._policy.window)]])
        return decider

    def _about_texts(self) -> list[list[ItemReplies]]:
        """Give what was replied about the texts that say nothing, by their kinds."""
        plan = self._file.plans[next(place.plan for place in self._text_places if place)]
        said = [said for _, said, _ in self._rows(self._text_places)]
        fixed = [said[plan.texts.index(text)] for text in self._policy.content_free]
        drawn = said[len(plan.texts) :][: self._policy.random_texts]
        return [kind for kind in (fixed, drawn) if kind]

    def rows(self) -> Iterator[tuple[ItemRow, ItemReplies, list[tuple[int, ...]]]]:
        """Give the items, what was replied about each to the questions asked, and the numbers of these replies."""
        return self._rows(self._places)

    def _rows(self, places: Sequence[_Place | None]) -> Iterator[tuple[ItemRow, ItemReplies, list[tuple[int, ...]]]]:
        found = [place for place in places if place is not None]
        plans = list(dict.fromkeys(place.plan for place in found))
        for together in zip(*(self._file.records.rows(plan) for plan in plans), strict=True):
            row = together[0][0]
            if any(other.item != row.item for other, _ in together):
                path = self._file.records.path
                raise StoreError(f"{path}: plans {plans} are not about the same items", "Ask again in another job")
            if row.problem:
                yield row, Status(row.problem), [()] * len(found)
                continue
            by_plan = dict(zip(plans, together, strict=True))
            numbers = [by_plan[place.plan][0].replies[place.place] for place in found]
            said: list[list[Reply]] = [
                [by_plan[place.plan][1][reply] for reply in asked] for place, asked in zip(found, numbers, strict=True)
            ]
            yield row, said, numbers


def decided(file: File, number: int, policy: Policy) -> Iterator[tuple[ItemRow, list[Found]]]:
    """Decide on all items of a plan by a policy, in the order of the input.

    Raises:
        MissingRecords: the policy takes answers that were not asked for.

    """
    sources = Sources(file, number, policy)
    sources.check()
    decider = sources.decider()
    codebook, annotator = file.codebook(number), file.plans[number].annotator
    of_question = [
        [place for place, asked in enumerate(sources.asked) if asked.base.name == question.name]
        for question in codebook.questions
    ]
    rows = sources.rows()
    while block := list(islice(rows, _AT_ONCE)):
        said = [(row.item, row.words or "", replies) for row, replies, _ in block]
        found = annotations(decider, codebook, said, annotator)
        for row, _, numbers in block:
            of_item = islice(found, len(codebook.questions))
            rests_on = (tuple(chain.from_iterable(numbers[place] for place in places)) for places in of_question)
            yield row, list(zip(of_item, rests_on, strict=True))


def requests_for(asked: Asked) -> int:
    """Give how many requests a question takes about an item, where labels are scored."""
    if asked.variant.kind == "channel":
        return len(asked.question.label)
    return len(asked.question.label) if asked.question.kind == "set" and not asked.question.reasons else 1
