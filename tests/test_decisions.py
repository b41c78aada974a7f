import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmclf.backends.base import Completion, Failure, Scores
from llmclf.codebook import Label, Question
from llmclf.decisions import Decision, decide, misquoted, normalize
from llmclf.items import Item, Turn
from llmclf.status import Status

CHOICE = Question(name="q", kind="choice", ask="?", label=(Label(name="a"), Label(name="b"), Label(name="c")))
SCORE = Question(name="q", kind="score", ask="?", label=(Label(name="low", value=1), Label(name="high", value=2)))
SET = Question(name="q", kind="set", ask="?", label=(Label(name="a"), Label(name="b")))
LIKELIHOODS = st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False), min_size=1)


def scores(**log_likelihoods: float) -> Scores:
    return Scores(1, log_likelihoods, dict.fromkeys(log_likelihoods, 1))


def yes(probability: float) -> Scores:
    return scores(yes=math.log(probability) - 7, no=math.log(1 - probability) - 7)


@given(LIKELIHOODS)
def test_probabilities_sum_to_one_in_the_order_of_likelihoods(log_likelihoods: dict[str, float]) -> None:
    probabilities = normalize(log_likelihoods)
    assert math.fsum(probabilities.values()) == pytest.approx(1)
    assert list(probabilities) == list(log_likelihoods)
    for one, value in log_likelihoods.items():
        for other, higher in log_likelihoods.items():
            assert value > higher or probabilities[one] <= probabilities[other]


@given(st.dictionaries(st.text(), st.floats(-50, 0), min_size=1), st.floats(-1e3, 1e3))
def test_what_all_labels_share_does_not_count(log_likelihoods: dict[str, float], shift: float) -> None:
    shifted = {label: value + shift for label, value in log_likelihoods.items()}
    assert normalize(shifted) == pytest.approx(normalize(log_likelihoods), rel=1e-6)


def test_probabilities_are_shares_of_the_likelihoods() -> None:
    assert normalize({"a": math.log(3), "b": 0.0}) == pytest.approx({"a": 0.75, "b": 0.25})
    assert normalize({"a": -2000.0, "b": -math.inf}) == {"a": 1.0, "b": 0.0}


def test_the_likeliest_label_is_chosen() -> None:
    decision = decide(CHOICE, [scores(b=math.log(2), c=math.log(5), a=math.log(3))])
    assert (decision.status, decision.label) == (Status.OK, "c")
    assert decision.probability == pytest.approx(0.5)
    assert decision.probabilities == pytest.approx({"a": 0.3, "b": 0.2, "c": 0.5})
    assert list(decision.probabilities or {}) == ["a", "b", "c"]


def test_a_level_is_named_by_its_value() -> None:
    decision = decide(SCORE, [scores(low=0.0, high=math.log(3))])
    assert decision.label == "2"
    assert decision.probabilities == pytest.approx({"1": 0.25, "2": 0.75})


def test_of_equals_the_first_label_is_chosen() -> None:
    assert decide(CHOICE, [scores(c=-1.0, b=-1.0, a=-1.0)]).label == "a"


@pytest.mark.parametrize(
    ("first", "second", "label", "joint"),
    [(0.9, 0.2, ("a",), 0.72), (0.6, 0.7, ("a", "b"), 0.42), (0.4, 0.3, (), 0.42), (0.5, 0.8, ("b",), 0.4)],
)
def test_each_label_of_a_set_is_decided_alone(
    first: float, second: float, label: tuple[str, ...], joint: float
) -> None:
    decision = decide(SET, [yes(first), yes(second)])
    assert (decision.status, decision.label) == (Status.OK, label)
    assert decision.probability == pytest.approx(joint)
    assert decision.probabilities == pytest.approx({"a": first, "b": second})


def test_a_completion_says_its_labels_without_probabilities() -> None:
    assert decide(CHOICE, [Completion(1, '{"label": "b"}')]) == Decision(Status.OK, "b")
    assert decide(SET, [Completion(1, '{"label": ["b", "a"]}')]) == Decision(Status.OK, ("a", "b"))
    assert decide(SET, [Completion(1, '{"label": []}')]) == Decision(Status.OK, ())
    assert decide(CHOICE, [Completion(1, '{"label": "d"}')]) == Decision(Status.WRONG_LABEL)
    assert decide(CHOICE, [Completion(1, "b")]) == Decision(Status.MALFORMED)


def test_a_completion_says_its_reasons() -> None:
    question = SCORE.model_copy(update={"rationale": True, "evidence": True})
    said = '{"evidence": ["x", "y"], "rationale": "So.", "label": "high"}'
    assert decide(question, [Completion(1, said)]) == Decision(Status.OK, "2", rationale="So.", evidence=("x", "y"))
    assert decide(question, [Completion(1, said.replace("high", "low!"))]) == Decision(Status.WRONG_LABEL)
    assert decide(question, [Completion(1, '{"label": "high"}')]) == Decision(Status.MALFORMED)


TALK = Item("1", turns=(Turn("Seeker", "My dog died."), Turn("Supporter", "Oh no.")))


@pytest.mark.parametrize(
    ("item", "quote", "is_there"),
    [
        (Item("1", text="It's very good."), "very good", True),
        (Item("1", text="It's very good."), "It's very good.", True),
        (Item("1", text="It's very good."), "Very good", False),
        (Item("1", text="It's very good."), "It\u2019s", False),
        (Item("1", text="It's very good."), "very  good", False),
        (Item("1", text="It's very good."), "very good ... good", False),
        (Item("1", text="It's very good."), "", False),
        (Item("1", text="It's very good."), " ", False),
        (TALK, "dog died", True),
        (TALK, "Seeker: My dog died.", True),
        (TALK, "died.\nSupporter: Oh", True),
        (TALK, "died. Oh no.", False),
        (TALK, "Supporter: My dog", False),
    ],
)
def test_a_quote_stands_in_the_item_or_does_not(item: Item, quote: str, is_there: bool) -> None:
    assert misquoted([quote], item.words) == (() if is_there else (quote,))


def test_the_misquoted_are_as_they_were_given() -> None:
    assert misquoted(["c", "a", "c", "ab", " d "], "ab") == ("c", "c", " d ")


@given(st.text(), st.text().filter(str.strip), st.text())
@example("{{", ".*", "[")
def test_what_is_cut_out_of_a_text_is_no_misquote(before: str, quote: str, after: str) -> None:
    assert misquoted([quote], before + quote + after) == ()


def test_one_failure_leaves_a_set_without_a_label() -> None:
    failure = Failure(1, Status.TOO_LONG, "", text='{"label": "a"}')
    assert decide(CHOICE, [failure]) == Decision(Status.TOO_LONG)
    assert decide(SET, [yes(0.9), failure]) == Decision(Status.TOO_LONG)


def test_likelihoods_that_are_no_numbers_are_a_failure() -> None:
    assert decide(CHOICE, [scores(a=math.nan, b=-1.0, c=-2.0)]) == Decision(Status.FAILED)
    assert decide(CHOICE, [scores(a=-math.inf, b=-math.inf, c=-math.inf)]) == Decision(Status.FAILED)
    assert decide(SET, [yes(0.9), scores(yes=math.nan, no=-1.0)]) == Decision(Status.FAILED)
