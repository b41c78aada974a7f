"""A plan while it is asked: how it is begun in a job's file, and how its rows are kept there."""

from collections.abc import Iterator, MutableMapping
from dataclasses import asdict
from itertools import islice
from typing import NamedTuple

from llmclf.backends.base import Failure, Json
from llmclf.classifier import Answered
from llmclf.plan import Plan
from llmclf.records import ItemRow
from llmclf.store import Store


class Step(NamedTuple):
    """How far a job has come since the last step."""

    items: int
    failed: int = 0
    """Of their questions, those that failed."""


class AskedPlan:
    """A plan in a job's file, or about to be.

    Args:
        store: the file.
        key: by which it is found there.
        questions: how many are asked about each item.
        numbers: of the replies' records, by the ids of requests; each is taken out as its row is kept.
        keeps_words: whether what was asked about is kept, to look for quotes in it.

    """

    def __init__(
        self, store: Store, key: str, *, questions: int, numbers: MutableMapping[int, int], keeps_words: bool
    ) -> None:
        self._store, self._key = store, key
        self._questions, self._numbers, self._keeps_words = questions, numbers, keeps_words
        self.number, content = store.plans().get(key, (0, None))
        self.plan = Plan(**content) if content else None

    def begin(self, plan: Plan, source: Json, items: int | None) -> None:
        """Begin it, unless it was begun, and its rows anew."""
        if self.plan is None:
            self.plan = plan
            self.number = self._store.keep_plan(self._key, asdict(plan))
        self._store.begin_rows(self.number, source, items)

    def is_begun_with(self, source: Json) -> bool:
        """Say whether its rows are of this input."""
        known = self._store.input(self.number)
        return source is not None and known is not None and known[0] == source

    def keep(self, answered: Iterator[Answered], position: int) -> Iterator[Step]:
        """Record each item with its replies as they come, from a position on."""
        while answers := list(islice(answered, self._questions)):
            self._store.put_row(self.number, position, self._row(answers))
            position += 1
            yield Step(1, sum(any(isinstance(reply, Failure) for reply in one.replies) for one in answers))
        self._store.commit()

    def _row(self, answers: list[Answered]) -> ItemRow:
        item = answers[0].item
        words = item.words if self._keeps_words and not item.problem else None
        number_of = self._numbers.pop
        numbers = tuple([tuple([number_of(request.id) for request in one.requests]) for one in answers])
        return ItemRow(item.id, str(item.problem or ""), words, numbers, item.place)
