"""A probability sample of expert labels among items that a model has labelled: what corrected estimates rest on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from llmclf.agreement.counts import Floats
from llmclf.errors import InputError

ESTIMAND: Final = "what these experts would have labelled"
_FAR = 5
"""Standard deviations by which the number of expert labels cannot differ from what the probabilities promise."""


@dataclass(frozen=True, eq=False)
class ExpertSample:
    """A number for every item by the model and, for a probability sample of the items, by the experts.

    Each array has shape (N,). A label is a number as the value of a score, or as 1 where it is given and 0 elsewhere.

    Raises:
        InputError: the expert labels are no probability sample.

    """

    outcome: Floats
    """By the experts; NaN where they did not label the item."""
    prediction: Floats
    probability: Floats
    """With which the item was chosen to be labelled by the experts."""

    def __post_init__(self) -> None:
        if not len(self.outcome) == len(self.prediction) == len(self.probability):
            raise InputError("outcome, prediction and probability differ in length", "Give one of each for every item")
        if not np.isfinite(self.prediction).all():
            raise InputError("some items have no prediction", "Give the model's label, as a number, for every item")
        check_probability_sample(self.is_sampled, self.probability)

    @property
    def is_sampled(self) -> npt.NDArray[np.bool_]:
        """Tell which items the experts labelled: R of the formulas, shape (N,)."""
        return ~np.isnan(self.outcome)


def check_probability_sample(
    is_sampled: npt.NDArray[np.bool_], probability: Floats, names: Sequence[str] | None = None
) -> None:
    """Check that the items with expert labels can be a sample drawn with these probabilities.

    Raises:
        InputError: they cannot; the line names the first item that shows it.

    """
    if is_sampled.all() or not is_sampled.any():
        some = "all items have" if is_sampled.all() else "no item has"
        raise InputError(
            f"{some} expert labels", "A corrected estimate needs items with expert labels and items without"
        )
    of_whom = names or [str(position) for position in range(len(probability))]
    wrong = ~((probability > 0) & (probability <= 1))
    if wrong.any():
        first = int(np.argmax(wrong))
        given = "no" if np.isnan(probability[first]) else f"{probability[first]:g} is no"
        raise InputError(
            f"item {of_whom[first]!r}: {given} sampling probability, above 0 and at most 1",
            "Give every item the probability with which it was chosen for the experts, whether it was or not",
        )
    left_out = ~is_sampled & (probability == 1)
    if left_out.any():
        raise InputError(
            f"item {of_whom[int(np.argmax(left_out))]!r}: no expert label, and a sampling probability of 1",
            "Give every item the probability with which it was chosen for the experts",
        )
    n, promised = int(is_sampled.sum()), float(probability.sum())
    if abs(n - promised) > _FAR * math.sqrt(float(probability @ (1 - probability))):
        raise InputError(
            f"{n} items have expert labels, but the sampling probabilities add up to {promised:.1f}",
            "Give every item the probability with which it was chosen for the experts",
        )
