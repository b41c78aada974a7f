"""Percent agreement: the share of pairs of ratings of one item that are the same label."""

from llmclf.agreement.chance_corrected import Chance, ChanceCorrected, same_label
from llmclf.agreement.counts import counted
from llmclf.agreement.estimate import Coefficient, Undefined
from llmclf.agreement.exchangeable import Interval, Statistic, estimate, refusal
from llmclf.agreement.ratings import Ratings


def percent_agreement(ratings: Ratings, interval: Interval = "jackknife") -> Coefficient:
    """Average over items the share of agreeing pairs of annotators (Fleiss 1971, equation 2).

    Items weigh the same however many annotators they have; those with one rating are left out.
    Undefined where no item has two ratings, or only one label occurs.
    """
    return estimate(statistic(ratings), interval)


def statistic(ratings: Ratings) -> Statistic | Undefined:
    """Give percent agreement with its replicates."""
    counts = counted(ratings)
    return refusal(counts.pairable) or ChanceCorrected(counts, same_label(counts), Chance(0.0, 0.0), lowest=0.0)
