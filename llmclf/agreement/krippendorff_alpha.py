"""Krippendorff's alpha, for any number of annotators and any missing ratings."""

from typing import NamedTuple

import numpy as np

from llmclf.agreement.counts import Counts, Floats
from llmclf.agreement.estimate import NO_PAIRS, ONE_LABEL, Coefficient, Undefined
from llmclf.agreement.intervals import hangs_on_one_item, jackknife, without_interval
from llmclf.agreement.ratings import Ratings, pairable
from llmclf.levels import Level


def krippendorff_alpha(ratings: Ratings) -> Coefficient:
    """Compute alpha with the metric of the ratings' level.

    Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability".
    Sets are compared as nominal labels. Only pairable values count: those of items with two or more ratings.
    """
    counts = Counts.of(ratings.codes)
    if counts.n_items == 0:
        return Undefined(NO_PAIRS)
    if len(counts.codes) == 1:
        return Undefined(ONE_LABEL)
    match ratings.level:
        case Level.ORDINAL:
            with_all, without_one = _ordinal(counts)
        case Level.INTERVAL:
            with_all, without_one = _interval(counts, ratings.values[counts.codes])
        case _:
            with_all, without_one = _nominal(counts)
    value = float(_alpha(with_all))
    if counts.n_items == 1:
        return without_interval(value, 1, "there is one item only")
    if hangs_on_one_item(pairable(ratings.codes)):
        return without_interval(value, counts.n_items, "without one of the items only one label occurs")
    return jackknife(value, _alpha(without_one), counts.times)


class _Disagreement(NamedTuple):
    """Sums of the metric delta over pairs of values.

    Of all items: scalars. Without one item of each pattern: shape (P,).
    """

    n: Floats
    """The pairable values."""
    observed: Floats
    """Over u of 1 / (m_u - 1) x the sum over c, k of n_uc n_uk delta_ck."""
    expected: Floats
    """Over c, k of n_c n_k delta_ck."""


def _alpha(disagreement: _Disagreement) -> Floats:
    n, observed, expected = disagreement
    return np.asarray(1 - (n - 1) * observed / expected)


def _nominal(counts: Counts) -> tuple[_Disagreement, _Disagreement]:
    n, m, totals = counts.totals.sum(), counts.raters, counts.totals
    same = counts.per_pattern(counts.count)
    within = (m**2 - same) / (m - 1)
    observed = counts.times @ within
    squares = totals @ totals
    squares_without = squares - 2 * counts.per_pattern(totals[counts.label]) + same
    with_all = _Disagreement(n, observed, n**2 - squares)
    return with_all, _Disagreement(n - m, observed - within, (n - m) ** 2 - squares_without)


def _interval(counts: Counts, values: Floats) -> tuple[_Disagreement, _Disagreement]:
    """Sum squared differences by moments.

    The sum over c, k of n_c n_k (v_c - v_k)^2 is 2 (n sum n_c v_c^2 - (sum n_c v_c)^2).
    """
    n, m = counts.totals.sum(), counts.raters
    v = values[counts.label]
    lowest = v[np.searchsorted(counts.pattern, np.arange(len(m)))]
    d = v - lowest[counts.pattern]  # about the item's own value, so that full agreement is exactly 0
    within = 2 * (m * counts.per_pattern(d**2) - counts.per_pattern(d) ** 2) / (m - 1)
    observed = counts.times @ within
    v = v - values.mean()  # a far origin would cost digits
    s1, s2 = counts.per_pattern(v), counts.per_pattern(v**2)
    sum1, sum2 = counts.times @ s1, counts.times @ s2
    with_all = _Disagreement(n, observed, 2 * (n * sum2 - sum1**2))
    return with_all, _Disagreement(n - m, observed - within, 2 * ((n - m) * (sum2 - s2) - (sum1 - s1) ** 2))


def _ordinal(counts: Counts) -> tuple[_Disagreement, _Disagreement]:
    """Sum squared differences of mid-ranks; without an item, the ranks are those of the marginals that are left."""
    with_all, _ = _interval(counts, _mid_ranks(counts.totals))
    own, m = counts.dense(), counts.raters
    left = counts.totals - own
    n = left.sum(axis=1)
    ranks = _mid_ranks(left)
    weighted = own * (counts.times / (m - 1))[:, np.newaxis]
    coincidences = weighted.T @ own - np.diag(weighted.sum(axis=0))
    own_products = ((own * ranks).sum(axis=1) ** 2 - (own * ranks**2).sum(axis=1)) / (m - 1)
    products = (ranks @ coincidences * ranks).sum(axis=1) - own_products
    squares = (left * ranks**2).sum(axis=1)
    observed = 2 * (squares - products)
    expected = 2 * (n * squares - (left * ranks).sum(axis=1) ** 2)
    return with_all, _Disagreement(n, observed, expected)


def _mid_ranks(totals: Floats) -> Floats:
    """Give the values whose differences are (sum of n_g for g = c .. k) - (n_c + n_k) / 2, the ordinal metric."""
    return np.asarray(np.cumsum(totals, axis=-1) - totals / 2)
