"""Abstention by simulation, where the true risk is known: how often a promise is broken, and how much is answered.

Thresholds as of Geifman & El-Yaniv 2017, "Selective classification for deep neural networks", arXiv 1705.08500,
and Angelopoulos et al. 2021, "Learn then test", arXiv 2110.01052.

python -m evals.abstention            # some minutes
python -m evals.abstention --quick    # seconds, and rough

Confidences of the chosen of two labels are .5 + Beta(5, 1) / 2. A calibrated model is right as often as it says;
an over- or underconfident one says log-odds that are twice or half of what they should be; and of one with blind spots,
the surest tenth are right 3 times in 4. Thresholds come from n labelled items and 2,000 others. Beside the two methods
stand the plain threshold 1 - alpha, and the highest coverage whose share of errors among the labelled is at most alpha.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from rich.table import Table
from scipy.stats import beta  # type: ignore[import-untyped]  # scipy has no types

from llmclf.abstention import BONFERRONI, FIXED_SEQUENCE, Bools, SelectiveThreshold, select_threshold
from llmclf.agreement.counts import Floats
from llmclf.cli.common import console

SIZES: Final = (100, 300, 1000)
ALPHAS: Final = (0.05, 0.1, 0.2)
DELTA: Final = 0.1
N_OTHERS: Final = 2000
SHAPE: Final = (5.0, 1.0)
PLAIN: Final = "1 - alpha"
EMPIRICAL: Final = "empirical"
RULES: Final = (FIXED_SEQUENCE, BONFERRONI, PLAIN, EMPIRICAL)
GRID: Final = 100_000
"""Quantiles of the confidence over which the true risk is averaged."""


def _steeper(times: float) -> Callable[[Floats], Floats]:
    return lambda confidence: np.asarray(1 / (1 + ((1 - confidence) / confidence) ** times))


MODELS: Final[Mapping[str, Callable[[Floats], Floats]]] = {
    "calibrated": lambda confidence: confidence,
    "overconfident": _steeper(0.5),
    "underconfident": _steeper(2),
    "blind spots": lambda confidence: np.where(confidence > _quantile(0.9), 0.75, confidence),
}
"""How often a model is right, by its confidence."""


def _quantile(share: float | Floats) -> Floats:
    return np.asarray(0.5 + beta.ppf(share, *SHAPE) / 2)


class TrueRisk:
    """Risk and coverage of every threshold, for a model that is known."""

    def __init__(self, accuracy: Callable[[Floats], Floats]) -> None:
        self._confidence = _quantile((np.arange(GRID) + 0.5) / GRID)
        errors = 1 - accuracy(self._confidence)
        self._risk = np.append(np.cumsum(errors[::-1])[::-1] / np.arange(GRID, 0, -1), 0.0)

    def at(self, threshold: float) -> tuple[float, float]:
        """Give risk and coverage of a threshold."""
        place = int(np.searchsorted(self._confidence, threshold))
        return float(self._risk[place]), 1 - place / GRID


@dataclass(frozen=True)
class Rule:
    """What became of a rule in one design: of n labelled items of a model, for a wanted risk."""

    model: str
    n_labelled: int
    alpha: float
    rule: str
    samples: int
    broken: int
    """Samples in which the true risk is above the wanted one."""
    coverage: float
    """Its mean, where no threshold is found 0."""

    @property
    def share_broken(self) -> float:
        """The share of samples in which the true risk is above the wanted one."""
        return self.broken / self.samples

    @property
    def holds(self) -> bool:
        """Whether that is no more than delta, or not more by over three Monte Carlo errors."""
        return self.share_broken <= DELTA + 3 * monte_carlo_error(self.samples)


def monte_carlo_error(samples: int) -> float:
    """Give the standard error of a share of delta."""
    return float(np.sqrt(DELTA * (1 - DELTA) / samples))


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print a table, and give 1 where a method breaks its promise too often."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.abstention", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=2000, help="of each design")
    parser.add_argument("--items", type=int, nargs="+", default=SIZES, help="numbers of labelled items")
    parser.add_argument("--alphas", type=float, nargs="+", default=ALPHAS, help="wanted risks")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="100 samples of each design")
    options = parser.parse_args(arguments)
    samples = 100 if options.quick else options.samples
    rng = np.random.default_rng(options.seed)
    found = [
        rule
        for model, n, alpha in product(MODELS, options.items, options.alphas)
        for rule in simulate(rng, samples, model, n, alpha)
    ]
    console().print(table(found))
    for line in at_equal_validity(found):
        print(line)
    return 0 if all(one.holds for one in found if one.rule in (FIXED_SEQUENCE, BONFERRONI)) else 1


def simulate(rng: np.random.Generator, samples: int, model: str, n: int, alpha: float) -> list[Rule]:
    """Apply all rules to the same samples."""
    accuracy = MODELS[model]
    true_risk = TrueRisk(accuracy)
    broken, coverage = dict.fromkeys(RULES, 0), dict.fromkeys(RULES, 0.0)
    for _ in range(samples):
        confidence, others = (0.5 + rng.beta(*SHAPE, size) / 2 for size in (n, N_OTHERS))
        correct = rng.random(n) < accuracy(confidence)
        for rule in RULES:
            threshold = _threshold(rule, confidence, correct, others, alpha)
            if threshold is not None:
                risk, share = true_risk.at(threshold)
                broken[rule] += risk > alpha
                coverage[rule] += share / samples
    return [Rule(model, n, alpha, rule, samples, broken[rule], coverage[rule]) for rule in RULES]


def _threshold(rule: str, confidence: Floats, correct: Bools, others: Floats, alpha: float) -> float | None:
    if rule == PLAIN:
        return 1 - alpha
    if rule == EMPIRICAL:
        order = np.argsort(-confidence)
        (kept,) = np.nonzero(np.cumsum(~correct[order]) <= alpha * np.arange(1, len(order) + 1))
        return float(confidence[order[kept[-1]]]) if len(kept) else None
    chosen = select_threshold(confidence, correct, others, alpha, DELTA, rule)
    return chosen.threshold if isinstance(chosen, SelectiveThreshold) else None


def table(found: Sequence[Rule]) -> Table:
    """Give the table that a person reads."""
    made = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, title_justify="left", caption_justify="left")
    made.title = "Share of samples with a true risk above alpha, and mean coverage"
    made.caption = (
        f"Wanted: a share of {DELTA:g} at most. * more, by over 3 Monte Carlo errors"
        f" of {monte_carlo_error(found[0].samples):.3f}."
    )
    made.add_column("model", no_wrap=True)
    for heading in ("labels", "alpha", *RULES):
        made.add_column(heading, justify="right", no_wrap=True)
    designs: dict[tuple[str, int, float], dict[str, Rule]] = {}
    for one in found:
        designs.setdefault((one.model, one.n_labelled, one.alpha), {})[one.rule] = one
    for (model, n, alpha), rules in designs.items():
        made.add_row(model, f"{n:,}", f"{alpha:g}", *(_cell(rules[rule]) for rule in RULES))
    return made


def _cell(one: Rule) -> str:
    return f"{one.share_broken:.3f}{' ' if one.holds else '*'} {one.coverage:.2f}"


def at_equal_validity(found: Sequence[Rule]) -> list[str]:
    """Compare coverage where the plain threshold keeps the wanted risk, for each number of labels."""
    lines = ["Coverage at equal validity, over the designs in which 1 - alpha keeps the wanted risk:"]
    for n in sorted({one.n_labelled for one in found}):
        by_rule = {rule: [one for one in found if (one.n_labelled, one.rule) == (n, rule)] for rule in RULES}
        kept = [place for place, one in enumerate(by_rule[PLAIN]) if one.holds]
        means = {rule: np.mean([by_rule[rule][place].coverage for place in kept] or [0]) for rule in RULES[:3]}
        shown = ", ".join(f"{rule} {mean:.2f}" for rule, mean in means.items())
        lines.append(f"  {n:>5,} labels: {shown} ({len(kept)} of {len(by_rule[PLAIN])} designs)")
    return lines


if __name__ == "__main__":
    sys.exit(main())
