"""What every calibration is: a map from log-scores to probabilities, fitted to labelled items and saved as numbers."""

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any, ClassVar, Self

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.errors import InputError


class Calibration(ABC):
    """A fitted map from log-scores to probabilities: a dataclass of numbers and tuples of numbers."""

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def check_enough(cls, labels: Ints, n_labels: int) -> None:
        """Refuse to be fitted to the labels of n items, none missing, where they are too few.

        Raises:
            InputError: they are; or the method is for another number of labels.

        """

    @classmethod
    @abstractmethod
    def fitted(cls, log_scores: Floats, labels: Ints) -> Self:
        """Fit to log-scores (n, q) and labels (n,), none missing, however few they are.

        Raises:
            InputError: a label has probability 0, which no calibration of this kind can mend.

        """

    @abstractmethod
    def apply(self, log_scores: Floats) -> Floats:
        """Give probabilities (n, q); a row with a NaN is NaN throughout.

        Raises:
            InputError: it was fitted to another number of labels.

        """

    def to_dict(self) -> dict[str, Any]:
        """Give the method's name and the numbers, ready for TOML and JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]  # all are
        return {"method": self.name} | {
            name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
        }


def check_items(method: str, labels: Ints, fewest: int) -> None:
    """Ask for a number of labelled items, with two labels among them.

    Raises:
        InputError: they are fewer.

    """
    if len(labels) < fewest:
        raise InputError(
            f"{len(labels)} labelled items are too few for calibration by {method}, which takes {fewest}",
            "Label more items, drawn at random, or choose a policy without calibration",
        )
    if len(np.unique(labels)) < 2:
        raise InputError(
            f"all {len(labels)} labelled items have the same label, of which calibration by {method} learns nothing",
            "Label more items, drawn at random, until another label occurs",
        )


def check_n_labels(method: str, fitted: int, log_scores: Floats) -> None:
    """Refuse log-scores of another number of labels.

    Raises:
        InputError: they are.

    """
    if log_scores.shape[1] != fitted:
        raise InputError(
            f"calibration by {method} was fitted to {fitted} labels, and the question has {log_scores.shape[1]}",
            "Fit it anew, to the labels of this question",
        )
