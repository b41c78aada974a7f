"""Temperature scaling: one number makes all probabilities bolder or more even, and changes no label."""

import math
from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.calibration.base import Calibration, check_items
from llmclf.calibration.softmax import below_highest, expected, softmax
from llmclf.errors import InputError

FEWEST: Final = 20
"""Labelled items. The standard error of log T is then about a half where a model is right 3 times in 4."""


@dataclass(frozen=True)
class Temperature(Calibration):
    """softmax(log-scores / T): Guo et al. 2017, "On calibration of modern neural networks", section 4.2."""

    name: ClassVar[str] = "temperature"
    temperature: float
    """T: above 1 it makes probabilities more even."""

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    @classmethod
    def check_enough(cls, labels: Ints, n_labels: int) -> None:  # noqa: ARG003  # one number, whatever theirs
        """Ask for 20 labelled items, with two labels among them.

        Raises:
            InputError: they are fewer.

        """
        check_items(cls.name, labels, FEWEST)

    @classmethod
    def fitted(cls, log_scores: Floats, labels: Ints) -> Self:
        """Fit T by maximum likelihood with a weak prior: see `inverse_temperature`.

        Raises:
            InputError: a label has the log-score -inf.

        """
        return cls(1 / inverse_temperature(below_highest(log_scores, labels), labels))

    def apply(self, log_scores: Floats) -> Floats:
        """Give probabilities (n, q); a row with a NaN is NaN throughout."""
        return softmax(log_scores / self.temperature)


def inverse_temperature(x: Floats, labels: Ints) -> float:
    """Find the b = 1 / T that minimises -sum_i log softmax(b x_i)[label_i] + b - log b, which is convex in b.

    The last two terms are a Gamma(2, 1) prior of b: its mode is 1, and its middle 95 % reach from .24 to 5.6. Weak as
    it is, it grows beyond all bounds at both ends, so that T stays finite and above 0 where the labels alone would
    send it to 0 (the highest score is always right) or to infinity (scores that tell nothing).
    The derivative is not positive at 1 / (1 - sum_i x_i[label_i]), and not negative at 1 + n log q.

    Args:
        x: log-scores less the highest of their row, shape (n, q).
        labels: shape (n,), none missing.

    """
    from scipy.optimize import brentq  # type: ignore[import-untyped]  # scipy has no types

    n, q = x.shape
    of_labels = float(x[np.arange(n), labels].sum())

    def derivative(b: float) -> float:
        return float(expected(softmax(b * x), x).sum()) - of_labels + 1 - 1 / b

    low, high = 1 / (1 - of_labels), 1 + n * math.log(q)
    return float(brentq(derivative, low / 2, high * 2, xtol=1e-14))  # twice as far, because of rounding


def check_temperature(temperature: float) -> None:
    """Refuse what is no temperature.

    Raises:
        InputError: it is not a finite number above 0.

    """
    if not 0 < temperature < math.inf:
        raise InputError(f"the temperature is {temperature:g}", "Give a finite number above 0")
