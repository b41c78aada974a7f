"""How often each label was given to each item: all that coefficients for exchangeable annotators need."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from llmclf.agreement.ratings import MISSING, Codes, pairable

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Counts:
    """The counts n_uc of Krippendorff (2011), of k pairs of pattern u and label c that occur.

    Items with the same ratings contribute alike, so they are held once: as one of P patterns, with its `times`.
    Sparse, because sets and interval scales can have nearly as many labels as items.
    """

    pattern: Ints
    """Shape (k,), ascending: 0 .. P-1."""
    label: Ints
    """Shape (k,): 0 .. q-1, of the labels that occur, in the scale's order; ascending within a pattern."""
    count: Ints
    """Shape (k,)."""
    times: Ints
    """Shape (P,): the number of items with this pattern."""
    codes: Ints
    """Shape (q,): the scale's codes of the labels that occur."""

    @classmethod
    def of(cls, codes: Codes) -> Self:
        """Count codes (items x annotators, -1 missing); items with fewer than two ratings are left out."""
        patterns, times = np.unique(np.sort(pairable(codes), axis=1), axis=0, return_counts=True)
        row, _ = rated = np.nonzero(patterns != MISSING)
        occurring, label = np.unique(patterns[rated], return_inverse=True)
        cell, count = np.unique(row * max(len(occurring), 1) + label, return_counts=True)
        pattern, label = np.divmod(cell, max(len(occurring), 1))
        return cls(pattern, label, count, times, occurring.astype(np.int64))

    @property
    def n_items(self) -> int:
        """The number of pairable items."""
        return int(self.times.sum())

    @cached_property
    def raters(self) -> Floats:
        """The ratings m_u of one item of each pattern: shape (P,)."""
        return self.per_pattern(np.ones(len(self.count)))

    @cached_property
    def totals(self) -> Floats:
        """The marginals n_c: shape (q,)."""
        weights = self.count * self.times[self.pattern]
        return np.bincount(self.label, weights, minlength=len(self.codes)).astype(np.float64, copy=False)

    def per_pattern(self, x: npt.NDArray[np.float64 | np.int64]) -> Floats:
        """Sum n_uc x over the labels of each pattern, for x of shape (k,): shape (P,)."""
        return np.bincount(self.pattern, self.count * x, minlength=len(self.times)).astype(np.float64, copy=False)

    def dense(self) -> Floats:
        """Give the counts as a table: shape (P, q)."""
        table = np.zeros((len(self.times), len(self.codes)))
        table[self.pattern, self.label] = self.count
        return table
