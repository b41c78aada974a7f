"""Flip rate: how often a model labels one item differently when it is asked again."""

from itertools import combinations

import numpy as np

from llmclf.agreement.estimate import Coefficient, Undefined
from llmclf.agreement.intervals import jackknife
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
    n = int(paired.sum())
    if n == 0:
        return Undefined("no item has two answers")
    share = flips[paired] / pairs[paired]
    without = (share.sum() - share) / max(n - 1, 1)
    return jackknife(float(share.mean()), without, bounds=(0.0, 1.0))
