"""A statistic of all items, and again without each of them: what every jackknife is made of."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from llmclf.agreement.counts import Floats
from llmclf.agreement.estimate import ONE_ITEM, Estimate
from llmclf.agreement.exchangeable import Statistic
from llmclf.agreement.intervals import jackknife, without_interval
from llmclf.agreement.ratings import Ratings


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

    @classmethod
    def of(cls, statistic: Statistic, ratings: Ratings) -> Self:
        """Take a statistic of these ratings with its replicates."""
        return cls(statistic.value, *statistic.without_each(ratings.codes))

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
            return without_interval(self.value, 1, ONE_ITEM)
        if np.isnan(without).any():
            return without_interval(self.value, len(without), "it is undefined without one of the items")
        return jackknife(self.value, without, bounds=bounds)
