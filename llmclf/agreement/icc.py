"""Intraclass correlations: the share of the variance of ratings that lies between items."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from llmclf.agreement.complete_items import complete_items, items_left_out
from llmclf.agreement.counts import Floats
from llmclf.agreement.estimate import Coefficient, Estimate, Undefined
from llmclf.agreement.intervals import CONFIDENCE, NO_SPREAD, jackknife, without_interval
from llmclf.agreement.ratings import Ratings
from llmclf.levels import Level

METHOD = "F interval of Shrout & Fleiss 1979, standard error by delete-one jackknife over items"
ROUNDING = 1e-12
"""A sum of squares that is a smaller share of the total is zero but for rounding."""

_FOUND: WeakKeyDictionary[Ratings, dict[str, Coefficient]] = WeakKeyDictionary()
"""Of each table in use: the six are asked for one by one, and are made of the same sums over all ratings."""


def icc_1_1(ratings: Ratings) -> Coefficient:
    """Compute ICC(1,1): a single rating, each item by other annotators; how high they rate counts as error."""
    return intraclass_correlations(ratings)["icc_1_1"]


def icc_2_1(ratings: Ratings) -> Coefficient:
    """Compute ICC(2,1): a single rating by one of many annotators, of whom these are a sample; absolute agreement."""
    return intraclass_correlations(ratings)["icc_2_1"]


def icc_3_1(ratings: Ratings) -> Coefficient:
    """Compute ICC(3,1): a single rating by one of these annotators; consistency, however high each of them rates."""
    return intraclass_correlations(ratings)["icc_3_1"]


def icc_1_k(ratings: Ratings) -> Coefficient:
    """Compute ICC(1,k): as ICC(1,1), for the mean of k ratings."""
    return intraclass_correlations(ratings)["icc_1_k"]


def icc_2_k(ratings: Ratings) -> Coefficient:
    """Compute ICC(2,k): as ICC(2,1), for the mean of k ratings."""
    return intraclass_correlations(ratings)["icc_2_k"]


def icc_3_k(ratings: Ratings) -> Coefficient:
    """Compute ICC(3,k): as ICC(3,1), for the mean of k ratings; Cronbach's alpha."""
    return intraclass_correlations(ratings)["icc_3_k"]


def intraclass_correlations(ratings: Ratings) -> dict[str, Coefficient]:
    """Compute the six of Shrout & Fleiss 1979 from the n items that all k annotators rated; nothing is imputed.

    Labels count as their values on the scale. Intervals are those of the F ratio; that of ICC(2,1) has approximate
    degrees of freedom (Satterthwaite). The mean of k has k rho / (1 + (k - 1) rho), and bounds likewise (Spearman 1910,
    Brown 1910); it can be far below -1. Undefined with one item, and where the variance of what it is about is
    estimated as not above zero: of the mean of k where items do not differ.
    """
    if ratings not in _FOUND:
        _FOUND[ratings] = _intraclass_correlations(ratings)
    return dict(_FOUND[ratings])


def _intraclass_correlations(ratings: Ratings) -> dict[str, Coefficient]:
    complete = complete_items(ratings, "an ICC")
    if ratings.level in (Level.NOMINAL, Level.SET):
        complete = Undefined(f"labels of level {ratings.level} have no distance")
    elif not isinstance(complete, Undefined) and len(complete) == 1:
        complete = Undefined("one complete item; an ICC needs two")
    if isinstance(complete, Undefined):
        return dict.fromkeys((f"icc_{form}_{size}" for size in "1k" for form in FORMS), complete)
    squares, left = _mean_squares(ratings.values[complete])
    left_out = items_left_out(ratings, len(complete))
    return {
        f"icc_{form}_{size}": _coefficient(FORMS[form], squares, left, 1 if size == "1" else squares.k, left_out)
        for size in "1k"
        for form in FORMS
    }


@dataclass(frozen=True, eq=False)
class MeanSquares:
    """The mean squares of n items x k annotators: scalars; or those without each of n + 1 items, shape (n + 1,)."""

    n: int
    k: int
    items: Floats
    within: Floats
    """Within items: those of annotators and residual together."""
    annotators: Floats
    residual: Floats


@dataclass(frozen=True)
class Form:
    """One of the three designs: its rho of a single rating, and the bounds of that."""

    rho: Callable[[MeanSquares], Floats]
    bounds: Callable[[MeanSquares], Floats]


def _one_way(s: MeanSquares) -> Floats:
    return (s.items - s.within) / (s.items + (s.k - 1) * s.within)


def _two_way_random(s: MeanSquares) -> Floats:
    annotators = s.k * (s.annotators - s.residual) / s.n
    return (s.items - s.residual) / (s.items + (s.k - 1) * s.residual + annotators)


def _two_way_fixed(s: MeanSquares) -> Floats:
    return (s.items - s.residual) / (s.items + (s.k - 1) * s.residual)


