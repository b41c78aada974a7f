"""The labels of two annotators crossed: all that coefficients of a pair need."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.estimate import NO_PAIRS, ONE_LABEL, Undefined
from llmclf.agreement.ratings import Codes, Ratings, pairable


@dataclass(frozen=True, eq=False)
class PairTable:
    """The k cells that occur of the contingency table of two annotators, of the items that both rated."""

    first: Ints
    """Shape (k,), ascending: the first annotator's label, as a position among q."""
    second: Ints
    """Shape (k,), ascending within one of the first's labels."""
    count: Ints
    """Shape (k,): the number of items; more than 0."""
    q: int

    @classmethod
    def of(cls, both: Codes | Ints, q: int) -> Self:
        """Count the pairs of labels, in codes of shape (items, 2) without a missing one."""
        first, second = both.T.astype(np.int64)
        cell, count = np.unique(first * q + second, return_counts=True)
        return cls(*np.divmod(cell, q), count.astype(np.int64), q)

    @property
    def n(self) -> int:
        """The number of items."""
        return int(self.count.sum())

    @cached_property
    def rows(self) -> Ints:
        """How often the first annotator gave each label: shape (q,)."""
        return self._marginal(self.first)

    @cached_property
    def columns(self) -> Ints:
        """How often the second annotator gave each label: shape (q,)."""
        return self._marginal(self.second)

    @property
    def same(self) -> Ints:
        """Shape (k,): 1 for a cell of agreement, 0 for one of disagreement."""
        return np.asarray(self.first == self.second, dtype=np.int64)

    @property
    def diagonal(self) -> Ints:
        """How many items both gave each label: shape (q,)."""
        agreed = self.first == self.second
        return np.asarray(np.bincount(self.first[agreed], self.count[agreed], self.q), dtype=np.int64)

    def dense(self) -> Ints:
        """Give the contingency table: shape (q, q), the first annotator's labels as rows."""
        table = np.zeros((self.q, self.q), dtype=np.int64)
        table[self.first, self.second] = self.count
        return table

    def _marginal(self, label: Ints) -> Ints:
        return np.asarray(np.bincount(label, self.count, self.q), dtype=np.int64)


def pair_table(ratings: Ratings, what: str) -> PairTable | Undefined:
    """Cross the labels of two annotators, or say why what is asked for is undefined."""
    r = len(ratings.annotators)
    if r != 2:
        return Undefined(f"{r} annotator{'' if r == 1 else 's'}; {what} is for two")
    both = pairable(ratings.codes)
    if len(both) == 0:
        return Undefined(NO_PAIRS)
    return Undefined(ONE_LABEL) if both.min() == both.max() else PairTable.of(both, len(ratings.scale))


def excess_concordance(table: PairTable) -> Floats:
    """Count, for one item of each cell, the items concordant with it less those discordant: shape (k,).

    That is the sum over items i of sign(x_i - x) sign(y_i - y); labels are taken in ascending order.
    With l = 1 where x_i < x and 1/2 where they are equal, sign is 1 - 2 l. All n items in O(k log k).
    """
    w = table.count.astype(np.float64)
    of_row, of_column = (np.cumsum(marginal) - marginal for marginal in (table.rows, table.columns))
    below_in_row = np.cumsum(w) - w - of_row[table.first]
    by_column = np.lexsort((table.first, table.second))
    left_in_column = np.empty_like(w)
    left_in_column[by_column] = np.cumsum(w[by_column]) - w[by_column] - of_column[table.second[by_column]]
    both = _strictly_below(table) + (below_in_row + left_in_column) / 2 + w / 4
    x, y = of_row + table.rows / 2, of_column + table.columns / 2
    return np.asarray(4 * both - 2 * x[table.first] - 2 * y[table.second] + table.n)


def _strictly_below(table: PairTable) -> Floats:
    """Count, for each cell, the items of cells with both labels less, by merging blocks of cells that grow."""
    k = len(table.count)
    by_first = np.lexsort((-table.second, table.first))  # equal first labels: what is less stands after, uncounted
    weight, second = table.count[by_first].astype(np.float64), table.second[by_first]
    place = np.arange(k)
    by_second = np.lexsort((-place, second))  # the same for equal second labels
    found, width = np.zeros(k), 1
    while width < k:
        block = place // width
        left = np.where(block % 2 == 0, weight, 0.0)
        before_the_two_blocks = np.concatenate([[0.0], np.cumsum(left)])[block // 2 * 2 * width]
        order = by_second[np.argsort(block[by_second] // 2, kind="stable")]
        passed = np.empty(k)
        passed[order] = np.cumsum(left[order])
        found += np.where(block % 2 == 1, passed - before_the_two_blocks, 0.0)
        width *= 2
    below = np.empty(k)
    below[by_first] = found
    return below
