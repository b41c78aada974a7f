import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from llmclf.agreement.counts import Floats, Ints
from llmclf.calibration import fit
from llmclf.calibration.isotonic import Isotonic
from llmclf.errors import InputError
from tests.calibration.samples import answers


def isotonic(x: Floats, y: Ints) -> Isotonic:
    found = fit("isotonic", x, y)
    assert isinstance(found, Isotonic)
    return found


def scores(log_odds: Floats) -> Floats:
    return np.column_stack([np.zeros(len(log_odds)), log_odds])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([3, 20, 500]))
def test_it_is_the_regression_of_scikit_learn_with_one_item_more_at_either_end(seed: int, n_values: int) -> None:
    random = np.random.default_rng(seed)
    x = random.integers(0, n_values, 60) / n_values
    y = np.append(np.repeat([0, 1], 10), random.random(40) < x[20:]).astype(np.int64)
    model = IsotonicRegression(out_of_bounds="clip").fit(np.concatenate([[-9], x, [9]]), np.concatenate([[1], y, [0]]))
    found = isotonic(scores(x), y)
    everywhere = np.linspace(x.min(), x.max(), 200)
    p = found.apply(scores(everywhere))
    assert p[:, 1] == pytest.approx(model.predict(everywhere), abs=1e-6)
    assert p.sum(axis=1) == pytest.approx(1)
    assert (np.diff(p[:, 1]) >= 0).all()
    order = random.permutation(60)
    assert isotonic(scores(x[order]), y[order]) == found


def test_labels_that_the_scores_tell_apart_get_no_probability_of_0_or_1() -> None:
    y = np.repeat([0, 1], [30, 20])
    found = isotonic(scores(np.arange(50.0)), y)
    assert found.log_odds == (0, 29, 30, 49)
    assert found.probabilities == pytest.approx((1 / 31, 1 / 31, 20 / 21, 20 / 21))
    assert found.apply(scores(np.array([-1e9, 29.5, 1e9])))[:, 1] == pytest.approx(
        [1 / 31, (1 / 31 + 20 / 21) / 2, 20 / 21]
    )


def test_scores_that_tell_nothing_give_one_step() -> None:
    y = np.repeat([0, 1], [30, 20])
    assert isotonic(np.zeros((50, 2)), y) == Isotonic((0.0,), (21 / 52,))
    falling = isotonic(scores(np.arange(50.0)[::-1]), y)
    assert falling.probabilities == pytest.approx((21 / 52, 21 / 52))


def test_shares_of_samples_that_are_0_have_their_place_at_the_ends() -> None:
    """A label that no sample names has the log-score -inf."""
    y = np.repeat([0, 1], [30, 20])
    with np.errstate(divide="ignore"):
        x = np.log(np.column_stack([np.repeat([1, 0.5, 0], [20, 20, 10]), np.repeat([0, 0.5, 1], [20, 20, 10])]))
    p = isotonic(x, y).apply(x[[0, 25, 49]])[:, 1]
    assert p == pytest.approx([1 / 21, 10 / 20, 10 / 11])


def test_a_row_without_an_answer_stays_without_one() -> None:
    p = Isotonic((0.0, 1.0), (0.2, 0.8)).apply(np.array([[np.nan, 0], [-np.inf, -np.inf], [0, 0.5]]))
    assert np.isnan(p[:2]).all()
    assert p[2] == pytest.approx([0.5, 0.5])


def test_it_takes_two_labels_and_enough_items_of_each() -> None:
    x, y = answers(0, 60, 2)
    y[:50] = 0
    y[50:] = 1
    assert isotonic(x, y)
    with pytest.raises(InputError, match=r"only 9 labelled items have the rarer label.* takes 10 of each"):
        fit("isotonic", x[:-1], y[:-1])
    with pytest.raises(InputError, match=r"49 labelled items are too few for calibration by isotonic, which takes 50"):
        fit("isotonic", x[11:], y[11:])
    with pytest.raises(InputError, match=r"is for two labels, and the question has 3. Choose temperature or vector"):
        fit("isotonic", *answers(0, 60, 3))
    with pytest.raises(InputError, match="was fitted to 2 labels, and the question has 3"):
        isotonic(x, y).apply(np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("x", "p"),
    [((), ()), ((0.0,), (0.1, 0.2)), ((1.0, 0.0), (0.1, 0.2)), ((0.0, 1.0), (0.2, 0.1)), ((0.0,), (1.0,))],
)
def test_a_curve_ascends(x: tuple[float, ...], p: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"are no isotonic curve. Give log-odds that ascend"):
        Isotonic(x, p)
