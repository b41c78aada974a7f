"""How often 95 % intervals hold the true coefficient: over items, and over items and annotators.

python -m evals.coverage            # some minutes
python -m evals.coverage --quick    # seconds, and rough

Over items, two annotators have the same two labels, with kappa = .6 between them, on other items each time. Over items
and annotators, five annotators are drawn each time from people who recognise either label at a rate of their own
(Beta(17, 3), mean .85), and the truth is that of all such people; the interval over items alone stands beside it.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt
from rich.table import Table

from llmclf.agreement import Coefficient, Estimate, Ratings
from llmclf.agreement.cohen_kappa import cohen_kappa
from llmclf.agreement.conger_kappa import conger_kappa
from llmclf.agreement.krippendorff_alpha import krippendorff_alpha
from llmclf.agreement.percent_agreement import percent_agreement
from llmclf.agreement.rater_intervals import over_items_and_raters
from llmclf.cli.common import console
from llmclf.levels import Level

SIZES: Final = (30, 100, 1000)
PREVALENCES: Final = (0.5, 0.9)
ACCEPTED: Final = (0.93, 0.97)
KAPPA: Final = 0.6
RATERS: Final = 5
HITS: Final = (17.0, 3.0)
"""The Beta distribution of the rate at which a person recognises a label."""

PERCENT: Final = "percent agreement"

Codes = npt.NDArray[np.int8]
Method = Callable[[Ratings], Coefficient]


@dataclass(frozen=True)
class Covered:
    """What became of the intervals of one coefficient in one design."""

    over: str
    coefficient: str
    n_items: int
    prevalence: float
    held: int
    missed: int
    none: int
    """Samples that have no interval."""

    @property
    def coverage(self) -> float:
        """The share that holds the truth, of the samples that have an interval."""
        return self.held / max(self.held + self.missed, 1)

    @property
    def monte_carlo_error(self) -> float:
        """The standard error of the coverage."""
        return float(np.sqrt(self.coverage * (1 - self.coverage) / max(self.held + self.missed, 1)))

    @property
    def accepted(self) -> bool:
        """Whether the coverage lies between .93 and .97."""
        return ACCEPTED[0] <= self.coverage <= ACCEPTED[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.coverage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=10_000, help="of each design over items; a fifth over both")
    parser.add_argument("--items", type=int, nargs="+", default=SIZES, help="numbers of items")
    parser.add_argument("--prevalences", type=float, nargs="+", default=PREVALENCES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="100 samples of each design over items")
    options = parser.parse_args(arguments)
    samples = 100 if options.quick else options.samples
    rng = np.random.default_rng(options.seed)
    designs = list(product(options.items, options.prevalences))
    found = [
        *(one for design in designs for one in over_items(rng, samples, *design)),
        *(one for design in designs for one in over_both(rng, max(samples // 5, 1), *design)),
    ]
    console().print(table(found))
    return 0


def over_items(rng: np.random.Generator, samples: int, n: int, prevalence: float) -> Iterator[Covered]:
    """Simulate two annotators who stay the same."""
    methods: dict[str, Method] = {
        PERCENT: percent_agreement,
        "Cohen's kappa": cohen_kappa,
        "alpha": krippendorff_alpha,
    }
    apart = prevalence * (1 - prevalence) * (1 - KAPPA)  # the share of each of the two disagreements
    cells = [1 - prevalence - apart, apart, apart, prevalence - apart]
    drawn = (np.stack(np.divmod(rng.choice(4, n, p=cells), 2), axis=1).astype(np.int8) for _ in range(samples))
    truth = dict.fromkeys(methods, KAPPA) | {PERCENT: 1 - 2 * apart}
    yield from _covered("items", drawn, methods, truth, prevalence)


def over_both(rng: np.random.Generator, samples: int, n: int, prevalence: float) -> Iterator[Covered]:
    """Simulate annotators drawn anew with the items, with intervals over items alone and over both."""
    methods: dict[str, Method] = {
        PERCENT: percent_agreement,
        "Conger's kappa": conger_kappa,
        "alpha": krippendorff_alpha,
    }
    both = {
        name: partial(over_items_and_raters, coefficient=method, bounds=(0 if name == PERCENT else -1, 1))
        for name, method in methods.items()
    }
    hit = HITS[0] / sum(HITS)
    marginal = prevalence * hit + (1 - prevalence) * (1 - hit)
    agree, by_chance = (x**2 + (1 - x) ** 2 for x in (hit, marginal))
    truth = dict.fromkeys(methods, (agree - by_chance) / (1 - by_chance)) | {PERCENT: agree}
    drawn = [_people(rng, n, prevalence) for _ in range(samples)]
    yield from _covered("items only", drawn, methods, truth, prevalence)
    yield from _covered("both", drawn, both, truth, prevalence)


def _people(rng: np.random.Generator, n: int, prevalence: float) -> Codes:
    truth = (rng.random(n) < prevalence).astype(np.int8)
    hits = rng.beta(*HITS, (2, RATERS))
    return np.where(rng.random((n, RATERS)) < hits[truth], truth[:, np.newaxis], 1 - truth[:, np.newaxis])


def _covered(
    over: str,
    drawn: Iterable[Codes],
    methods: Mapping[str, Method],
    truth: Mapping[str, float],
    prevalence: float,
) -> Iterator[Covered]:
    counts = {name: [0, 0, 0] for name in methods}
    n = 0
    for codes in drawn:
        n = len(codes)
        ratings = Ratings(codes, _names(n), _names(codes.shape[1]), ("0", "1"), Level.NOMINAL, True)
        for name, method in methods.items():
            found = method(ratings)
            if not isinstance(found, Estimate) or found.low is None or found.high is None:
                counts[name][2] += 1
            else:
                counts[name][0 if found.low <= truth[name] <= found.high else 1] += 1
    for name, (held, missed, none) in counts.items():
        yield Covered(over, name, n, prevalence, held, missed, none)


def _names(n: int) -> tuple[str, ...]:
    return ("",) * n


def table(found: Sequence[Covered]) -> Table:
    """Give the table that a person reads."""
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, title_justify="left")
    made.title = f"Coverage of 95 % intervals; * outside {ACCEPTED[0]:.2f} to {ACCEPTED[1]:.2f}"
    for heading in ("over", "coefficient"):
        made.add_column(heading, no_wrap=True)
    for heading in ("items", "prevalence", "coverage", "MC error", "none"):
        made.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        samples = one.held + one.missed + one.none
        made.add_row(
            one.over,
            one.coefficient,
            f"{one.n_items:,}",
            f"{one.prevalence:g}",
            f"{one.coverage:.3f}{' ' if one.accepted else '*'}",
            f"{one.monte_carlo_error:.3f}",
            f"{one.none / samples:.1%}",
        )
    return made


if __name__ == "__main__":
    sys.exit(main())
