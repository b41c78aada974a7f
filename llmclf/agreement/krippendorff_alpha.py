"""Krippendorff's alpha, for any number of annotators and any missing ratings."""

from functools import cached_property
from typing import Any

import numpy as np

from llmclf.agreement import metrics
from llmclf.agreement.counts import CHUNK, Counts, Floats, counted
from llmclf.agreement.estimate import Coefficient, Undefined
from llmclf.agreement.exchangeable import Interval, Statistic, estimate, refusal
from llmclf.agreement.ratings import Ratings
from llmclf.agreement.set_distance import Jaccard, Masi
from llmclf.levels import Level


def krippendorff_alpha(ratings: Ratings, interval: Interval = "jackknife") -> Coefficient:
    """Compute alpha = 1 - D_o / D_e with the metric of the ratings' level.

    Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability".
    Sets are compared as nominal labels. Only pairable values count: those of items with two or more ratings.
    Undefined where no item has two ratings, only one label occurs, or a label on a ratio scale is negative.
    """
    return estimate(statistic(ratings), interval)


def krippendorff_alpha_masi(ratings: Ratings, interval: Interval = "jackknife") -> Coefficient:
    """Compute alpha of sets with the distance of Passonneau 2006; undefined for labels that are no JSON arrays."""
    return estimate(statistic_of_sets(ratings, Masi), interval)


def krippendorff_alpha_jaccard(ratings: Ratings, interval: Interval = "jackknife") -> Coefficient:
    """Compute alpha of sets with the Jaccard distance; undefined for labels that are no JSON arrays."""
    return estimate(statistic_of_sets(ratings, Jaccard), interval)


def statistic(ratings: Ratings) -> Statistic | Undefined:
    """Give alpha with its replicates."""
    counts = counted(ratings).pairable
    if refused := refusal(counts):
        return refused
    values = ratings.values[counts.codes]
    match ratings.level:
        case Level.ORDINAL:
            return _OrdinalAlpha(counts)
        case Level.INTERVAL:
            return _Alpha(counts, metrics.Interval(values))
        case Level.RATIO if values.min() < 0:
            return Undefined("a label is negative, which a ratio scale does not have")
        case Level.RATIO:
            return _Alpha(counts, metrics.Ratio(values))
        case _:
            return _Alpha(counts, metrics.Nominal())


def statistic_of_sets(ratings: Ratings, distance: type[Jaccard]) -> Statistic | Undefined:
    """Give alpha of sets with its replicates."""
    if ratings.level is not Level.SET:
        return Undefined(f"labels of level {ratings.level} are no sets")
    counts = counted(ratings).pairable
    if refused := refusal(counts):
        return refused
    sets = distance.of_texts(ratings.scale[code] for code in counts.codes)
    return Undefined(sets) if isinstance(sets, str) else _Alpha(counts, sets)


class _Alpha(Statistic):
    """Alpha with a metric that does not depend on the marginals."""

    def __init__(self, counts: Counts, metric: metrics.Metric) -> None:
        self.counts, self._metric, self._ratings = counts, metric, counts.table(counts.count)
        self._within = counts.distances(metric.between) / (counts.raters - 1)
        """Shape (P,): 1 / (m_u - 1) x the sum over c, k of n_uc n_uk delta_ck."""

    @cached_property
    def _from_all(self) -> Floats:
        """The sum over k of n_k delta_ck: shape (q,)."""
        return np.asarray(self._metric.sums(self.counts.totals[np.newaxis])[0])

    def of(self, times: Floats) -> Floats:
        """Compute the coefficient of b tables, for `times` of shape (b, P): shape (b,), NaN where undefined."""
        totals = times @ self._ratings
        expected = (totals * self._metric.sums(totals)).sum(axis=1)
        two_labels = np.count_nonzero(totals, axis=1) >= 2
        return _alpha(totals.sum(axis=1), times @ self._within, np.where(two_labels, expected, np.nan))

    @cached_property
    def without_one(self) -> Floats:
        """The coefficient without one item of each pattern: shape (P,), NaN where undefined."""
        counts, m = self.counts, self.counts.raters
        expected = counts.totals @ self._from_all - 2 * counts.per_pattern(self._from_all[counts.label])
        expected += self._within * (m - 1)
        expected = np.where(counts.labels_left < 2, np.nan, expected)
        return _alpha(counts.totals.sum() - m, counts.times @ self._within - self._within, expected)

    def linearised(self) -> tuple[Floats, Counts]:
        """Linearise 1 - observed / expected disagreement without the correction for small samples.

        Gwet 2014, section 5.4, in terms of agreement 1 - delta / its greatest value; R package irrCAC 1.0 has the same.
        """
        counts, m, totals = self.counts, self.counts.raters, self.counts.totals
        n, m_mean = totals.sum(), totals.sum() / counts.n_items
        expected = totals @ self._from_all / n**2
        observed = counts.times @ self._within / n
        within = self._within / m_mean / expected
        from_all = counts.per_pattern(self._from_all[counts.label]) / n / m_mean / expected
        excess = m / m_mean - 1
        corrected = (1 - 1 / n) * observed / expected
        return 1 - within + excess * corrected - 2 * observed / expected * (1 + excess - from_all), counts


