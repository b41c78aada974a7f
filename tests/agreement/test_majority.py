from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmclf.agreement.long_form import LongForm
from llmclf.agreement.majority import majority
from llmclf.levels import Level
from tests.agreement.crowds import crowd
from tests.agreement.tables import coded

ORDERED = [Level.ORDINAL, Level.INTERVAL, Level.RATIO]
words = st.lists(st.text("1234", min_size=1, max_size=7), min_size=1, max_size=6).map(" ".join)


@pytest.mark.parametrize("level", [Level.NOMINAL, Level.SET])
def test_a_plurality_wins_and_a_tie_is_told_apart_from_no_rating(level: Level) -> None:
    found = majority(crowd("112 1233 1234 2 31 .", level))
    assert found.codes.tolist() == [0, 2, -1, 1, -1, -1]
    assert found.tied.tolist() == [False, False, True, False, True, False]
    assert found.low.tolist() == [0, 2, 0, 1, 0, -1]
    assert found.high.tolist() == [0, 2, 3, 1, 2, -1]
    assert found.to_dict() == {"method": "plurality", "n_items": 6, "n_decided": 3, "n_tied": 2, "n_unrated": 1}


@pytest.mark.parametrize("level", ORDERED)
def test_ordered_scales_give_the_median_and_the_two_middle_ratings_of_a_tie(level: Level) -> None:
    found = majority(crowd("114 1144 2231 44 . 3", level))
    assert found.low.tolist() == [0, 0, 1, 3, -1, 2]
    assert found.high.tolist() == [0, 3, 1, 3, -1, 2]
    assert found.codes.tolist() == [0, -1, 1, 3, -1, 2]
    assert found.to_dict()["method"] == "median"


@given(words)
def test_plurality_and_median_are_those_of_the_definition(text: str) -> None:
    items = [sorted(int(digit) - 1 for digit in word) for word in text.split()]
    plurality, median = majority(crowd(text)), majority(crowd(text, Level.ORDINAL))
    for i, labels in enumerate(items):
        most = max(labels.count(label) for label in labels)
        modes = [label for label in labels if labels.count(label) == most]
        assert (plurality.low[i], plurality.high[i]) == (min(modes), max(modes))
        assert (median.low[i] + median.high[i]) / 2 == np.median(labels)


@given(words, st.randoms(use_true_random=False))
def test_the_order_of_ratings_does_not_matter(text: str, random: object) -> None:
    for level in (Level.NOMINAL, Level.ORDINAL):
        one = crowd(text, level)
        order = np.arange(len(one.item))
        random.shuffle(order)  # type: ignore[attr-defined]  # of hypothesis, untyped
        other = replace(one, item=one.item[order], annotator=one.annotator[order], label=one.label[order])
        assert majority(one).low.tolist() == majority(other).low.tolist()
        assert majority(one).high.tolist() == majority(other).high.tolist()


def test_missing_ratings_of_a_table_are_left_out() -> None:
    codes = np.array([[1, -1, 1], [-1, -1, -1], [0, 2, -1]])
    ratings = LongForm.of(coded(codes, Level.NOMINAL, 3))
    assert ratings.n_ratings.tolist() == [2, 0, 2]
    assert ratings.counts().tolist() == [[0, 2, 0], [0, 0, 0], [1, 0, 1]]
    assert majority(ratings).codes.tolist() == [1, -1, -1]
