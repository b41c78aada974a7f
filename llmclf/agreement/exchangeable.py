"""Coefficients in which annotators are exchangeable: functions of sums over items, and their intervals."""

import math
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from llmclf.agreement.bootstrap import Bootstrap, bca, resamples
from llmclf.agreement.counts import Counts, Floats
from llmclf.agreement.estimate import NO_PAIRS, ONE_ITEM, ONE_LABEL, Coefficient, Estimate, Undefined
from llmclf.agreement.intervals import jackknife, student, without_interval
from llmclf.agreement.ratings import Codes

Interval = Literal["jackknife", "closed-form"] | Bootstrap
"""The delete-one jackknife over items, the standard error by Gwet's linearisation, or a bootstrap over items."""

CLOSED_FORM = "standard error by Gwet's linearisation (2014), t with n - 1 df"


class Statistic(ABC):
    """A coefficient as a function of how many items have each pattern of ratings."""

    counts: Counts
    """Those of the items over which the coefficient varies."""
    bounds: tuple[float, float] = (-1.0, 1.0)
    """Its least and its greatest value."""

    @abstractmethod
    def of(self, times: Floats) -> Floats:
        """Compute the coefficient of b tables, for `times` of shape (b, P): shape (b,), NaN where undefined."""

    @cached_property
    @abstractmethod
    def without_one(self) -> Floats:
        """The coefficient without one item of each pattern: shape (P,), NaN where undefined."""

    @abstractmethod
    def linearised(self) -> tuple[Floats, Counts] | Undefined:
        """Give the values per pattern whose mean over items varies as the coefficient does, and the items' counts.

        Gwet 2014, "Handbook of Inter-Rater Reliability", chapter 5.
        """

    @cached_property
    def value(self) -> float:
        """The coefficient of all items."""
        return float(self.of(self.counts.times[np.newaxis].astype(np.float64))[0])

    def without_each(self, codes: Codes) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Give the coefficient without each item of the codes, and whether the item counts.

        Aligned so, the replicates of different coefficients of the same items are paired.
        """
        pattern = self.counts.pattern_of(codes)
        counts = pattern >= 0
        return np.where(counts, self.without_one[pattern], self.value), counts


def estimate(statistic: Statistic | Undefined, interval: Interval) -> Coefficient:
    """Give a coefficient with its interval."""
    if isinstance(statistic, Undefined):
        return statistic
    if interval == "closed-form":
        return _closed_form(statistic)
    counts, value = statistic.counts, statistic.value
    if reason := _fixed(statistic):
        return without_interval(value, counts.n_items, reason)
    if interval == "jackknife":
        return jackknife(value, statistic.without_one, counts.times, statistic.bounds)
    replicates = np.concatenate([statistic.of(times) for times in resamples(counts, interval)])
    return bca(value, replicates, statistic.without_one, counts.times, interval)


def _fixed(statistic: Statistic) -> str | None:
    """Say why a coefficient cannot be computed without each of its items."""
    counts = statistic.counts
    if counts.n_items == 1:
        return ONE_ITEM
    if counts.pairable.n_items == 1:
        return "one item only has two ratings"
    if np.isnan(statistic.without_one).any():
        return "without one of the items only one label occurs"
    return None


def _closed_form(statistic: Statistic) -> Estimate:
    linearised = statistic.linearised()
    if isinstance(linearised, Undefined):
        return without_interval(statistic.value, statistic.counts.n_items, linearised.undefined)
    x, counts = linearised
    n = counts.n_items
    if n == 1:
        return without_interval(statistic.value, n, ONE_ITEM)
    mean = counts.times @ x / n
    se = math.sqrt(float(counts.times @ (x - mean) ** 2) / (n * (n - 1)))
    return student(statistic.value, se, n, CLOSED_FORM, statistic.bounds)


def refusal(counts: Counts) -> Undefined | None:
    """Say why no coefficient is defined by these counts, if none is."""
    if not (counts.raters >= 2).any():
        return Undefined(NO_PAIRS)
    return Undefined(ONE_LABEL) if len(counts.codes) == 1 else None
