"""Vector scaling: one temperature for all labels, and an offset for each that a model says too often or too rarely."""

import math
from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.calibration.base import Calibration, check_items, check_n_labels
from llmclf.calibration.softmax import below_highest, expected, softmax
from llmclf.calibration.temperature import check_temperature, inverse_temperature
from llmclf.errors import InputError

FEWEST: Final = 50
"""Labelled items. Offsets that are not needed then cost some hundredths of the log loss, among 77 labels too."""
PRECISION: Final = 1.0
"""Of the offsets' normal prior, fixed: a standard deviation of one nat, whatever the number of items and labels.

An offset is then pulled to 0 by about 1 / (1 + n p (1 - p)), p the mean probability of its label: by a half where one
or two items speak for it, and hardly where fifty do. A strength chosen by cross-validation among tens of items
would be mostly noise.
"""


@dataclass(frozen=True)
class VectorScaling(Calibration):
    """softmax(log-scores / T + offsets): Guo et al. 2017, section 4.2, with one temperature for all labels."""

    name: ClassVar[str] = "vector"
    temperature: float
    offsets: tuple[float, ...]
    """In nats, one a label."""

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        if not all(map(math.isfinite, self.offsets)):
            raise InputError("an offset is no finite number", "Give one finite number for each label")

    @classmethod
    def check_enough(cls, labels: Ints, n_labels: int) -> None:  # noqa: ARG003  # the prior sees to many labels
        """Ask for 50 labelled items, with two labels among them.

        Raises:
            InputError: they are fewer.

        """
        check_items(cls.name, labels, FEWEST)

    @classmethod
    def fitted(cls, log_scores: Floats, labels: Ints, precision: float = PRECISION) -> Self:
        """Fit by maximum likelihood, with the prior of `inverse_temperature` for b = 1 / T and a normal one of offsets.

        Minimised is -sum_i log softmax(b x_i + offsets)[label_i] + b - log b + precision / 2 sum_k offset_k^2, which is
        strictly convex; its offsets sum to 0.

        Raises:
            InputError: a label has the log-score -inf.

        """
        from scipy.optimize import minimize  # type: ignore[import-untyped]  # scipy has no types

        x = below_highest(log_scores, labels)
        n, q = x.shape
        start = inverse_temperature(x, labels)
        times = np.bincount(labels, minlength=q)
        of_labels = float(x[np.arange(n), labels].sum())

        def loss(parameters: Floats) -> tuple[float, Floats]:
            b, offsets = start * parameters[0], parameters[1:]
            z = b * x + offsets
            highest = z.max(axis=1)
            p = softmax(z)
            log_sums = highest + np.log(np.exp(z - highest[:, np.newaxis]).sum(axis=1))
            value = log_sums.sum() - z[np.arange(n), labels].sum() + b - math.log(b) + precision / 2 * offsets @ offsets
            slope = expected(p, x).sum() - of_labels + 1 - 1 / b
            return float(value), np.concatenate([[start * slope], p.sum(axis=0) - times + precision * offsets])

        found = minimize(
            loss,
            np.append(1.0, np.zeros(q)),
            jac=True,
            method="L-BFGS-B",
            bounds=[(1e-6, None)] + [(None, None)] * q,  # b in units of its start
            options={"maxiter": 2000, "maxfun": 20_000, "ftol": 1e-15, "gtol": 1e-8},
        )
        return cls(1 / float(start * found.x[0]), tuple(found.x[1:].tolist()))

    def apply(self, log_scores: Floats) -> Floats:
        """Give probabilities (n, q); a row with a NaN is NaN throughout.

        Raises:
            InputError: it was fitted to another number of labels.

        """
        check_n_labels(self.name, len(self.offsets), log_scores)
        return softmax(log_scores / self.temperature + np.array(self.offsets))
