"""Agreement beyond chance, (pa - pe) / (1 - pe): one form for coefficients that differ in pa's weights and in pe."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from llmclf.agreement.counts import Counts, Floats
from llmclf.agreement.exchangeable import Statistic


class Chance(NamedTuple):
    """The agreement expected by chance, pe = a + b x the sum of pi_c^2 over the labels c.

    pi_c is the mean over items of the share of an item's ratings that are c.
    """

    a: float
    b: float


class ChanceCorrected(Statistic):
    """Gwet 2014, "Handbook of Inter-Rater Reliability", chapters 2, 3 and 5.

    Items with one rating count in pi, but not in pa. Where pe has no pi, only the closed form counts them, in its n.
    """

    def __init__(self, counts: Counts, agreement: Floats, chance: Chance, lowest: float = -1.0) -> None:
        """Take the agreement of an item of each pattern, the mean weight of its pairs of ratings: shape (P,)."""
        self._all, self._agreement, self._chance, self.bounds = counts, agreement, chance, (lowest, 1.0)
        self.counts = counts if chance.b else counts.pairable

    @cached_property
    def _sums(self) -> tuple[Floats, Floats]:
        """What an item of each pattern adds to the number of items with a pair, and to the sum of their agreement."""
        paired = self._all.raters >= 2
        if self.counts is self._all:
            return paired.astype(np.float64), np.where(paired, self._agreement, 0.0)
        return np.ones(len(self.counts.times)), self._agreement[paired]

    @cached_property
    def _totals(self) -> Floats:
        """The sums over items of the shares of ratings: shape (q,)."""
        return np.asarray(self.counts.times @ self._shares)

    @cached_property
    def _shares(self) -> Any:  # noqa: ANN401  # scipy has no types
        """The shares of an item's ratings, of patterns x labels."""
        return self.counts.table(self.counts.count / self.counts.raters[self.counts.pattern])

    def of(self, times: Floats) -> Floats:
        """Compute the coefficient of b tables, for `times` of shape (b, P): shape (b,), NaN where undefined."""
        paired, agreement = (times @ column for column in self._sums)
        squares = np.zeros(len(times))
        if self._chance.b:
            squares = ((times @ self._shares) ** 2).sum(axis=1)
        return self._kappa(agreement, paired, squares, times.sum(axis=1))

    @cached_property
    def without_one(self) -> Floats:
        """The coefficient without one item of each pattern: shape (P,), NaN where undefined."""
        counts = self.counts
        paired, agreement = (counts.times @ column - column for column in self._sums)
        squares = np.zeros(len(counts.times))
        if self._chance.b:
            with_totals = counts.per_pattern(self._totals[counts.label]) / counts.raters
            own = counts.per_pattern(counts.count) / counts.raters**2
            squares = self._totals @ self._totals - 2 * with_totals + own
        kappa = self._kappa(agreement, paired, squares, np.array(counts.n_items - 1.0))
        return np.where(counts.labels_left == 1, np.nan, kappa) if self._chance == FLEISS else kappa

    def _kappa(self, agreement: Floats, paired: Floats, squares: Floats, n: Floats) -> Floats:
        a, b = self._chance
        with np.errstate(invalid="ignore", divide="ignore"):  # no pair is left, or only one label
            pa = agreement / paired
            pe = a + b * squares / n**2
            return np.asarray((pa - pe) / (1 - pe))

    def linearised(self) -> tuple[Floats, Counts]:
        """Give (n / n_paired) (pa_i - pe) / (1 - pe) - 2 (1 - kappa) (pe_i - pe) / (1 - pe).

        The first term is 0 for an item without a pair. Gwet 2014, section 5.4; R package irrCAC 1.0 has the same.
        """
        counts, n = self._all, self._all.n_items
        a, b = self._chance
        paired = counts.raters >= 2
        pi = self._totals / n if b else np.zeros(len(counts.codes))
        pe = a + b * float(pi @ pi)
        pe_i = a + b * counts.per_pattern(pi[counts.label]) / counts.raters
        of_pair = np.where(paired, self._agreement - pe, 0.0) * n / counts.times[paired].sum()
        return (of_pair - 2 * (1 - self.value) * (pe_i - pe)) / (1 - pe), counts


FLEISS = Chance(0.0, 1.0)


def same_label(counts: Counts) -> Floats:
    """Give the share of an item's pairs of ratings that are the same label, NaN where it has no pair: shape (P,)."""
    m = counts.raters
    with np.errstate(invalid="ignore"):
        return np.asarray(counts.per_pattern(counts.count - 1) / (m * (m - 1)))
