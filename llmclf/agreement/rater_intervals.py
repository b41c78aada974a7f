"""Intervals over items and annotators: would other annotators, on other items, agree as much?"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from llmclf.agreement.counts import Floats
from llmclf.agreement.estimate import Coefficient, Estimate, Undefined
from llmclf.agreement.intervals import student, without_interval
from llmclf.agreement.ratings import MISSING, Ratings

MOST_LEFT_OUT_ALONE = 200
GROUPS = 100


def over_items_and_raters(
    ratings: Ratings, coefficient: Callable[[Ratings], Coefficient], bounds: tuple[float, float] = (-1.0, 1.0)
) -> Coefficient:
    """Give a coefficient an interval for annotators like these, of whom r rated, on items like these.

    The variance over items is that of the coefficient's own interval; to it comes that of a jackknife that leaves one
    annotator out; t with r - 1 df. More than 200 annotators are left out in 100 groups, drawn with a fixed seed.
    Counting what an annotator makes of single items twice, it is wide rather than narrow.
    """
    over_items = coefficient(ratings)
    rated = np.flatnonzero((ratings.codes != MISSING).any(axis=0))
    if isinstance(over_items, Undefined) or over_items.se is None:
        return over_items
    if len(rated) < 3:
        return without_interval(over_items.value, over_items.n_items, "without one annotator there are no pairs")
    replicates = []
    for group in _groups(rated):
        kept = np.setdiff1d(rated, group)
        names = tuple(ratings.annotators[j] for j in kept)
        left = coefficient(replace(ratings, codes=ratings.codes[:, kept], annotators=names))
        if isinstance(left, Undefined):
            who = f"annotator {ratings.annotators[group[0]]!r}" if len(group) == 1 else f"{len(group)} annotators"
            return without_interval(over_items.value, over_items.n_items, f"without {who}: {left.undefined}")
        replicates.append(left.value)
    return with_raters(over_items, np.array(replicates), bounds)


def with_raters(over_items: Estimate, replicates: Floats, bounds: tuple[float, float] = (-1.0, 1.0)) -> Estimate:
    """Widen an estimate's interval over items by what leaving out annotators moves.

    Args:
        over_items: the estimate from all annotators.
        replicates: its value without each annotator, or without each of equal groups of them; two or more.
        bounds: the least and the greatest value of the coefficient.

    """
    if over_items.se is None:
        return over_items
    r = len(replicates)
    of_raters = (r - 1) / r * float(((replicates - replicates.mean()) ** 2).sum())
    se = math.sqrt(over_items.se**2 + of_raters)
    method = f"variance over items plus jackknife over annotators, t with {r - 1} df"
    return student(over_items.value, se, over_items.n_items, method, bounds, df=r - 1)


def _groups(rated: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    if len(rated) <= MOST_LEFT_OUT_ALONE:
        return list(rated[:, np.newaxis])
    return np.array_split(np.random.default_rng(0).permutation(rated), GROUPS)