class _OrdinalAlpha(Statistic):
    """Alpha with the ordinal metric, the squared difference of the mid-ranks of two labels in the marginals."""

    def __init__(self, counts: Counts) -> None:
        from scipy.sparse import csr_array  # type: ignore[import-untyped]  # scipy has no types

        self.counts = counts
        pattern, c, k, n_pairs = (np.concatenate(of_chunks) for of_chunks in zip(*counts.pairs(), strict=True))
        q = len(counts.codes)
        occurring, pair = np.unique(c * q + k, return_inverse=True)
        self._c, self._k = np.divmod(occurring, q)
        shape = len(counts.times), len(occurring)
        self._coincidences = csr_array((n_pairs / (counts.raters[pattern] - 1), (pattern, pair)), shape=shape)
        self._ratings = counts.table(counts.count)

    def of(self, times: Floats) -> Floats:
        """Compute the coefficient of b tables, for `times` of shape (b, P): shape (b,), NaN where undefined."""
        totals = times @ self._ratings
        ranks = _mid_ranks(totals)
        observed = (times @ self._coincidences * (ranks[:, self._c] - ranks[:, self._k]) ** 2).sum(axis=1)
        return _alpha(totals.sum(axis=1), observed, _rank_differences(totals, ranks))

    @cached_property
    def without_one(self) -> Floats:
        """The coefficient without one item of each pattern, with the ranks that are left: shape (P,)."""
        n_patterns, q = self._ratings.shape
        totals, laplacian = self.counts.totals, self._laplacian()
        step = CHUNK // q + 1
        parts = []
        for begin in range(0, n_patterns, step):
            own = self._coincidences[begin : begin + step]
            left = totals - self._ratings[begin : begin + step].toarray()
            ranks = _mid_ranks(left)
            row = np.repeat(np.arange(len(left)), np.diff(own.indptr))
            differences = own.data * (ranks[row, self._c[own.indices]] - ranks[row, self._k[own.indices]]) ** 2
            observed = (ranks @ laplacian * ranks).sum(axis=1) - np.bincount(row, differences, minlength=len(left))
            parts.append(_alpha(left.sum(axis=1), observed, _rank_differences(left, ranks)))
        return np.concatenate(parts)

    def _laplacian(self) -> Any:  # noqa: ANN401  # scipy has no types
        """Make the q x q matrix L with ranks L ranks = the sum of coincidences x squared differences of ranks."""
        from scipy.sparse import csr_array, diags_array

        q = len(self.counts.codes)
        coincidences = csr_array((self.counts.times @ self._coincidences, (self._c, self._k)), shape=(q, q))
        both = coincidences + coincidences.T
        return diags_array(both.sum(axis=1)).tocsr() - both

    def linearised(self) -> Undefined:
        """Say why there is none: it takes the metric as given."""
        return Undefined("the ordinal metric follows the marginals, so there is no closed form")


def _mid_ranks(totals: Floats) -> Floats:
    """Give values, of mean 0, whose differences are (the sum of n_g for g = c .. k) - (n_c + n_k) / 2."""
    return np.asarray(np.cumsum(totals, axis=1) - totals / 2 - totals.sum(axis=1, keepdims=True) / 2)


def _rank_differences(totals: Floats, ranks: Floats) -> Floats:
    """Sum totals_c totals_k (rank_c - rank_k)^2 over c and k, NaN where only one label occurs."""
    differences = 2 * totals.sum(axis=1) * (totals * ranks**2).sum(axis=1)
    return np.where(np.count_nonzero(totals, axis=1) >= 2, differences, np.nan)


def _alpha(n: Floats, observed: Floats, expected: Floats) -> Floats:
    """Compute alpha from sums of the metric delta over pairs of values.

    Args:
        n: the pairable values.
        observed: over u of 1 / (m_u - 1) x the sum over c, k of n_uc n_uk delta_ck.
        expected: over c, k of n_c n_k delta_ck.

    """
    with np.errstate(invalid="ignore", divide="ignore"):  # only one label is left
        return np.asarray(1 - (n - 1) * observed / expected)
