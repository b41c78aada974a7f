"""One item in, its annotations out. Read this first."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from llmclf.annotations import Annotation, Kind
from llmclf.backends.base import AnswerForm, Backend, Likelihoods, Message, Reply, Request, Structured
from llmclf.codebook import Codebook, Question
from llmclf.decisions import NO, YES, Decision, decide
from llmclf.errors import BackendError
from llmclf.items import Item
from llmclf.prompts import Prompt
from llmclf.schemas import reply_schema

_MOST_WAITING = 2**16
"""Questions that may wait, answered or not, for the answer to an earlier one."""


def annotate(
    items: Iterable[Item], codebook: Codebook, backend: Backend, *, replicate: int = 0
) -> Iterator[Annotation]:
    """Ask every question of the codebook about every item, and give the answers in the order of the items.

    One annotation for each item and question. Items are pulled as the backend takes requests.

    Raises:
        PromptError: the codebook's prompt does not render.
        BackendError: the backend can answer nothing more.

    """
    asker = _Asker(codebook, Prompt(codebook), backend, replicate)
    stream = iter(items)
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
    prompt: Prompt
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
        if Likelihoods not in self.backend.forms:
            schema = reply_schema(question)
            messages = self.prompt.messages(question, item, reply_schema=schema)
            yield self._request(messages, Structured("answer", schema))
        elif question.kind == "set":
            for label in question.labels:
                yield self._request(self.prompt.messages(question, item, label=label), Likelihoods((YES, NO)))
        else:
            names = tuple(label.name for label in question.labels)
            yield self._request(self.prompt.messages(question, item), Likelihoods(names))

    def _request(self, messages: tuple[Message, ...], form: AnswerForm) -> Request:
        self._next_id += 1
        return Request(self._next_id, messages, form, self.replicate)

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
        )
