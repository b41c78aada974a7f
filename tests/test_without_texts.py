import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmclf.asking import Questions, asked_again
from llmclf.backends.base import Completion, Failure, Likelihoods, Reply, Request, Scores, Structured
from llmclf.backends.recorded import RecordedBackend, ScriptedBackend
from llmclf.codebook import Codebook, Question
from llmclf.decisions import decide
from llmclf.errors import InputError
from llmclf.items import Item, Turn
from llmclf.schemas import read_reply
from llmclf.status import Status
from llmclf.store import Store
from llmclf.variants import PLAIN, Asked
from llmclf.without_texts import WithoutTexts, is_without_text, keyed_hash, text_key

KEY = b"a key that nobody knows"
SECRET = "Meine Großmutter wohnt in Kötzschenbroda."


def question(kind: str, **reasons: bool) -> dict[str, Any]:
    labels = (
        [{"name": "low", "value": 0}, {"name": "high", "value": 1}]
        if kind == "score"
        else [{"name": "glad"}, {"name": "sad"}]
    )
    return {"name": kind, "kind": kind, "ask": "How is it?", "label": labels, **reasons}


def book(*questions: dict[str, Any], unit: str = "text") -> Codebook:
    return Codebook.model_validate({"name": "book", "unit": unit, "instructions": "Be fair.", "question": questions})


ALL = book(question("choice"), question("score", rationale=True), question("set", rationale=True, evidence=True))


def backend(
    script: Callable[[Request], Reply] = lambda request: Completion(request.id, "{}"), *, scores: bool = False
) -> ScriptedBackend:
    return ScriptedBackend(script, forms=frozenset({Likelihoods if scores else Structured}))


def opened(codebook: Codebook, *, scores: bool = False, key: bytes = KEY) -> tuple[WithoutTexts, Questions]:
    questions = Questions(codebook, backend(scores=scores))
    return WithoutTexts(codebook, questions, key), questions


WITHOUT, QUESTIONS = opened(ALL)


def asked(questions: Questions, about: Question, item: Item) -> list[Request]:
    return [Request(0, messages, form) for messages, form in questions.about(item, Asked(about, PLAIN, about))]


def test_what_is_the_same_for_every_item_stays_and_the_text_is_a_hash() -> None:
    without, questions = opened(ALL)
    for one in ALL.questions:
        (request,) = asked(questions, one, Item("1", text=SECRET))
        kept = without.request(request)
        assert [message.role for message in kept.messages] == [message.role for message in request.messages]
        assert kept.messages[0].content == "Be fair."
        head, text = kept.messages[1].parts[:2]
        assert "How is it?" in head
        assert text == f"blake2b:{keyed_hash(SECRET, KEY)}"
        assert (kept.form, kept.replicate) == (request.form, request.replicate)


@pytest.mark.parametrize("scores", [True, False])
def test_no_word_of_a_conversation_stays(scores: bool) -> None:
    talk = book(question("choice"), question("set"), unit="conversation")
    without, questions = opened(talk, scores=scores)
    turns = (Turn("Grandmother", SECRET), Turn("Nurse", "Good evening."), Turn("Grandmother", "Good night."))
    for one in talk.questions:
        for request in asked(questions, one, Item("1", turns=turns)):
            kept = "".join(message.content for message in without.request(request).messages)
            assert not any(word in kept for word in ("Grandmother", "Nurse", "evening", "night", "wohnt"))
            assert "How is it?" in kept


