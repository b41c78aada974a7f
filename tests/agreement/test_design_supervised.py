import numpy as np
import pytest

from llmclf.agreement import Undefined
from llmclf.agreement.design_supervised import (
    cross_fitted,
    design_supervised_mean,
    design_supervised_regression,
    pseudo_outcome,
)
from llmclf.agreement.estimating_equations import Regression
from llmclf.agreement.expert_sample import ExpertSample
from llmclf.agreement.prediction_powered import prediction_powered_mean, prediction_powered_regression
from tests.agreement.samples import TRUE_COEFFICIENTS, TRUE_PREVALENCE, Simulated
from tests.agreement.tables import estimate

SEEDS = range(200)


def sample(drawn: Simulated) -> ExpertSample:
    fitted = cross_fitted(drawn.model, drawn.outcome, drawn.probability, drawn.x)
    return ExpertSample(drawn.outcome, fitted, drawn.probability)


def as_drawn(seed: int) -> Simulated:
    """Draw items of which exactly the share pi has an expert label."""
    drawn = Simulated.draw(seed)
    share = float((~np.isnan(drawn.outcome)).mean())
    return Simulated(drawn.x, drawn.truth, drawn.model, drawn.outcome, np.full(len(drawn.x), share))


@pytest.mark.parametrize("seed", range(3))
def test_with_fixed_predictions_and_constant_pi_it_is_ppi_with_lambda_1_but_for_its_normalisation(seed: int) -> None:
    # PPI averages the predictions of the items without expert labels, DSL those of all
    drawn = as_drawn(seed)
    f = drawn.model.astype(float)
    fixed = ExpertSample(drawn.outcome, f, drawn.probability)
    sampled = fixed.is_sampled
    ppi = estimate(prediction_powered_mean(fixed, 1.0)).value
    assert estimate(design_supervised_mean(fixed)).value == pytest.approx(ppi - f[~sampled].mean() + f.mean())
    # so they are equal where every item stands once more among those without expert labels
    outcome = np.concatenate([drawn.outcome[sampled], np.full(len(f), np.nan)])
    probability = np.full(len(outcome), sampled.sum() / len(outcome))
    twice = ExpertSample(outcome, np.concatenate([f[sampled], f]), probability)
    assert estimate(design_supervised_mean(fixed)).value == pytest.approx(
        estimate(prediction_powered_mean(twice, 1.0)).value
    )


def test_regressions_come_near_those_of_ppi_with_lambda_1() -> None:
    drawn = as_drawn(1)
    fixed = ExpertSample(drawn.outcome, drawn.model.astype(float), drawn.probability)
    for regression in Regression:
        ours = design_supervised_regression(fixed, drawn.x, regression)
        theirs = prediction_powered_regression(fixed, drawn.x, regression, 1.0)
        assert isinstance(ours, tuple)
        assert isinstance(theirs, tuple)
        for one, other in zip(map(estimate, ours), map(estimate, theirs), strict=True):
            assert one.se is not None
            assert abs(one.value - other.value) < one.se / 2


def test_intervals_cover_where_those_of_the_models_labels_do_not() -> None:
    """95 % intervals of the prevalence and of the slope, 200 samples drawn with unequal probabilities.

    By chance alone .95 becomes less than .89 once in 5,000 times; `python -m evals.corrected` has more.
    """
    covered = np.zeros(3)
    for seed in SEEDS:
        drawn = Simulated.draw(seed, equal=False)
        simulated = sample(drawn)
        mean = estimate(design_supervised_mean(simulated))
        coefficients = design_supervised_regression(simulated, drawn.x, Regression.LOGISTIC)
        assert isinstance(coefficients, tuple)
        slope = estimate(coefficients[1])
        for found, truth, place in ((mean, TRUE_PREVALENCE, 0), (slope, TRUE_COEFFICIENTS[1], 1)):
            assert found.low is not None
            assert found.high is not None
            covered[place] += found.low <= truth <= found.high
        naive, se = drawn.model.mean(), drawn.model.std() / np.sqrt(len(drawn.model))
        covered[2] += abs(naive - TRUE_PREVALENCE) < 1.96 * se
    of_mean, of_slope, of_model = covered / len(SEEDS)
    assert 0.89 < of_mean < 0.99
    assert 0.89 < of_slope < 0.99
    assert of_model < 0.2


