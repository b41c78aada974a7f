"""Abstention at a wanted risk: how much is answered, and how often the promise is broken.

The answered items of a task are the population: labelled items are drawn from it with replacement, so that they are
exchangeable and the true risk at any threshold is known.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from evals.zero_shot_measures import Answers
from evals.zero_shot_tasks import GATED, LABELLED
from llmclf.abstention import select_threshold
from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.estimate import Undefined

RISK: Final = 0.1
DELTA: Final = 0.1
"""How often the true risk may exceed the wanted one."""
_RUNS: Final = 500


@dataclass(frozen=True)
class Abstaining:
    """One system's confidences on one task."""

    model: str
    task: str
    system: str
    coverage: float
    """The mean share of items answered; none where no threshold is found."""
    found: float
    """The share of runs that find a threshold."""
    violated: float
    """The share of runs whose true risk is above the wanted one."""
    plain_coverage: float
    plain_risk: float
    """What comes of answering where the highest probability is at least 1 - risk, which promises nothing."""

    @property
    def monte_carlo_error(self) -> float:
        """The standard error of `violated`."""
        return math.sqrt(self.violated * (1 - self.violated) / _RUNS)


def abstaining(model: str, task: str, systems: dict[str, Floats], truth: Ints) -> Iterator[Abstaining]:
    """Choose thresholds by 200 labelled items, many times over, for each system's probabilities (n, q)."""
    if len(truth) < GATED:
        return
    for system, probabilities in systems.items():
        confidence = probabilities.max(axis=1)
        correct = Answers.likeliest(probabilities).labels == truth
        rng = np.random.default_rng(0)
        coverages, risks = np.zeros(_RUNS), np.zeros(_RUNS)
        for run in range(_RUNS):
            drawn = rng.integers(0, len(truth), LABELLED)
            found = select_threshold(confidence[drawn], correct[drawn], confidence, RISK, DELTA)
            if not isinstance(found, Undefined):
                coverages[run], risks[run] = _answered(confidence >= found.threshold, correct)
        plain = _answered(confidence >= 1 - RISK, correct)
        yield Abstaining(
            model,
            task,
            system,
            float(coverages.mean()),
            float((coverages > 0).mean()),
            float((risks > RISK).mean()),
            *plain,
        )


def _answered(is_answered: "np.ndarray[tuple[int], np.dtype[np.bool_]]", correct: Floats) -> tuple[float, float]:
    """Give the share of items answered, and the share of errors among them."""
    coverage = float(is_answered.mean())
    return coverage, float(1 - correct[is_answered].mean()) if coverage else 0.0
