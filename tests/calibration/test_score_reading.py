import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from llmclf.agreement.counts import Floats
from llmclf.calibration.score_reading import READINGS, expected_values, read_scores
from llmclf.errors import InputError

VALUES = np.array([1.0, 2.0, 3.0, 5.0])
WEIGHTS = hnp.arrays(np.float64, (6, 4), elements=st.integers(0, 9).map(float))


def read(reading: str, *p: float) -> float:
    return float(VALUES[read_scores(reading, np.array([p]), VALUES)[0]])


def test_each_reading_has_its_value() -> None:
    p = (0.4, 0.0, 0.25, 0.35)
    assert expected_values(np.array([p]), VALUES) == pytest.approx([2.9])
    assert [read(reading, *p) for reading in READINGS] == [1, 3, 3]
    assert read("expected", 0, 0, 0.3, 0.7) == 5
    assert read("median", 0, 0.6, 0.2, 0.2) == 2


def test_of_equals_the_lower_value_is_read() -> None:
    assert read("mode", 0.1, 0.45, 0, 0.45) == 2
    assert read("median", 0.1, 0.4, 0.3, 0.2) == 2
    assert read("median", *(np.array([1, 1, 1, 3]) / 6)) == 3
    assert read("expected", 0, 0, 0.5, 0.5) == 3
    assert read("expected", 0.5, 0.5, 0, 0) == 1


def test_rounding_does_not_break_ties() -> None:
    p = np.array([0.03, 0.29, 0.18, 0.5])
    assert np.cumsum(p)[2] < 0.5
    assert read("median", *p) == 3
    p = np.array([0, 0.54, 0.44, 0.02])
    assert expected_values(p[np.newaxis], VALUES)[0] > 2.5
    assert read("expected", *p) == 2


@given(WEIGHTS)
def test_each_reading_is_the_value_of_least_expected_loss(weights: Floats) -> None:
    weights += weights.sum(axis=1, keepdims=True) == 0
    p = weights / weights.sum(axis=1, keepdims=True)
    apart = np.abs(VALUES[:, np.newaxis] - VALUES)
    for reading, loss in (("mode", apart > 0), ("median", apart), ("expected", apart**2)):
        expected = p @ loss
        assert expected[np.arange(6), read_scores(reading, p, VALUES)] == pytest.approx(expected.min(axis=1))


@pytest.mark.parametrize("reading", READINGS)
def test_an_item_without_an_answer_has_no_value(reading: str) -> None:
    p = np.array([[np.nan] * 4, [0, 0, 1, 0]])
    assert read_scores(reading, p, VALUES).tolist() == [-1, 2]
    assert np.isnan(expected_values(p, VALUES)).tolist() == [True, False]


def test_an_unknown_reading_is_named() -> None:
    with pytest.raises(InputError, match=r"unknown reading of scores 'mean'.* known are 'mode', 'expected', 'median'"):
        read_scores("mean", np.ones((1, 1)), np.ones(1))
