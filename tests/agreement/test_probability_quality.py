from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from llmclf.agreement import Coefficient, Undefined
from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.probability_quality import (
    brier_score,
    expected_calibration_error,
    log_loss,
    reliability_diagram,
)
from llmclf.errors import InputError
from tests.agreement.crowds import reference
from tests.agreement.tables import estimate

REFERENCE = reference("calibration_400")
PROBABILITIES = np.array(REFERENCE["probabilities"])
LABELS = np.array(REFERENCE["labels"])

Measure = Callable[[Floats, Ints], Coefficient]
MEASURES: list[Measure] = [brier_score, log_loss, expected_calibration_error]


def made(n: int, seed: int) -> tuple[Floats, Ints]:
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.ones(3), n)
    p[random.random(n) < 0.3] = [0.5, 0.25, 0.25]  # a model likes round numbers
    return p, random.integers(0, 3, n)


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("brier", brier_score),
        ("log_loss", log_loss),
        ("ece_10", lambda p, y: expected_calibration_error(p, y, 10)),
        ("ece_15", expected_calibration_error),
    ],
)
def test_values_of_netcal_and_scikit_learn(name: str, measure: Measure) -> None:
    found = estimate(measure(PROBABILITIES, LABELS))
    assert found.value == pytest.approx(REFERENCE[name], abs=1e-9)
    assert found.n_items == 400
    assert found.se is not None


@pytest.mark.parametrize("seed", range(3))
def test_scikit_learn(seed: int) -> None:
    p, y = made(60, seed)
    assert estimate(log_loss(p, y)).value == pytest.approx(sklearn_log_loss(y, p))
    both = brier_score_loss(y, p, labels=[0, 1, 2], scale_by_half=False)
    assert estimate(brier_score(p, y)).value == pytest.approx(both)


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 30), st.integers(0, 1_000), st.sampled_from(MEASURES))
def test_intervals_leave_out_one_item_after_the_other(n: int, seed: int, measure: Measure) -> None:
    p, y = made(n, seed)
    found = estimate(measure(p, y))
    without = np.array([estimate(measure(np.delete(p, i, axis=0), np.delete(y, i))).value for i in range(n)])
    if found.se is not None:
        assert found.se == pytest.approx(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 30), st.integers(0, 1_000), st.permutations(range(3)), st.sampled_from(MEASURES))
def test_order_of_items_and_of_labels_does_not_matter(n: int, seed: int, names: list[int], measure: Measure) -> None:
    p, y = made(n, seed)
    order = np.random.default_rng(seed).permutation(n)
    turned, renamed = np.empty_like(p), np.array(names)[y]
    turned[:, names] = p
    again = estimate(measure(turned[order], renamed[order]))
    assert again.value == pytest.approx(estimate(measure(p, y)).value)


def test_a_sure_model_that_is_right_loses_nothing() -> None:
    p, y = np.eye(3)[[0, 1, 2, 1]], np.array([0, 1, 2, 1])
    assert [estimate(measure(p, y)).value for measure in MEASURES] == [0, 0, 0]
    assert estimate(brier_score(p, (y + 1) % 3)).value == 2
    assert estimate(expected_calibration_error(p, (y + 1) % 3)).value == 1


def test_a_reference_label_that_was_ruled_out_has_no_log_loss() -> None:
    found = log_loss(np.array([[1.0, 0], [0.5, 0.5], [0, 1]]), np.array([1, 0, 1]))
    assert found == Undefined("1 of 3 reference labels had the probability 0, so the loss is infinite")


def test_items_without_probabilities_or_reference_are_left_out() -> None:
    p = np.vstack([PROBABILITIES, [[np.nan] * 3, [0.2, 0.3, 0.5]]])
    y = np.concatenate([LABELS, [1, -1]])
    for measure in MEASURES:
        assert measure(p, y) == measure(PROBABILITIES, LABELS)
        assert measure(p[400:], y[400:]) == Undefined("no item has both probabilities and a reference label")
    assert isinstance(reliability_diagram(p[400:], y[400:]), Undefined)


@pytest.mark.parametrize("row", [[0.5, 0.6], [-0.1, 1.1], [0.5, np.nan]])
def test_what_are_no_probabilities_is_refused(row: list[float]) -> None:
    for measure in MEASURES:
        with pytest.raises(InputError, match=r"^item 2: .* are not the probabilities of all labels\. Give one number"):
            measure(np.array([[0.4, 0.6], row]), np.array([0, 1]))


def test_without_bins_there_is_no_calibration_error() -> None:
    with pytest.raises(InputError, match="there are 0 bins"):
        expected_calibration_error(PROBABILITIES, LABELS, 0)


def test_bins_of_the_reliability_diagram_add_up_to_the_calibration_error() -> None:
    bins = reliability_diagram(PROBABILITIES, LABELS)
    assert isinstance(bins, tuple)
    assert sum(one.n_items for one in bins) == 400
    gaps = sum(one.n_items * abs(one.accuracy - one.confidence) for one in bins) / 400
    assert gaps == pytest.approx(REFERENCE["ece_10"])
    assert sum(one.n_items * one.accuracy for one in bins) / 400 == pytest.approx(REFERENCE["accuracy"])
    for one in bins:
        assert one.low <= one.confidence <= one.high
        assert 0 <= one.accuracy_low <= one.accuracy <= one.accuracy_high <= 1
    assert bins[0].to_dict()["n_items"] == 3


def test_a_probability_on_an_edge_is_in_the_bin_above_and_1_in_the_last() -> None:
    bins = reliability_diagram(np.array([[0.5, 0.5], [0.6, 0.4], [1, 0]]), np.array([0, 0, 0]))
    assert isinstance(bins, tuple)
    assert [(one.low, one.n_items, one.accuracy) for one in bins] == [(0.5, 1, 0.5), (0.6, 1, 1), (0.9, 1, 1)]