@pytest.mark.parametrize(
    "template",
    [
        "{{ question.ask }} {{ item.text | upper }}",
        "{{ question.ask }} {{ item.text }} {{ item.text | upper }}",
        "{{ question.ask }} {{ item.id }}: {{ item.text }}",
        "{% if 'wohnt' in item.text %}Mind Kötzschenbroda.{% endif %} {{ item.text }}",
    ],
)
def test_what_a_template_makes_of_the_text_is_hashed_with_it(tmp_path: Path, template: str) -> None:
    (tmp_path / "codebook.toml").write_text(
        'name = "b"\n[[question]]\nname = "q"\nkind = "choice"\nask = "Ask?"\n'
        '[[question.label]]\nname = "a"\n[[question.label]]\nname = "b"\n'
    )
    (tmp_path / "prompt.jinja").write_text(f"{{% block user %}}{template}{{% endblock %}}")
    loaded = Codebook.load(tmp_path)
    without, questions = opened(loaded)
    (request,) = asked(questions, loaded.questions[0], Item("Frau Schmidt", text=SECRET))
    kept = "".join(message.content for message in without.request(request).messages).casefold()
    assert not any(word in kept for word in ("wohnt", "kötz", "schmidt"))


def test_a_model_that_is_asked_again_is_not_quoted() -> None:
    without, questions = opened(ALL)
    (request,) = asked(questions, ALL.questions[0], Item("1", text="x"))
    again = asked_again(request, '{"label": "Kötzschenbroda"}', "unknown label 'Kötzschenbroda'", 1)
    assert "Kötz" not in "".join(message.content for message in without.request(again).messages)


def test_equal_texts_stay_equal_and_another_key_tells_nothing() -> None:
    without, questions = opened(ALL)
    other, _ = opened(ALL, key=b"another key, unknown too")
    (one,), (same,), (else_,) = (
        asked(questions, ALL.questions[0], Item(name, text=text)) for name, text in (("1", "a"), ("2", "a"), ("3", "b"))
    )
    assert without.request(one) == without.request(same) != without.request(else_)
    assert without.request(one).messages[1].parts[1] != other.request(one).messages[1].parts[1]
    assert is_without_text(without.request(one))
    assert not is_without_text(one)


LABELS = st.sampled_from(["glad", "sad", "low", "high", "Kötzschenbroda", "", 1])
REPLIES = st.builds(
    lambda label, reasons, extra: json.dumps(reasons | {"label": label} | extra),
    LABELS | st.lists(LABELS, max_size=2),
    st.fixed_dictionaries({}, optional={"rationale": st.just(SECRET), "evidence": st.just([SECRET, "wohnt"])}),
    st.sampled_from([{}, {}, {}, {"more": SECRET}]),
)


@settings(max_examples=300, deadline=None)
@given(
    REPLIES | st.just(SECRET) | st.just('{"label": "Kötzschenbroda wohnt", "label": "glad"}'),
    st.sampled_from(ALL.questions),
)
def test_a_reply_keeps_its_label_or_status_and_no_word_of_the_text(text: str, one: Question) -> None:
    (request,) = asked(QUESTIONS, one, Item("1", text=SECRET))
    reply = Completion(0, text, "model", "fp", seconds=2.0)
    kept = WITHOUT.reply(request, reply)
    assert isinstance(kept, Completion)
    before, after = decide(one, [reply]), decide(one, [kept])
    assert (after.status, after.label) == (before.status, before.label)
    assert (after.rationale, after.evidence) == ("", ())
    assert replace(kept, text="") == replace(reply, text="")
    assert "wohnt" not in kept.text
    assert "tzschen" not in kept.text
    assert type(read_reply(one, kept.text)) is type(read_reply(one, text))


def test_scores_stay_as_they_are() -> None:
    without, questions = opened(book(question("choice")), scores=True)
    (request,) = asked(questions, ALL.questions[0], Item("1", text=SECRET))
    scores = Scores(0, {"glad": -1.0, "sad": -2.0}, {"glad": 1, "sad": 1})
    assert without.reply(request, scores) is scores


def test_of_an_answer_to_another_schema_nothing_is_kept() -> None:
    without, questions = opened(book(question("choice")))
    (request,) = asked(questions, ALL.questions[0], Item("1", text="x"))
    other = replace(request, form=Structured("answer", "{}"))
    assert without.reply(other, Completion(0, SECRET)) == Completion(0, "")


