import json
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


def written(*labels: object) -> list[Completion | Failure]:
    """Give replies that say these labels; a status is a failure."""
    return [
        Failure(1, label, "") if isinstance(label, Status) else Completion(1, json.dumps({"label": label}))
        for label in labels
    ]


def test_of_samples_the_label_given_most_often_is_chosen() -> None:
    decision = decide(CHOICE, written("b", "c", "c", "b", "c"))
    assert decision == Decision(Status.OK, "c", 0.6, {"a": 0.0, "b": 0.4, "c": 0.6}, "samples", 5)
    assert decide(SCORE, written("high", "high")) == Decision(Status.OK, "2", 1.0, {"1": 0, "2": 1}, "samples", 2)


def test_of_labels_given_equally_often_the_earlier_one_is_chosen() -> None:
    assert decide(CHOICE, written("c", "a", "a", "c")).label == "c"
    assert decide(CHOICE, written("b", "c", "a")).label == "b"


def test_of_sets_the_one_given_most_often_is_chosen_and_each_label_has_its_share() -> None:
    decision = decide(SET, written(["a"], ["b", "a"], ["a", "b"], []))
    assert decision == Decision(Status.OK, ("a", "b"), 0.5, {"a": 0.75, "b": 0.5}, "samples", 4)
    assert decide(SET, written([], ["a"], [])).label == ()


def test_samples_without_a_label_do_not_count() -> None:
    decision = decide(CHOICE, written("a", "d", "b", Status.TIMEOUT, "a"))
    assert (decision.label, decision.samples) == ("a", 3)
    assert decision.probabilities == pytest.approx({"a": 2 / 3, "b": 1 / 3, "c": 0})
    assert decide(CHOICE, written(Status.TIMEOUT, "c")) == Decision(
        Status.OK, "c", 1.0, {"a": 0, "b": 0, "c": 1}, "samples", 1
    )


def test_where_most_samples_have_no_label_the_status_says_why() -> None:
    assert decide(CHOICE, written("a", Status.REFUSED, "d", Status.REFUSED, "a")) == Decision(Status.REFUSED)
    assert decide(CHOICE, written("d", Status.REFUSED, "a")) == Decision(Status.WRONG_LABEL)
    assert decide(CHOICE, written(Status.TIMEOUT, Status.REFUSED, Status.REFUSED)) == Decision(Status.REFUSED)


def test_the_reason_is_of_the_first_sample_with_that_label() -> None:
    question = CHOICE.model_copy(update={"rationale": True})
    said = [Completion(1, json.dumps({"rationale": why, "label": label})) for why, label in ("1b", "2a", "3a")]
    assert (decide(question, said).label, decide(question, said).rationale) == ("a", "2")


def told(text: str, remainder: float, **probabilities: float) -> Scores:
    """Give what a server's tables told."""
    likelihoods = {label: math.log(probability) for label, probability in probabilities.items()}
    tokens = dict.fromkeys(likelihoods, 1)
    return Scores(1, likelihoods, tokens, origin="logprobs", text=text, remainder=remainder)


def test_what_a_server_tells_of_all_labels_is_shared_among_them() -> None:
    decision = decide(CHOICE, [told("b", 0.01, a=0.2, b=0.4, c=0.2)])
    assert (decision.status, decision.label, decision.origin) == (Status.OK, "b", "logprobs")
    assert decision.probability == pytest.approx(0.5)
    assert decision.probabilities == pytest.approx({"a": 0.25, "b": 0.5, "c": 0.25})


def test_a_single_label_that_was_not_seen_has_what_is_left() -> None:
    decision = decide(SCORE, [told("low", 0.02, low=0.78)])
    assert decision.label == "1"
    assert decision.probabilities == pytest.approx({"1": 0.975, "2": 0.025})


def test_several_labels_that_were_not_seen_have_no_probability() -> None:
    decision = decide(CHOICE, [told("b", 0.1, b=0.7)])
    assert decision.label == "b"
    assert decision.probability == pytest.approx(0.875)
    assert decision.probabilities == {"b": decision.probability}


def test_where_a_label_that_was_not_seen_may_be_likelier_the_written_one_has_no_probability() -> None:
    assert decide(CHOICE, [told("c", 0.3, a=0.3, b=0.2)]) == Decision(Status.OK, "c")
    assert decide(SCORE, [told("high", 1.0)]) == Decision(Status.OK, "2")


def test_a_reply_that_names_no_label_is_a_wrong_label_whatever_the_tables_tell() -> None:
    assert decide(CHOICE, [told("I think b", 0.01, a=0.1, b=0.8)]) == Decision(Status.WRONG_LABEL)
    assert decide(SET, [told("yes", 0.0, yes=1), told("perhaps", 0.1, no=0.5)]) == Decision(Status.WRONG_LABEL)


def test_a_set_is_told_label_by_label() -> None:
    decision = decide(SET, [told("yes", 0.1, yes=0.8, no=0.2), told("no", 0.1, no=0.4)])
    assert (decision.label, decision.origin) == (("a",), "logprobs")
    assert decision.probabilities == pytest.approx({"a": 0.8, "b": 0.2})
    assert decision.probability == pytest.approx(0.8 * 0.8)
    unclear = decide(SET, [told("yes", 0.9), told("no", 0.1, no=0.4)])
    assert (unclear.label, unclear.probability) == (("a",), None)
    assert unclear.probabilities == pytest.approx({"b": 0.2})
    assert decide(SET, [told("yes", 0.9), told("no", 0.9)]) == Decision(Status.OK, ("a",))


def test_the_origin_is_that_of_the_likelihoods() -> None:
    assert decide(CHOICE, [scores(a=0.0, b=0.0, c=0.0)]).origin == "likelihoods"
    assert decide(SET, [yes(0.9), yes(0.2)]).origin == "likelihoods"
    assert decide(CHOICE, written("a")).origin is None


def test_likelihoods_that_are_no_numbers_are_a_failure() -> None:
    assert decide(CHOICE, [scores(a=math.nan, b=-1.0, c=-2.0)]) == Decision(Status.FAILED)
    assert decide(CHOICE, [scores(a=-math.inf, b=-math.inf, c=-math.inf)]) == Decision(Status.FAILED)
    assert decide(SET, [yes(0.9), scores(yes=math.nan, no=-1.0)]) == Decision(Status.FAILED)
