"""What a model's labels say of all items, and what they say once experts' labels of a sample have corrected them."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from llmclf.agreement.counts import Floats
from llmclf.agreement.design_supervised import cross_fitted, design_supervised_mean
from llmclf.agreement.estimate import ONE_ITEM, Coefficient, Estimate, Undefined
from llmclf.agreement.expert_sample import ESTIMAND, ExpertSample, check_probability_sample
from llmclf.agreement.intervals import normal, without_interval
from llmclf.agreement.prediction_powered import prediction_powered_mean
from llmclf.agreement.ratings import MISSING, Codes, Ratings
from llmclf.agreement.rogan_gladen import rogan_gladen_estimated
from llmclf.agreement.scale import MEASURED
from llmclf.errors import InputError
from llmclf.levels import Level

_Bounds = tuple[float, float]
_SHARES: _Bounds = (0.0, 1.0)


@dataclass(frozen=True)
class Corrections:
    """One number about all items, from the model's labels alone and corrected in three ways."""

    uncorrected: Coefficient
    """Of the items that the model labelled."""
    design_supervised: Coefficient
    prediction_powered: Coefficient
    """Undefined where sampling probabilities differ."""
    rogan_gladen: Coefficient | None
    """None for a mean, and for more than two labels."""


@dataclass(frozen=True)
class Corrected:
    """What the experts would have labelled, had they labelled all items."""

    estimand: str
    n_items: int
    n_expert: int
    """Items with an expert label."""
    prevalence: dict[str, Corrections]
    """The share of items by label, in the scale's order."""
    mean: Corrections | None
    """Of the labels' places on the scale; None where labels have no order."""

    def to_dict(self) -> dict[str, Any]:
        """Give the fields by name, estimates and reasons as elsewhere."""
        return {
            **asdict(self),
            "prevalence": {label: _document(corrections) for label, corrections in self.prevalence.items()},
            "mean": self.mean and _document(self.mean),
        }


def corrected(ratings: Ratings, sampling_probability: Floats) -> Corrected:
    """Correct the prevalence of each label and, on a scale, the mean, as the model's labels have them.

    An item that the model could not label stays in: DSL learns from the others what experts make of such items.

    Args:
        ratings: two annotators, the model and then the experts as one; the experts' label is missing where not sampled.
        sampling_probability: with which each item was chosen for the experts, chosen or not. Shape (N,).

    Raises:
        InputError: the expert labels are no probability sample, there are not two annotators, or labels are sets.

    """
    if len(ratings.annotators) != 2:
        raise InputError(
            f"two annotators are needed, not {len(ratings.annotators)}", "Give the model and the experts as one"
        )
    if ratings.level is Level.SET:
        raise InputError(
            "a corrected prevalence is of single labels, not of sets", "Ask of each label whether it is in"
        )
    probability = np.asarray(sampling_probability, dtype=np.float64)
    model, expert = ratings.codes.T
    check_probability_sample(expert != MISSING, probability, ratings.items)
    both = _Labels(model, expert, probability)
    shares = np.eye(len(ratings.scale))
    return Corrected(
        estimand=ESTIMAND,
        n_items=len(model),
        n_expert=int(np.count_nonzero(expert != MISSING)),
        prevalence={
            label: both.corrections(shares[code], _SHARES, is_binary=len(ratings.scale) == 2)
            for code, label in enumerate(ratings.scale)
        },
        mean=None
        if ratings.level not in MEASURED
        else both.corrections(ratings.values, (ratings.values.min(), ratings.values.max()), is_binary=False),
    )


@dataclass(frozen=True, eq=False)
class _Labels:
    """The codes of the model and the experts, and the sampling probabilities; each of shape (N,)."""

    model: Codes
    expert: Codes
    probability: Floats

    def corrections(self, numbers: Floats, bounds: _Bounds, *, is_binary: bool) -> Corrections:
        """Correct the mean of what each code of the scale counts."""
        outcome = np.where(self.expert == MISSING, np.nan, numbers[self.expert])
        labelled = self.model != MISSING
        said = numbers[self.model[labelled]]
        prediction = np.full(len(outcome), said.mean() if len(said) and not is_binary else 0.0)
        prediction[labelled] = said
        raw = ExpertSample(outcome, prediction, self.probability)
        fitted = ExpertSample(outcome, cross_fitted(self.model, outcome, self.probability), self.probability)
        return Corrections(
            uncorrected=_uncorrected(said, bounds),
            design_supervised=design_supervised_mean(fitted, bounds),
            prediction_powered=prediction_powered_mean(raw, bounds=bounds),
            rogan_gladen=rogan_gladen_estimated(raw) if is_binary else None,
        )


def _uncorrected(said: Floats, bounds: _Bounds) -> Coefficient:
    if len(said) == 0:
        return Undefined("the model labelled no item")
    value = float(said.mean())
    if len(said) == 1:
        return without_interval(value, 1, ONE_ITEM)
    se = float(said.std(ddof=1)) / math.sqrt(len(said))
    return normal(value, se, len(said), "the model's labels alone, normal; not what experts would have said", bounds)


def _document(corrections: Corrections) -> dict[str, Any]:
    by_method: dict[str, Estimate | Undefined | None] = vars(corrections)
    return {name: found and found.to_dict() for name, found in by_method.items()}
