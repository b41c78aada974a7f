"""The noisy channel P(text | label) in the local engine: a whole text as the one label that is scored."""

import gc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmclf.backends.base import Failure, Likelihoods, Message, Reading, Request, Scores
from llmclf.backends.context import LlamaContext
from llmclf.backends.layouts import Weights
from llmclf.backends.local import LocalBackend
from llmclf.backends.tasks import Labels
from llmclf.status import Status

from .plain_decoding import PlainDecoder, rewrite
from .tiny_models import KINDS

F16 = 1
EXACT = 0.0001
"""Nats between two ways of reading a text without packing, with weights in F32; 0.00002 was the most seen."""
PACKED = 0.06
"""Nats that packing may cost in 1,500 tokens, with keys and values in F16; 0.031 was the most seen."""
CONTEXT = 2048
LOGIT_BYTES = 64 * 2**20
SLICE = 256
GOOD, BAD = "Write a text that is good.", "Write a text that is bad."
WORDS = "The team won after extra time, and few had come to see it. "
LONG = "".join(f"{n} ships were seen off the thin island of {chr(97 + n % 26)}. " for n in range(200))
TEXTS = ["x", WORDS, *(LONG[:size] for size in (SLICE - 1, SLICE, SLICE + 1, 600, 1500))]
"""A character is a token to the tiny models, or nearly."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("tiny")
    files = {kind: write(folder / f"{kind}.gguf") for kind, write in KINDS.items()}
    return files.__getitem__


@pytest.fixture(scope="module")
def packed(tiny: Callable[[str], Path]) -> Iterator[LocalBackend]:
    backend = LocalBackend(tiny("sliding window"), layout="shipped", context=CONTEXT)
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def plain(tiny: Callable[[str], Path]) -> Iterator[PlainDecoder]:
    decoder = PlainDecoder(tiny("sliding window"))
    yield decoder
    decoder.close()


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The batches that are decoded from here on: of each the tokens, and those whose logits are kept."""
    seen: list[tuple[int, int]] = []
    decode = LlamaContext.decode

    def counted(self: LlamaContext, segments: Sequence[Any], **options: Any) -> Any:
        seen.append((sum(len(tokens) for _, _, tokens, _ in segments), sum(rows for *_, rows in segments)))
        return decode(self, segments, **options)

    monkeypatch.setattr(LlamaContext, "decode", counted)
    return seen


def ask(number: int, head: str, *labels: str, cue: str = "", best_only: Reading | None = None) -> Request:
    reply = (Message("assistant", (cue,)),) if cue else ()
    asked = Message("system", ("Be brief.",)), Message("user", (head,))
    return Request(number, (*asked, *reply), Likelihoods(labels, best_only))


def scores(backend: LocalBackend, requests: Sequence[Request]) -> list[dict[str, float]]:
    replies = {reply.request_id: reply for reply in backend.answer(requests)}
    assert len(replies) == len(requests)
    assert all(isinstance(reply, Scores) for reply in replies.values())
    return [dict(replies[request.id].log_likelihoods) for request in requests]  # type: ignore[union-attr]  # asserted above


def plain_scores(decoder: PlainDecoder, request: Request) -> dict[str, float]:
    system, user, *cues = request.messages
    between, end = "<|im_end|>\n<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
    prompt = decoder.tokens("<|im_start|>system\n", special=True) + decoder.tokens(system.content)
    prompt += decoder.tokens(between, special=True) + decoder.tokens(user.content) + decoder.tokens(end, special=True)
    prompt += [token for cue in cues for token in decoder.tokens(cue.content)]
    assert isinstance(request.form, Likelihoods)
    sequences = {label: decoder.tokens(f" {label}" if cues else label) for label in request.form.labels}
    return {label: decoder.log_likelihood(prompt, sequence) for label, sequence in sequences.items()}


@pytest.mark.parametrize(
    ("kind", "is_reproducible", "tolerance"),
    [
        ("sliding window", False, PACKED),
        ("sliding window", True, EXACT),
        ("multi rope", False, EXACT),
        ("recurrent", False, EXACT),
        ("hybrid", False, EXACT),
    ],
)
def test_texts_of_any_length_score_as_in_plain_decoding(
    tiny: Callable[[str], Path], kind: str, is_reproducible: bool, tolerance: float
) -> None:
    weights = Weights(tiny(kind), "F16", kind, "")  # in truth F32, which no backend has that reads reproducibly
    backend = LocalBackend(weights, context=CONTEXT, reproducible=is_reproducible)
    requests = [
        ask(number, head, text) for number, (head, text) in enumerate((h, t) for h in (GOOD, BAD) for t in TEXTS)
    ]
    requests += [ask(100, GOOD, WORDS, cue="Text:"), ask(101, GOOD, LONG[:700], cue="Text:")]
    found = scores(backend, requests)
    backend.close()
    decoder = PlainDecoder(tiny(kind))
    for request, got in zip(requests, found, strict=True):
        assert got == pytest.approx(plain_scores(decoder, request), abs=tolerance)
    decoder.close()


