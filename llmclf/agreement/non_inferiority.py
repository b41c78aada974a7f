"""Whether a model agrees with experts as they agree among themselves, up to a margin fixed beforehand."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Final, Literal

from llmclf.agreement.estimate import Coefficient, Estimate, Undefined
from llmclf.agreement.holm import holm
from llmclf.agreement.paired_difference import PairedDifference, difference_from_experts
from llmclf.agreement.ratings import Ratings
from llmclf.errors import InputError

MarginVerdict = Literal["non-inferior", "worse", "inconclusive"]
Verdict = Literal["non-inferior", "worse", "inconclusive", "undefined", "humans too unreliable"]
Target = Literal["these experts", "experts like these"]

ALPHA: Final = 0.05
"""Of every one-sided test and bound here."""
POWER: Final = 0.8


@dataclass(frozen=True)
class ItemsNeeded:
    """How many items would decide with 80 % power.

    By the normal approximation, with the variance per item that these items show.
    """

    if_as_observed: int | None
    """If the true difference is the observed one; None where that is the margin itself, which no number decides."""
    if_equal: int
    """If in truth the model agrees with the experts as they do among themselves."""


@dataclass(frozen=True)
class MarginTest:
    """The difference against the margin, by one-sided 95 % t bounds."""

    target: Target
    lower: float
    upper: float
    df: int
    p_non_inferior: float
    """Of the hypothesis that the model is worse by the margin or more."""
    p_worse: float
    """Of the hypothesis that it is worse by no more than the margin."""
    verdict: MarginVerdict


@dataclass(frozen=True)
class NonInferiority:
    """A verdict on a model, with the bound that decides and the one for other experts."""

    verdict: Verdict
    reason: str
    """What decided."""
    margin: float
    ceiling: float
    comparison: PairedDifference
    ceiling_lower: float | None
    """The one-sided 95 % t bound of the experts' agreement, which must be above the ceiling."""
    these_experts: MarginTest | Undefined
    """Over items, n - 1 df. Its verdict is the verdict, unless the experts are too unreliable."""
    experts_like_these: MarginTest | Undefined
    """Over items and experts, r - 1 df. It decides nothing."""
    items_needed: ItemsNeeded | None
    """Where inconclusive."""

    def to_dict(self) -> dict[str, Any]:
        """Give the fields by name."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "margin": self.margin,
            "ceiling": self.ceiling,
            "ceiling_lower": self.ceiling_lower,
            "these_experts": _to_dict(self.these_experts),
            "experts_like_these": _to_dict(self.experts_like_these),
            "items_needed": asdict(self.items_needed) if self.items_needed else None,
            "comparison": self.comparison.to_dict(),
        }


@dataclass(frozen=True)
class HolmVerdict:
    """A verdict that stands among those on several questions."""

    verdict: Verdict
    n_tested: int
    """The questions tested against the margin; each direction is a family of its own."""
    p_non_inferior: float | None
    """Holm-adjusted, as the next."""
    p_worse: float | None

    def to_dict(self) -> dict[str, Any]:
        """Give the fields by name."""
        return asdict(self)


def non_inferiority(
    ratings: Ratings, model: str, experts: Sequence[str], margin: float, ceiling: float = 0.0
) -> NonInferiority:
    """Test the model's mean agreement with each expert, less that of the pairs of experts, against -margin.

    Args:
        ratings: those of one question.
        model: the annotator in question.
        experts: two or more.
        margin: the loss of agreement that still does; to be fixed before the labels are seen.
        ceiling: what the experts' own agreement must exceed for them to be a standard at all.

    Raises:
        InputError: there is no such annotator, or the margin is not above 0.

    """
    if not margin > 0:
        raise InputError(f"the margin is {margin:g}", "Give the loss of agreement that still does: above 0, as 0.1")
    comparison = difference_from_experts(ratings, model, experts)
    difference, reference = comparison.difference, comparison.reference
    n = difference.n_items if isinstance(difference, Estimate) else 0
    these = margin_test(difference, margin, "these experts", n - 1)
    ceiling_lower = _ceiling_lower(reference)
    verdict, reason = _decide(reference, ceiling_lower, ceiling, these)
    return NonInferiority(
        verdict=verdict,
        reason=reason,
        margin=margin,
        ceiling=ceiling,
        comparison=comparison,
        ceiling_lower=ceiling_lower,
        these_experts=these,
        experts_like_these=margin_test(comparison.experts_like_these, margin, "experts like these", len(experts) - 1),
        items_needed=_items_needed(difference, margin) if verdict == "inconclusive" else None,
    )


def holm_adjusted(results: Mapping[str, NonInferiority]) -> dict[str, HolmVerdict]:
    """Give the verdicts on several questions that stand together at 5 %; the ceiling's are not adjusted."""
    tested = {name: test for name, one in results.items() if isinstance(test := one.these_experts, MarginTest)}
    non_inferior = dict(zip(tested, holm([test.p_non_inferior for test in tested.values()]).tolist(), strict=True))
    worse = dict(zip(tested, holm([test.p_worse for test in tested.values()]).tolist(), strict=True))

    def verdict(name: str) -> Verdict:
        if results[name].verdict in ("undefined", "humans too unreliable"):
            return results[name].verdict
        return _verdict(non_inferior[name], worse[name])

    return {name: HolmVerdict(verdict(name), len(tested), non_inferior.get(name), worse.get(name)) for name in results}


