"""Isotonic regression of one of two labels: any probabilities that do not fall where the scores rise."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Final, Self

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.calibration.base import Calibration, check_items, check_n_labels
from llmclf.errors import InputError

FEWEST: Final = 50
FEWEST_OF_EACH: Final = 10
"""Labelled items of each label: the steps are as many as the data ask for, and the rarer label makes them."""
LARGEST: Final = 700.0
"""The log-odds beyond which a double holds no probability but 0 and 1."""


@dataclass(frozen=True)
class Isotonic(Calibration):
    """A monotone curve from log-odds to the probability of the second label (Zadrozny & Elkan 2002).

    Linear between its knots, level beyond them.
    """

    name: ClassVar[str] = "isotonic"
    log_odds: tuple[float, ...]
    """The knots: log-score of the second label less that of the first, ascending."""
    probabilities: tuple[float, ...]
    """Of the second label at the knots; they do not fall."""

    def __post_init__(self) -> None:
        x, p = self.log_odds, self.probabilities
        if not (
            len(x) == len(p) > 0
            and all(map(math.isfinite, x))
            and all(0 < value < 1 for value in p)
            and all(low < high for low, high in pairwise(x))
            and all(low <= high for low, high in pairwise(p))
        ):
            raise InputError(
                "log_odds and probabilities are no isotonic curve",
                "Give log-odds that ascend, and for each a probability above 0 and below 1 that does not fall",
            )

    @classmethod
    def check_enough(cls, labels: Ints, n_labels: int) -> None:
        """Ask for a question of two labels and for 50 labelled items, 10 of each label among them.

        Raises:
            InputError: it has more labels, or they are fewer.

        """
        if n_labels != 2:
            raise InputError(
                f"calibration by {cls.name} is for two labels, and the question has {n_labels}",
                "Choose temperature or vector",
            )
        check_items(cls.name, labels, FEWEST)
        rarer = int(np.bincount(labels, minlength=2).min())
        if rarer < FEWEST_OF_EACH:
            raise InputError(
                f"only {rarer} labelled items have the rarer label, and calibration by {cls.name} takes"
                f" {FEWEST_OF_EACH} of each",
                "Label more items, drawn at random, or choose temperature or vector",
            )

    @classmethod
    def fitted(cls, log_scores: Floats, labels: Ints) -> Self:
        """Fit by pooling adjacent violators, with one item of the second label below all and one of the first above.

        These two make the probability of the lowest step (k + 1) / (n + 1) instead of k / n, and of the highest
        k / (n + 1), or (k + 1) / (n + 2) where there is one step only: none is 0 or 1, so that the log loss stays
        finite, and the steps still ascend, which smoothing each by itself would not ensure.
        """
        from scipy.optimize import isotonic_regression  # type: ignore[import-untyped]  # scipy has no types

        x, group = np.unique(_log_odds(log_scores), return_inverse=True)
        n_items = np.bincount(group)
        share = np.bincount(group, labels) / n_items
        pooled = isotonic_regression(np.concatenate([[1], share, [0]]), weights=np.concatenate([[1], n_items, [1]]))
        p = pooled.x[1:-1]
        changes = p[1:] != p[:-1]
        edge = np.append(True, changes) | np.append(changes, True)
        return cls(tuple(x[edge].tolist()), tuple(p[edge].tolist()))

    def apply(self, log_scores: Floats) -> Floats:
        """Give probabilities (n, 2); a row with a NaN is NaN throughout.

        Raises:
            InputError: there are not two labels.

        """
        check_n_labels(self.name, 2, log_scores)
        p = np.interp(_log_odds(log_scores), self.log_odds, self.probabilities)
        return np.stack([1 - p, p], axis=1)


def _log_odds(log_scores: Floats) -> Floats:
    with np.errstate(invalid="ignore"):  # -inf less -inf is no answer
        return np.clip(log_scores[:, 1] - log_scores[:, 0], -LARGEST, LARGEST)
