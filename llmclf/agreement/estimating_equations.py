"""The estimating equations of linear and logistic regression, with weights and targets of any kind."""

from enum import StrEnum

import numpy as np

from llmclf.agreement.counts import Floats
from llmclf.agreement.estimate import Undefined

_MOST_STEPS = 50
_SMALL_STEP = 1e-10


class Regression(StrEnum):
    """What the coefficients of a design explain: an outcome's mean, or the log-odds of a binary outcome."""

    LINEAR = "linear"
    LOGISTIC = "logistic"

    def mean(self, eta: Floats) -> Floats:
        """Give the outcome's mean for linear predictors."""
        return eta if self is Regression.LINEAR else np.exp(-np.logaddexp(0, -eta))

    def slope(self, eta: Floats) -> Floats:
        """Give the derivative of the mean."""
        mean = self.mean(eta)
        return np.ones_like(eta) if self is Regression.LINEAR else mean * (1 - mean)

    def information(self, x: Floats, eta: Floats) -> Floats:
        """Average the Hessian x x' slope over items: shape (d, d)."""
        average: Floats = (x.T * self.slope(eta)) @ x / len(x)
        return average


def solve(x: Floats, weight: Floats, target: Floats, regression: Regression) -> Floats | Undefined:
    """Solve sum x_i (weight_i mean(x_i theta) - target_i) = 0 for theta by Newton's method.

    Shapes: x (N, d), weight and target (N,). Undefined where columns depend on each other, or without a solution.
    """
    d = x.shape[1]
    if np.linalg.matrix_rank(x[weight > 0]) < d:
        return Undefined("the columns of the design depend linearly on each other")
    theta = np.zeros(d)
    for _ in range(_MOST_STEPS):
        eta = x @ theta
        gradient = x.T @ (weight * regression.mean(eta) - target)
        hessian = (x.T * (weight * regression.slope(eta))) @ x
        try:
            step = np.linalg.solve(hessian, gradient)
        except np.linalg.LinAlgError:
            break
        # a long step can overshoot where the curve is flat
        step /= max(1.0, float(np.abs(x @ step).max()) / 4) if regression is Regression.LOGISTIC else 1.0
        theta = theta - step
        # under separation the gradient vanishes, but the steps do not
        if regression is Regression.LINEAR or np.abs(step).max() < _SMALL_STEP * (1 + np.abs(theta).max()):
            return theta
    return Undefined("the estimating equations have no solution: labels are separated, or expert labels too few")
