"""Conger's kappa: chance-corrected agreement of annotators each of whom has ways of their own."""

import math
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from llmclf.agreement.counts import Floats
from llmclf.agreement.estimate import NO_PAIRS, ONE_ITEM, ONE_LABEL, Coefficient, Undefined
from llmclf.agreement.intervals import student, without_interval
from llmclf.agreement.ratings import MISSING, Codes, Ratings

MOST_ANNOTATORS: Final = 200

Interval = Literal["jackknife", "closed-form"]
"""To first order (Efron & Tibshirani 1993, chapter 21), or Gwet's, which takes the number of items with two or more
ratings for fixed, and is wider where some have one."""

METHODS: Final[dict[Interval, str]] = {
    "jackknife": "infinitesimal jackknife over items",
    "closed-form": "standard error of Gwet 2014",
}


def conger_kappa(ratings: Ratings, interval: Interval = "jackknife") -> Coefficient:
    """Compute Conger's kappa, which for two annotators without missing ratings is Cohen's.

    Conger 1980; with missing ratings as in Gwet 2014, "Handbook of Inter-Rater Reliability", chapter 2. Agreement
    p_a is the mean share of agreeing pairs of the items with two or more ratings; p_gk is the share of label k in all
    ratings of annotator g, of items with one rating, too. With P_k the sum of p_gk over the r annotators, chance gives
    p_e = sum over k of (P_k^2 - sum over g of p_gk^2) / (r (r - 1)), and kappa is (p_a - p_e) / (1 - p_e).
    Annotators without ratings do not count. Undefined for more than 200 annotators: they are no fixed few to be told
    apart.
    """
    codes = ratings.codes[:, (ratings.codes != MISSING).any(axis=0)]
    codes = codes[(codes != MISSING).any(axis=1)]
    n, r = codes.shape
    if r > MOST_ANNOTATORS:
        return Undefined(f"more than {MOST_ANNOTATORS} annotators; Conger's kappa tells each from the others")
    agreement, pairable = _agreement(codes)
    n_items = int(pairable.sum())
    if n_items == 0:
        return Undefined(NO_PAIRS)
    paired = codes[pairable]
    if paired.max() == np.where(paired == MISSING, paired.max(), paired).min():
        return Undefined(ONE_LABEL)
    q = len(ratings.scale)
    counts = np.stack([np.bincount(column[column != MISSING], minlength=q) for column in codes.T])
    rated = counts.sum(axis=1)
    p = counts / rated[:, np.newaxis]
    others = p.sum(axis=0) - p
    by_chance = (p * others).sum(axis=1)
    p_a, p_e = float(agreement.sum() / n_items), float(by_chance.sum() / (r * (r - 1)))
    kappa = (p_a - p_e) / (1 - p_e)
    if n == 1:
        return without_interval(kappa, n_items, ONE_ITEM)
    # how far each item moves p_a and p_e, times n
    of_agreement = n / n_items * np.where(pairable, agreement - (p_a if interval == "jackknife" else p_e), 0.0)
    moves = 2 * n / rated[:, np.newaxis] * (others - by_chance[:, np.newaxis]) / (r * (r - 1))
    moves = np.hstack([moves, np.zeros((r, 1))])  # where -1, the code of a missing rating, finds 0
    of_chance = sum((by_label[column] for by_label, column in zip(moves, codes.T, strict=True)), np.zeros(n))
    influence = (of_agreement - of_agreement.mean() - (1 - kappa) * of_chance) / (1 - p_e)
    se = math.sqrt(influence @ influence / (n * (n - 1)))
    return student(kappa, se, n_items, f"{METHODS[interval]}, t with {n - 1} df", df=n - 1)


def _agreement(codes: Codes) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Give each item's share of agreeing pairs of ratings, 0 where there is no pair, and whether there is one."""
    agreeing = np.zeros(len(codes))
    for distance in range(1, codes.shape[1]):
        one, other = codes[:, distance:], codes[:, :-distance]
        agreeing += np.count_nonzero((one == other) & (one != MISSING), axis=1)
    m = np.count_nonzero(codes != MISSING, axis=1)
    return 2 * agreeing / np.maximum(m * (m - 1), 1), m >= 2
