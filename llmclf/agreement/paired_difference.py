"""How much better one annotator agrees with experts than another does, or than the experts do among themselves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np

from llmclf.agreement.counts import Floats
from llmclf.agreement.estimate import Coefficient, Estimate, Undefined
from llmclf.agreement.intervals import without_interval
from llmclf.agreement.pair_agreement import COEFFICIENTS, Pair, PairAgreement, pair_agreement
from llmclf.agreement.rater_intervals import with_raters
from llmclf.agreement.ratings import Ratings
from llmclf.errors import InputError

EXTREMES: Final = (-2.0, 2.0)
"""The least and the greatest difference of two coefficients."""


@dataclass(frozen=True)
class PairedDifference:
    """An annotator's mean agreement with the experts, less a reference from the same items."""

    coefficient: str
    """What measures the agreement of two annotators."""
    n_experts: int
    agreement: Coefficient
    reference: Coefficient
    """The agreement of the experts among themselves, or of another annotator with them."""
    difference: Coefficient
    """With its interval over items: what other items would show with these experts."""
    experts_like_these: Coefficient
    """The same difference with its interval over items and experts: what other experts would show, too."""
    strangers: tuple[Pair, ...]
    """Pairs that rated no item in common, and so are left out of the means."""

    def to_dict(self) -> dict[str, Any]:
        """Give the fields by name."""
        return {
            "coefficient": self.coefficient,
            "n_experts": self.n_experts,
            "agreement": self.agreement.to_dict(),
            "reference": self.reference.to_dict(),
            "difference": self.difference.to_dict(),
            "experts_like_these": self.experts_like_these.to_dict(),
            "strangers": [list(pair) for pair in self.strangers],
        }


def difference_from_experts(ratings: Ratings, annotator: str, experts: Sequence[str]) -> PairedDifference:
    """Compare the agreement of an annotator with each expert to that of the experts among themselves.

    Not with their consensus, which agrees better than any of them. Both on the items that the annotator labelled: one
    who leaves out what is hard must not be held against experts who did not.

    Raises:
        InputError: there is no such annotator, or one is among the experts.

    """
    _not_among(experts, annotator)
    ratings = ratings.labelled_by([annotator])
    there_are = "is one" if experts else "are none"
    among = (
        pair_agreement(ratings, combinations(experts, 2))
        if len(experts) >= 2
        else Undefined(f"agreement among experts needs two of them; there {there_are}")
    )
    return _difference(ratings, pair_agreement(ratings, [(annotator, expert) for expert in experts]), among, experts)


def difference_from_annotator(ratings: Ratings, annotator: str, other: str, experts: Sequence[str]) -> PairedDifference:
    """Compare the agreement of an annotator with each expert to that of another: a crowd's consensus, or a model.

    Both on the items that the two labelled.

    Raises:
        InputError: there is no such annotator, or one is among the experts.

    """
    _not_among(experts, annotator, other)
    ratings = ratings.labelled_by([annotator, other])
    ours, others = (pair_agreement(ratings, [(who, expert) for expert in experts]) for who in (annotator, other))
    return _difference(ratings, ours, others, experts)


def _not_among(experts: Sequence[str], *names: str) -> None:
    for name in names:
        if name in experts:
            raise InputError(f"{name!r} is among the experts it is compared with", "Leave it out of the experts")


def _difference(
    ratings: Ratings, ours: PairAgreement | Undefined, reference: PairAgreement | Undefined, experts: Sequence[str]
) -> PairedDifference:
    difference: Coefficient
    experts_like_these: Coefficient
    if isinstance(reference, Undefined):
        difference = experts_like_these = reference
    elif isinstance(ours, Undefined):
        difference = experts_like_these = ours
    else:
        difference = (ours.mean - reference.mean).estimate(EXTREMES)
        experts_like_these = _over_experts_too(difference, _without_each(experts, ours, reference))
    return PairedDifference(
        coefficient=COEFFICIENTS[ratings.level],
        n_experts=len(experts),
        agreement=_mean(ours),
        reference=_mean(reference),
        difference=difference,
        experts_like_these=experts_like_these,
        strangers=tuple(p for part in (ours, reference) if isinstance(part, PairAgreement) for p in part.strangers),
    )


def _mean(part: PairAgreement | Undefined) -> Coefficient:
    return part if isinstance(part, Undefined) else part.mean.estimate()


def _without_each(experts: Sequence[str], ours: PairAgreement, reference: PairAgreement) -> Floats:
    """Give the difference without each expert, NaN where without them no pair is left: shape (experts,)."""

    def mean(part: PairAgreement, left_out: str) -> float:
        values = [value for pair, value in part.by_pair.items() if left_out not in pair]
        return sum(values) / len(values) if values else math.nan

    return np.array([mean(ours, expert) - mean(reference, expert) for expert in experts])


def _over_experts_too(difference: Estimate, without: Floats) -> Estimate:
    if difference.se is not None and np.isnan(without).any():
        reason = f"of {len(without)} expert{'s' * (len(without) != 1)} none can be left out, for no pair would be left"
        return without_interval(difference.value, difference.n_items, reason)
    return with_raters(difference, without, EXTREMES)
