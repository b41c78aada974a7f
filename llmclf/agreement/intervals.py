"""Intervals: how far a coefficient would move with other items of the same kind."""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from llmclf.agreement.estimate import ONE_ITEM, Estimate

CONFIDENCE = 0.95
JACKKNIFE = "delete-one jackknife over items, t with n - 1 df"
Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
UNBOUNDED = (-math.inf, math.inf)
NO_SPREAD = 1e-12
"""Replicates that differ by less differ by rounding only."""


def jackknife(
    value: float,
    replicates: npt.NDArray[np.float64],
    times: npt.NDArray[np.int64] | None = None,
    bounds: tuple[float, float] = (-1.0, 1.0),
) -> Estimate:
    """Give a value its interval by the delete-one jackknife (Efron & Tibshirani 1993, chapter 11), cut at the bounds.

    Args:
        value: the coefficient of all items.
        replicates: the coefficient without one item, for each item or each pattern of items.
        times: how many items each replicate stands for; one each if not given.
        bounds: the least and the greatest value of the coefficient.

    """
    times = np.ones(len(replicates), dtype=np.int64) if times is None else times
    n = int(times.sum())
    if n == 1:
        return without_interval(value, n, ONE_ITEM)
    if np.ptp(replicates) < NO_SPREAD:
        return without_interval(value, n, "no single item left out changes the value, so its spread is unknown")
    mean = times @ replicates / n
    se = math.sqrt((n - 1) / n * float(times @ (replicates - mean) ** 2))
    return student(value, se, n, JACKKNIFE, bounds)


def jackknifed_mean(
    per_item: npt.NDArray[np.float64 | np.int64],
    bounds: tuple[float, float],
    times: npt.NDArray[np.int64] | None = None,
) -> Estimate:
    """Average what each item, or each of so many items, counts for; see `jackknife`."""
    times = np.ones(len(per_item), dtype=np.int64) if times is None else times
    n, total = int(times.sum()), float(times @ per_item)
    return jackknife(total / n, np.asarray((total - per_item) / max(n - 1, 1)), times, bounds)


def student(
    value: float,
    se: float,
    n_items: int,
    method: str,
    bounds: tuple[float, float] = (-1.0, 1.0),
    df: int | None = None,
) -> Estimate:
    """Give a value its interval by Student's t, cut at the bounds; n - 1 degrees of freedom if none are given."""
    if se < NO_SPREAD:
        return without_interval(value, n_items, "its standard error is zero, so its spread is unknown")
    # here, because scipy would double the time that `import llmclf` takes
    from scipy.special import stdtrit  # type: ignore[import-untyped]  # scipy has no types

    t = float(stdtrit(n_items - 1 if df is None else df, (1 + CONFIDENCE) / 2))
    return Estimate(value, se, max(value - t * se, bounds[0]), min(value + t * se, bounds[1]), n_items, method)


def normal(value: float, se: float, n_items: int, method: str, bounds: tuple[float, float] = (-1.0, 1.0)) -> Estimate:
    """Give a value its interval from a large-sample standard error, cut at the bounds."""
    if se < NO_SPREAD:
        return without_interval(value, n_items, "its standard error is zero, so its spread is unknown")
    return Estimate(value, se, max(value - Z * se, bounds[0]), min(value + Z * se, bounds[1]), n_items, method)


def without_interval(value: float, n_items: int, reason: str) -> Estimate:
    """Give a value that has no interval, with the reason."""
    return Estimate(value, None, None, None, n_items, f"no interval: {reason}")


def wald_p(estimate: Estimate) -> float | None:
    """Test against 0 by value / se, two-sided, normal; None without a standard error."""
    return math.erfc(abs(estimate.value / estimate.se) / math.sqrt(2)) if estimate.se else None
