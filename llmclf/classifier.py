"""One item in, its annotations out. Read this first."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from llmclf.annotations import Annotation, Kind
from llmclf.asking import Questions, choose_order
from llmclf.backends.base import Backend, Reading, Reply, Request
from llmclf.codebook import Codebook, Question
from llmclf.decisions import Decision, decide, misquoted
from llmclf.errors import BackendError
from llmclf.items import Item
from llmclf.prompts import Order

_MOST_WAITING = 2**16
"""Questions that may wait, answered or not, for the answer to an earlier one."""


def annotate(
    items: Iterable[Item],
    codebook: Codebook,
    backend: Backend,
    *,
    order: Order | None = None,
    best_only: Reading | None = None,
    replicate: int = 0,
) -> Iterator[Annotation]:
    """Ask every question of the codebook about every item, and give the answers in the order of the items.

    One annotation for each item and question. Items are pulled as the backend takes requests.

    Args:
        items: what is asked about.
        codebook: what is asked.
        backend: who answers.
        order: what comes first in the prompts; None chooses by what the backend would read.
        best_only: score no more labels than it takes to find the one that is best by this reading.
        replicate: tells repeats apart; what was answered once is asked anew under another number.

    Raises:
        PromptError: the codebook's prompt does not render.
        InputError: the backend cannot answer in the form that is wanted.
        BackendError: the backend can answer nothing more.

    """
    stream = iter(items)
    if order is None:
        order, stream = choose_order(stream, codebook, backend)
    asker = _Asker(codebook, Questions(codebook, backend, order, best_only), backend, replicate)
    while not asker.is_done:
        requests = asker.requests(stream)
        for reply in backend.answer(requests):
            asker.take(reply)
            yield from asker.finished()
        yield from asker.finished()
        if asker.is_waiting or next(requests, None):
            raise BackendError(f"{backend.name} ended before it had answered everything")


@dataclass(slots=True)
class _Asked:
    """One question about one item, with the replies that have come in."""

    item: Item
    question: Question
    replies: list[Reply | None]

    @property
    def is_answered(self) -> bool:
        return all(reply is not None for reply in self.replies)


@dataclass
class _Asker:
    """Keeps what was asked in order until it is answered."""

    codebook: Codebook
    questions: Questions
    backend: Backend
    replicate: int
    _order: deque[_Asked] = field(default_factory=deque)
    _open: dict[int, tuple[_Asked, int]] = field(default_factory=dict)
    _next_id: int = 0
    is_done: bool = False

    def requests(self, items: Iterator[Item]) -> Iterator[Request]:
        """Ask about one item after the other, until so many wait for an earlier one that it must be answered first."""
        while len(self._order) < _MOST_WAITING:
            item = next(items, None)
            if item is None:
                self.is_done = True
                return
            for question in self.codebook.questions:
                requests = [] if item.problem else list(self._ask(question, item))
                asked = _Asked(item, question, [None] * len(requests))
                self._order.append(asked)
                for place, request in enumerate(requests):
                    self._open[request.id] = asked, place
                yield from requests

    def take(self, reply: Reply) -> None:
        asked, place = self._open.pop(reply.request_id)
        asked.replies[place] = reply

    def finished(self) -> Iterator[Annotation]:
        while self._order and self._order[0].is_answered:
            yield self._annotation(self._order.popleft())

    @property
    def is_waiting(self) -> bool:
        return bool(self._order)

    def _ask(self, question: Question, item: Item) -> Iterator[Request]:
        for messages, form in self.questions.about(item, question):
            self._next_id += 1
            yield Request(self._next_id, messages, form, self.replicate)

    def _annotation(self, asked: _Asked) -> Annotation:
        if asked.item.problem:
            decision = Decision(asked.item.problem)
        else:
            decision = decide(asked.question, [reply for reply in asked.replies if reply is not None])
        return Annotation(
            item=asked.item.id,
            question=asked.question.name,
            annotator=self.backend.name,
            kind=Kind.MODEL,
            label=decision.label,
            probability=decision.probability,
            probabilities=decision.probabilities or {},
            status=decision.status,
            rationale=decision.rationale,
            evidence=decision.evidence,
            misquoted=misquoted(decision.evidence, asked.item),
        )
