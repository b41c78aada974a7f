"""The mean agreement over pairs of annotators, with the replicates that make it comparable."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from llmclf.agreement.cohen_kappa import kappa_replicates
from llmclf.agreement.estimate import NO_PAIRS, Undefined
from llmclf.agreement.krippendorff_alpha import statistic_of_sets
from llmclf.agreement.ratings import Ratings
from llmclf.agreement.replicates import Replicates
from llmclf.agreement.set_distance import Masi
from llmclf.levels import Level

Pair = tuple[str, str]

COEFFICIENTS: Final = {
    Level.NOMINAL: "cohen_kappa",
    Level.ORDINAL: "weighted_kappa_quadratic",
    Level.INTERVAL: "weighted_kappa_quadratic",
    Level.RATIO: "weighted_kappa_quadratic",
    Level.SET: "krippendorff_alpha_masi",
}
"""The measure of two annotators' agreement at each level."""


@dataclass(frozen=True, eq=False)
class PairAgreement:
    """The mean agreement over pairs of annotators, each pair weighing the same."""

    mean: Replicates
    by_pair: Mapping[Pair, float]
    strangers: tuple[Pair, ...]
    """Pairs that rated no item in common, and so are left out of the mean."""


def pair_replicates(ratings: Ratings, pair: Pair) -> Replicates | Undefined:
    """Compute the agreement of two annotators, as `COEFFICIENTS` has it, with its delete-one replicates."""
    both = ratings.select(pair)
    match ratings.level:
        case Level.NOMINAL:
            return kappa_replicates(both, "unweighted")
        case Level.SET:
            alpha = statistic_of_sets(both, Masi)
            return alpha if isinstance(alpha, Undefined) else Replicates.of(alpha, both)
        case _:
            return kappa_replicates(both, "quadratic")


def pair_agreement(ratings: Ratings, pairs: Iterable[Pair]) -> PairAgreement | Undefined:
    """Average the agreement of pairs; where one that has items in common is undefined, so is the mean."""
    total: Replicates | None = None
    by_pair: dict[Pair, float] = {}
    strangers: list[Pair] = []
    for pair in pairs:
        found = pair_replicates(ratings, pair)
        if found == Undefined(NO_PAIRS):
            strangers.append(pair)
        elif isinstance(found, Undefined):
            return Undefined(f"{' and '.join(pair)}: {found.undefined}")
        else:
            by_pair[pair] = found.value
            total = found if total is None else total + found
    if total is None:
        return Undefined(NO_PAIRS if strangers else "there is no pair of annotators")
    return PairAgreement(total / len(by_pair), by_pair, tuple(strangers))
