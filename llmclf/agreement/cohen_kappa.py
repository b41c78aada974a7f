"""Cohen's kappa for two annotators: unweighted, and weighted by distance on the scale or by its square."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.estimate import NO_PAIRS, ONE_ITEM, ONE_LABEL, Coefficient, Undefined
from llmclf.agreement.intervals import jackknife, normal, without_interval
from llmclf.agreement.pair_table import PairTable
from llmclf.agreement.ratings import MISSING, Ratings
from llmclf.agreement.replicates import Replicates
from llmclf.levels import Level

Weights = Literal["unweighted", "linear", "quadratic"]

Distance = Literal["declared", "observed-index"]
"""Between two labels: of their values on the declared scale, or, as some published analyses have it,
of their positions among the labels that the two annotators happened to use."""

Interval = Literal["jackknife", "closed-form"]
"""The delete-one jackknife over items, or the large-sample standard error of Fleiss, Cohen & Everitt 1969."""

CLOSED_FORM = "large-sample standard error of Fleiss, Cohen & Everitt 1969, normal"


def cohen_kappa(ratings: Ratings, interval: Interval = "jackknife") -> Coefficient:
    """Compute unweighted kappa (Cohen 1960) from the items that both annotators rated."""
    return _estimate(_kappa(ratings, "unweighted", "declared"), interval)


def weighted_kappa_linear(
    ratings: Ratings, distance: Distance = "declared", interval: Interval = "jackknife"
) -> Coefficient:
    """Compute kappa weighted by distance (Cohen 1968) from the items that both annotators rated."""
    return _estimate(_kappa(ratings, "linear", distance), interval)


def weighted_kappa_quadratic(
    ratings: Ratings, distance: Distance = "declared", interval: Interval = "jackknife"
) -> Coefficient:
    """Compute kappa weighted by squared distance (Cohen 1968) from the items that both annotators rated."""
    return _estimate(_kappa(ratings, "quadratic", distance), interval)


def kappa_replicates(ratings: Ratings, weights: Weights, distance: Distance = "declared") -> Replicates | Undefined:
    """Compute kappa of two annotators with its delete-one replicates."""
    kappa = _kappa(ratings, weights, distance)
    if isinstance(kappa, Undefined):
        return kappa
    _, cell, counted = kappa.crossed
    without = np.full(len(counted), kappa.value)
    without[counted] = kappa.without[cell]
    return Replicates(kappa.value, without, counted)


class _Crossed(NamedTuple):
    """The table of two annotators, and where each item stands in it."""

    table: PairTable
    cell: Ints
    """The cell of each item that both rated."""
    counted: npt.NDArray[np.bool_]
    """Whether both rated the item: shape (items,)."""

    @classmethod
    def of(cls, ratings: Ratings) -> Self:
        counted = np.logical_and(*(ratings.codes != MISSING).T)
        first, second = ratings.codes[counted].T.astype(np.int64)
        q = len(ratings.scale)
        occurring, cell, times = _distinct(first * q + second, q * q)
        return cls(PairTable(*np.divmod(occurring, q), times, q), cell, counted)


@dataclass(frozen=True, eq=False)
class _Kappa:
    """The disagreement v_ij of each cell, and what chance makes of it; arrays of shape (k,)."""

    crossed: _Crossed
    v: Floats
    row: Floats
    """The sum of v_im over the labels m that the second annotator gave all items."""
    column: Floats
    """The sum of v_mj over the labels m that the first annotator gave all items."""

    @property
    def table(self) -> PairTable:
        return self.crossed.table

    @cached_property
    def observed(self) -> float:
        return float(self.table.count @ self.v)

    @cached_property
    def expected(self) -> float:
        """The sum of v over all n x n pairs of a label of the one and a label of the other."""
        return float(self.table.count @ self.row)

    @cached_property
    def value(self) -> float:
        return 1 - self.table.n * self.observed / self.expected

    @cached_property
    def without(self) -> Floats:
        """Kappa without one item of each cell, NaN where undefined."""
        observed = self.observed - self.v
        expected = self.expected - self.row - self.column + self.v
        undefined = _undefined_without(self.table)
        return np.where(undefined, np.nan, 1 - (self.table.n - 1) * observed / np.where(undefined, 1, expected))

    def standard_error(self) -> float:
        """Average squared influences on kappa: the non-null standard error of Fleiss, Cohen & Everitt 1969."""
        n = self.table.n
        observed, expected, by_chance = self.observed / n, self.expected / n**2, (self.row + self.column) / n
        influence = self.v / expected - observed * by_chance / expected**2 + observed / expected
        return math.sqrt(float(self.table.count @ influence**2)) / n


def _kappa(ratings: Ratings, weights: Weights, distance: Distance) -> _Kappa | Undefined:
    count = len(ratings.annotators)
    if count != 2:
        return Undefined(f"{count} annotator{'' if count == 1 else 's'}; Cohen's kappa is for two")
    if weights != "unweighted" and ratings.level in (Level.NOMINAL, Level.SET):
        return Undefined(f"labels of level {ratings.level} have no distance")
    crossed = _Crossed.of(ratings)
    table = crossed.table
    if table.n == 0:
        return Undefined(NO_PAIRS)
    if len(table.count) == 1 and table.same.all():
        return Undefined(ONE_LABEL)
    of_first, of_second = table.rows.astype(np.float64), table.columns.astype(np.float64)
    places = ratings.values if distance == "declared" else np.cumsum(of_first + of_second > 0).astype(np.float64)
    places = places - places.min()  # a far origin would cost digits
    x, y = places[table.first], places[table.second]
    match weights:
        case "unweighted":
            v = (1 - table.same).astype(np.float64)
            by_label = table.n - of_second, table.n - of_first
        case "linear":
            v = abs(x - y)
            by_label = _sum_of_distances(places, of_second), _sum_of_distances(places, of_first)
        case "quadratic":
            v = (x - y) ** 2
            by_label = _sum_of_squares(places, of_second), _sum_of_squares(places, of_first)
    return _Kappa(crossed, v, by_label[0][table.first], by_label[1][table.second])


def _estimate(kappa: _Kappa | Undefined, interval: Interval) -> Coefficient:
    if isinstance(kappa, Undefined):
        return kappa
    if kappa.table.n == 1:
        return without_interval(kappa.value, 1, ONE_ITEM)
    if interval == "closed-form":
        return normal(kappa.value, kappa.standard_error(), kappa.table.n, CLOSED_FORM)
    if np.isnan(kappa.without).any():
        return without_interval(kappa.value, kappa.table.n, "without one of the items only one label occurs")
    return jackknife(kappa.value, kappa.without, kappa.table.count)


def _undefined_without(table: PairTable) -> npt.NDArray[np.bool_]:
    """Tell of each cell whether, without one of its items, nothing or only one label would be left."""
    if len(table.count) == 1:
        return np.asarray(table.count == 1)
    if len(table.count) == 2:
        other_is_all_the_rest = (table.same == 1) & (table.count == table.n - 1)
        return np.asarray(other_is_all_the_rest[::-1])
    return np.zeros(len(table.count), dtype=np.bool_)


def _distinct(cell: Ints, n_cells: int) -> tuple[Ints, Ints, Ints]:
    """Give the cells that occur, the place of each item's cell among them, and how often each occurs."""
    if n_cells > len(cell):
        return np.unique(cell, return_inverse=True, return_counts=True)
    times = np.bincount(cell, minlength=n_cells)  # counting is quicker than sorting
    return np.flatnonzero(times), (np.cumsum(times > 0) - 1)[cell], times[times > 0]


def _sum_of_squares(x: Floats, times: Floats) -> Floats:
    """Sum (x - x_m)^2 over all m by moments: n x^2 - 2 x sum x_m + sum x_m^2."""
    return np.asarray(times.sum() * x**2 - 2 * x * (times @ x) + times @ x**2)


def _sum_of_distances(x: Floats, times: Floats) -> Floats:
    """Sum |x - x_m| over all m: each x_m at or below x adds x - x_m, each above it x_m - x."""
    order = np.argsort(x)
    n_below, sum_below = np.cumsum(times[order]), np.cumsum((times * x)[order])
    sums = np.empty_like(x)
    sums[order] = x[order] * (2 * n_below - n_below[-1]) + sum_below[-1] - 2 * sum_below
    return sums
