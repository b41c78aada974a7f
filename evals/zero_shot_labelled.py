"""What 200 labelled examples are worth: calibrated probabilities of the held-out items, and how well they calibrate."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from evals.zero_shot_measures import Answers, Measures, calibration_error, measure
from evals.zero_shot_tasks import LabelTask
from llmclf.agreement.counts import Floats, Ints
from llmclf.calibration import fit
from llmclf.errors import InputError

METHODS: Final = ("temperature", "vector")
BEST: Final = METHODS[-1]
"""With labels, what is compared with peers."""
_SIMULATED: Final = 500


@dataclass(frozen=True)
class CalibrationExcess:
    """An expected calibration error beside what the same probabilities have if they mean what they say."""

    error: float
    expected: float
    """Under perfect calibration, by simulation: labels are drawn by the probabilities."""
    low: float
    high: float
    """The error less the upper and the lower 2.5 % of the simulated ones."""

    @property
    def excess(self) -> float:
        """What is not chance."""
        return self.error - self.expected


@dataclass(frozen=True)
class Calibrated:
    """One task's held-out items with probabilities calibrated by labelled examples."""

    model: str
    task: str
    method: str
    n_labelled: int
    problem: str = ""
    measures: Measures | None = None
    calibration: CalibrationExcess | None = None


def calibrated(model: str, task: LabelTask, probabilities: Floats) -> Iterator[Calibrated]:
    """Fit each method to the labelled items, and measure it on the others; probabilities are of all items."""
    if not task.labelled:
        return
    yield _measured(model, task, "none", probabilities[task.labelled :])
    for method in METHODS:
        try:
            yield _measured(model, task, method, calibrate(method, task, probabilities))
        except InputError as error:
            yield Calibrated(model, task.name, method, task.labelled, str(error))


def calibrate(method: str, task: LabelTask, probabilities: Floats) -> Floats:
    """Give the held-out items' probabilities, calibrated by the labelled ones.

    Raises:
        InputError: these are too few for the method.

    """
    n = task.labelled
    log_scores = np.log(np.maximum(probabilities, np.finfo(float).tiny))
    return fit(method, log_scores[:n], task.truth[:n]).apply(log_scores[n:])


def calibration_excess(probabilities: Floats, truth: Ints) -> CalibrationExcess:
    """Compare the calibration error with the one that chance alone brings."""
    rng = np.random.default_rng(0)
    cumulated = probabilities.cumsum(axis=1)
    simulated = []
    for _ in range(_SIMULATED):
        drawn = (rng.random((len(truth), 1)) > cumulated[:, :-1]).sum(axis=1)
        simulated.append(calibration_error(probabilities, drawn))
    error = calibration_error(probabilities, truth)
    low, high = np.quantile(simulated, [0.025, 0.975])
    return CalibrationExcess(error, float(np.mean(simulated)), error - float(high), error - float(low))


def _measured(model: str, task: LabelTask, method: str, probabilities: Floats) -> Calibrated:
    truth = task.truth[task.labelled :]
    is_known = ~np.isnan(probabilities).any(axis=1)
    measures = measure(Answers.likeliest(probabilities), truth, len(task.question.codes))
    excess = calibration_excess(probabilities[is_known], truth[is_known])
    return Calibrated(model, task.name, method, 0 if method == "none" else task.labelled, "", measures, excess)
