"""Gwet's AC1, and AC2 with linear and quadratic weights: chance agreement that a skewed prevalence does not raise."""

from typing import Literal

import numpy as np

from llmclf.agreement.chance_corrected import Chance, ChanceCorrected, same_label
from llmclf.agreement.counts import Counts, Floats, Ints, counted
from llmclf.agreement.estimate import Coefficient, Undefined
from llmclf.agreement.exchangeable import Interval, Statistic, estimate, refusal
from llmclf.agreement.ratings import Ratings
from llmclf.levels import Level

Weights = Literal["unweighted", "linear", "quadratic"]
"""w_ck of two labels: 1 if they are equal, else 0; or 1 - (|v_c - v_k| / the scale's range), or with its square."""


def gwet_ac1(ratings: Ratings, interval: Interval = "jackknife") -> Coefficient:
    """Compute AC1 = (pa - pe) / (1 - pe) with pe = the sum of pi_c (1 - pi_c) over the labels c, / (q - 1).

    Gwet 2008, "Computing inter-rater reliability and its variance in the presence of high agreement". q is the number
    of labels on the scale, used or not; pa and pi_c are those of `fleiss_kappa`.
    Undefined where no item has two ratings, only one label occurs, or the labels are sets without a declared scale.
    """
    return estimate(statistic(ratings, "unweighted"), interval)


def gwet_ac2_linear(ratings: Ratings, interval: Interval = "jackknife") -> Coefficient:
    """Compute AC2 with weights that fall with the distance of two labels on the scale.

    Gwet 2014, "Handbook of Inter-Rater Reliability", section 3.5: pa is the mean weight of an item's pairs of ratings,
    pe = T_w x the sum of pi_c (1 - pi_c) over the labels c, / (q (q - 1)), T_w the sum of all weights.
    Undefined where AC1 is, and for labels that have no distance.
    """
    return estimate(statistic(ratings, "linear"), interval)


def gwet_ac2_quadratic(ratings: Ratings, interval: Interval = "jackknife") -> Coefficient:
    """Compute AC2, as `gwet_ac2_linear`, with weights that fall with the squared distance."""
    return estimate(statistic(ratings, "quadratic"), interval)


def statistic(ratings: Ratings, weights: Weights) -> Statistic | Undefined:
    """Give AC1, unweighted, or AC2 with its replicates."""
    counts, q = counted(ratings), len(ratings.scale)
    if refused := refusal(counts) or sets_without_scale(ratings):
        return refused
    if weights == "unweighted":
        agreement, total_weight = same_label(counts), float(q)
    elif ratings.level in (Level.NOMINAL, Level.SET):
        return Undefined(f"labels of level {ratings.level} have no distance")
    else:
        agreement, total_weight = _weighted(counts, ratings.values, 1 if weights == "linear" else 2)
    pe, highest_pe = total_weight / (q * (q - 1)), total_weight / q**2  # the highest if all labels are as frequent
    return ChanceCorrected(counts, agreement, Chance(pe, -pe), lowest=-highest_pe / (1 - highest_pe))


def sets_without_scale(ratings: Ratings) -> Undefined | None:
    """Refuse to take the sets that happen to occur for all that there could be."""
    if ratings.level is Level.SET and not ratings.scale_declared:
        return Undefined("the number of possible sets is not declared")
    return None


def _weighted(counts: Counts, values: Floats, power: int) -> tuple[Floats, float]:
    """Give the mean weight of an item's pairs of ratings for each pattern, and the sum of the scale's q x q weights."""
    places = (values - values.min()) / np.ptp(values)
    used = places[counts.codes]

    def distance(c: Ints, k: Ints) -> Floats:
        return np.asarray(np.abs(used[c] - used[k]) ** power)

    m, q = counts.raters, len(places)
    with np.errstate(invalid="ignore"):
        agreement = 1 - counts.distances(distance) / (m * (m - 1))
    if power == 1:
        distances = 2 * np.sort(places) @ (2 * np.arange(q) - q + 1)
    else:
        distances = 2 * (q * (places @ places) - places.sum() ** 2)
    return np.asarray(agreement), float(q * q - distances)
