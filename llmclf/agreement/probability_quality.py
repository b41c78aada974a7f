"""Whether a model's probabilities mean what they say: Brier score, log loss, calibration error, reliability diagram."""

from dataclasses import asdict, dataclass

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.estimate import Coefficient, Undefined
from llmclf.agreement.intervals import jackknife, jackknifed_mean
from llmclf.agreement.ratings import MISSING, Codes
from llmclf.agreement.wilson import wilson
from llmclf.errors import InputError

NO_ITEMS = "no item has both probabilities and a reference label"
SUMS_TO_ONE = 1e-3
"""Printed probabilities are rounded."""


@dataclass(frozen=True)
class ReliabilityBin:
    """The items whose top label has a probability from `low` to below `high`, the last bin with its end."""

    low: float
    high: float
    n_items: int
    confidence: float
    """The mean probability of the top label."""
    accuracy: float
    accuracy_low: float
    accuracy_high: float

    def to_dict(self) -> dict[str, float | int]:
        """Give the fields by name."""
        return asdict(self)


def brier_score(probabilities: Floats, reference: Codes) -> Coefficient:
    """Average sum_k (p_k - y_k)^2, from 0 to 2 (Brier 1950).

    Shapes here and below: probabilities (n, q), NaN rows missing; reference (n,), positions of labels, -1 missing.
    Undefined where no item has both.

    Raises:
        InputError: probabilities are no probabilities.

    """
    p, y = scored_items(probabilities, reference)
    of_label = p[np.arange(len(y)), y]
    return _mean((p**2).sum(axis=1) - 2 * of_label + 1, (0.0, 2.0))


def log_loss(probabilities: Floats, reference: Codes) -> Coefficient:
    """Average -log p of the reference label, in nats; undefined where a reference label had the probability 0.

    Raises:
        InputError: probabilities are no probabilities.

    """
    p, y = scored_items(probabilities, reference)
    of_label = p[np.arange(len(y)), y]
    if impossible := int((of_label == 0).sum()):
        return Undefined(f"{impossible} of {len(y)} reference labels had the probability 0, so the loss is infinite")
    return _mean(-np.log(of_label), (0.0, np.inf))


def expected_calibration_error(probabilities: Floats, reference: Codes, n_bins: int = 15) -> Coefficient:
    """Average over items the gap |accuracy - confidence| of their bin (Guo et al. 2017).

    Bins of the top label's probability have equal width. The error depends on their number,
    and of few items it is too high even where calibration is perfect.

    Raises:
        InputError: probabilities are no probabilities, or there is no bin.

    """
    confidence, correct = top_label(probabilities, reference)
    n = len(correct)
    if n == 0:
        return Undefined(NO_ITEMS)
    of_item = _bins(confidence, n_bins)
    gap = correct - confidence
    gaps = np.bincount(of_item, gap, n_bins)
    total = np.abs(gaps).sum()
    without = (total - np.abs(gaps[of_item]) + np.abs(gaps[of_item] - gap)) / max(n - 1, 1)
    return jackknife(float(total / n), without, bounds=(0.0, 1.0))


def reliability_diagram(
    probabilities: Floats, reference: Codes, n_bins: int = 10
) -> tuple[ReliabilityBin, ...] | Undefined:
    """Give confidence and accuracy of each bin that has items, with Wilson's interval of the accuracy.

    Raises:
        InputError: probabilities are no probabilities, or there is no bin.

    """
    confidence, correct = top_label(probabilities, reference)
    if len(correct) == 0:
        return Undefined(NO_ITEMS)
    of_item = _bins(confidence, n_bins)
    n_items = np.bincount(of_item, minlength=n_bins)
    (used,) = np.nonzero(n_items)
    n = n_items[used].astype(np.float64)
    accuracy = np.bincount(of_item, correct, n_bins)[used] / n
    low, high = wilson(accuracy, n)
    columns = [used / n_bins, (used + 1) / n_bins, n, np.bincount(of_item, confidence, n_bins)[used] / n]
    return tuple(
        ReliabilityBin(start, end, int(items), *rest)
        for start, end, items, *rest in np.column_stack([*columns, accuracy, low, high]).tolist()
    )


def scored_items(probabilities: Floats, reference: Codes) -> tuple[Floats, Ints]:
    """Keep the items that have probabilities and a reference label.

    Raises:
        InputError: probabilities are no probabilities.

    """
    both = ~np.isnan(probabilities).all(axis=1) & (reference != MISSING)
    p = probabilities[both]
    valid = (p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1) <= SUMS_TO_ONE)
    if not valid.all():
        place = np.flatnonzero(both)[~valid][0]
        shown = ", ".join(f"{x:g}" for x in probabilities[place])
        raise InputError(
            f"item {place + 1}: {shown} are not the probabilities of all labels",
            "Give one number from 0 to 1 for each label, which sum to 1",
        )
    return p, reference[both].astype(np.int64)


def top_label(probabilities: Floats, reference: Codes) -> tuple[Floats, Floats]:
    """Give of each scored item the highest probability, and 1 where its label is the reference's.

    Of labels that share the highest probability, each counts alike, so that their order does not matter.

    Raises:
        InputError: probabilities are no probabilities.

    """
    p, y = scored_items(probabilities, reference)
    confidence = p.max(axis=1)
    top = p == confidence[:, np.newaxis]
    return confidence, top[np.arange(len(y)), y] / top.sum(axis=1)


def _bins(confidence: Floats, n_bins: int) -> Ints:
    if n_bins < 1:
        raise InputError(f"there are {n_bins} bins", "Give one or more")
    return np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)


def _mean(per_item: Floats, bounds: tuple[float, float]) -> Coefficient:
    return jackknifed_mean(per_item, bounds) if len(per_item) else Undefined(NO_ITEMS)
