"""Krippendorff's metrics delta_ck: how different two labels are, by their level of measurement."""

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np

from llmclf.agreement.counts import CHUNK, Floats, Ints


class Metric(ABC):
    """The differences of q labels, which are as the labels are, whatever their marginals."""

    @abstractmethod
    def between(self, c: Ints, k: Ints) -> Floats:
        """Give delta_ck for pairs of labels."""

    @abstractmethod
    def sums(self, totals: Floats) -> Floats:
        """Sum delta_ck x totals over the labels k, for totals of shape (b, q): shape (b, q)."""


class Nominal(Metric):
    """1 for different labels."""

    def between(self, c: Ints, k: Ints) -> Floats:
        """Give delta_ck for pairs of labels."""
        return np.asarray(c != k, dtype=np.float64)

    def sums(self, totals: Floats) -> Floats:
        """Sum delta_ck x totals over the labels k."""
        return np.asarray(totals.sum(axis=1, keepdims=True) - totals)


class Interval(Metric):
    """(v_c - v_k)^2."""

    def __init__(self, values: Floats) -> None:
        self._v = values - values.mean()  # a far origin would cost digits

    def between(self, c: Ints, k: Ints) -> Floats:
        """Give delta_ck for pairs of labels."""
        return np.asarray((self._v[c] - self._v[k]) ** 2)

    def sums(self, totals: Floats) -> Floats:
        """Sum delta_ck x totals over the labels k, by moments."""
        v = self._v
        n, first, second = (column[:, np.newaxis] for column in (totals.sum(axis=1), totals @ v, totals @ v**2))
        return np.asarray(v**2 * n - 2 * v * first + second)


class Tabled(Metric):
    """A metric that is computed label by label; the table of q x q is held only where it is small."""

    def __init__(self, n_labels: int) -> None:
        self._n_labels = n_labels

    @abstractmethod
    def rows(self, labels: slice) -> Floats:
        """Give delta_ck of some labels c and all labels k."""

    @cached_property
    def _table(self) -> Floats:
        return self.rows(slice(None))

    def sums(self, totals: Floats) -> Floats:
        """Sum delta_ck x totals over the labels k."""
        q = self._n_labels
        if q * q <= 8 * CHUNK:
            return np.asarray(totals @ self._table)
        step = max(CHUNK // q, 1)
        return np.concatenate([totals @ self.rows(slice(c, c + step)).T for c in range(0, q, step)], axis=1)


class Ratio(Tabled):
    """((v_c - v_k) / (v_c + v_k))^2 for values that are not negative."""

    def __init__(self, values: Floats) -> None:
        super().__init__(len(values))
        self._v = values

    def between(self, c: Ints, k: Ints) -> Floats:
        """Give delta_ck for pairs of labels, 0 for two zeros."""
        return _ratio(self._v[c], self._v[k])

    def rows(self, labels: slice) -> Floats:
        """Give delta_ck of some labels c and all labels k."""
        return _ratio(self._v[labels, np.newaxis], self._v)


def _ratio(one: Floats, other: Floats) -> Floats:
    total = one + other
    return np.asarray(((one - other) / np.where(total > 0, total, 1.0)) ** 2)