def test_a_label_changes_its_own_items_prediction_in_no_way() -> None:
    drawn = Simulated.draw(5, n_items=60, equal=False)
    before = cross_fitted(drawn.model, drawn.outcome, drawn.probability, drawn.x)
    for item in np.flatnonzero(~np.isnan(drawn.outcome)):
        other = drawn.outcome.copy()
        other[item] = 1 - other[item]
        after = cross_fitted(drawn.model, other, drawn.probability, drawn.x)
        assert after[item] == pytest.approx(before[item], abs=1e-9)
        assert not np.allclose(after, before)


def test_a_label_without_experts_is_predicted_by_the_mean_of_all() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 2])
    outcome = np.array([0, 0, np.nan, 1, 1, np.nan, np.nan])
    predicted = cross_fitted(labels, outcome, np.full(7, 0.5))
    assert predicted[6] == pytest.approx(0.5, abs=1e-5)
    assert 0 < predicted[2] < predicted[6] < predicted[5] < 1


def test_rare_picks_weigh_as_many_as_they_stand_for() -> None:
    # a no picked at .5 stands for two items, a yes picked at .1 for ten
    outcome = np.array([0, 1, np.nan])
    predicted = cross_fitted(np.zeros(3, dtype=int), outcome, np.array([0.5, 0.1, 0.5]))
    assert predicted[2] == pytest.approx(10 / 12, abs=1e-5)


def test_a_model_that_errs_costs_width_and_not_truth() -> None:
    drawn = Simulated.draw(6)
    wrong = ExpertSample(drawn.outcome, 1 - drawn.truth, drawn.probability)
    right = ExpertSample(drawn.outcome, drawn.truth, drawn.probability)
    wide, narrow = (estimate(design_supervised_mean(each)) for each in (wrong, right))
    assert wide.se is not None
    assert narrow.se is not None
    assert narrow.value == pytest.approx(drawn.truth.mean())
    assert wide.se > 3 * narrow.se
    assert abs(wide.value - drawn.truth.mean()) < 3 * wide.se


def test_by_hand() -> None:
    # two of four items at one half: 1 + (0 - 1) / .5 = -1, 0 + (1 - 0) / .5 = 2, and the predictions 1 and 0
    known = ExpertSample(np.array([0, 1, np.nan, np.nan]), np.array([1.0, 0, 1, 0]), np.full(4, 0.5))
    assert list(pseudo_outcome(known)) == [-1, 2, 1, 0]
    found = estimate(design_supervised_mean(known, bounds=(0, 1)))
    assert found.value == 0.5
    assert found.se == pytest.approx(np.sqrt(5 / 3 / 4))
    assert (found.low, found.high) == (0, 1)
    assert "what these experts would have labelled" in found.method


def test_one_expert_label_is_too_few_for_a_spread() -> None:
    known = ExpertSample(np.array([0, np.nan]), np.array([1.0, 0]), np.full(2, 0.5))
    assert design_supervised_mean(known) == Undefined("one item only has an expert label")


def test_a_regression_without_a_solution_is_undefined() -> None:
    drawn = Simulated.draw(7)
    always = ExpertSample(np.where(np.isnan(drawn.outcome), np.nan, 1), np.ones(len(drawn.x)), drawn.probability)
    found = design_supervised_regression(always, drawn.x, Regression.LOGISTIC)
    assert isinstance(found, Undefined)
    assert "no solution" in found.undefined
