"""How often each label was given to each item: all that coefficients for exchangeable annotators need."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from llmclf.agreement.ratings import MISSING, Codes, Ratings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LARGEST_KEY = 2**62
CHUNK = 2**20
"""Numbers held at once where all of them would need too much memory."""


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
    least: int = 1
    """Items with fewer ratings are left out."""

    @classmethod
    def of(cls, codes: Codes) -> Self:
        """Count codes (items x annotators, -1 missing); which annotator stands in which column does not matter."""
        if _digits_fit(codes):
            return cls._labelled(*_read_digits(*_occurring(_digit_keys(codes)), codes))
        keys, first, times = np.unique(_row_keys(codes), return_index=True, return_counts=True)
        rated = keys > 0
        return cls._labelled(*_runs(np.sort(codes[first[rated]], axis=1)), times[rated])

    @classmethod
    def _labelled(cls, pattern: Ints, code: Ints, count: Ints, times: Ints) -> Self:
        codes, label = np.unique(code, return_inverse=True)
        return cls(pattern, label, count, times, codes.astype(np.int64))

    @cached_property
    def pairable(self) -> "Counts":
        """Keep the items with two or more ratings, the only ones that can agree or disagree."""
        kept = self.raters >= 2
        if kept.all():
            return self
        entries = kept[self.pattern]
        number = np.cumsum(kept) - 1
        codes = self.codes[self.label[entries]]
        paired = self._labelled(number[self.pattern[entries]], codes, self.count[entries], self.times[kept])
        return replace(paired, least=2)

    @property
    def n_items(self) -> int:
        """The number of items that are counted."""
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

    @cached_property
    def labels_left(self) -> Ints:
        """How many labels occur without one item of each pattern: shape (P,)."""
        lost = np.bincount(self.pattern[self.count == self.totals[self.label]], minlength=len(self.times))
        return len(self.codes) - lost

    def per_pattern(self, x: npt.NDArray[np.float64 | np.int64]) -> Floats:
        """Sum n_uc x over the labels of each pattern, for x of shape (k,): shape (P,)."""
        return np.bincount(self.pattern, self.count * x, minlength=len(self.times)).astype(np.float64, copy=False)

    def pairs(self) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
        """Pair the labels c < k of each pattern u.

        Yields:
            Some of the patterns u, the labels c and k, and the pairs of ratings 2 n_uc n_uk: arrays of one length.

        """
        ends = np.cumsum(np.bincount(self.pattern, minlength=len(self.times)))
        later = ends[self.pattern] - np.arange(len(self.pattern)) - 1
        begins = np.unique(np.cumsum(later) // CHUNK, return_index=True)[1]
        for entries in np.split(np.arange(len(later)), begins[1:]):
            one = np.repeat(entries, later[entries])
            before = np.repeat(np.cumsum(later[entries]) - later[entries], later[entries])
            other = one + 1 + np.arange(len(one)) - before
            yield self.pattern[one], self.label[one], self.label[other], 2 * self.count[one] * self.count[other]

    def distances(self, between: Callable[[Ints, Ints], Floats]) -> Floats:
        """Sum n_uc n_uk between(c, k) over the labels c and k of each pattern: shape (P,)."""
        sums = np.zeros(len(self.times))
        for pattern, c, k, n_pairs in self.pairs():
            sums += np.bincount(pattern, n_pairs * between(c, k), minlength=len(self.times))
        return sums

    def table(self, x: Floats | Ints) -> Any:  # noqa: ANN401  # scipy has no types
        """Give x of shape (k,) as a sparse table of patterns x labels."""
        from scipy.sparse import csr_array  # type: ignore[import-untyped]  # scipy has no types

        begins = np.searchsorted(self.pattern, np.arange(len(self.times) + 1))
        return csr_array(
            (np.asarray(x, dtype=np.float64), self.label, begins), shape=(len(self.times), len(self.codes))
        )

    def pattern_of(self, codes: Codes) -> Ints:
        """Give the pattern of each item of the codes that were counted, -1 where an item is left out."""
        pattern = np.full(len(codes), -1)
        counted = np.count_nonzero(codes != MISSING, axis=1) >= self.least
        keys = _digit_keys(codes) if _digits_fit(codes) else _row_keys(codes)
        pattern[counted] = np.unique(keys[counted], return_inverse=True)[1]
        return pattern


_counted: WeakKeyDictionary[Ratings, Counts] = WeakKeyDictionary()


def counted(ratings: Ratings) -> Counts:
    """Count ratings, once however many coefficients ask."""
    if ratings not in _counted:
        _counted[ratings] = Counts.of(ratings.codes)
    return _counted[ratings]


def _n_labels(codes: Codes) -> int:
    return int(codes.max(initial=0)) + 1


def _digits_fit(codes: Codes) -> bool:
    return bool((codes.shape[1] + 1) ** _n_labels(codes) <= LARGEST_KEY)


def _digit_keys(codes: Codes) -> Ints:
    """Give each item the number whose digits, to the base of annotators + 1, are the counts of its labels."""
    n_labels, base = _n_labels(codes), codes.shape[1] + 1
    kind = np.int32 if base**n_labels < 2**31 else np.int64
    place = np.array([base**code for code in range(n_labels)] + [0], dtype=kind)  # the last is that of -1
    keys = np.empty(len(codes), dtype=kind)
    rows = CHUNK // 16 // base + 1  # what fits a processor's cache
    for begin in range(0, len(codes), rows):
        place[codes[begin : begin + rows]].sum(axis=1, dtype=kind, out=keys[begin : begin + rows])
    return keys.astype(np.int64, copy=False)


def _occurring(keys: Ints) -> tuple[Ints, Ints]:
    """Give the keys other than 0, no rating, and how often each occurs."""
    if keys.max(initial=0) < max(4 * len(keys), CHUNK):
        how_often = np.bincount(keys)
        occurring = np.flatnonzero(how_often)
        times = how_often[occurring]
    else:
        occurring, times = np.unique(keys, return_counts=True)
    return occurring[occurring > 0], times[occurring > 0]


def _read_digits(keys: Ints, times: Ints, codes: Codes) -> tuple[Ints, Ints, Ints, Ints]:
    base = codes.shape[1] + 1
    digits = np.stack([keys // base**code % base for code in range(_n_labels(codes))], axis=1).astype(np.int64)
    pattern, code = np.nonzero(digits)
    return pattern, code, digits[pattern, code], times


def _row_keys(codes: Codes) -> Ints:
    """Number the sorted rows, in a way that gives 0 to those without a rating alone."""
    n_labels, most = _n_labels(codes), np.count_nonzero(codes != MISSING, axis=1).max(initial=0)
    keys, n_keys = np.zeros(len(codes), dtype=np.int64), 1
    for column in np.sort(codes, axis=1).T[codes.shape[1] - most :]:
        if n_keys * (n_labels + 1) > LARGEST_KEY:
            keys = np.unique(keys, return_inverse=True)[1]
            n_keys = len(codes)
        keys = keys * (n_labels + 1) + column + 1
        n_keys *= n_labels + 1
    return keys


def _runs(rows: Codes) -> tuple[Ints, Ints, Ints]:
    """Give row, code and length of each run of equal codes in sorted rows; those of -1 stand first and are left out."""
    first = rows != MISSING
    first[:, 1:] &= rows[:, 1:] != rows[:, :-1]
    row, column = np.nonzero(first)
    ends = np.append(column[1:], rows.shape[1])
    ends[np.append(row[1:] != row[:-1], True)] = rows.shape[1]
    return row, rows[row, column].astype(np.int64), ends - column
