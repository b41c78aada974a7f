"""The coefficients that one table of ratings defines."""

from dataclasses import replace

from llmclf.agreement.cohen_kappa import cohen_kappa, weighted_kappa_quadratic
from llmclf.agreement.estimate import Coefficient, Estimate
from llmclf.agreement.krippendorff_alpha import krippendorff_alpha
from llmclf.agreement.percent_agreement import percent_agreement
from llmclf.agreement.ratings import Ratings
from llmclf.levels import Level


def coefficients(ratings: Ratings) -> dict[str, Coefficient]:
    """Compute every coefficient that fits the level; quadratic weights only where labels have an order."""
    by_name = {"percent_agreement": percent_agreement(ratings), "cohen_kappa": cohen_kappa(ratings)}
    if ratings.level in (Level.ORDINAL, Level.INTERVAL, Level.RATIO):
        by_name["weighted_kappa_quadratic"] = weighted_kappa_quadratic(ratings)
    by_name["krippendorff_alpha"] = krippendorff_alpha(ratings)
    if ratings.level is Level.SET:
        return {name: _of_sets(coefficient) for name, coefficient in by_name.items()}
    return by_name


def _of_sets(coefficient: Coefficient) -> Coefficient:
    if not isinstance(coefficient, Estimate):
        return coefficient
    return replace(coefficient, method=f"exact sets compared as nominal labels; {coefficient.method}")
