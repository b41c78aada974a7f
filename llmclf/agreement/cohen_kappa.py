"""Cohen's kappa for two annotators: unweighted, and weighted by squared distance on the scale."""

import math
from typing import Literal, NamedTuple

import numpy as np

from llmclf.agreement.counts import Floats
from llmclf.agreement.estimate import NO_PAIRS, ONE_LABEL, Coefficient, Undefined
from llmclf.agreement.intervals import hangs_on_one_item, jackknife, normal, without_interval
from llmclf.agreement.ratings import Codes, Ratings, pairable
from llmclf.levels import Level

Distance = Literal["declared", "observed-index"]
"""Between two labels: of their values on the declared scale, or, as some published analyses have it,
of their positions among the labels that the two annotators happened to use."""

Interval = Literal["jackknife", "closed-form"]
"""The delete-one jackknife over items, or the large-sample standard error of Fleiss, Cohen & Everitt 1969."""

CLOSED_FORM = "large-sample standard error of Fleiss, Cohen & Everitt 1969, normal"


def cohen_kappa(ratings: Ratings, interval: Interval = "jackknife") -> Coefficient:
    """Compute unweighted kappa (Cohen 1960) from the items that both annotators rated."""
    both = pairable(ratings.codes)
    return _refusal(ratings, both) or _kappa(both, _unequal(both), interval)


def weighted_kappa_quadratic(
    ratings: Ratings, distance: Distance = "declared", interval: Interval = "jackknife"
) -> Coefficient:
    """Compute kappa weighted by squared distance (Cohen 1968) from the items that both annotators rated."""
    if ratings.level in (Level.NOMINAL, Level.SET):
        return Undefined(f"labels of level {ratings.level} have no distance")
    both = pairable(ratings.codes)
    if refusal := _refusal(ratings, both):
        return refusal
    places = ratings.values[both] if distance == "declared" else np.searchsorted(np.unique(both), both)
    return _kappa(both, _squared_distance(places.astype(np.float64, copy=False)), interval)


class _Disagreement(NamedTuple):
    """The disagreement v_ij of each item's two labels, and what chance makes of them; three arrays of shape (n,)."""

    v: Floats
    row: Floats
    """The sum of v_ik over all n labels k of the second annotator."""
    column: Floats
    """The sum of v_kj over all n labels k of the first annotator."""


def _refusal(ratings: Ratings, both: Codes) -> Undefined | None:
    count = len(ratings.annotators)
    if count != 2:
        return Undefined(f"{count} annotator{'' if count == 1 else 's'}; Cohen's kappa is for two")
    if len(both) == 0:
        return Undefined(NO_PAIRS)
    return Undefined(ONE_LABEL) if both.min() == both.max() else None


def _kappa(both: Codes, disagreement: _Disagreement, interval: Interval) -> Coefficient:
    v, row, column = disagreement
    n, observed, expected = len(both), v.sum(), row.sum()
    value = float(1 - n * observed / expected)
    if n == 1:
        return without_interval(value, n, "there is one item only")
    if interval == "closed-form":
        return normal(value, _standard_error(disagreement), n, CLOSED_FORM)
    if hangs_on_one_item(both):
        return without_interval(value, n, "without one of the items only one label occurs")
    return jackknife(value, 1 - (n - 1) * (observed - v) / (expected - row - column + v))


def _unequal(both: Codes) -> _Disagreement:
    first, second = both.T
    n, n_codes = len(both), int(both.max()) + 1
    row = n - np.bincount(second, minlength=n_codes)[first]
    column = n - np.bincount(first, minlength=n_codes)[second]
    return _Disagreement((first != second).astype(np.float64), row.astype(np.float64), column.astype(np.float64))


def _squared_distance(places: Floats) -> _Disagreement:
    """Sum over all k by moments: sum of (x - y_k)^2 = n x^2 - 2 x sum y_k + sum y_k^2."""
    x, y = (places - places.min()).T  # a far origin would cost digits
    n = len(places)
    return _Disagreement((x - y) ** 2, n * x**2 - 2 * x * y.sum() + y @ y, n * y**2 - 2 * y * x.sum() + x @ x)


def _standard_error(disagreement: _Disagreement) -> float:
    """Average squared influences on kappa: the non-null standard error of Fleiss, Cohen & Everitt 1969."""
    v, row, column = disagreement
    n = len(v)
    observed, expected = v.mean(), row.mean() / n
    influence = v / expected - observed * (row + column) / n / expected**2 + observed / expected
    return math.sqrt(float(influence @ influence)) / n
