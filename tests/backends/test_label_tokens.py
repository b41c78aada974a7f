import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmclf.backends.base import WrittenToken
from llmclf.backends.label_tokens import LabelLikelihoods, named_label, read_labels

MOODS = ["positive", "negative", "neutral"]


def token(written: str, **likeliest: float) -> WrittenToken:
    """Give a token with its table, by probabilities; `_` begins a name that is a blank."""
    table = {name.replace("_", " "): probability for name, probability in likeliest.items()}
    return placed(written, table)


def placed(written: str, table: dict[str, float]) -> WrittenToken:
    logs = tuple((text, math.log(probability)) for text, probability in table.items())
    return WrittenToken(written, math.log(table[written]), logs)


def shares(found: LabelLikelihoods) -> dict[str, float]:
    return {label: math.exp(value) for label, value in found.log_likelihoods.items()}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("positive", "positive"),
        (" positive\n", "positive"),
        ("Positive.", "positive"),
        ('"positive"', "positive"),
        ("**Positive**\n\nThe text is warm.", "positive"),
        ("- positive", "positive"),
        ("positive. It is warm.", "positive"),
        ("positive: it is warm", "positive"),
        ("positive sentiment", None),
        ("positive, negative", None),
        ("positively", None),
        ("The text is positive", None),
        ("mixed", None),
        ("", None),
    ],
)
def test_a_reply_names_one_label_or_none(text: str, label: str | None) -> None:
    assert named_label(MOODS, text) == label


@pytest.mark.parametrize(
    ("labels", "text", "label"),
    [
        (["not", "not sure"], "Not sure.", "not sure"),
        (["not", "not sure"], "not", "not"),
        (["1", "10"], "10", "10"),
        (["1", "2"], "1.5", None),
        (["1", "1.5"], "1.5", "1.5"),
        (["-1", "1"], "-1", "-1"),
        (["US", "us"], "us", "us"),
        (["US", "us"], "Us", None),
        (["*", "**"], "**", "**"),
        (["*", "**"], "***", None),
        (["St. John", "St. Luke"], "st. luke", "St. Luke"),
    ],
)
def test_labels_that_are_like_each_other_are_told_apart(labels: list[str], text: str, label: str | None) -> None:
    assert named_label(labels, text) == label


def test_a_label_of_one_token_has_its_probability() -> None:
    found = read_labels(MOODS, [token("positive", positive=0.5, negative=0.25, neutral=0.125, the=0.0625)])
    assert shares(found) == pytest.approx({"positive": 0.5, "negative": 0.25, "neutral": 0.125})
    assert list(found.log_likelihoods) == MOODS
    assert found.tokens == dict.fromkeys(MOODS, 1)
    assert found.remainder == pytest.approx(0.0625), "what names no label is no part of it"


def test_spellings_of_a_label_are_added_up() -> None:
    found = read_labels(MOODS, [token("Positive", Positive=0.5, positive=0.2, _positive=0.1, Neg=0.1, _neg=0.05)])
    assert shares(found) == pytest.approx({"positive": 0.8, "negative": 0.15})


def test_a_label_that_was_not_seen_is_missing_and_what_is_left_is_said() -> None:
    found = read_labels(MOODS, [token("positive", positive=0.9, negative=0.05)])
    assert "neutral" not in found.log_likelihoods
    assert found.remainder == pytest.approx(0.05)


def test_what_begins_the_reply_is_followed_to_the_label() -> None:
    table = [placed("- ", {"- ": 0.5, "positive": 0.2, "I": 0.2}), token("positive", positive=0.6, negative=0.4)]
    found = read_labels(MOODS, table)
    assert shares(found) == pytest.approx({"positive": 0.2 + 0.3, "negative": 0.2})
    assert found.remainder == pytest.approx(0.1)


SURE = ["not sure", "not spam", "spam"]


def test_labels_that_begin_alike_are_told_apart_where_the_reply_went_that_way() -> None:
    table = [token("not", _not=0.1, not_=0.0625, **{"not": 0.5, "spam": 0.3}), token(" spam", _spam=0.75, _sure=0.25)]
    found = read_labels(SURE, table)
    assert shares(found) == pytest.approx({"spam": 0.3, "not spam": 0.375, "not sure": 0.125})
    assert found.tokens == {"spam": 1, "not spam": 2, "not sure": 2}
    assert found.remainder == pytest.approx(0.1 + 0.0625 + (1 - 0.9625)), "of other spellings nobody knows what follows"


def test_labels_that_begin_alike_stay_together_where_it_went_another_way() -> None:
    found = read_labels(SURE, [token("spam", spam=0.7, **{"not": 0.3})])
    assert shares(found) == pytest.approx({"spam": 0.7})
    assert found.remainder == pytest.approx(0.3)


def test_where_one_label_begins_another_the_end_tells() -> None:
    numbers = ["1", "10", "2"]
    ended = [placed("1", {"1": 0.8, "2": 0.2}), placed("", {"": 0.75, "0": 0.25})]
    assert shares(read_labels(numbers, ended)) == pytest.approx({"1": 0.6, "10": 0.2, "2": 0.2})
    marked = [ended[0], placed("0", {"<|im_end|>": 0.4, "0": 0.5, ".": 0.1})]
    assert shares(read_labels(numbers, marked)) == pytest.approx({"1": 0.4, "10": 0.4, "2": 0.2})
    not_shown = read_labels(numbers, ended[:1])
    assert shares(not_shown) == pytest.approx({"2": 0.2})
    assert not_shown.remainder == pytest.approx(0.8)


def test_half_a_character_says_no_more_than_it_holds() -> None:
    half, rest = "é".encode()[:1].decode(errors="surrogateescape"), "é".encode()[1:].decode(errors="surrogateescape")
    table = [placed(half, {half: 0.6, "ok": 0.4}), placed(rest, {rest: 1.0}), placed("té", {"té": 0.9, "tage": 0.1})]
    found = read_labels(["été", "étage", "ok"], table)
    assert shares(found) == pytest.approx({"été": 0.54, "étage": 0.06, "ok": 0.4})


def test_a_token_that_the_table_lacks_still_counts() -> None:
    found = read_labels(MOODS, [WrittenToken("neutral", math.log(0.01), (("positive", math.log(0.9)),))])
    assert shares(found) == pytest.approx({"positive": 0.9, "neutral": 0.01})
    assert found.remainder == pytest.approx(0.09)


def test_no_tables_tell_nothing() -> None:
    assert read_labels(MOODS, []) == LabelLikelihoods({}, {}, 1.0)


WORDS = st.text("ab1 ", min_size=1, max_size=4).filter(str.strip)


@st.composite
def tables(draw: st.DrawFn) -> list[WrittenToken]:
    drawn = []
    for _ in range(draw(st.integers(0, 3))):
        weights = draw(st.dictionaries(WORDS | st.just(""), st.floats(0.01, 1), min_size=1, max_size=4))
        total = sum(weights.values()) + draw(st.floats(0, 1))
        drawn.append(placed(draw(st.sampled_from(sorted(weights))), {text: w / total for text, w in weights.items()}))
    return drawn


@settings(deadline=None)
@given(st.lists(WORDS.map(str.strip), min_size=1, max_size=4, unique=True), tables())
def test_no_more_is_told_than_was_shown(labels: Sequence[str], written: list[WrittenToken]) -> None:
    found = read_labels(labels, written)
    assert math.fsum(shares(found).values()) + found.remainder <= 1 + 1e-9
    assert found.remainder >= 0
    assert set(found.tokens) == set(found.log_likelihoods) <= set(labels)
    assert all(1 <= count <= len(written) for count in found.tokens.values())
