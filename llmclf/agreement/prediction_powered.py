"""Prediction-powered inference, PPI++: a model's labels for many items, corrected by experts' for a random sample.

Angelopoulos, Duchi & Zrnic 2023, "PPI++: Efficient Prediction-Powered Inference". The estimand is what these experts
would have labelled. lambda = 0 uses the experts' labels alone, 1 is the plain method of Angelopoulos et al. 2023;
by default it is tuned to the least variance. n items have expert labels, N have none. Undefined where items were
sampled with probabilities that differ: the method weighs items alike.
"""

from dataclasses import dataclass

import numpy as np

from llmclf.agreement.counts import Floats
from llmclf.agreement.estimate import Coefficient, Undefined
from llmclf.agreement.estimating_equations import Regression, solve
from llmclf.agreement.expert_sample import ESTIMAND, ExpertSample
from llmclf.agreement.intervals import UNBOUNDED, normal

_UNEQUAL = Undefined("sampling probabilities differ, and PPI++ weighs items alike; DSL does not")


def prediction_powered_mean(
    sample: ExpertSample, lam: float | None = None, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> Coefficient:
    """Estimate the mean outcome of all items (example 6.1 of the paper).

    lambda mean(f~) + mean(Y - lambda f), with variance lambda^2 var(f~) / N + var(Y - lambda f) / n; f~ are the
    predictions without expert labels, and lambda = cov(Y, f) / ((1 + n / N) var(f)), within 0 .. 1.
    """
    if np.ptp(sample.probability) > 0:
        return _UNEQUAL
    sampled = sample.is_sampled
    y, f, others = sample.outcome[sampled], sample.prediction[sampled], sample.prediction[~sampled]
    n, n_others = len(f), len(others)
    if n == 1:
        return Undefined("one item only has an expert label")
    if lam is None:
        variance = (1 + n / n_others) * float(sample.prediction.var(ddof=1))
        lam = _within_0_1(float((y - y.mean()) @ (f - f.mean())) / n, variance)
    value = lam * others.mean() + (y - lam * f).mean()
    se = np.sqrt(lam**2 * others.var() / n_others + (y - lam * f).var() / n)
    return normal(float(value), float(se), n + n_others, _method(lam), bounds)


def prediction_powered_regression(
    sample: ExpertSample, x: Floats, regression: Regression, lam: float | None = None
) -> tuple[Coefficient, ...] | Undefined:
    """Estimate the coefficients of a regression of the outcome on x, of shape (n + N, d); a column of ones is in x.

    theta solves lambda grad(x~, f~) + grad(x, Y) - lambda grad(x, f) = 0; of linear regression it is
    lambda ols(x~, f~) + ols(x, Y - lambda f). Variance: H^-1 (n/N var(lambda grad f~) + var(grad Y - lambda grad f))
    H^-1 / n, H over all items.
    """
    if np.ptp(sample.probability) > 0:
        return _UNEQUAL
    if lam is None:
        first = _theta(sample, x, regression, 1.0)
        if isinstance(first, Undefined):
            return first
        lam = tuned_lambda(sample, x, regression, first)
    theta = _theta(sample, x, regression, lam)
    if isinstance(theta, Undefined):
        return theta
    at = _Gradients.at(sample, x, regression, theta)
    n, n_others = len(at.outcome), len(at.others)
    spread = n / n_others * _covariance(lam * at.others) + _covariance(at.outcome - lam * at.predicted)
    se = np.sqrt(np.diag(at.inverse @ spread @ at.inverse) / n)
    return tuple(normal(float(b), float(s), len(x), _method(lam), UNBOUNDED) for b, s in zip(theta, se, strict=True))


def tuned_lambda(sample: ExpertSample, x: Floats, regression: Regression, theta: Floats) -> float:
    """Give the lambda, within 0 .. 1, of the least summed variance of all coefficients (proposition 2 of the paper).

    tr(H^-1 (C + C') H^-1) / (2 (1 + n/N) tr(H^-1 var(grad f) H^-1)), C = cov(grad Y, grad f), all at theta.
    """
    at = _Gradients.at(sample, x, regression, theta)
    n, n_others = len(at.outcome), len(at.others)
    cross = (at.outcome - at.outcome.mean(axis=0)).T @ (at.predicted - at.predicted.mean(axis=0)) / n
    variance = _covariance(np.concatenate([at.predicted, at.others]))
    return _within_0_1(
        float(np.trace(at.inverse @ (cross + cross.T) @ at.inverse)),
        2 * (1 + n / n_others) * float(np.trace(at.inverse @ variance @ at.inverse)),
    )


@dataclass(frozen=True)
class _Gradients:
    """The gradients x (mean - label) of each item, shape (items, d), and the inverse Hessian."""

    outcome: Floats
    predicted: Floats
    others: Floats
    inverse: Floats

    @classmethod
    def at(cls, sample: ExpertSample, x: Floats, regression: Regression, theta: Floats) -> "_Gradients":
        sampled, eta = sample.is_sampled, x @ theta
        mean = regression.mean(eta)
        by_prediction = x * (mean - sample.prediction)[:, np.newaxis]
        return cls(
            outcome=x[sampled] * (mean - sample.outcome)[sampled, np.newaxis],
            predicted=by_prediction[sampled],
            others=by_prediction[~sampled],
            inverse=np.asarray(np.linalg.inv(regression.information(x, eta))),
        )


def _theta(sample: ExpertSample, x: Floats, regression: Regression, lam: float) -> Floats | Undefined:
    sampled = sample.is_sampled
    corrected = np.where(sampled, sample.outcome - lam * sample.prediction, lam * sample.prediction)
    n = int(sampled.sum())
    share = np.where(sampled, 1 / n, 1 / (len(x) - n))
    if regression is Regression.LOGISTIC:
        return solve(x, share * np.where(sampled, 1 - lam, lam), share * corrected, regression)
    by_part = [solve(x[part], share[part], (share * corrected)[part], regression) for part in (sampled, ~sampled)]
    rectifier, imputed = by_part
    if isinstance(rectifier, Undefined) or isinstance(imputed, Undefined):
        return rectifier if isinstance(rectifier, Undefined) else imputed
    return imputed + rectifier


def _covariance(gradients: Floats) -> Floats:
    return np.atleast_2d(np.cov(gradients.T))


def _within_0_1(covariance: float, variance: float) -> float:
    return min(max(covariance / variance, 0.0), 1.0) if variance > 0 else 0.0


def _method(lam: float) -> str:
    return f"PPI++ with lambda {lam:.3f}, normal; {ESTIMAND}"