LENGTHS = st.integers(1, 3 * SLICE)
HEADS = st.sampled_from([GOOD, BAD, LONG[:450], LONG[:200] + GOOD, LONG[:200] + BAD, LONG[:350] + GOOD])
ASKED = st.lists(
    st.tuples(HEADS, st.sampled_from(["", LONG[:300]]), st.lists(LENGTHS, min_size=1, max_size=3)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=ASKED, best_only=st.booleans())
def test_texts_and_labels_of_any_length_share_a_small_context(
    tiny: Callable[[str], Path], plain: PlainDecoder, asked: list[tuple[str, str, list[int]]], best_only: bool
) -> None:
    backend = LocalBackend(tiny("sliding window"), layout="shipped", context=1664, batch=1024)
    reading = Reading() if best_only else None
    requests = [
        ask(number, head, *[f"{shared}{place}{LONG[:size]}" for place, size in enumerate(sizes)], best_only=reading)
        for number, (head, shared, sizes) in enumerate(asked)
    ]
    for request, got in zip(requests, scores(backend, requests), strict=True):
        want = plain_scores(plain, request)
        assert got == pytest.approx({label: want[label] for label in got}, abs=PACKED)
        assert want[max(got, key=got.__getitem__)] >= max(want.values()) - 2 * PACKED
    backend.close()


def test_of_a_long_text_few_logits_are_kept_and_it_scores_as_in_plain_decoding(
    gguf: Path, tmp_path: Path, batches: list[tuple[int, int]]
) -> None:
    f16 = rewrite(gguf, tmp_path / "f16.gguf", F16)
    backend = LocalBackend(Weights(f16, "F16", "F16", ""), context=CONTEXT)
    requests = [ask(0, GOOD, LONG[:1800]), ask(1, GOOD, WORDS)]
    found = scores(backend, requests)
    vocabulary = backend._open.model.vocabulary_size
    backend.close()
    rows = [rows for _, rows in batches]
    assert sum(rows) > LOGIT_BYTES / (4 * vocabulary) >= max(rows)
    decoder = PlainDecoder(f16)
    for request, got in zip(requests, found, strict=True):
        assert got == pytest.approx(plain_scores(decoder, request), abs=PACKED)
    decoder.close()


def test_a_head_is_read_once_and_texts_fill_the_batches(packed: LocalBackend, batches: list[tuple[int, int]]) -> None:
    texts = [f"{number} {WORDS}" for number in range(45)]
    requests = [
        ask(number, head, text) for number, (text, head) in enumerate((t, h) for t in texts for h in (GOOD, BAD))
    ]
    packed._open.walk.forget()
    scores(packed, requests)
    chat = packed._open.chat
    heads = {tuple(chat.prompt_tokens(request.messages)) for request in requests}
    in_texts = [len(chat.label_tokens(text, continues=False)) - 1 for text in texts]
    read = sum(tokens for tokens, _ in batches)
    assert len(heads) == 2
    assert read <= sum(map(len, heads)) + 2 * sum(in_texts)
    batch = packed._open.context.batch
    assert len(batches) <= 3 + read / (batch - max(in_texts))


def test_what_was_read_and_what_is_to_be_read_count_the_texts(packed: LocalBackend) -> None:
    count = packed.tokens_to_read
    short, long = ([ask(0, GOOD, text), ask(1, BAD, text)] for text in (WORDS, LONG[:1000]))
    more = len(packed._open.chat.label_tokens(LONG[:1000], continues=False))
    more -= len(packed._open.chat.label_tokens(WORDS, continues=False))
    assert count(long) - count(short) == 2 * more
    assert count([*short, *short]) == count(short)


def test_long_texts_give_replies_in_good_time(packed: LocalBackend) -> None:
    pulled = 0

    def requests() -> Iterator[Request]:
        nonlocal pulled
        for number in range(100):
            pulled += 1
            yield ask(number, GOOD, f"{number} {LONG[:1500]}")

    next(packed.answer(requests()))
    assert pulled <= 8


def test_a_text_longer_than_the_context_is_a_failure_and_the_others_go_on(packed: LocalBackend) -> None:
    long, short = packed.answer([ask(0, GOOD, LONG[: 2 * CONTEXT]), ask(1, GOOD, WORDS)])
    assert isinstance(long, Failure)
    assert (long.status, long.retryable) == (Status.TOO_LONG, False)
    assert str(CONTEXT) in long.detail
    assert isinstance(short, Scores)


def test_a_text_without_tokens_is_a_failure_and_the_others_go_on(packed: LocalBackend) -> None:
    replies = {reply.request_id: reply for reply in packed.answer([ask(0, GOOD, ""), ask(1, GOOD, WORDS)])}
    empty = replies[0]
    assert isinstance(empty, Failure)
    assert empty.status is Status.EMPTY
    assert isinstance(replies[1], Scores)


def test_texts_are_not_kept(packed: LocalBackend) -> None:
    def kept() -> int:
        gc.collect()
        return sum(isinstance(one, Labels) for one in gc.get_objects())

    scores(packed, [ask(0, GOOD, "a text", "another")])
    before = kept()
    scores(packed, [ask(number, GOOD, f"{number} {WORDS}") for number in range(20)])
    scores(packed, [ask(0, GOOD, "a text", "another")])
    assert kept() == before
