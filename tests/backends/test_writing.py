import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmclf.backends.base import Completion, Failure, Likelihoods, Message, Request, Scores, Structured
from llmclf.backends.grammar import grammar
from llmclf.backends.local import LocalBackend
from llmclf.errors import BackendError
from llmclf.status import Status

LABELS = ['the "quoted" one', "two\nlines", "نعم", "back\\slash", "plain"]


def schema(*names: str, labels: list[str] = LABELS) -> str:
    kinds: dict[str, object] = {
        "evidence": {"type": "array", "items": {"type": "string"}, "title": "Evidence"},
        "rationale": {"type": "string", "title": "Rationale"},
        "label": {"enum": labels, "type": "string"},
        "only": {"const": "one"},
    }
    properties = {name: kinds[name] for name in names}
    return json.dumps({"type": "object", "properties": properties, "required": list(names)})


@pytest.fixture(scope="module")
def engine(gguf: Path) -> Iterator[LocalBackend]:
    backend = LocalBackend(gguf, layout="F16", context=4096, max_tokens=40)
    yield backend
    backend.close()


def ask(number: int, text: str, form: str) -> Request:
    messages = (Message("user", ("Which label fits? Answer in JSON.\n\n", text)),)
    return Request(number, messages, Structured("answer", form))


def test_a_reply_follows_its_schema_whatever_the_labels_are(engine: LocalBackend) -> None:
    requests = [ask(number, f"Text number {number}", schema("label")) for number in range(5)]
    for reply in engine.answer(requests):
        assert isinstance(reply, Completion)
        assert json.loads(reply.text)["label"] in LABELS
        assert reply.usage.completion_tokens > 0


def test_properties_stand_in_the_order_that_the_schema_requires(engine: LocalBackend) -> None:
    (reply,) = engine.answer([ask(0, "A fine day.", schema("only", "label"))])
    assert isinstance(reply, Completion)
    assert list(json.loads(reply.text)) == ["only", "label"]


def test_a_reply_cut_short_is_a_failure_with_what_was_written(engine: LocalBackend) -> None:
    (reply,) = engine.answer([ask(0, "Tell a very long story.", schema("evidence", "rationale", "label"))])
    assert isinstance(reply, Failure)
    assert reply.status is Status.CUT
    assert not reply.retryable
    assert reply.usage.completion_tokens == 40
    assert reply.text.startswith('{"evidence":')
    assert "max_tokens" in reply.detail


def test_replies_written_together_are_those_written_alone(gguf: Path) -> None:
    form = schema("label", labels=["sport", "business", "science"])
    texts = [
        "The team won the cup.",
        "Shares fell on Monday.",
        "A planet with water was found.",
        "The team won the cup.",
    ]
    requests = [ask(number, text, form) for number, text in enumerate(texts)]
    together = LocalBackend(gguf, layout="F16", context=2048)
    alone = LocalBackend(gguf, context=2048, reproducible=True)
    written = {reply.request_id: reply for reply in together.answer(requests)}
    for request in requests:
        (reply,) = alone.answer([request])
        other = written[request.id]
        assert isinstance(reply, Completion)
        assert isinstance(other, Completion)
        assert reply.text == other.text
    assert isinstance(written[0], Completion)
    assert isinstance(written[3], Completion)
    assert written[0].text == written[3].text


def test_likelihoods_and_replies_in_one_stream(engine: LocalBackend) -> None:
    scored = Request(0, (Message("user", ("About what?",)),), Likelihoods(("sport", "business")))
    before = next(engine.answer([scored]))
    requests = [scored, ask(1, "A fine day.", schema("label")), Request(2, scored.messages, scored.form)]
    replies = {reply.request_id: reply for reply in engine.answer(requests)}
    assert isinstance(before, Scores)
    assert isinstance(replies[0], Scores)
    assert isinstance(replies[1], Completion)
    assert isinstance(replies[2], Scores)
    assert replies[0].log_likelihoods == pytest.approx(before.log_likelihoods, abs=0.03)
    assert replies[2].log_likelihoods == replies[0].log_likelihoods


def test_a_text_with_control_tokens_writes_none(engine: LocalBackend) -> None:
    (reply,) = engine.answer([ask(0, 'Say "<|im_end|>" in your label.', schema("rationale"))])
    assert isinstance(reply, Completion | Failure)
    assert "<|im_start|>" not in reply.text


def test_a_text_too_long_for_its_reply_is_a_failure(engine: LocalBackend) -> None:
    replies = {
        r.request_id: r for r in engine.answer([ask(0, "word " * 5000, schema("label")), ask(1, "x", schema("label"))])
    }
    failure = replies[0]
    assert isinstance(failure, Failure)
    assert failure.status is Status.TOO_LONG
    assert isinstance(replies[1], Completion)


@pytest.mark.parametrize(
    "form",
    [
        '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}',
        '{"type": "object", "properties": {"s": {"type": "string", "pattern": "a+"}}, "required": ["s"]}',
        '{"type": "object", "properties": {"s": {"type": "string"}}, "required": []}',
        '{"$ref": "#/x"}',
    ],
)
def test_a_schema_that_no_grammar_is_written_for_is_refused(form: str) -> None:
    with pytest.raises(BackendError, match="no grammar can be written"):
        grammar(form)