def margin_test(difference: Coefficient, margin: float, target: Target, df: int) -> MarginTest | Undefined:
    """Test a difference against -margin by one-sided t bounds; undefined where it has no standard error."""
    if isinstance(difference, Undefined):
        return difference
    if difference.se is None:
        return Undefined(difference.method)
    from scipy.special import stdtr  # type: ignore[import-untyped]  # scipy has no types

    t = (difference.value + margin) / difference.se
    p_non_inferior, p_worse = float(stdtr(df, -t)), float(stdtr(df, t))
    return MarginTest(
        target,
        _bound(difference.value, -difference.se, df),
        _bound(difference.value, difference.se, df),
        df,
        p_non_inferior,
        p_worse,
        _verdict(p_non_inferior, p_worse),
    )


def _bound(value: float, se: float, df: int) -> float:
    from scipy.special import stdtrit

    return value + float(stdtrit(df, 1 - ALPHA)) * se


def _verdict(p_non_inferior: float, p_worse: float) -> MarginVerdict:
    if p_non_inferior < ALPHA:
        return "non-inferior"
    return "worse" if p_worse < ALPHA else "inconclusive"


def _ceiling_lower(reference: Coefficient) -> float | None:
    if isinstance(reference, Undefined):
        return None
    if reference.se is None:
        return 1.0 if reference.value == 1 else None
    return _bound(reference.value, -reference.se, reference.n_items - 1)


def _decide(
    reference: Coefficient, ceiling_lower: float | None, ceiling: float, test: MarginTest | Undefined
) -> tuple[Verdict, str]:
    if isinstance(reference, Undefined):
        return "undefined", reference.undefined
    if ceiling_lower is None:
        return "undefined", f"the agreement of the experts has {reference.method}"
    if ceiling_lower <= ceiling:
        return "humans too unreliable", "the lower bound of the experts' agreement is not above the ceiling"
    if isinstance(test, Undefined):
        return "undefined", test.undefined
    reasons: dict[MarginVerdict, str] = {
        "non-inferior": "the lower bound of the difference is above the margin",
        "worse": "the upper bound of the difference is below the margin",
        "inconclusive": "the margin is between the bounds of the difference",
    }
    return test.verdict, reasons[test.verdict]


def _items_needed(difference: Coefficient, margin: float) -> ItemsNeeded | None:
    """Solve (z.95 + z.8) s / sqrt(n) = the distance of the true difference from the margin, with s^2 = n se^2."""
    if isinstance(difference, Undefined) or difference.se is None:
        return None
    z = NormalDist().inv_cdf(1 - ALPHA) + NormalDist().inv_cdf(POWER)
    spread = z * difference.se * math.sqrt(difference.n_items)
    distance = abs(difference.value + margin)
    if_as_observed = math.ceil((spread / distance) ** 2) if distance > 0 else None
    return ItemsNeeded(if_as_observed, math.ceil((spread / margin) ** 2))


def _to_dict(test: MarginTest | Undefined) -> dict[str, Any]:
    return test.to_dict() if isinstance(test, Undefined) else asdict(test)
