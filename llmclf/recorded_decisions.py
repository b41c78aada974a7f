"""Labels from a job's records by any policy: which records it takes, which are missing, and what it makes of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Protocol, TypeAlias

from llmclf.annotations import Annotation
from llmclf.backends.base import Failure, Origin, Reply, Scores
from llmclf.classifier import annotations
from llmclf.codebook import Codebook
from llmclf.deciding import Decider, ItemReplies
from llmclf.errors import InputError, StoreError
from llmclf.plan import Plan
from llmclf.policy import DEFAULT, Policy
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
        codebook = file.codebook(number)
        last = file.records.last_row(number)
        self._items = last[0] + 1 if last else 0
        self._policy = self._for_records(policy)
        self._policy.check(codebook)
        self.asked = asked_questions(codebook, self._policy.variants)
        tables = [other for other in file.beside(number) if self._is_of_same_table(other)]
        # That which has asked most comes first: items given in Python may have the ids of others.
        by_plan = [[self._find(asked, other, self._items) for asked in self.asked] for other in tables]
        by_plan.sort(key=lambda places: places.count(None))
        self._places = [next(filter(None, places), None) for places in zip(*by_plan, strict=True)]
        self._text_places = self._find_texts()

    def _for_records(self, policy: Policy) -> Policy:
        """Give the policy that a job of these answers and of so few items goes by; see `Job`."""
        plan = self._file.plans[self._number]
        if policy == DEFAULT and self._items:
            policy = policy.for_answers(self._file.codebook(self._number), self._origin())
        if not policy.takes_window:
            return policy
        rows = islice(self._file.records.rows(self._number), policy.window)
        few = policy.for_count(0 if plan.text_key and not policy.learns else sum(not row.problem for row, _ in rows))
        about_texts = [self._file.plans[other] for other in self._file.beside(self._number)]
        if policy.learns:
            return few if any(self._has_texts(one, few) for one in about_texts) else policy
        return policy if any(self._has_texts(one, policy) for one in about_texts) else few

    def _origin(self) -> Origin | None:
        """Give where the probabilities of its first answer come from."""
        said = (reply for _, replies in self._file.records.rows(self._number) for reply in replies.values())
        first = next((reply for reply in said if not isinstance(reply, Failure)), None)
        if isinstance(first, Scores):
            return first.origin
        return "samples" if self._file.plans[self._number].samples > 1 else None

    def _is_of_same_table(self, other: int) -> bool:
        if self._file.plans[other].is_about_texts:
            return False
        return other == self._number or self._input(other) == self._input(self._number)

    def _input(self, number: int) -> object:
        found = self._file.records.input(number)
        return found and found[0] and found[0]["table"]

    def _has_texts(self, plan: Plan, policy: Policy) -> bool:
        has_fixed = set(policy.content_free) <= set(plan.texts)
        return plan.is_about_texts and has_fixed and len(plan.random_texts) >= policy.random_texts

    def _find(self, asked: Asked, number: int, items: int) -> _Place | None:
        """Give the place of a question in a plan's rows, if it was asked there about so many items."""
        ways = asked_questions(self._file.codebook(number), self._file.plans[number].ways)
        place = next((place for place, one in enumerate(ways) if one.is_same(asked)), None)
        last = self._file.records.last_row(number)
        is_whole = (last[0] + 1 if last else 0) >= items
        return _Place(number, place) if place is not None and is_whole else None

    def _find_texts(self) -> list[_Place | None]:
        """Give the places in the one plan that has asked about the texts in most ways.

        Of equals, that by which labels were decided on at last, or the latest. One plan, because another one may have
        other texts in their places.
        """
        if not self._policy.takes_texts:
            return []
        last = self._file.plans[self._number].texts_plan
        latest = sorted(self._file.beside(self._number), key=lambda other: (other != last, -other))
        alike = ((other, self._file.plans[other]) for other in latest)
        found = [
            [self._find(asked, other, len(plan.texts) + len(plan.random_texts)) for asked in self.asked]
            for other, plan in alike
            if self._has_texts(plan, self._policy)
        ]
        return max(found, key=lambda places: len(places) - places.count(None), default=[None] * len(self.asked))

    @property
    def missing(self) -> list[Missing]:
        """What was not asked, or not to its end."""
        found = list(self._group(self._places, self._items, "{way}"))
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
        return islice(self._rows(self._places), self._items)

    def _rows(self, places: Sequence[_Place | None]) -> Iterator[tuple[ItemRow, ItemReplies, list[tuple[int, ...]]]]:
        found = [place for place in places if place is not None]
        plans = list(dict.fromkeys(place.plan for place in found))
        for together in zip(*(self._file.records.rows(plan) for plan in plans), strict=False):  # one may be ahead
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
