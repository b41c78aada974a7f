"""Design-based supervised learning, DSL: right however wrong the model is, as the sampling probabilities are known.

Egami, Hinck, Stewart & Wei 2023, "Using Imperfect Surrogates for Downstream Inference". The outcome of an item is
replaced by Y~ = f + R / pi (Y - f), with R = 1 where experts labelled it, pi the probability of that, and f a
prediction that does not know the item's own Y. The estimand is what these experts would have labelled.
"""

import math

import numpy as np

from llmclf.agreement.counts import Floats
from llmclf.agreement.estimate import Coefficient, Undefined
from llmclf.agreement.estimating_equations import Regression, solve
from llmclf.agreement.expert_sample import ESTIMAND, ExpertSample
from llmclf.agreement.intervals import UNBOUNDED, normal
from llmclf.agreement.ratings import Codes

METHOD = f"DSL, normal; {ESTIMAND}"
_NEGLIGIBLE = 1e-6


def design_supervised_mean(sample: ExpertSample, bounds: tuple[float, float] = (-np.inf, np.inf)) -> Coefficient:
    """Estimate the mean outcome of all items: mean(Y~), with variance var(Y~) / N."""
    if sample.is_sampled.sum() == 1:
        return Undefined("one item only has an expert label")
    y = pseudo_outcome(sample)
    return normal(float(y.mean()), float(y.std(ddof=1)) / math.sqrt(len(y)), len(y), METHOD, bounds)


def design_supervised_regression(
    sample: ExpertSample, x: Floats, regression: Regression
) -> tuple[Coefficient, ...] | Undefined:
    """Estimate the coefficients of a regression of the outcome on x, of shape (N, d); a column of ones is in x.

    theta solves the sum of psi = x (mean(x theta) - Y~) = 0; variance: H^-1 mean(psi psi') H^-1 / N.
    """
    y = pseudo_outcome(sample)
    theta = solve(x, np.ones(len(x)), y, regression)
    if isinstance(theta, Undefined):
        return theta
    eta = x @ theta
    psi = x * (regression.mean(eta) - y)[:, np.newaxis]
    inverse = np.linalg.inv(regression.information(x, eta))
    se = np.sqrt(np.diag(inverse @ (psi.T @ psi / len(x)) @ inverse) / len(x))
    return tuple(normal(float(b), float(s), len(x), METHOD, UNBOUNDED) for b, s in zip(theta, se, strict=True))


def pseudo_outcome(sample: ExpertSample) -> Floats:
    """Give Y~ = f + R / pi (Y - f): shape (N,)."""
    f = sample.prediction
    return f + np.where(sample.is_sampled, (sample.outcome - f) / sample.probability, 0)


def cross_fitted(labels: Codes, outcome: Floats, probability: Floats, x: Floats | None = None) -> Floats:
    """Predict each item's outcome from the model's label, and x, by a fit to the other items' expert labels.

    Least squares on x (a column of ones if not given) and on the labels, each shrunk to the rest as by one more
    item, weighted by 1 / pi. An item with an expert label is predicted without it: y - (y - fit) / (1 - leverage).

    Args:
        labels: the model's, as codes; a missing one, -1, counts as a label of its own. Shape (N,).
        outcome: the experts', as a number; NaN where they did not label the item. Shape (N,).
        probability: with which the item was chosen for the experts. Shape (N,).
        x: what else predicts. Shape (N, d).

    """
    sampled = ~np.isnan(outcome)
    x = np.ones((len(labels), 1)) if x is None else x
    occurring, label = np.unique(labels, return_inverse=True)
    a = np.hstack([x[sampled], label[sampled, np.newaxis] == np.arange(len(occurring))])
    weight = 1 / probability[sampled]
    weight /= weight.mean()
    penalty = np.concatenate([_NEGLIGIBLE * weight @ x[sampled] ** 2, np.ones(len(occurring))])
    gain = np.linalg.solve((a.T * weight) @ a + np.diag(penalty), a.T * weight)
    coefficients = gain @ outcome[sampled]
    predicted = x @ coefficients[: x.shape[1]] + coefficients[x.shape[1] :][label]
    leverage = np.einsum("nd,dn->n", a, gain)
    y = outcome[sampled]
    predicted[sampled] = y - (y - predicted[sampled]) / (1 - leverage)
    return np.asarray(predicted, dtype=np.float64)
