"""Fleiss' kappa, for any number of annotators, who may be others for each item."""

import math

from llmclf.agreement.chance_corrected import FLEISS, ChanceCorrected, same_label
from llmclf.agreement.counts import counted
from llmclf.agreement.estimate import Coefficient, Undefined
from llmclf.agreement.exchangeable import Interval, Statistic, estimate, refusal
from llmclf.agreement.ratings import Ratings


def fleiss_kappa(ratings: Ratings, interval: Interval = "jackknife") -> Coefficient:
    """Compute kappa = (pa - pe) / (1 - pe) with pe the sum of pi_c^2 over the labels c.

    Fleiss 1971, "Measuring nominal scale agreement among many raters"; with unequal numbers of annotators in
    the form of Gwet 2014, "Handbook of Inter-Rater Reliability", section 2.5: pa is the mean over items with two or
    more ratings of the share of agreeing pairs; pi_c the mean over all rated items, those with one rating among
    them, of the share of an item's ratings that are c. Items weigh the same however many annotators they have, not
    by their ratings. So where many items have one rating, kappa can fall below -1.
    Undefined where no item has two ratings, or only one label occurs.
    """
    return estimate(statistic(ratings), interval)


def statistic(ratings: Ratings) -> Statistic | Undefined:
    """Give Fleiss' kappa with its replicates."""
    counts = counted(ratings)
    return refusal(counts) or ChanceCorrected(counts, same_label(counts), FLEISS, lowest=-math.inf)
