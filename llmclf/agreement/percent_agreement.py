"""Percent agreement: the share of pairs of ratings of one item that are the same label."""

import numpy as np

from llmclf.agreement.counts import Counts
from llmclf.agreement.estimate import NO_PAIRS, ONE_LABEL, Coefficient, Undefined
from llmclf.agreement.intervals import jackknife
from llmclf.agreement.ratings import Ratings


def percent_agreement(ratings: Ratings) -> Coefficient:
    """Average over items the share of agreeing pairs of annotators (Fleiss 1971).

    Items weigh the same however many annotators they have; those with one rating are left out.
    """
    counts = Counts.of(ratings.codes)
    if counts.n_items == 0:
        return Undefined(NO_PAIRS)
    if len(counts.codes) == 1:
        return Undefined(ONE_LABEL)
    n, m = counts.n_items, counts.raters
    agreeing = counts.per_pattern(counts.count - 1) / (m * (m - 1))
    total = float(counts.times @ agreeing)
    without = (total - agreeing) / max(n - 1, 1)
    return jackknife(total / n, np.asarray(without), counts.times, bounds=(0.0, 1.0))
