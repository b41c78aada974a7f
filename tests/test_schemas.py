import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llmclf.codebook import Label, Question
from llmclf.schemas import Fault, Said, read_reply, reply_model, reply_schema
from llmclf.status import Status

CHOICE = Question(name="q", kind="choice", ask="?", label=(Label(name="yes"), Label(name='né "o"')))
SCORE = Question(name="q", kind="score", ask="?", label=(Label(name="low", value=1), Label(name="high", value=2.5)))
SET = Question(name="q", kind="set", ask="?", label=(Label(name="b"), Label(name="a"), Label(name="c")))
RATIONALE = CHOICE.model_copy(update={"rationale": True})
EVIDENCE = SET.model_copy(update={"evidence": True})
BOTH = SCORE.model_copy(update={"rationale": True, "evidence": True})
NAMES = st.text(min_size=1, max_size=8).map(str.strip).filter(bool)


@pytest.mark.parametrize(
    ("question", "reply", "want"),
    [
        (CHOICE, {"label": "yes"}, "yes"),
        (CHOICE, {"label": 'né "o"'}, 'né "o"'),
        (SCORE, {"label": "high"}, "2.5"),
        (SCORE, {"label": "2.5"}, Status.WRONG_LABEL),
        (SET, {"label": ["a", "b"]}, ("b", "a")),
        (SET, {"label": ["a", "a"]}, ("a",)),
        (SET, {"label": []}, ()),
        (CHOICE, {"label": "Yes"}, Status.WRONG_LABEL),
        (CHOICE, {"label": ""}, Status.WRONG_LABEL),
        (SET, {"label": ["a", "d"]}, Status.WRONG_LABEL),
        (CHOICE, {"label": ["yes"]}, Status.MALFORMED),
        (SET, {"label": "a"}, Status.MALFORMED),
        (SET, {"label": ["a", 1]}, Status.MALFORMED),
        (SET, {"label": ["a"], "why": "so"}, Status.MALFORMED),
        (CHOICE, {"label": None}, Status.MALFORMED),
        (CHOICE, {"label": 1}, Status.MALFORMED),
        (CHOICE, {"label": "yes", "why": "so"}, Status.MALFORMED),
        (CHOICE, {}, Status.MALFORMED),
        (CHOICE, ["yes"], Status.MALFORMED),
        (CHOICE, "yes", Status.MALFORMED),
    ],
)
def test_a_reply_names_labels_or_says_why_not(
    question: Question, reply: object, want: str | tuple[str, ...] | Status
) -> None:
    assert read(question, reply) == (want if isinstance(want, Status) else Said(want))


def read(question: Question, reply: object) -> Said | Status:
    said = read_reply(question, json.dumps(reply))
    return said.status if isinstance(said, Fault) else said


@pytest.mark.parametrize(
    ("question", "reply", "want"),
    [
        (RATIONALE, {"rationale": " So\n", "label": "yes"}, Said("yes", " So\n")),
        (RATIONALE, {"label": "yes", "rationale": ""}, Said("yes")),
        (EVIDENCE, {"evidence": ["b", "", "b"], "label": ["a"]}, Said(("a",), "", ("b", "", "b"))),
        (EVIDENCE, {"evidence": [], "label": []}, Said(())),
        (BOTH, {"evidence": ["1"], "rationale": "So", "label": "low"}, Said("1", "So", ("1",))),
        (BOTH, {"evidence": ["1"], "rationale": "So", "label": "mid"}, Status.WRONG_LABEL),
        (BOTH, {"evidence": ["1"], "label": "low"}, Status.MALFORMED),
        (BOTH, {"rationale": "So", "label": "low"}, Status.MALFORMED),
        (BOTH, {"evidence": ["1"], "rationale": "So"}, Status.MALFORMED),
        (BOTH, {"evidence": "1", "rationale": "So", "label": "low"}, Status.MALFORMED),
        (BOTH, {"evidence": [1], "rationale": "So", "label": "low"}, Status.MALFORMED),
        (BOTH, {"evidence": None, "rationale": "So", "label": "low"}, Status.MALFORMED),
        (BOTH, {"evidence": ["1"], "rationale": None, "label": "low"}, Status.MALFORMED),
        (BOTH, {"evidence": ["1"], "rationale": ["So"], "label": "low"}, Status.MALFORMED),
        (BOTH, {"evidence": ["1"], "rationale": "So", "label": "low", "why": "so"}, Status.MALFORMED),
        (RATIONALE, {"evidence": [], "rationale": "So", "label": "yes"}, Status.MALFORMED),
        (EVIDENCE, {"evidence": [], "rationale": "So", "label": []}, Status.MALFORMED),
        (CHOICE, {"rationale": "So", "label": "yes"}, Status.MALFORMED),
    ],
)
def test_a_reply_has_the_reasons_that_were_asked_for_and_no_others(
    question: Question, reply: object, want: Said | Status
) -> None:
    assert read(question, reply) == want


