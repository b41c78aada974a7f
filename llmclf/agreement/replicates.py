"""A statistic of all items, and again without each of them: what every jackknife is made of."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from llmclf.agreement.counts import Floats
from llmclf.agreement.estimate import Coefficient, Estimate, Undefined
from llmclf.agreement.intervals import jackknife, without_interval
from llmclf.agreement.ratings import MISSING, Ratings


@dataclass(frozen=True, eq=False)
class Replicates:
    """A statistic and its delete-one replicates, aligned to the items of the ratings.

    Statistics of the same items depend on each other; sums and differences of aligned replicates keep that
    (Efron & Tibshirani 1993, chapter 11).
    """

    value: float
    without: Floats
    """The statistic without each item, NaN where the items left do not define it: shape (items,)."""
    counted: npt.NDArray[np.bool_]
    """Whether the item counts; where it does not, `without` is `value`: shape (items,)."""

    @property
    def n_items(self) -> int:
        """The number of items that count."""
        return int(np.count_nonzero(self.counted))

    def __add__(self, other: Self) -> Self:
        without, counted = self.without + other.without, self.counted | other.counted
        return replace(self, value=self.value + other.value, without=without, counted=counted)

    def __sub__(self, other: Self) -> Self:
        return self + other / -1

    def __truediv__(self, divisor: float) -> Self:
        return replace(self, value=self.value / divisor, without=self.without / divisor)

    def estimate(self, bounds: tuple[float, float] = (-1.0, 1.0)) -> Estimate:
        """Give the value with its jackknife-t interval over the items that count, cut at the bounds."""
        without = self.without[self.counted]
        if len(without) == 1:
            return without_interval(self.value, 1, "there is one item only")
        if np.isnan(without).any():
            return without_interval(self.value, len(without), "it is undefined without one of the items")
        return jackknife(self.value, without, bounds=bounds)


def delete_one(ratings: Ratings, statistic: Callable[[Ratings], Coefficient]) -> Replicates | Undefined:
    """Compute any statistic without each pairable item, once for all items that were rated alike."""
    with_all = statistic(ratings)
    if isinstance(with_all, Undefined):
        return with_all
    counted = np.count_nonzero(ratings.codes != MISSING, axis=1) >= 2
    _, places, pattern = np.unique(ratings.codes[counted], axis=0, return_index=True, return_inverse=True)
    distinct = np.array([_without(ratings, place, statistic) for place in np.flatnonzero(counted)[places]])
    without = np.full(len(ratings.codes), with_all.value)
    without[counted] = distinct[pattern.reshape(-1)]
    return Replicates(with_all.value, without, counted)


def _without(ratings: Ratings, place: int, statistic: Callable[[Ratings], Coefficient]) -> float:
    codes = ratings.codes.copy()
    codes[place] = MISSING
    left = statistic(replace(ratings, codes=codes))
    return left.value if isinstance(left, Estimate) else np.nan
