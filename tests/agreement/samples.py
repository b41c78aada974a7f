"""Simulated items with a model's label and, for a probability sample, an expert's."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmclf.agreement.estimating_equations import Regression

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Simulated:
    """Binary labels that depend on x, and a model that errs in a way that depends on x, too."""

    x: Floats
    """With a column of ones."""
    truth: Floats
    model: npt.NDArray[np.int8]
    outcome: Floats
    probability: Floats

    @classmethod
    def draw(cls, seed: int, n_items: int = 1000, *, equal: bool = True) -> "Simulated":
        rng = np.random.default_rng(seed)
        x = np.column_stack([np.ones(n_items), rng.normal(size=n_items)])
        truth = (rng.random(n_items) < Regression.LOGISTIC.mean(x @ TRUE_COEFFICIENTS)).astype(float)
        says_yes = np.where(truth == 1, np.where(x[:, 1] > 0, 0.9, 0.7), 0.2)
        model = (rng.random(n_items) < says_yes).astype(np.int8)
        probability = np.full(n_items, 0.2) if equal else np.where(model == 1, 0.3, 0.12)
        outcome = np.where(rng.random(n_items) < probability, truth, np.nan)
        return cls(x, truth, model, outcome, probability)


TRUE_COEFFICIENTS = np.array([-0.8, 0.7])
TRUE_PREVALENCE = 0.32696277748606856
"""Of the logistic model with a standard normal x, by numerical integration."""
