"""Why kappa can be low where agreement is high: one label prevails, or the annotators prefer different ones."""

from dataclasses import dataclass

from llmclf.agreement.estimate import Coefficient, Undefined
from llmclf.agreement.intervals import jackknifed_mean
from llmclf.agreement.pair_table import pair_table
from llmclf.agreement.ratings import Ratings

DIVERGENCE = 0.2
"""Kappa and AC1 that lie further apart than this would be read differently."""


@dataclass(frozen=True)
class PrevalenceBias:
    """The indices of Byrt, Bishop & Carlin 1993, of a table (a, b; c, d) of n items with two labels.

    Kappa is (pabak - prevalence^2 + bias^2) / (1 - prevalence^2 + bias^2).
    """

    prevalence_index: Coefficient
    """(a - d) / n: 1 where both annotators give the scale's first label only, 0 where each label is as frequent."""
    bias_index: Coefficient
    """(b - c) / n: above 0 where the first annotator gives the first label more often than the second does."""
    pabak: Coefficient
    """Prevalence-adjusted bias-adjusted kappa: 2 p_o - 1."""


def prevalence_bias(ratings: Ratings) -> PrevalenceBias | Undefined:
    """Compute both indices and PABAK; undefined unless the scale has two labels and there are two annotators."""
    table = pair_table(ratings, "the prevalence index")
    if isinstance(table, Undefined):
        return table
    if table.q != 2:
        return Undefined(f"the scale has {table.q} labels; prevalence and bias index are for two")
    toward_first = 1 - table.first - table.second
    return PrevalenceBias(
        jackknifed_mean(toward_first, (-1.0, 1.0), table.count),
        jackknifed_mean(table.second - table.first, (-1.0, 1.0), table.count),
        jackknifed_mean(2 * table.same - 1, (-1.0, 1.0), table.count),
    )


def divergence(kappa: Coefficient, ac1: Coefficient) -> str | None:
    """Say, where kappa and Gwet's AC1 of the same ratings lie more than 0.2 apart, what that means."""
    if isinstance(kappa, Undefined) or isinstance(ac1, Undefined) or abs(kappa.value - ac1.value) <= DIVERGENCE:
        return None
    return (
        f"kappa is {kappa.value:.2f} and AC1 {ac1.value:.2f}: one label prevails, so that chance agreement, and with "
        "it the coefficient, depends on how it is defined; read neither without percent agreement and the marginals"
    )
