"""How often 95 % intervals hold the truth where a model's labels are counted, or regressed on something.

    python -m evals.corrected [--samples 2000]

Simulated: a yes that depends on x, and a model that says it falsely, and more often where x is high. Experts label a
random sample of the items, each with the same probability or more of those to which the model says yes. Targets:
.93 to .97 for each corrected estimate; the model's labels alone are shown for what they are.
"""

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from llmclf.agreement import Coefficient, Estimate, Undefined
from llmclf.agreement.corrected import corrected
from llmclf.agreement.counts import Floats
from llmclf.agreement.design_supervised import cross_fitted, design_supervised_regression
from llmclf.agreement.estimating_equations import Regression, solve
from llmclf.agreement.expert_sample import ExpertSample
from llmclf.agreement.intervals import UNBOUNDED, normal
from llmclf.agreement.prediction_powered import prediction_powered_regression
from llmclf.agreement.ratings import Ratings
from llmclf.levels import Level

COEFFICIENTS = np.array([-0.8, 0.7])
PREVALENCE = 0.32696277748606856
"""Of a standard normal x, by numerical integration."""


@dataclass(frozen=True)
class Setting:
    """A study: its items, how many the experts label, and whether they label more of the model's yes."""

    items: int
    experts: int
    more_of_yes: bool


SETTINGS = (
    Setting(4250, 250, more_of_yes=False),
    Setting(4250, 250, more_of_yes=True),
    Setting(1000, 100, more_of_yes=False),
    Setting(1000, 100, more_of_yes=True),
    Setting(1000, 40, more_of_yes=False),
)


@dataclass
class Tally:
    """What the intervals of one method did."""

    intervals: int = 0
    undefined: int = 0
    covered: int = 0
    error: float = 0.0
    width: float = 0.0

    def add(self, found: Coefficient, truth: float) -> None:
        """Count one interval."""
        if not isinstance(found, Estimate) or found.low is None or found.high is None:
            self.undefined += 1
            return
        self.intervals += 1
        self.covered += found.low <= truth <= found.high
        self.error += found.value - truth
        self.width += found.high - found.low


def main() -> None:
    """Simulate every setting, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000, help="simulated studies of each setting")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    missed = 0
    for setting in SETTINGS:
        tallies = simulate(setting, options.samples, rng)
        sampling = "more of the model's yes" if setting.more_of_yes else "equal probabilities"
        print(f"\n{setting.items} items, about {setting.experts} with an expert label, {sampling}")
        print(f"  {'estimate':<12}{'method':<24}{'coverage':<16}{'bias':>8}{'width':>8}  undefined")
        for (estimate, method), tally in tallies.items():
            share = tally.covered / tally.intervals
            error = math.sqrt(share * (1 - share) / tally.intervals)
            is_off = not 0.93 - 2 * error <= share <= 0.97 + 2 * error and method != "model alone"
            missed += is_off
            print(
                f"  {estimate:<12}{method:<24}{f'{share:.3f} ± {error:.3f}':<14}{'! ' if is_off else '  '}"
                f"{tally.error / tally.intervals:>8.4f}{tally.width / tally.intervals:>8.3f}  {tally.undefined or ''}"
            )
    print(f"\n{missed} corrected estimates outside .93 to .97 by more than two Monte Carlo errors")
    sys.exit(1 if missed else 0)


def simulate(setting: Setting, samples: int, rng: np.random.Generator) -> dict[tuple[str, str], Tally]:
    """Draw studies, and tally each estimate by each method."""
    tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)
    truths = {"prevalence": PREVALENCE, "slope": float(COEFFICIENTS[1])}
    for _ in range(samples):
        for estimate, method, found in estimates(setting, rng):
            tallies[estimate, method].add(found, truths[estimate])
    return {key: tally for key, tally in tallies.items() if tally.intervals}


def estimates(setting: Setting, rng: np.random.Generator) -> Iterator[tuple[str, str, Coefficient]]:
    """Draw a study, and estimate the prevalence and the slope by each method."""
    x = np.column_stack([np.ones(setting.items), rng.normal(size=setting.items)])
    truth = rng.random(setting.items) < Regression.LOGISTIC.mean(x @ COEFFICIENTS)
    model = rng.random(setting.items) < np.where(truth, 0.82, np.where(x[:, 1] > 0, 0.2, 0.1))
    probability = np.where(model & setting.more_of_yes, 2.0, 1.0)
    probability *= setting.experts / probability.sum()
    expert = np.where(rng.random(setting.items) < probability, truth, -1)
    ratings = Ratings(
        codes=np.column_stack([model, expert]).astype(np.int8),
        items=tuple(map(str, range(setting.items))),
        annotators=("model", "expert"),
        scale=("no", "yes"),
        level=Level.NOMINAL,
        scale_declared=True,
    )
    yes = corrected(ratings, probability).prevalence["yes"]
    yield "prevalence", "model alone", yes.uncorrected
    yield "prevalence", "PPI++", yes.prediction_powered
    yield "prevalence", "DSL", yes.design_supervised
    if yes.rogan_gladen is not None:
        yield "prevalence", "Rogan-Gladen", yes.rogan_gladen
    outcome = np.where(expert < 0, np.nan, expert)
    yield "slope", "model alone", _slope_of_labels(x, model.astype(float))
    raw = ExpertSample(outcome, model.astype(float), probability)
    fitted = ExpertSample(outcome, cross_fitted(model.astype(np.int8), outcome, probability, x), probability)
    powered = prediction_powered_regression(raw, x, Regression.LOGISTIC)
    yield "slope", "PPI++", powered[1] if isinstance(powered, tuple) else powered
    supervised = design_supervised_regression(fitted, x, Regression.LOGISTIC)
    yield "slope", "DSL", supervised[1] if isinstance(supervised, tuple) else supervised


def _slope_of_labels(x: Floats, labels: Floats) -> Coefficient:
    """Fit an ordinary logistic regression, as if the labels were true."""
    theta = solve(x, np.ones(len(x)), labels, Regression.LOGISTIC)
    if isinstance(theta, Undefined):
        return theta
    variance = np.linalg.inv(Regression.LOGISTIC.information(x, x @ theta)) / len(x)
    method = "logistic regression on the model's labels"
    return normal(float(theta[1]), math.sqrt(variance[1, 1]), len(x), method, UNBOUNDED)


if __name__ == "__main__":
    main()
