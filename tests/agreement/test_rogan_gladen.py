import json
from math import floor
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta, binom  # type: ignore[import-untyped]  # scipy has no types

from llmclf.agreement import Undefined
from llmclf.agreement.expert_sample import ExpertSample
from llmclf.agreement.rogan_gladen import blaker, rogan_gladen, rogan_gladen_estimated
from llmclf.agreement.wilson import wilson
from llmclf.errors import InputError
from tests.agreement.samples import TRUE_PREVALENCE, Simulated
from tests.agreement.tables import estimate

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "epir_rogan_gladen.json").read_text())
# not transcribed: epiR's numbers of items expected in each cell, which are these times sensitivity or specificity


def test_wilson_interval_of_epir() -> None:
    of = REFERENCE["wilson"]
    low, high = wilson(np.array([of["positive"] / of["n"]]), np.array([float(of["n"])]))
    assert (low[0], high[0]) == pytest.approx((of["ap"]["lower"], of["ap"]["upper"]), abs=1e-12)
    found = estimate(rogan_gladen(of["positive"], of["n"], of["sensitivity"], of["specificity"]))
    assert (found.value, found.low, found.high) == pytest.approx(tuple(of["tp"].values()), abs=1e-12)
    assert found.se is None
    assert "what these experts would have labelled" in found.method


def test_blaker_interval_of_epir() -> None:
    of = REFERENCE["blaker"]
    positive, n = of["positive"], of["n"]
    low, high = blaker(positive, n)
    # epiR walks inwards from Clopper and Pearson's limits in steps of 1e-4, and stops before the limit
    first, last = beta.ppf(0.025, positive, n - positive + 1), beta.ppf(0.975, positive + 1, n - positive)
    walked = first + 1e-4 * floor((low - first) / 1e-4), last - 1e-4 * floor((last - high) / 1e-4)
    assert walked == pytest.approx((of["ap"]["lower"], of["ap"]["upper"]), abs=1e-12)
    found = estimate(rogan_gladen(positive, n, of["sensitivity"], of["specificity"], "blaker"))
    assert found.value == pytest.approx(of["tp"]["est"], abs=1e-12)
    assert (found.low, found.high) == pytest.approx((of["tp"]["lower"], of["tp"]["upper"]), abs=1.2e-4)


@pytest.mark.parametrize("n", [1, 7, 30])
def test_blaker_stands_within_clopper_and_pearson_and_mirrors(n: int) -> None:
    for positive in range(n + 1):
        low, high = blaker(positive, n)
        assert (1 - high, 1 - low) == pytest.approx(blaker(n - positive, n))
        assert low >= (beta.ppf(0.025, positive, n - positive + 1) if positive else 0) - 1e-12
        assert low <= positive / n <= high


def acceptability(p: float, positive: int, n: int) -> float:
    """Blaker 2000: the chance of counts whose tail is no more likely than that of the count observed."""
    pmf = binom.pmf(np.arange(n + 1), n, p)
    tails = np.minimum(pmf.cumsum(), pmf[::-1].cumsum()[::-1])
    return float(pmf[tails <= tails[positive] * (1 + 1e-12)].sum())


@pytest.mark.parametrize(("positive", "n"), [(1, 7), (4, 80), (15, 30), (29, 30)])
def test_blaker_limits_stand_where_acceptability_crosses_a_twentieth(positive: int, n: int) -> None:
    low, high = blaker(positive, n)
    assert acceptability(low - 1e-9, positive, n) < 0.05 <= acceptability(low + 1e-9, positive, n)
    assert acceptability(high + 1e-9, positive, n) < 0.05 <= acceptability(high - 1e-9, positive, n)


def test_a_share_below_what_false_positives_make_is_none() -> None:
    found = estimate(rogan_gladen(2, 100, 0.9, 0.9))
    assert (found.value, found.low) == (0, 0)


def test_no_better_than_chance_is_undefined() -> None:
    found = rogan_gladen(5, 10, 0.5, 0.5)
    assert isinstance(found, Undefined)
    assert "no better than chance" in found.undefined


@pytest.mark.parametrize("numbers", [(11, 10, 0.9, 0.9), (1, 0, 0.9, 0.9), (1, 10, 1.1, 0.9), (1, 10, 0.9, -0.1)])
def test_numbers_out_of_range_are_refused(numbers: tuple[int, int, float, float]) -> None:
    with pytest.raises(InputError, match="are no rates"):
        rogan_gladen(*numbers)


def test_estimated_rates_by_hand() -> None:
    # experts call 2 of 4 positive, and the model one of these; the model calls 3 of 8 positive
    outcome = np.array([1, 1, 0, 0] + [np.nan] * 4)
    model = np.array([1.0, 0, 0, 0, 1, 1, 0, 0])
    found = estimate(rogan_gladen_estimated(ExpertSample(outcome, model, np.full(8, 0.5))))
    assert found.value == pytest.approx((3 / 8 + 1 - 1) / (0.5 + 1 - 1))
    assert "sensitivity 0.500 and specificity 1.000" in found.method


def test_standard_error_is_the_spread_over_samples() -> None:
    found = [
        estimate(rogan_gladen_estimated(ExpertSample(drawn.outcome, drawn.model.astype(float), drawn.probability)))
        for drawn in (Simulated.draw(seed, equal=False) for seed in range(200))
    ]
    ses = np.array([each.se for each in found], dtype=float)
    values = np.array([each.value for each in found])
    assert ses.mean() == pytest.approx(values.std(), rel=0.15)
    assert values.mean() == pytest.approx(TRUE_PREVALENCE, abs=0.01)


def test_estimated_rates_need_both_labels_and_labels_only() -> None:
    outcome, model, half = np.array([1, 1, np.nan, np.nan]), np.array([1.0, 0, 1, 0]), np.full(4, 0.5)
    assert rogan_gladen_estimated(ExpertSample(outcome, model, half)) == Undefined("the experts call no item negative")
    with pytest.raises(InputError, match="neither 0 nor 1"):
        rogan_gladen_estimated(ExpertSample(outcome, model * 2, half))
    opposed = ExpertSample(np.array([1, 0, np.nan, np.nan]), np.array([0.0, 1, 1, 0]), half)
    assert isinstance(rogan_gladen_estimated(opposed), Undefined)
