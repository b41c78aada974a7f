import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmclf.calibration import NAMES, cross_fit, fit
from llmclf.calibration.cross_fit import folds
from llmclf.errors import InputError
from tests.calibration.samples import answers, log_loss

X, TRUTH = answers(0, 150, 2, 3, np.array([0.0, 1.0]))
ITEMS = [f"item {number}" for number in range(150)]
LABELS = np.where(np.arange(150) < 100, TRUTH, -1)
LABELS[7] = -1


@pytest.mark.parametrize("method", NAMES)
def test_an_item_has_no_part_in_its_own_probabilities(method: str) -> None:
    found = cross_fit(method, X, LABELS, ITEMS)
    for row in (0, 50, 99):
        others = found.fold != found.fold[row]
        by_others = fit(method, X, np.where(others, LABELS, -1)).apply(X[[row]])[0]
        assert found.probabilities[row] == pytest.approx(by_others, abs=1e-5)
        assert by_others[0] != found.calibration.apply(X[[row]])[0, 0]


def test_items_without_a_label_are_calibrated_by_all_that_have_one() -> None:
    found = cross_fit("vector", X, LABELS, ITEMS)
    rest = LABELS == -1
    assert (found.fold[rest] == -1).all()
    assert (found.fold[~rest] >= 0).all()
    assert (found.probabilities[rest] == found.calibration.apply(X[rest])).all()
    assert found.calibration.apply(X) == pytest.approx(fit("vector", X, LABELS).apply(X), abs=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_the_rows_does_not_matter(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(150)
    found = cross_fit("temperature", X, LABELS, ITEMS)
    other = cross_fit("temperature", X[order], LABELS[order], [ITEMS[row] for row in order])
    assert (other.fold == found.fold[order]).all()
    assert (other.probabilities == found.probabilities[order]).all()
    assert other.calibration == found.calibration


def test_an_item_without_scores_is_in_no_fold_and_stays_without() -> None:
    x = X.copy()
    x[3] = np.nan
    found = cross_fit("temperature", x, LABELS, ITEMS)
    assert found.fold[3] == -1
    assert np.isnan(found.probabilities[3]).all()
    assert np.isfinite(np.delete(found.probabilities, 3, axis=0)).all()


def test_the_loss_on_the_labelled_is_that_on_others_and_not_smaller() -> None:
    """With offsets for 10 labels of 50 items, a fit flatters the items that it saw."""
    seen, crossed, new = [], [], []
    for seed in range(6):
        x, y = answers(seed, 1050, 10)
        labels = np.where(np.arange(1050) < 50, y, -1)
        found = cross_fit("vector", x, labels, [str(row) for row in range(1050)])
        seen.append(log_loss(found.calibration.apply(x[:50]), y[:50]))
        crossed.append(log_loss(found.probabilities[:50], y[:50]))
        new.append(log_loss(found.probabilities[50:], y[50:]))
    assert np.mean(seen) < np.mean(new) - 0.05
    assert np.mean(crossed) == pytest.approx(np.mean(new), abs=0.1)


def test_folds_are_alike_in_size_and_in_labels() -> None:
    strata = np.repeat([0, 1, 2, -1], [53, 11, 3, 5])
    fold = folds([str(row) for row in range(72)], strata)
    assert (fold[strata == -1] == -1).all()
    for chosen in (strata >= 0, strata == 0, strata == 1, strata == 2):
        sizes = np.bincount(fold[chosen], minlength=5)
        assert sizes.max() - sizes.min() <= 1


def test_an_identifier_settles_its_fold_among_the_same_items() -> None:
    assert folds(["a", "b", "c", "d"], np.zeros(4, dtype=np.int64), 2).tolist() == [1, 0, 0, 1]


def test_refusals_say_what_to_do() -> None:
    with pytest.raises(InputError, match=r"item 'item 1' is here 2 times. Give each item once"):
        cross_fit("temperature", X, LABELS, ["item 1", *ITEMS[1:]])
    with pytest.raises(InputError, match="99 items do not make 1 folds"):
        cross_fit("temperature", X, LABELS, ITEMS, n_folds=1)
    with pytest.raises(InputError, match="99 items do not make 100 folds"):
        cross_fit("temperature", X, LABELS, ITEMS, n_folds=100)
    with pytest.raises(InputError, match=r"19 labelled items are too few"):
        cross_fit("temperature", X, np.where(np.arange(150) < 20, LABELS, -1), ITEMS)
