"""Calibration in which no item has a part in its own probabilities."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.ratings import MISSING, Codes
from llmclf.calibration.base import Calibration
from llmclf.calibration.methods import by_name, labelled
from llmclf.errors import InputError

SEED: Final = "llmclf-folds-1"
NO_FOLD: Final = -1


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """Probabilities of n items, and what they come from."""

    probabilities: Floats
    """Shape (n, q): of a labelled item by what the other folds teach, of the rest by what all labelled items teach."""
    fold: Ints
    """Shape (n,): 0 .. n_folds - 1, -1 where the item taught nothing: it has no label or no log-scores."""
    calibration: Calibration
    """Fitted to all labelled items."""
    without: tuple[Calibration, ...]
    """Fitted without each fold."""


def cross_fit(method: str, log_scores: Floats, labels: Codes, items: Sequence[str], n_folds: int = 5) -> CrossFitted:
    """Fit a method of `NAMES` once to all labelled items, and once without each fold of them.

    The labelled items must be enough for the method together; without a fold, the prior makes up for what is missing.
    The rows' order does not matter, to the last digit.

    Args:
        method: one of `NAMES`.
        log_scores: shape (n, q).
        labels: shape (n,), -1 missing.
        items: their n identifiers.
        n_folds: 5 leaves four fifths of the labels for each fit.

    Raises:
        InputError: there is no such method, the labelled items are too few for it or for the folds, an item is here
            twice, or the arrays do not fit each other.

    """
    kind = by_name(method)
    rows = labelled(log_scores, labels)
    kind.check_enough(labels[rows].astype(np.int64), log_scores.shape[1])
    taught = np.full(len(labels), MISSING)
    taught[rows] = labels[rows]
    fold = folds(items, taught, n_folds)
    rows = rows[np.argsort([_digest(items[row]) for row in rows])]
    y = labels[rows].astype(np.int64)
    calibration = kind.fitted(log_scores[rows], y)
    probabilities = calibration.apply(log_scores)
    others = [fold[rows] != left_out for left_out in range(n_folds)]
    without = tuple(kind.fitted(log_scores[rows[other]], y[other]) for other in others)
    for left_out, one in enumerate(without):
        probabilities[fold == left_out] = one.apply(log_scores[fold == left_out])
    return CrossFitted(probabilities, fold, calibration, without)


def folds(items: Sequence[str], strata: Codes, n_folds: int = 5) -> Ints:
    """Deal the items of each stratum out among folds, in an order that follows from their identifiers alone.

    Args:
        items: n identifiers.
        strata: shape (n,); -1 for an item that is in no fold.
        n_folds: whose sizes differ by one at most, all together and within each stratum.

    Raises:
        InputError: an item is here twice, or there are fewer than two folds, or fewer items than folds.

    """
    rows = np.flatnonzero(strata != MISSING).tolist()
    if not 2 <= n_folds <= len(rows):
        raise InputError(f"{len(rows)} items do not make {n_folds} folds", "Give two folds or more, and items for each")
    names = [items[row] for row in rows]
    item, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError(f"item {item!r} is here {times} times", "Give each item once")
    order = np.lexsort((np.array([_digest(name) for name in names]), strata[rows]))
    fold = np.full(len(strata), NO_FOLD)
    fold[np.array(rows)[order]] = np.arange(len(rows)) % n_folds
    return fold


def _digest(item: str) -> str:
    return hashlib.sha256(f"{SEED}:{item}".encode()).hexdigest()