@pytest.mark.parametrize("text", ["", "yes", '{"label": "ye', '{"label": "yes"} and more', "<html>", "\ud83d"])
def test_what_is_no_json_is_malformed(text: str) -> None:
    said = read_reply(CHOICE, text)
    assert isinstance(said, Fault)
    assert said.status is Status.MALFORMED
    assert said.reason


def test_the_reason_says_what_to_mend() -> None:
    wrong = read_reply(CHOICE, '{"label": "yess"}')
    assert isinstance(wrong, Fault)
    assert wrong.reason.startswith("unknown label 'yess': did you mean 'yes'? known are 'yes'")
    extra = read_reply(CHOICE, '{"label": "yes", "why": "so"}')
    assert isinstance(extra, Fault)
    assert extra.reason.startswith("why: ")


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    assert isinstance(read_reply(SET, text), Fault)


@given(st.lists(NAMES, min_size=2, max_size=5, unique=True), st.data())
def test_what_the_model_of_a_reply_takes_is_read_back(names: list[str], data: st.DataObject) -> None:
    labels = tuple(Label(name=name) for name in names)
    choice = Question(name="q", kind="choice", ask="?", label=labels)
    said = data.draw(st.sampled_from(names))
    assert read_reply(choice, reply_model(choice)(label=said).model_dump_json()) == Said(said)
    several = Question(name="q", kind="set", ask="?", label=labels)
    chosen = data.draw(st.lists(st.sampled_from(names), unique=True))
    got = read_reply(several, reply_model(several)(label=chosen).model_dump_json())
    assert got == Said(tuple(name for name in names if name in chosen))


@pytest.mark.parametrize(
    ("question", "label"), [(CHOICE, "no"), (CHOICE, ["yes"]), (SET, "a"), (SET, ["d"]), (SCORE, "1"), (SCORE, 1)]
)
def test_the_model_of_a_reply_takes_nothing_else(question: Question, label: object) -> None:
    with pytest.raises(ValidationError):
        reply_model(question)(label=label)
    with pytest.raises(ValidationError):
        reply_model(question)(label=label, why="so")


def test_the_schema_is_closed_and_always_the_same_text() -> None:
    schema = json.loads(reply_schema(CHOICE))
    assert schema["properties"]["label"]["enum"] == ["yes", 'né "o"']
    assert (schema["required"], schema["additionalProperties"], schema["type"]) == (["label"], False, "object")
    assert json.loads(reply_schema(SET))["properties"]["label"]["items"]["enum"] == ["b", "a", "c"]
    assert reply_schema(CHOICE) == json.dumps(schema, sort_keys=True, ensure_ascii=False)
    assert "né" in reply_schema(CHOICE)


def test_the_schema_of_a_bare_label_is_what_it_always_was() -> None:
    # A part of the key under which replies are recorded: another text would ask everything anew.
    assert reply_schema(SCORE) == (
        '{"additionalProperties": false, "properties": {"label": {"enum": ["low", "high"], "title": "Label", '
        '"type": "string"}}, "required": ["label"], "title": "Answer", "type": "object"}'
    )


@pytest.mark.parametrize(
    ("question", "bare", "names"),
    [
        (RATIONALE, CHOICE, ["rationale", "label"]),
        (EVIDENCE, SET, ["evidence", "label"]),
        (BOTH, SCORE, ["evidence", "rationale", "label"]),
    ],
)
def test_the_reasons_come_before_the_label(question: Question, bare: Question, names: list[str]) -> None:
    schema = json.loads(reply_schema(question))
    assert list(schema["properties"]) == schema["required"] == names
    assert schema["additionalProperties"] is False
    properties = json.loads(reply_schema(bare))["properties"] | {
        "rationale": {"title": "Rationale", "type": "string"},
        "evidence": {"items": {"type": "string"}, "title": "Evidence", "type": "array"},
    }
    assert schema["properties"] == {name: properties[name] for name in names}
