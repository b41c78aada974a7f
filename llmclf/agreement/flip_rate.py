"""Flip rate: how often a model labels one item differently when it is asked again."""

from itertools import combinations

import numpy as np
import numpy.typing as npt

from llmclf.agreement.estimate import Coefficient, Undefined
from llmclf.agreement.intervals import jackknifed_mean
from llmclf.agreement.ratings import MISSING, Codes


def flip_rate(codes: Codes) -> Coefficient:
    """Average over items the share of pairs of answers that are different labels; 0 is stable.

    Pairs are along the last axis: of runs in (items, runs) or (items, prompts, runs), where a pair has one prompt;
    of prompts in (items, runs, prompts), where it has one run. -1 is missing. Undefined where no item has a pair.
    """
    groups = codes.reshape(len(codes), -1, codes.shape[-1])
    pairs = np.zeros(len(codes))
    flips = np.zeros(len(codes))
    for one, other in combinations(np.moveaxis(groups, -1, 0), 2):
        both = (one != MISSING) & (other != MISSING)
        pairs += both.sum(axis=1)
        flips += (both & (one != other)).sum(axis=1)
    paired = pairs > 0
    if not paired.any():
        return Undefined("no item has two answers")
    return jackknifed_mean(flips[paired] / pairs[paired], (0.0, 1.0))


def flips_from(codes: Codes, reference: Codes) -> npt.NDArray[np.float64]:
    """Give for each item the share of its answers that are another label than its reference; NaN where it has no two.

    Args:
        codes: shape (items, answers); -1 is missing.
        reference: shape (items,).

    """
    both = (codes != MISSING) & (reference != MISSING)[:, np.newaxis]
    flips = (both & (codes != reference[:, np.newaxis])).sum(axis=1)
    pairs = both.sum(axis=1)
    shares: npt.NDArray[np.float64] = np.divide(flips, pairs, out=np.full(len(codes), np.nan), where=pairs > 0)
    return shares