@pytest.mark.parametrize(
    ("text", "detail", "kept"),
    [
        (SECRET, "HTTP 500: overloaded", "HTTP 500: overloaded"),
        (SECRET, "the reply was cut at 512 tokens", "the reply was cut at 512 tokens"),
        (SECRET, f"HTTP 400: {SECRET} is not allowed", "HTTP 400: not kept, since it quotes the text"),
        (SECRET, "HTTP 400: GROSSMUTTER, wohnt", "HTTP 400: not kept, since it quotes the text"),
        (SECRET, "not a chat completion: in Kötz ... schenbroda", "what is said: not kept, since it quotes the text"),
        ("海の家です", f"HTTP 400: {json.dumps('海の家です')}", "HTTP 400: not kept, since it quotes the text"),
        ("Anna", "HTTP 400: what of Anna?", "HTTP 400: not kept, since it quotes the text"),
        ("!", "HTTP 400: no!", "HTTP 400: no!"),
    ],
)
def test_a_failure_keeps_its_detail_unless_it_quotes_the_text(text: str, detail: str, kept: str) -> None:
    without, questions = opened(ALL)
    (request,) = asked(questions, ALL.questions[0], Item("1", text=text))
    failure = Failure(0, Status.FAILED, detail, True, SECRET, "model", "fp", seconds=1.0)
    assert without.reply(request, failure) == replace(failure, text="", detail=kept)


@given(st.text(), st.text(), st.binary(min_size=1, max_size=64))
def test_hashes_are_equal_where_texts_are(one: str, other: str, key: bytes) -> None:
    assert (keyed_hash(one, key) == keyed_hash(other, key)) == (one == other)
    assert len(keyed_hash(one, key)) == 32


def test_half_an_emoji_has_a_hash() -> None:
    assert keyed_hash("\ud83d", KEY) != keyed_hash("", KEY)


def test_the_key_comes_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_text("0123456789abcdef\n")
    monkeypatch.setenv("LLMCLF_TEXT_KEY", "0123456789abcdef")
    assert text_key() == text_key(file)
    monkeypatch.setenv("LLMCLF_TEXT_KEY", "0123456789abcdeX")
    assert text_key() != text_key(file)
    assert len(keyed_hash("x", text_key())) == 32


def test_without_a_safe_key_it_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLMCLF_TEXT_KEY", raising=False)
    with pytest.raises(InputError, match=r"LLMCLF_TEXT_KEY holds no key of 16 .* Make one, and keep it apart"):
        text_key()
    monkeypatch.setenv("LLMCLF_TEXT_KEY", "hunter2")
    with pytest.raises(InputError) as raised:
        text_key()
    assert "hunter2" not in str(raised.value)
    with pytest.raises(InputError, match=r"the key file .*nokey cannot be read: No such file"):
        text_key(tmp_path / "nokey")


def test_a_store_that_is_given_what_is_left_holds_no_text(tmp_path: Path) -> None:
    """How a job records without texts: the request is recorded, and keyed, as it is kept."""
    without, questions = opened(ALL)
    said = {"evidence": [SECRET], "rationale": SECRET, "label": ["glad"]}
    inner = backend(lambda request: Completion(request.id, json.dumps(said)))
    store = Store(tmp_path / "job.sqlite")
    (request,) = asked(questions, ALL.questions[2], Item("1", text=SECRET))
    for _ in range(2):
        recorded = RecordedBackend(inner, store)
        recorded.keeping = without
        (reply,) = recorded.answer([request])
        assert decide(ALL.questions[2], [reply]).label == ("glad",)
    assert (recorded.asked, recorded.found) == (0, 1)
    store.close()
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for word in ("wohnt", "Großmutter", "Kötzschenbroda"):
        assert word.encode() not in written
        assert json.dumps(word).strip('"').encode() not in written
