import numpy as np
import pytest

from llmclf.agreement import Undefined
from llmclf.agreement.flip_rate import flip_rate, flips_from
from llmclf.agreement.percent_agreement import percent_agreement
from llmclf.levels import Level
from tests.agreement.tables import coded, estimate


def test_a_flip_is_a_disagreement_with_itself() -> None:
    random = np.random.default_rng(0)
    codes = np.where(random.random((50, 4)) < 0.7, random.integers(0, 3, (50, 1)), random.integers(-1, 3, (50, 4)))
    flips = estimate(flip_rate(codes))
    agreement = estimate(percent_agreement(coded(codes, Level.NOMINAL, 3)))
    assert flips.value == pytest.approx(1 - agreement.value)
    assert flips.se == pytest.approx(agreement.se)


def test_pairs_are_along_the_last_axis() -> None:
    one_item = np.array([[[0, 0, 0], [1, 1, 1]]])  # two prompts, three runs of each
    assert estimate(flip_rate(one_item)).value == 0
    assert estimate(flip_rate(one_item.swapaxes(1, 2))).value == 1
    assert estimate(flip_rate(one_item.reshape(1, 6))).value == pytest.approx(9 / 15)


def test_a_model_that_never_flips_has_the_rate_0() -> None:
    never = estimate(flip_rate(np.array([[1, 1], [1, 1], [1, -1]])))
    assert (never.value, never.n_items, never.se) == (0, 2, None)


@pytest.mark.parametrize("codes", [[[0], [1]], [[0, -1], [-1, 1]]])
def test_without_a_second_answer_it_is_undefined(codes: list[list[int]]) -> None:
    assert flip_rate(np.array(codes)) == Undefined("no item has two answers")


def test_flips_from_a_reference_count_the_answers_that_differ_from_it() -> None:
    codes = np.array([[0, 0], [1, 0], [1, 2], [-1, 1], [-1, -1], [0, 0]])
    reference = np.array([0, 0, 0, 0, 0, -1])
    assert flips_from(codes, reference) == pytest.approx([0, 0.5, 1, 1, np.nan, np.nan], nan_ok=True)
