"""The coefficient of Brennan and Prediger: chance makes every label of the scale as likely."""

from llmclf.agreement.chance_corrected import Chance, ChanceCorrected, same_label
from llmclf.agreement.counts import counted
from llmclf.agreement.estimate import Coefficient, Undefined
from llmclf.agreement.exchangeable import Interval, Statistic, estimate, refusal
from llmclf.agreement.gwet_ac import sets_without_scale
from llmclf.agreement.ratings import Ratings


def brennan_prediger(ratings: Ratings, interval: Interval = "jackknife") -> Coefficient:
    """Compute (pa - pe) / (1 - pe) with pe = 1 / q, q the number of labels on the scale, used or not.

    Brennan & Prediger 1981, "Coefficient kappa: some uses, misuses, and alternatives"; with more annotators as in
    Gwet 2014, "Handbook of Inter-Rater Reliability", section 2.4. Items with one rating are left out.
    Undefined where no item has two ratings, only one label occurs, or the labels are sets without a declared scale.
    """
    return estimate(statistic(ratings), interval)


def statistic(ratings: Ratings) -> Statistic | Undefined:
    """Give the coefficient with its replicates."""
    counts = counted(ratings)
    if refused := refusal(counts.pairable) or sets_without_scale(ratings):
        return refused
    q = len(ratings.scale)
    return ChanceCorrected(counts, same_label(counts), Chance(1 / q, 0.0), lowest=-1 / (q - 1))
