"""One item in, its annotations out. Read this first."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice, product
from typing import Any

from llmclf.annotations import Annotation, Kind
from llmclf.asking import Questions, asked_again, check_samples, choose_order
from llmclf.backends.base import Backend, Completion, Reading, Reply, Request
from llmclf.codebook import Codebook
from llmclf.deciding import Decider, ItemReplies
from llmclf.decisions import misquoted
from llmclf.errors import BackendError
from llmclf.items import Item
from llmclf.policy import RAW, Policy
from llmclf.prompts import Order
from llmclf.schemas import Fault, read_reply
from llmclf.variants import PLAIN, Asked, Variant, asked_questions, items_that_say

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
    policy: Policy | str = RAW,
) -> Iterator[Annotation]:
    """Ask every question of the codebook about every item, and give the answers in the order of the items.

    One annotation for each item and question, decided on by a policy; see `ask`. A policy that learns from the first
    items gives its first answer after these.
    """
    stream, policy = iter(items), Policy.of(policy)
    if order is None:
        order, stream = choose_order(stream, codebook, backend, policy.variants)
    window: list[Item] = []
    if policy.takes_window:
        window = list(islice(stream, policy.window))
        policy, stream = policy.for_items(window), chain(window, stream)
    said = partial(
        _said,
        codebook=codebook,
        backend=backend,
        order=order,
        best_only=best_only,
        replicate=replicate,
        samples=samples,
        re_ask=re_ask,
        variants=policy.variants,
    )
    decider = Decider(policy, asked_questions(codebook, policy.variants))
    if policy.takes_texts:
        texts = policy.texts(window)
        decider.learn(texts.parted([replies for _, replies in said(items_that_say(texts.all, codebook, window))]))
    answers = said(stream)
    if policy.learns:
        first = list(islice(answers, policy.window))
        decider.learn([[replies for _, replies in first]])
        answers = chain(first, answers)
    for item, replies in answers:
        yield from annotations(decider, codebook, [(item.id, item.words, replies)], backend.name)


def learn(
    items: Sequence[Item], codebook: Codebook, backend: Backend, policy: Policy, order: Order = "codebook"
) -> Decider:
    """Ask what a policy takes to learn its correction, of unlabelled items where it takes any, and learn it.

    Raises:
        InputError: the answers have no likelihoods.

    """
    policy = policy.for_items(items)
    decider = Decider(policy, asked_questions(codebook, policy.variants))
    texts = policy.texts(items[: policy.window])
    about = items_that_say(texts.all, codebook, items) if policy.takes_texts else items[: policy.window]
    if policy.takes_texts or policy.learns:
        said = _said(about, codebook=codebook, backend=backend, order=order, variants=policy.variants)
        replies = [replies for _, replies in said]
        decider.learn(texts.parted(replies) if policy.takes_texts else [replies])
    return decider


def answer(
    items: Iterable[Item], codebook: Codebook, backend: Backend, decider: Decider, order: Order = "codebook"
) -> Iterator[Annotation]:
    """Ask about items, and decide on them by what was learned before."""
    said = _said(items, codebook=codebook, backend=backend, order=order, variants=decider.policy.variants)
    for item, replies in said:
        yield from annotations(decider, codebook, [(item.id, item.words, replies)], backend.name)


def _said(items: Iterable[Item], *, codebook: Codebook, **asking: Any) -> Iterator[tuple[Item, ItemReplies]]:  # noqa: ANN401 - those of `ask`
    """Give all that was replied about each item."""
    answered = ask(items, codebook, **asking)
    count = len(asked_questions(codebook, asking["variants"]))
    while group := list(islice(answered, count)):
        item = group[0].item
        yield item, item.problem or [one.replies for one in group]


def annotations(
    decider: Decider, codebook: Codebook, said: Sequence[tuple[str, str, ItemReplies]], annotator: str
) -> Iterator[Annotation]:
    """Decide on items, each with its id, its words and what was replied about it."""
    by_item = decider.decide([item for item, _, _ in said], [replies for _, _, replies in said])
    for (item, words, _), decisions in zip(said, by_item, strict=True):
        for question, decision in zip(codebook.questions, decisions, strict=True):
            fitted = decider.policy.fitted.get(question.name)
            yield Annotation(
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
                policy=decider.policy.name,
                instability=decision.instability,
                label_set=decision.label_set,
                fitted_on=fitted.fitted_on(item) if fitted else None,
            )


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
    variants: Sequence[Variant] = (PLAIN,),
) -> Iterator["Answered"]:
    """Ask every question about every item in all ways, and give the replies in the order of the items.

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
        variants: the ways in which each question is asked.

    Raises:
        PromptError: the codebook's prompt does not render.
        InputError: the backend cannot answer in the form that is wanted, or its samples would all be the same.
        BackendError: the backend can answer nothing more.

    """
    check_samples(backend, samples)
    stream = iter(items)
    if order is None:
        order, stream = choose_order(stream, codebook, backend, variants)
    questions = Questions(codebook, backend, order, best_only, variants)
    asker = _Asker(questions, backend, range(replicate, replicate + samples), re_ask)
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
    asked: Asked
    requests: tuple[Request, ...]
    replies: tuple[Reply, ...]


@dataclass(slots=True)
class _Open:
    """One question about one item, with the replies that have come in."""

    item: Item
    asked: Asked
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

    questions: Questions
    backend: Backend
    replicates: range
    re_ask: int
    _order: deque[_Open] = field(default_factory=deque)
    _open: dict[int, tuple[_Open, int]] = field(default_factory=dict)
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
            for asked in self.questions.asked:
                requests = [] if item.problem else self._ask(asked, item)
                one = _Open(item, asked, requests, [None] * len(requests))
                self._order.append(one)
                for place, request in enumerate(requests):
                    self._open[request.id] = one, place
                yield from requests

    def take(self, reply: Reply) -> None:
        one, place = self._open.pop(reply.request_id)
        said = read_reply(one.asked.question, reply.text) if isinstance(reply, Completion) else None
        if isinstance(reply, Completion) and isinstance(said, Fault) and one.re_asked[place] < self.re_ask:
            one.re_asked[place] += 1
            self._next_id += 1
            again = asked_again(one.requests[place], reply.text, said.reason, self._next_id)
            one.requests[place] = again
            self._open[again.id] = one, place
            self._again.append(again)
        else:
            one.replies[place] = reply

    def finished(self) -> Iterator[Answered]:
        while self._order and self._order[0].is_answered:
            done = self._order.popleft()
            yield Answered(done.item, done.asked, tuple(done.requests), tuple(filter(None, done.replies)))

    @property
    def is_done(self) -> bool:
        return self._items_ended and not self._again

    @property
    def is_waiting(self) -> bool:
        """Whether something is neither answered nor about to be asked again."""
        return bool(self._order) and not self._again

    def _ask(self, asked: Asked, item: Item) -> list[Request]:
        about = self.questions.about(item, asked)
        first = self._next_id + 1
        self._next_id += len(about) * len(self.replicates)
        repeat = asked.variant.number * len(self.replicates) if asked.variant.kind == "repeat" else 0
        repeated = product(about, self.replicates)
        return [
            Request(number, messages, form, repeat + replicate)
            for number, ((messages, form), replicate) in enumerate(repeated, first)
        ]
