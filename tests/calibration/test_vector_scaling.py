import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from llmclf.agreement.counts import Floats, Ints
from llmclf.calibration import fit
from llmclf.calibration.softmax import softmax
from llmclf.calibration.temperature import Temperature
from llmclf.calibration.vector_scaling import VectorScaling
from llmclf.errors import InputError
from tests.calibration.samples import answers, log_loss


def vector(x: Floats, y: Ints) -> VectorScaling:
    found = fit("vector", x, y)
    assert isinstance(found, VectorScaling)
    return found


def gradient(found: VectorScaling, x: Floats, y: Ints, precision: float) -> Floats:
    p, b = found.apply(x), 1 / found.temperature
    slope = (p * x).sum() - x[np.arange(len(y)), y].sum() + 1 - 1 / b
    offsets = p.sum(axis=0) - np.bincount(y, minlength=x.shape[1]) + precision * np.array(found.offsets)
    return np.append(offsets, b * slope)


def test_of_two_labels_it_is_a_logistic_regression_of_the_log_odds() -> None:
    x, y = answers(0, 4000, 2, 3, np.array([0.0, 1.5]))
    found = VectorScaling.fitted(x, y, precision=1e-3)
    model = LogisticRegression(C=np.inf, tol=1e-10).fit(x[:, [1]] - x[:, [0]], y)
    assert 1 / found.temperature == pytest.approx(model.coef_[0, 0], rel=2e-3)
    assert found.offsets[1] - found.offsets[0] == pytest.approx(model.intercept_[0], abs=5e-3)


def test_scores_that_tell_nothing_leave_the_shares_of_the_labels() -> None:
    y = np.repeat([0, 1, 2, 3], [400, 300, 200, 100])
    found = VectorScaling.fitted(np.zeros((1000, 4)), y, precision=1e-6)
    assert found.apply(np.zeros((1, 4)))[0] == pytest.approx([0.4, 0.3, 0.2, 0.1], abs=1e-5)
    with_prior = vector(np.zeros((1000, 4)), y).apply(np.zeros((1, 4)))[0]
    assert with_prior == pytest.approx([0.4, 0.3, 0.2, 0.1], abs=2e-3)
    few = vector(np.zeros((50, 4)), y[::20]).apply(np.zeros((1, 4)))[0]
    assert 0.1 < few[3] < few[0] < 0.4


@pytest.mark.parametrize(("n", "q", "temperature"), [(50, 2, 1.0), (60, 77, 20.0), (400, 5, 0.1)])
def test_at_the_fit_the_gradient_is_zero(n: int, q: int, temperature: float) -> None:
    x, y = answers(2, n, q, temperature, np.linspace(-1, 1, q))
    found = vector(x, y)
    assert gradient(found, x, y, 1.0) == pytest.approx(0, abs=1e-4)
    assert sum(found.offsets) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("q", [2, 4, 77])
def test_offsets_cost_little_where_none_are_needed_and_gain_where_they_are(q: int) -> None:
    bias = np.linspace(-2, 2, q)
    few, rest = slice(0, 100), slice(100, None)
    losses = np.zeros((2, 2))
    for seed in range(4):
        for row, one in enumerate((0 * bias, bias)):
            x, y = answers(seed, 1100, q, 4, one)
            for column, method in enumerate(("temperature", "vector")):
                losses[row, column] += log_loss(fit(method, x[few], y[few]).apply(x[rest]), y[rest])
    (cost, gain) = losses[:, 1] / losses[:, 0]
    assert cost < 1.06
    assert gain < 0.96


def test_a_label_that_never_occurs_keeps_some_probability() -> None:
    x, y = answers(3, 60, 3)
    y[y == 2] = 0
    p = vector(x, y).apply(np.zeros((1, 3)))[0]
    assert 0.01 < p[2] < 1 / 3


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.floats(-100, 100))
def test_rows_and_constants_do_not_matter(seed: int, shift: float) -> None:
    x, y = answers(seed, 50, 3, 2)
    order = np.random.default_rng(seed).permutation(50)
    found, other = vector(x, y), vector(x[order] + shift, y[order])
    assert other.apply(x) == pytest.approx(found.apply(x), abs=1e-5)
    assert found.apply(x).sum(axis=1) == pytest.approx(1)


def test_a_row_without_an_answer_stays_without_one() -> None:
    p = VectorScaling(1.0, (0.0, 1.0)).apply(np.array([[0.0, np.nan], [0.0, 0.0]]))
    assert np.isnan(p[0]).all()
    assert p[1] == pytest.approx(softmax(np.array([[0.0, 1.0]]))[0])


def test_without_offsets_it_is_temperature_scaling() -> None:
    x, _ = answers(4, 10, 3)
    assert VectorScaling(2.5, (0.0, 0.0, 0.0)).apply(x) == pytest.approx(Temperature(2.5).apply(x))


def test_it_takes_50_labels_and_the_same_number_of_labels_again() -> None:
    x, y = answers(5, 50, 3)
    with pytest.raises(InputError, match=r"49 labelled items are too few for calibration by vector, which takes 50"):
        fit("vector", x[1:], y[1:])
    with pytest.raises(InputError, match=r"was fitted to 3 labels, and the question has 2. Fit it anew"):
        vector(x, y).apply(x[:, :2])
    with pytest.raises(InputError, match="an offset is no finite number"):
        VectorScaling(1.0, (0.0, float("nan")))
