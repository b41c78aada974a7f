"""Risk and coverage: how often a model errs if it answers only where it is surest."""

from dataclasses import asdict, dataclass

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.estimate import Estimate, Undefined
from llmclf.agreement.intervals import jackknife
from llmclf.agreement.probability_quality import NO_ITEMS, top_label
from llmclf.agreement.ratings import Codes
from llmclf.agreement.wilson import wilson

MOST_POINTS = 200


@dataclass(frozen=True)
class RiskCoveragePoint:
    """What comes of answering only at `threshold` or above."""

    threshold: float
    coverage: float
    """The share of items answered."""
    risk: float
    """The share of errors among them."""
    low: float
    high: float


@dataclass(frozen=True)
class RiskCoverage:
    """The curve from the surest items to all, and the area under it."""

    curve: tuple[RiskCoveragePoint, ...]
    """At most about 200 of the thresholds, spread evenly over coverage; intervals are Wilson's, point by point."""
    area: Estimate

    def to_dict(self) -> dict[str, object]:
        """Give the fields by name."""
        return asdict(self)


def risk_coverage(probabilities: Floats, reference: Codes) -> RiskCoverage | Undefined:
    """Trace the error rate as the threshold on the top label's probability falls (Geifman & El-Yaniv 2017).

    The area is the mean of the risks at the n coverages 1/n, 2/n .. 1; items of equal probability are taken
    in all orders alike. Undefined where no item has both probabilities (n, q) and a reference label (n,).

    Raises:
        InputError: probabilities are no probabilities.

    """
    confidence, correct = top_label(probabilities, reference)
    if len(correct) == 0:
        return Undefined(NO_ITEMS)
    thresholds, group = np.unique(-confidence, return_inverse=True)
    errors = 1 - correct
    size = np.bincount(group)
    wrong = np.bincount(group, errors).astype(np.float64, copy=False)
    answered = np.cumsum(size)
    risk = np.cumsum(wrong) / answered
    low, high = wilson(risk, answered.astype(np.float64))
    n = len(errors)
    shown = np.unique(np.searchsorted(answered, np.linspace(answered[0], n, min(MOST_POINTS, len(size)))))
    columns = np.column_stack([-thresholds, answered / n, risk, low, high])[shown]
    return RiskCoverage(tuple(RiskCoveragePoint(*row) for row in columns.tolist()), _area(size, wrong, group, errors))


def _area(size: Ints, wrong: Floats, group: Ints, errors: Floats) -> Estimate:
    """Weigh the error at place j by (1 / n) sum_{i >= j} 1 / i, the risks that it enters."""
    n = len(errors)
    end = np.cumsum(size)
    start = end - size
    weights = _cumulative_weights(n)
    area = (wrong / size) @ (weights[end] - weights[start])
    if n == 1:
        return jackknife(float(area), np.array([area]))
    weights = _cumulative_weights(n - 1)
    earlier = wrong / size * (weights[np.minimum(end, n - 1)] - weights[start])
    later = wrong / size * (weights[end - 1] - weights[np.maximum(start - 1, 0)])  # one place further up
    others = np.cumsum(earlier) - earlier + later.sum() - np.cumsum(later)
    left = (wrong[group] - errors) / np.maximum(size - 1, 1)[group]
    own = left * (weights[end - 1] - weights[start])[group]
    return jackknife(float(area), others[group] + own, bounds=(0.0, 1.0))


def _cumulative_weights(n: int) -> Floats:
    reciprocals = 1 / np.arange(1, n + 1)
    weights = np.cumsum(reciprocals[::-1])[::-1] / n
    return np.concatenate([[0.0], np.cumsum(weights)])
