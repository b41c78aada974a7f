import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.linear_model import LogisticRegression

from llmclf.agreement.counts import Floats, Ints
from llmclf.calibration import fit
from llmclf.calibration.temperature import Temperature
from llmclf.errors import InputError
from tests.calibration.samples import answers, log_loss

SCORES = hnp.arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(2, 5)), elements=st.floats(-50, 0))


def penalised(b: float, x: Floats, y: Ints) -> float:
    return log_loss(Temperature(1 / b).apply(x), y) * len(y) + b - math.log(b)


def temperature(x: Floats, y: Ints) -> float:
    found = fit("temperature", x, y)
    assert isinstance(found, Temperature)
    return found.temperature


def test_one_coefficient_of_a_logistic_regression_without_intercept_is_the_inverse_temperature() -> None:
    x, y = answers(0, 4000, 2, temperature=3)
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(x[:, [1]] - x[:, [0]], y)
    assert 1 / temperature(x, y) == pytest.approx(model.coef_[0, 0], rel=2e-3)  # the prior weighs as one item
    assert temperature(x, y) == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize(("n", "true"), [(20, 1.0), (40, 30.0), (300, 0.05)])
def test_nothing_nearby_fits_better(n: int, true: float) -> None:
    x, y = answers(1, n, 5, true)
    b = 1 / temperature(x, y)
    assert penalised(b, x, y) < min(penalised(b * 1.001, x, y), penalised(b / 1.001, x, y))


def test_labels_that_the_scores_tell_apart_leave_the_temperature_above_zero() -> None:
    y = np.arange(20) % 2
    x = np.where(y[:, np.newaxis] == [0, 1], 0.0, -3.0)
    assert 0.2 < temperature(x, y) < 1
    assert temperature(x * 0, y) == pytest.approx(1)  # nothing told, nothing learnt


def test_scores_that_are_always_wrong_leave_the_temperature_finite() -> None:
    y = np.arange(20) % 2
    x = np.where(y[:, np.newaxis] == [0, 1], -30.0, 0.0)
    assert 100 < temperature(x, y) < 1e3


@given(SCORES, st.floats(0.05, 50))
def test_the_likeliest_label_stays_the_likeliest(x: Floats, t: float) -> None:
    p = Temperature(t).apply(x)
    assert p.sum(axis=1) == pytest.approx(1)
    assert (p[np.arange(len(x)), x.argmax(axis=1)] == p.max(axis=1)).all()


def test_a_row_without_an_answer_stays_without_one() -> None:
    x = np.array([[0.0, np.nan, -1.0], [-np.inf] * 3, [0.0, -np.inf, 0.0]])
    p = Temperature(2).apply(x)
    assert np.isnan(p[:2]).all()
    assert p[2].tolist() == [0.5, 0, 0.5]


def test_a_label_of_no_probability_is_refused() -> None:
    x, y = answers(2, 30, 3)
    x[4, y[4]] = -np.inf
    with pytest.raises(InputError, match=r"1 of 30 labelled items have a label of probability 0.* add one half"):
        fit("temperature", x, y)
    y[4] = (y[4] + 1) % 3  # that another label has none does not matter
    assert np.isfinite(temperature(x, y))


def test_too_few_labels_are_refused() -> None:
    x, y = answers(3, 40, 2)
    y[19:] = -1
    with pytest.raises(
        InputError, match=r"19 labelled items are too few for calibration by temperature, which takes 20"
    ):
        fit("temperature", x, y)
    y[19:] = answers(3, 40, 2)[1][19:]
    x[19:] = np.nan  # a label without scores teaches nothing
    with pytest.raises(InputError, match=r"19 labelled items are too few"):
        fit("temperature", x, y)
    with pytest.raises(InputError, match="all 20 labelled items have the same label"):
        fit("temperature", np.zeros((20, 2)), np.zeros(20, dtype=np.int64))


@pytest.mark.parametrize("t", [0, -1, np.inf, np.nan])
def test_a_temperature_is_above_zero(t: float) -> None:
    with pytest.raises(InputError, match="the temperature is"):
        Temperature(t)
