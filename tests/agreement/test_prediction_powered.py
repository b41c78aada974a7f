import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from llmclf.agreement import Coefficient, Undefined
from llmclf.agreement.estimating_equations import Regression, solve
from llmclf.agreement.expert_sample import ExpertSample
from llmclf.agreement.prediction_powered import (
    prediction_powered_mean,
    prediction_powered_regression,
    tuned_lambda,
)
from tests.agreement.samples import Simulated
from tests.agreement.tables import estimate

Floats = npt.NDArray[np.float64]
REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "ppi_python.json").read_text())
# not oracles: `true_params` are what the data were simulated with, `naive_llm` is a mean


@pytest.fixture(scope="module")
def sample() -> ExpertSample:
    llm, human = ([float(digit) for digit in REFERENCE[name]] for name in ("llm", "human"))
    outcome = np.full(len(llm), np.nan)
    outcome[: len(human)] = human
    return ExpertSample(outcome, np.array(llm), np.full(len(llm), len(human) / len(llm)))


@pytest.fixture(scope="module")
def x() -> Floats:
    return np.column_stack([np.ones(len(REFERENCE["x"])), REFERENCE["x"]])


def interval(coefficient: Coefficient) -> Any:
    found = estimate(coefficient)
    return pytest.approx([found.low, found.high], abs=1e-12)


@pytest.mark.parametrize(("name", "lam"), [("power_tuned", None), ("lam1", 1.0), ("classical", 0.0)])
def test_means_of_ppi_python(sample: ExpertSample, name: str, lam: float | None) -> None:
    found = prediction_powered_mean(sample, lam)
    assert estimate(found).value == pytest.approx(REFERENCE["mean"][name]["est"], abs=1e-12)
    assert REFERENCE["mean"][name]["ci95"] == interval(found)
    assert estimate(found).n_items == 4250


@pytest.mark.parametrize(
    ("regression", "name", "digits"),
    # ppi-python stops its optimiser of the logistic loss at a gradient of about 1e-7
    [(Regression.LINEAR, "ols", 1e-12), (Regression.LOGISTIC, "logistic", 1e-7)],
)
def test_regressions_of_ppi_python(
    sample: ExpertSample, x: Floats, regression: Regression, name: str, digits: float
) -> None:
    found = prediction_powered_regression(sample, x, regression)
    assert isinstance(found, tuple)
    values = np.array([estimate(coefficient).value for coefficient in found])
    assert values == pytest.approx(REFERENCE[name]["est"], abs=digits)
    # its intervals are centred elsewhere than its estimates: lambda is tuned once more, at the tuned estimate
    again = prediction_powered_regression(sample, x, regression, tuned_lambda(sample, x, regression, values))
    assert isinstance(again, tuple)
    lows, highs = REFERENCE[name]["ci95"]
    assert [estimate(coefficient).low for coefficient in again] == pytest.approx(lows, abs=digits)
    assert [estimate(coefficient).high for coefficient in again] == pytest.approx(highs, abs=digits)


def test_logistic_regression_on_the_models_labels_alone(sample: ExpertSample, x: Floats) -> None:
    # scikit-learn and statsmodels give the same; it is what the corrected one is meant to correct
    theta = solve(x, np.ones(len(x)), sample.prediction, Regression.LOGISTIC)
    assert theta == pytest.approx(REFERENCE["logistic_naive_llm_labels"], abs=1e-4)


def test_a_regression_on_ones_alone_is_the_mean(sample: ExpertSample) -> None:
    ones = np.ones((len(sample.outcome), 1))
    found = prediction_powered_regression(sample, ones, Regression.LINEAR)
    assert isinstance(found, tuple)
    mean = estimate(prediction_powered_mean(sample))
    assert estimate(found[0]).value == pytest.approx(mean.value, abs=1e-12)
    assert estimate(found[0]).se == pytest.approx(mean.se, rel=0.005)  # n - 1 for n


def test_the_tuned_lambda_is_the_best_one() -> None:
    drawn = Simulated.draw(1)
    simulated = ExpertSample(drawn.outcome, drawn.model.astype(float), drawn.probability)
    best = estimate(prediction_powered_mean(simulated)).se
    assert best is not None
    for lam in np.linspace(0, 1, 21):
        assert (estimate(prediction_powered_mean(simulated, lam)).se or 0) > best - 1e-5


def test_predictions_that_say_nothing_are_left_out() -> None:
    drawn = Simulated.draw(2)
    constant = ExpertSample(drawn.outcome, np.ones(len(drawn.outcome)), drawn.probability)
    found = estimate(prediction_powered_mean(constant))
    assert found.value == pytest.approx(np.nanmean(drawn.outcome))
    assert "lambda 0.000" in found.method
    assert "what these experts would have labelled" in found.method


def test_unequal_sampling_is_undefined() -> None:
    drawn = Simulated.draw(3, equal=False)
    unequal = ExpertSample(drawn.outcome, drawn.model.astype(float), drawn.probability)
    for found in (
        prediction_powered_mean(unequal),
        prediction_powered_regression(unequal, drawn.x, Regression.LINEAR),
    ):
        assert isinstance(found, Undefined)
        assert "DSL does not" in found.undefined


@pytest.mark.parametrize("regression", list(Regression))
def test_columns_that_depend_on_each_other_are_undefined(regression: Regression) -> None:
    drawn = Simulated.draw(4)
    simulated = ExpertSample(drawn.outcome, drawn.model.astype(float), drawn.probability)
    twice = np.column_stack([drawn.x, drawn.x[:, 1]])
    assert prediction_powered_regression(simulated, twice, regression) == Undefined(
        "the columns of the design depend linearly on each other"
    )


def test_separated_labels_are_undefined() -> None:
    x = np.column_stack([np.ones(40), np.arange(40.0)])
    truth = (np.arange(40) >= 20).astype(float)
    outcome = np.where(np.arange(40) % 2, truth, np.nan)
    separated = ExpertSample(outcome, truth, np.full(40, 0.5))
    found = prediction_powered_regression(separated, x, Regression.LOGISTIC)
    assert isinstance(found, Undefined)
    assert "separated" in found.undefined