def _one_way_bounds(s: MeanSquares) -> Floats:
    ratio = s.items / s.within / _f_quantiles(s.n - 1, s.n * (s.k - 1))
    return (ratio - 1) / (ratio + s.k - 1)


def _two_way_random_bounds(s: MeanSquares) -> Floats:
    n, k, rho = s.n, s.k, _two_way_random(s)
    a = k * rho / (n * (1 - rho)) * s.annotators
    b = (1 + k * rho * (n - 1) / (n * (1 - rho))) * s.residual
    df = (a + b) ** 2 / (a**2 / (k - 1) + b**2 / ((n - 1) * (k - 1)))
    f = _f_quantiles(n - 1, float(df))
    return n * (s.items - f * s.residual) / (f * (k * s.annotators + (k * n - k - n) * s.residual) + n * s.items)


def _two_way_fixed_bounds(s: MeanSquares) -> Floats:
    ratio = s.items / s.residual / _f_quantiles(s.n - 1, (s.n - 1) * (s.k - 1))
    return (ratio - 1) / (ratio + s.k - 1)


FORMS = {
    "1": Form(_one_way, _one_way_bounds),
    "2": Form(_two_way_random, _two_way_random_bounds),
    "3": Form(_two_way_fixed, _two_way_fixed_bounds),
}


def _f_quantiles(df_items: float, df_error: float) -> Floats:
    """Give the quantiles of F(df_items, df_error) that divide it into the lower bound and the upper one."""
    from scipy.special import fdtri  # type: ignore[import-untyped]  # scipy has no types

    tail = (1 - CONFIDENCE) / 2
    return np.asarray(fdtri(df_items, df_error, [1 - tail, tail]))


def _coefficient(form: Form, s: MeanSquares, left: MeanSquares, size: int, left_out: str) -> Coefficient:
    with np.errstate(divide="ignore", invalid="ignore"):
        value, replicates = float(_of_mean(form.rho(s), size)), _of_mean(form.rho(left), size)
    if not math.isfinite(value):
        return Undefined("the items do not differ in their means" if s.items == 0 else "its variance is not above zero")
    if reason := _no_interval(s, value, replicates):
        return without_interval(value, s.n, f"{reason}{left_out}")
    low, high = _of_mean(form.bounds(s), size)
    if not math.isfinite(low):
        return without_interval(value, s.n, f"it has no lower bound{left_out}")
    return Estimate(value, jackknife(value, replicates).se, float(low), float(high), s.n, f"{METHOD}{left_out}")


def _no_interval(s: MeanSquares, value: float, replicates: Floats) -> str:
    if s.n == 2:
        return "there are two items only"
    if s.items == 0:
        return "the items do not differ in their means"
    if value == 1:
        return "no error is left, so the F ratio is infinite"
    if not np.isfinite(replicates).all():
        return "without one of the items it is undefined"
    return "" if np.ptp(replicates) > NO_SPREAD else "no single item left out changes the value"


def _of_mean(rho: Floats, size: int) -> Floats:
    """Step up to the mean of so many ratings: minus infinity where its variance is not above zero."""
    variance = 1 + (size - 1) * rho
    return np.where(variance > ROUNDING, size * rho / variance, -np.inf)


def _mean_squares(x: Floats) -> tuple[MeanSquares, MeanSquares]:
    """Give the mean squares of all items, and those without each of them, from sums over items."""
    n, k = x.shape
    x = x - x.mean()  # a far origin would cost digits
    about_first = x - x[:, :1]  # so that full agreement is exactly 0
    within = np.einsum("ij,ij->i", about_first, about_first) - about_first.sum(axis=1) ** 2 / k
    items, annotators = x.sum(axis=1), x.sum(axis=0)
    everything = items.sum()
    total = (items**2).sum() / k + within.sum()

    def squares(n: int, own: Floats, within: Floats, annotators: Floats, everything: Floats) -> MeanSquares:
        """Turn sums over n items into mean squares; what is less than rounding is 0."""
        correction = everything**2 / (n * k)
        between = own / k - correction
        of_annotators = annotators / n - correction
        sums = [np.where(ss < ROUNDING * total, 0.0, ss) for ss in (between, within, of_annotators)]
        residual = within - of_annotators
        residual = np.where(residual < ROUNDING * total, 0.0, residual)
        degrees = max(n - 1, 1)
        return MeanSquares(
            n, k, sums[0] / degrees, sums[1] / (n * (k - 1)), sums[2] / (k - 1), residual / (degrees * (k - 1))
        )

    whole = squares(n, (items**2).sum(), within.sum(), annotators @ annotators, everything)
    without = squares(
        n - 1,
        (items**2).sum() - items**2,
        within.sum() - within,
        annotators @ annotators - 2 * x @ annotators + np.einsum("ij,ij->i", x, x),
        everything - items,
    )
    return whole, without
