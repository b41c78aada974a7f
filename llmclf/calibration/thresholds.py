"""From which probability on each label of a `set` question applies, for a metric."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from llmclf.agreement.counts import Floats, Ints
from llmclf.errors import InputError, unknown

FEWEST: Final = 20
"""Labelled items."""
FEWEST_OF_EACH: Final = 5
"""Items to which a label applies, and to which it does not: the best threshold of fewer is theirs alone."""
UNTUNED: Final = 0.5

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Thresholds:
    """A label applies where its probability is at least its threshold."""

    metric: str
    """What they were tuned for."""
    thresholds: tuple[float, ...]
    """One a label."""

    def apply(self, probabilities: Floats) -> Bools:
        """Tell which labels apply, for probabilities of shape (n, q).

        Raises:
            InputError: an item has no probabilities, or they were tuned for another number of labels.

        """
        _check(probabilities, len(self.thresholds))
        return np.asarray(probabilities >= np.array(self.thresholds))

    def to_dict(self) -> dict[str, Any]:
        """Give the fields by name, ready for TOML and JSON."""
        return {"metric": self.metric, "thresholds": list(self.thresholds)}


@dataclass(frozen=True)
class _Cuts:
    """What comes of each threshold that tells the m items of one label apart in another way."""

    thresholds: Floats
    predicted: Ints
    """To how many items the label then applies: shape (cuts,)."""
    hits: Ints
    """To how many of these it applies in truth."""
    positive: int
    """To how many items it applies in truth."""

    @classmethod
    def of(cls, probability: Floats, truth: Bools) -> "_Cuts":
        values, group = np.unique(probability, return_inverse=True)
        bounds = np.concatenate([[0], values, [1]])
        middle = (bounds[1:] + bounds[:-1]) / 2
        middle[1:] = np.where(middle[1:] > values, middle[1:], np.nextafter(values, 2))  # neighbours have no middle
        predicted, hits = (
            np.append(np.cumsum(x[::-1])[::-1], 0)
            for x in (np.bincount(group), np.bincount(group[truth], minlength=len(values)))
        )
        return cls(middle, predicted, hits, int(truth.sum()))

    def best(self, worth: npt.NDArray[Any]) -> int:
        """Choose the cut worth most: of equals the one nearest to .5, of equally near the higher one."""
        (equal,) = np.nonzero(worth == worth.max())
        apart = np.abs(self.thresholds[equal] - UNTUNED)
        return int(equal[np.flatnonzero(apart == apart.min())[-1]])


def tune_thresholds(metric: str, probabilities: Floats, truth: Bools) -> Thresholds:
    """Choose the thresholds that are best for a metric of `METRICS` on n labelled items.

    `macro-f1` and `accuracy` (the share of labels told right) are means over labels, so each label's threshold is best
    for itself. `micro-f1` counts all labels together, and is best for all jointly: the thresholds maximise
    sum 2 hits - F (predicted + positive), where F is the micro-F1 that they reach (Lipton, Elkan & Naryanaswamy 2014),
    which is found by repeating that (Dinkelbach 1967), in whole numbers.
    Thresholds lie midway between probabilities that occur, 0 and 1. Of equally good ones that nearest to .5 is chosen.
    A label that applies to fewer than 5 items, or to all but fewer, keeps .5.

    Args:
        metric: one of `METRICS`.
        probabilities: that each label applies, shape (n, q).
        truth: whether it does, shape (n, q).

    Raises:
        InputError: there is no such metric, the items are fewer than 20, or one has no probabilities.

    """
    if metric not in METRICS:
        raise InputError(unknown("metric", metric, METRICS))
    _check(probabilities, truth.shape[1])
    n = len(truth)
    if n < FEWEST:
        raise InputError(
            f"{n} labelled items are too few for thresholds, which take {FEWEST}",
            "Label more items, drawn at random, or choose a policy without thresholds",
        )
    times = truth.sum(axis=0)
    (tuned,) = np.nonzero(np.minimum(times, n - times) >= FEWEST_OF_EACH)
    cuts = [_Cuts.of(probabilities[:, label], truth[:, label]) for label in tuned]
    thresholds = np.full(truth.shape[1], UNTUNED)
    if metric == MICRO_F1:
        rest = np.delete(np.arange(truth.shape[1]), tuned)
        applies = probabilities[:, rest] >= UNTUNED
        hits, others = int((applies & truth[:, rest]).sum()), int(applies.sum() + truth[:, rest].sum())
        thresholds[tuned] = _micro_f1(cuts, hits, others)
    else:
        thresholds[tuned] = [cut.thresholds[cut.best(_OF_ONE_LABEL[metric](cut))] for cut in cuts]
    return Thresholds(metric, tuple(thresholds.tolist()))


def _f1(cuts: _Cuts) -> Floats:
    return np.asarray(2 * cuts.hits / (cuts.predicted + cuts.positive))


def _right(cuts: _Cuts) -> Ints:
    return 2 * cuts.hits - cuts.predicted  # and a constant


_OF_ONE_LABEL: Final[Mapping[str, Callable[[_Cuts], npt.NDArray[Any]]]] = {"macro-f1": _f1, "accuracy": _right}
MICRO_F1: Final = "micro-f1"
METRICS: Final = (*_OF_ONE_LABEL, MICRO_F1)


def _micro_f1(cuts: Sequence[_Cuts], hits: int, others: int) -> list[float]:
    """Find the thresholds that are best together, where the labels left untuned have some hits of their own.

    Args:
        cuts: of the labels to tune.
        hits: of the other labels.
        others: how often the other labels are predicted and how often they apply, added up.

    """
    above, below = 0, 1  # F as a fraction
    while True:
        best = [cut.best(2 * below * cut.hits - above * cut.predicted) for cut in cuts]
        twice = 2 * (hits + sum(int(cut.hits[j]) for cut, j in zip(cuts, best, strict=True)))
        total = others + sum(int(cut.predicted[j]) + cut.positive for cut, j in zip(cuts, best, strict=True))
        if twice * below <= above * total:
            return [float(cut.thresholds[j]) for cut, j in zip(cuts, best, strict=True)]
        above, below = twice, total


def _check(probabilities: Floats, n_labels: int) -> None:
    if probabilities.shape[1] != n_labels:
        raise InputError(
            f"there are thresholds for {n_labels} labels, and probabilities of {probabilities.shape[1]}",
            "Tune the thresholds anew, for the labels of this question",
        )
    missing = np.isnan(probabilities).any(axis=1)
    if missing.any():
        raise InputError(
            f"item {int(np.argmax(missing)) + 1} has no probabilities", "Leave out the items without an answer"
        )
