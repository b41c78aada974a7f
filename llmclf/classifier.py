"""One item in, its annotations out. Read this first."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from llmclf.annotations import Annotation, Kind
from llmclf.asking import Questions, asked_again, check_samples, choose_order
from llmclf.backends.base import Backend, Completion, Reading, Reply, Request
from llmclf.codebook import Codebook, Question
from llmclf.decisions import Decision, decide, misquoted
from llmclf.errors import BackendError
from llmclf.items import Item
from llmclf.prompts import Order
from llmclf.schemas import Fault, read_reply
from llmclf.status import Status

_MOST_WAITING = 2**16
"""Questions that may wait, answered or not, for the answer to an earlier one."""


RE_ASK = 1
"""How often a model is told that its reply cannot be read, unless it is said otherwise."""


def annotate(
    items: Iterable[Item],
    codebook: Codebook,
    backend: Backend,
    *,
    order: Order | None = None,
    best_only: Reading | None = None,
    replicate: int = 0,
    samples: int = 1,
    re_ask: int = RE_ASK,
) -> Iterator[Annotation]:
    """Ask every question of the codebook about every item, and give the answers in the order of the items.

    One annotation for each item and question; see `ask`.
    """
    asked = ask(
        items,
        codebook,
        backend,
        order=order,
        best_only=best_only,
        replicate=replicate,
        samples=samples,
        re_ask=re_ask,
    )
    return (one.annotation(backend.name) for one in asked)


def ask(
    items: Iterable[Item],
    codebook: Codebook,
    backend: Backend,
    *,
    order: Order | None = None,
    best_only: Reading | None = None,
    replicate: int = 0,
    samples: int = 1,
    re_ask: int = RE_ASK,
) -> Iterator["Answered"]:
    """Ask every question about every item, and give the replies in the order of the items.

    Items are pulled as the backend takes requests.

    Args:
        items: what is asked about.
        codebook: what is asked.
        backend: who answers.
        order: what comes first in the prompts; None chooses by what the backend would read.
        best_only: score no more labels than it takes to find the one that is best by this reading.
        replicate: tells repeats apart; what was answered once is asked anew under another number.
        samples: how often each question is asked, as this replicate and the following; the answer is the one given
            most often, and probabilities are shares.
        re_ask: how often a model is told that its reply cannot be read, and why, and asked again.

    Raises:
        PromptError: the codebook's prompt does not render.
        InputError: the backend cannot answer in the form that is wanted, or its samples would all be the same.
        BackendError: the backend can answer nothing more.

    """
    check_samples(backend, samples)
    stream = iter(items)
    if order is None:
        order, stream = choose_order(stream, codebook, backend)
    asker = _Asker(
        codebook, Questions(codebook, backend, order, best_only), backend, range(replicate, replicate + samples), re_ask
    )
    while not asker.is_done:
        requests = asker.requests(stream)
        for reply in backend.answer(requests):
            asker.take(reply)
            yield from asker.finished()
        yield from asker.finished()
        if asker.is_waiting or next(requests, None):
            raise BackendError(f"{backend.name} ended before it had answered everything")


@dataclass(frozen=True, slots=True)
class Answered:
    """One question about one item, the requests that it took and their replies, in the same order."""

    item: Item
    question: Question
    requests: tuple[Request, ...]
    replies: tuple[Reply, ...]

    def annotation(self, annotator: str) -> Annotation:
        """Decide what the replies come to."""
        return annotation(self.item.id, self.question, self.item.problem or self.replies, annotator, self.item.words)


def annotation(
    item: str, question: Question, replies: Status | Sequence[Reply], annotator: str, words: str
) -> Annotation:
    """Decide what the replies to a question about an item come to, or why there are none.

    Quotes are looked for in `words`.
    """
    decision = Decision(replies) if isinstance(replies, Status) else decide(question, replies)
    return Annotation(
        item=item,
        question=question.name,
        annotator=annotator,
        kind=Kind.MODEL,
        label=decision.label,
        probability=decision.probability,
        probabilities=decision.probabilities or {},
        origin=decision.origin,
        samples=decision.samples,
        status=decision.status,
        rationale=decision.rationale,
        evidence=decision.evidence,
        misquoted=misquoted(decision.evidence, words),
    )


@dataclass(slots=True)
class _Asked:
    """One question about one item, with the replies that have come in."""

    item: Item
    question: Question
    requests: list[Request]
    replies: list[Reply | None]
    re_asked: Counter[int] = field(default_factory=Counter)
    """How often, by the place of the request."""

    @property
    def is_answered(self) -> bool:
        return None not in self.replies


@dataclass
class _Asker:
    """Keeps what was asked in order until it is answered."""

    codebook: Codebook
    questions: Questions
    backend: Backend
    replicates: range
    re_ask: int
    _order: deque[_Asked] = field(default_factory=deque)
    _open: dict[int, tuple[_Asked, int]] = field(default_factory=dict)
    _again: deque[Request] = field(default_factory=deque)
    _next_id: int = 0
    _items_ended: bool = False

    def requests(self, items: Iterator[Item]) -> Iterator[Request]:
        """Ask about one item after the other, until so many wait for an earlier one that it must be answered first."""
        while True:
            while self._again:
                yield self._again.popleft()
            if len(self._order) >= max(_MOST_WAITING, self.backend.ahead):
                return
            item = next(items, None)
            if item is None:
                self._items_ended = True
                return
            for question in self.codebook.questions:
                requests = [] if item.problem else self._ask(question, item)
                asked = _Asked(item, question, requests, [None] * len(requests))
                self._order.append(asked)
                for place, request in enumerate(requests):
                    self._open[request.id] = asked, place
                yield from requests

    def take(self, reply: Reply) -> None:
        asked, place = self._open.pop(reply.request_id)
        said = read_reply(asked.question, reply.text) if isinstance(reply, Completion) else None
        if isinstance(reply, Completion) and isinstance(said, Fault) and asked.re_asked[place] < self.re_ask:
            asked.re_asked[place] += 1
            self._next_id += 1
            again = asked_again(asked.requests[place], reply.text, said.reason, self._next_id)
            asked.requests[place] = again
            self._open[again.id] = asked, place
            self._again.append(again)
        else:
            asked.replies[place] = reply

    def finished(self) -> Iterator[Answered]:
        while self._order and self._order[0].is_answered:
            done = self._order.popleft()
            yield Answered(done.item, done.question, tuple(done.requests), tuple(filter(None, done.replies)))

    @property
    def is_done(self) -> bool:
        return self._items_ended and not self._again

    @property
    def is_waiting(self) -> bool:
        """Whether something is neither answered nor about to be asked again."""
        return bool(self._order) and not self._again

    def _ask(self, question: Question, item: Item) -> list[Request]:
        about = self.questions.about(item, question)
        first = self._next_id + 1
        self._next_id += len(about) * len(self.replicates)
        asked = product(about, self.replicates)
        return [
            Request(number, messages, form, replicate)
            for number, ((messages, form), replicate) in enumerate(asked, first)
        ]
