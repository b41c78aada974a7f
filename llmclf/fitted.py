"""What labelled examples have settled of a policy, as it is saved."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from llmclf.annotations import FittedOn


class Fitted(BaseModel):
    """What labelled examples of one question have settled.

    Each example is in a fold, and is decided on by what the other folds settle: so its label may be held against what
    people say of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    labels: tuple[str, ...] = ()
    """The codes of the question's labels, in the codebook's order; it goes with no others."""
    calibration: Mapping[str, Any] = Field(default_factory=dict)
    """As `llmclf.calibration` writes it; empty for none."""
    thresholds: tuple[float, ...] = ()
    """Of a set: the least probability of each label, in the codebook's order."""
    folds: Mapping[str, int] = Field(default_factory=dict)
    """The examples, each with its fold."""
    calibration_without: tuple[Mapping[str, Any], ...] = ()
    """By the fold that is left out."""
    thresholds_without: tuple[tuple[float, ...], ...] = ()
    least_probability: float | None = None
    """Below it there is no label."""
    set_threshold: float | None = None
    """Labels of a probability of 1 less this, or more, make a set that holds the right one as often as was asked."""
    statements: tuple[str, ...] = ()
    """What is claimed for the labels and the sets that are given."""
    judges: tuple[str, ...] = ()
    """The examples by which thresholds were chosen for a claim; what becomes of them is no evidence."""

    def fitted_on(self, item: str) -> FittedOn | None:
        """Say whether what is settled rests on an item: on it, too (`itself`), or is applied to it by the others."""
        if item in self._judges:
            return "itself"
        return "others" if item in self.folds else None

    @model_validator(mode="after")
    def _check(self) -> Self:
        most = 1 + max(self.folds.values(), default=-1)
        for whole, without in (self.calibration, self.calibration_without), (self.thresholds, self.thresholds_without):
            if whole and len(without) < most:
                raise ValueError(f"fitted: of {most} folds, {len(without)} say what is settled without them")
        return self

    @cached_property
    def _judges(self) -> frozenset[str]:
        return frozenset(self.judges)
