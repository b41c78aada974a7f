"""Scott's pi, for two annotators."""

from llmclf.agreement.chance_corrected import FLEISS, ChanceCorrected, same_label
from llmclf.agreement.counts import counted
from llmclf.agreement.estimate import Coefficient, Undefined
from llmclf.agreement.exchangeable import Interval, Statistic, estimate, refusal
from llmclf.agreement.ratings import Ratings


def scott_pi(ratings: Ratings, interval: Interval = "jackknife") -> Coefficient:
    """Compute pi = (pa - pe) / (1 - pe) with pe the sum over labels of the squared share in all ratings of both.

    Scott 1955, "Reliability of content analysis". As in Cohen's kappa, only items count that both annotators rated.
    Undefined unless there are two annotators, where no item has two ratings, or only one label occurs.
    """
    return estimate(statistic(ratings), interval)


def statistic(ratings: Ratings) -> Statistic | Undefined:
    """Give Scott's pi with its replicates."""
    count = len(ratings.annotators)
    if count != 2:
        return Undefined(f"{count} annotator{'' if count == 1 else 's'}; Scott's pi is for two")
    both = counted(ratings).pairable
    return refusal(both) or ChanceCorrected(both, same_label(both), FLEISS)
