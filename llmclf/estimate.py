"""What annotating would take, before it is begun: requests, tokens, money and time."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from llmclf.asking import Questions, check_samples, choose_order
from llmclf.backends.base import CHARACTERS_A_TOKEN, Backend, Message, Request, Structured, Typed, Usage
from llmclf.budget import Price
from llmclf.codebook import Codebook
from llmclf.items import Item
from llmclf.plan import tokens_per_second
from llmclf.policy import RAW, Policy
from llmclf.prompts import Order
from llmclf.variants import items_that_say

SAMPLE = 1000
"""Items whose prompts are rendered and counted; of more, these are taken for all."""
_REASON_TOKENS = 60
"""Of a rationale or of quotes, about."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What annotating a table would take."""

    items: int
    without_question: int
    """Items that nothing can be asked about: empty, or not UTF-8."""
    distinct: int
    """Items that differ; equal ones are asked about once."""
    requests: int
    tokens_in: int
    """To be read: by a local engine once where prompts share them, by a server in every request."""
    tokens_out: int
    """To be written."""
    sampled: int
    """Items whose prompts were counted."""
    counted_by: str
    """How tokens were counted."""
    seconds: float | None
    money: float | None


def estimate(
    items: Iterable[Item],
    codebook: Codebook,
    backend: Backend,
    *,
    order: Order | None = None,
    samples: int = 1,
    price: Price | None = None,
    requests_per_minute: float | None = None,
    policy: Policy = RAW,
) -> Estimate:
    """Estimate what annotating would take; nothing is asked.

    Args:
        items: what would be asked about; pulled once.
        codebook: what would be asked.
        backend: who would answer.
        order: what comes first in the prompts; None chooses as a job does.
        samples: how often each question would be asked.
        price: what the model costs; None gives no money.
        requests_per_minute: at which a server is asked; without it, its time is not known.
        policy: what it takes beside the plain answers is counted, too.

    """
    check_samples(backend, samples)
    stream = iter(items)
    if order is None:
        order, stream = choose_order(stream, codebook, backend, policy.variants)
    counts = _Counts()
    first = list(islice(counts.watch(stream), SAMPLE))
    sample = list({item.words: item for item in first if not item.problem}.values())
    for _ in counts.watch(stream):
        pass
    questions = Questions(codebook, backend, order, variants=policy.variants)
    requests = list(_requests(sample, questions))
    texts = policy.for_items(first).texts(first).all
    beside = list(_requests(items_that_say(texts, codebook, first), questions))
    to_read, to_write, counted_by = _tokens(requests, backend)
    also_read, also_write, _ = _tokens(beside, backend)
    scale = samples * counts.distinct / len(sample) if sample else 0.0
    tokens_in = round(to_read * scale) + samples * also_read
    tokens_out = round(to_write * scale) + samples * also_write
    asked = round(len(requests) * scale) + samples * len(beside)
    speed = tokens_per_second(backend.measured, backend.resolved)
    seconds = (tokens_in + tokens_out) / speed if speed else None
    if requests_per_minute:
        seconds = 60 * asked / requests_per_minute
    money = price.of(Usage(prompt_tokens=tokens_in, completion_tokens=tokens_out)) if price else None
    return Estimate(
        counts.items,
        counts.without_question,
        counts.distinct,
        asked,
        tokens_in,
        tokens_out,
        len(first),
        counted_by,
        seconds,
        money,
    )


class _Counts:
    """Counts items as they pass."""

    def __init__(self) -> None:
        self.items = self.without_question = 0
        self._seen: set[int] = set()

    @property
    def distinct(self) -> int:
        return len(self._seen)

    def watch(self, items: Iterator[Item]) -> Iterator[Item]:
        for item in items:
            self.items += 1
            if item.problem:
                self.without_question += 1
            else:
                self._seen.add(hash(item.words))
            yield item


def _requests(items: Sequence[Item], questions: Questions) -> Iterator[Request]:
    pairs = ((item, asked) for item in items for asked in questions.asked)
    about = chain.from_iterable(questions.about(item, asked) for item, asked in pairs)
    return (Request(number, messages, form) for number, (messages, form) in enumerate(about))


def _tokens(requests: Sequence[Request], backend: Backend) -> tuple[int, int, str]:
    """Count the tokens that are read and written, and say what counted them."""
    to_read, to_write = backend.tokens_to_read(requests), sum(_tokens_out(request) for request in requests)
    if to_read is not None:
        return to_read, to_write, "the model's tokenizer"
    characters = math.ceil(_characters(requests) / CHARACTERS_A_TOKEN)
    return characters, to_write, f"{CHARACTERS_A_TOKEN} characters a token"


def _characters(requests: Iterable[Request]) -> int:
    """Count what is sent: where questions go apart from the text, the text once, and instructions with each."""
    count = 0
    sent: tuple[Message, ...] = ()
    for request in requests:
        form = request.form
        if isinstance(form, Typed):
            count += sum(map(len, (form.ask, *form.labels, *form.definitions)))
        messages = [one for one in request.messages if one.role == "system" or request.messages != sent]
        count += sum(len(message.content) for message in messages)
        sent = request.messages if isinstance(form, Typed) else ()
    return count


def _tokens_out(request: Request) -> int:
    """Say about how much is written: nothing where labels are scored."""
    if not isinstance(request.form, Structured):
        return 0
    properties: dict[str, Any] = json.loads(request.form.schema)["properties"]
    label = properties["label"].get("items", properties["label"])
    names = label.get("enum") or [label.get("const", "")]
    characters = len('{"label": ""}') + sum(map(len, names)) / len(names)
    return math.ceil(characters / CHARACTERS_A_TOKEN) + _REASON_TOKENS * (len(properties) - 1)
