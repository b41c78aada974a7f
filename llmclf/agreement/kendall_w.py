"""Kendall's W: how far any number of annotators put items in one order."""

from dataclasses import replace

import numpy as np

from llmclf.agreement.complete_items import complete_items, items_left_out
from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.estimate import Coefficient, Undefined
from llmclf.agreement.intervals import jackknife, without_interval
from llmclf.agreement.ratings import Ratings
from llmclf.levels import Level

EXACT_UP_TO = 1000
"""Above so many items the jackknife leaves out a term whose share of the whole is about one in as many."""


def kendall_w(ratings: Ratings) -> Coefficient:
    """Compute the coefficient of concordance, corrected for ties, from the n items that all m annotators rated.

    Kendall & Babington Smith 1939; ties as in Kendall 1948, "Rank Correlation Methods", chapter 6.
    With R_i the sum of an item's mid-ranks less their mean, and t the sizes of an annotator's ties,
    W = 12 sum of R_i^2 / (m sum over annotators of (n^3 - n - sum of (t^3 - t))).
    Undefined where each annotator gives one label only. Chance alone gives about 1 / m, not 0.
    """
    if ratings.level in (Level.NOMINAL, Level.SET):
        return Undefined(f"labels of level {ratings.level} have no order")
    complete = complete_items(ratings, "Kendall's W")
    if isinstance(complete, Undefined):
        return complete
    (n, m), q = complete.shape, len(ratings.scale)
    _, place = np.unique(ratings.values, return_inverse=True)
    ranked = place[complete.T]
    ties = np.stack([np.bincount(one, minlength=q) for one in ranked]).astype(np.float64)
    upto = np.cumsum(ties, axis=1)
    sums = _over_annotators(upto - ties / 2 - n / 2, ranked)
    untied = ties * (n - ties) * (n + ties)
    squares, most = sums @ sums, m * untied.sum()
    if most == 0:
        return Undefined("each annotator gives one label only")
    value = float(12 * squares / most)
    within = np.stack([np.bincount(one, sums, q) for one in ranked]).astype(np.float64)
    above_less_below = within - 2 * np.cumsum(within, axis=1)
    squares_left = squares - _over_annotators(above_less_below, ranked) - sums**2
    if n <= EXACT_UP_TO:
        squares_left += _order_of_pairs(ranked) / 4
    left = ties * (n - 1 - ties) * (n - 1 + ties)
    most_left = m * (left.sum() + _over_annotators((ties - 1) * (n - ties) * (n + ties - 2) - left, ranked))
    if n == 1 or most_left.min() <= 0:
        return without_interval(value, n, "without one of the items each annotator gives one label only")
    found = jackknife(value, 12 * squares_left / most_left, bounds=(0.0, 1.0))
    first_order = "" if n <= EXACT_UP_TO else ", to first order"
    return replace(found, method=f"{found.method}{first_order}{items_left_out(ratings, n)}")


def _over_annotators(by_label: Floats, ranked: Ints) -> Floats:
    """Sum over annotators what their labels of an item stand for: shape (n,)."""
    total = np.zeros(ranked.shape[1])
    for labels, codes in zip(by_label, ranked, strict=True):
        total += labels[codes]
    return total


def _order_of_pairs(ranked: Ints) -> Floats:
    """Sum, for each item, over items i the square of the sum over annotators of sign(x_i - x)."""
    n = ranked.shape[1]
    order = np.zeros((n, n))
    for codes in ranked:
        order += np.sign(codes[:, np.newaxis] - codes)
    return np.asarray((order**2).sum(axis=0))
