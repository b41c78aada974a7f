"""The coefficients that one table of ratings defines, by name."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from llmclf.agreement.brennan_prediger import brennan_prediger
from llmclf.agreement.classification import macro_f1, mcc
from llmclf.agreement.cohen_kappa import cohen_kappa, weighted_kappa_linear, weighted_kappa_quadratic
from llmclf.agreement.conger_kappa import conger_kappa
from llmclf.agreement.estimate import Coefficient, Estimate, Undefined
from llmclf.agreement.fleiss_kappa import fleiss_kappa
from llmclf.agreement.gwet_ac import gwet_ac1, gwet_ac2_linear, gwet_ac2_quadratic
from llmclf.agreement.icc import icc_1_1, icc_1_k, icc_2_1, icc_2_k, icc_3_1, icc_3_k
from llmclf.agreement.intervals import without_interval
from llmclf.agreement.kendall_w import kendall_w
from llmclf.agreement.krippendorff_alpha import (
    krippendorff_alpha,
    krippendorff_alpha_jaccard,
    krippendorff_alpha_masi,
)
from llmclf.agreement.percent_agreement import percent_agreement
from llmclf.agreement.rank_correlation import kendall_tau_b, spearman
from llmclf.agreement.rater_intervals import over_items_and_raters
from llmclf.agreement.ratings import Ratings, most_annotators
from llmclf.agreement.scale import MEASURED
from llmclf.agreement.scott_pi import scott_pi
from llmclf.errors import InputError, unknown
from llmclf.levels import Level

Intervals = Literal["items", "items+raters", "none"]
"""What is taken for a sample: the items, or the annotators too."""

_UNBOUNDED = float("-inf")


@dataclass(frozen=True)
class _Registered:
    compute: Callable[[Ratings], Coefficient]
    levels: Collection[Level] = tuple(Level)
    """Those that it is meant for; at others it says itself why it is undefined."""
    exchangeable: bool = False
    """Whether it is the same whichever annotator gave which of an item's ratings."""
    bounds: tuple[float, float] = (-1.0, 1.0)


_COEFFICIENTS: Final = {
    "percent_agreement": _Registered(percent_agreement, exchangeable=True, bounds=(0.0, 1.0)),
    "cohen_kappa": _Registered(cohen_kappa),
    "weighted_kappa_linear": _Registered(weighted_kappa_linear, MEASURED),
    "weighted_kappa_quadratic": _Registered(weighted_kappa_quadratic, MEASURED),
    "scott_pi": _Registered(scott_pi),
    "fleiss_kappa": _Registered(fleiss_kappa, exchangeable=True, bounds=(_UNBOUNDED, 1.0)),
    "conger_kappa": _Registered(conger_kappa, bounds=(_UNBOUNDED, 1.0)),
    "krippendorff_alpha": _Registered(krippendorff_alpha, exchangeable=True),
    "krippendorff_alpha_masi": _Registered(krippendorff_alpha_masi, (Level.SET,), exchangeable=True),
    "krippendorff_alpha_jaccard": _Registered(krippendorff_alpha_jaccard, (Level.SET,), exchangeable=True),
    "gwet_ac1": _Registered(gwet_ac1, exchangeable=True, bounds=(_UNBOUNDED, 1.0)),
    "gwet_ac2_linear": _Registered(gwet_ac2_linear, MEASURED, exchangeable=True, bounds=(_UNBOUNDED, 1.0)),
    "gwet_ac2_quadratic": _Registered(gwet_ac2_quadratic, MEASURED, exchangeable=True, bounds=(_UNBOUNDED, 1.0)),
    "brennan_prediger": _Registered(brennan_prediger, exchangeable=True, bounds=(_UNBOUNDED, 1.0)),
    "icc_1_1": _Registered(icc_1_1, MEASURED),
    "icc_2_1": _Registered(icc_2_1, MEASURED, bounds=(_UNBOUNDED, 1.0)),
    "icc_3_1": _Registered(icc_3_1, MEASURED),
    "icc_1_k": _Registered(icc_1_k, MEASURED, bounds=(_UNBOUNDED, 1.0)),
    "icc_2_k": _Registered(icc_2_k, MEASURED, bounds=(_UNBOUNDED, 1.0)),
    "icc_3_k": _Registered(icc_3_k, MEASURED, bounds=(_UNBOUNDED, 1.0)),
    "spearman": _Registered(spearman, MEASURED),
    "kendall_tau_b": _Registered(kendall_tau_b, MEASURED),
    "kendall_w": _Registered(kendall_w, MEASURED, bounds=(0.0, 1.0)),
    "mcc": _Registered(mcc),
    "macro_f1": _Registered(macro_f1, bounds=(0.0, 1.0)),
}
NAMES: Final = tuple(_COEFFICIENTS)
_WEIGHED_SETS = ("krippendorff_alpha_masi", "krippendorff_alpha_jaccard")


def coefficients(
    ratings: Ratings, names: Iterable[str] | None = None, intervals: Intervals = "items"
) -> dict[str, Coefficient]:
    """Compute the named coefficients, or every one that is meant for the level.

    Raises:
        InputError: there is no coefficient of such a name.

    """
    if names is None:
        names = [name for name, one in _COEFFICIENTS.items() if ratings.level in one.levels]
    found = {}
    for name in names:
        if name not in _COEFFICIENTS:
            raise InputError(unknown("coefficient", name, NAMES))
        found[name] = _computed(ratings, _COEFFICIENTS[name], intervals)
        if ratings.level is Level.SET and name not in _WEIGHED_SETS:
            found[name] = _of_whole_sets(found[name])
    return found


def _computed(ratings: Ratings, one: _Registered, intervals: Intervals) -> Coefficient:
    too_many = f"more than {most_annotators(len(ratings.items))} annotators"
    if ratings.raters is not None and not one.exchangeable:
        return Undefined(too_many)
    if intervals == "items+raters" and ratings.raters is None:
        return over_items_and_raters(ratings, one.compute, one.bounds)
    coefficient = one.compute(ratings)
    if intervals == "items" or isinstance(coefficient, Undefined):
        return coefficient
    return without_interval(
        coefficient.value, coefficient.n_items, "none was asked for" if intervals == "none" else too_many
    )


def _of_whole_sets(coefficient: Coefficient) -> Coefficient:
    if not isinstance(coefficient, Estimate):
        return coefficient
    return replace(coefficient, method=f"exact sets compared as nominal labels; {coefficient.method}")
