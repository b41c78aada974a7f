"""How many items, and how many experts each, show that a model is not inferior: simulated from a pilot.

The statistic is the mean kappa of the model with each expert minus the mean kappa of the pairs of experts; kappa is
Cohen's (1960) for nominal labels, else weighted by squared distance (Cohen 1968). Non-inferiority is shown where its
one-sided 95 % bound (delete-one jackknife over items, t with n - 1 df; these experts) lies above minus the margin.

A study of n items is a draw of n of the pilot's items, each with all its labels; power is the share of such studies
that show it, after the pilot's difference is moved to the one assumed. A study in which a kappa is undefined shows
nothing. What the pilot is not sure of, power is not sure of either: the Monte Carlo error says only how exactly the
pilot's answer was found.
"""

import math
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.estimate import Estimate, Undefined
from llmclf.agreement.intervals import CONFIDENCE
from llmclf.agreement.kappa_resampling import Pair, Patterns, Weights, resampled
from llmclf.agreement.paired_difference import difference_from_experts
from llmclf.agreement.ratings import Ratings
from llmclf.errors import InputError
from llmclf.levels import Level

TABLE: Final = (25, 50, 100, 150, 200, 300, 400, 600, 800, 1200)
"""Numbers of items for which power is given."""
FEWEST: Final = 10
MOST: Final = 10_000
"""Items between which the number needed is looked for."""
SE_ITEMS: Final = 100
"""Items at which the standard error is given, to compare numbers of experts."""
_SUBSETS = 10
"""Of the pilot's experts, at most, for each number of them."""


@dataclass(frozen=True)
class Power:
    """The share of studies of this many items that show non-inferiority."""

    n_items: int
    power: float
    monte_carlo_se: float


@dataclass(frozen=True)
class Design:
    """Studies with this many of the pilot's experts, averaged over the choice of experts.

    Whichever they are, the true difference is the assumed one: only the standard error moves.
    """

    n_experts: int
    n_choices: int
    se_at_100_items: float | None
    """Of the difference, on average; None where it was undefined in all studies."""
    needed: Power | None
    """The fewest items that reach the power; None where no number up to 10,000 does."""


@dataclass(frozen=True)
class Plan:
    """What a pilot says of the study to be made."""

    model: str
    experts: tuple[str, ...]
    pilot: Estimate
    """The difference in the pilot."""
    difference: float
    """The one that is assumed to be true."""
    margin: float
    power: float
    replicates: int
    seed: int
    designs: tuple[Design, ...]
    """By the number of experts, from two to the pilot's."""
    table: tuple[Power, ...]
    """With all of the pilot's experts."""
    notes: tuple[str, ...]
    """What the pilot cannot tell."""

    def to_dict(self) -> dict[str, Any]:
        """Give the fields by name."""
        return asdict(self)


def plan(
    ratings: Ratings,
    model: str,
    experts: Sequence[str],
    margin: float,
    power: float = 0.8,
    *,
    difference: float | None = None,
    replicates: int = 2000,
    seed: int = 0,
    step: Callable[[], None] = lambda: None,
) -> Plan | Undefined:
    """Find the items that a study needs, for each number of experts.

    Args:
        ratings: the pilot's.
        model: the annotator in question.
        experts: two or more.
        margin: by how much less than experts among themselves the model may agree with experts.
        power: the probability with which the study is to show it.
        difference: the true difference to plan for; the pilot's if not given.
        replicates: studies that are simulated of each size.
        seed: of the draws; all sizes and numbers of experts use the same ones.
        step: called when a number of experts, or the table, is done.

    Raises:
        InputError: the margin or the power makes no sense, or there are fewer than two experts, or labels are sets.

    """
    if difference is not None and not math.isfinite(difference):
        raise InputError(f"the difference is {difference:g}", "Give a number, or leave it to the pilot")
    if not (0 < margin < math.inf and 0 < power < 1):
        raise InputError(f"margin {margin:g}, power {power:g}", "The margin is above 0, and the power between 0 and 1")
    if len(experts) < 2:
        raise InputError(
            f"the pilot has {len(experts)} expert(s)", "Agreement of experts takes two or more: add another's labels"
        )
    if ratings.level is Level.SET:
        raise InputError("the agreement of sets is not simulated", "Plan for one label of the set, as yes or no")
    comparison = difference_from_experts(ratings, model, experts)
    pilot = comparison.difference
    if isinstance(pilot, Undefined):
        return pilot
    if pilot.se is None:
        return Undefined(f"the pilot's difference has {pilot.method}")
    assumed = pilot.value if difference is None else difference
    names = [model, *experts]
    strangers = {(names.index(one), names.index(other)) for one, other in comparison.strangers}
    studies = _Studies(Patterns.of(ratings.labelled_by([model]).select(names)), replicates, seed)
    designs = []
    for n_experts in range(2, len(experts) + 1):
        if choices := _choices(len(experts), n_experts, strangers, seed):
            verdicts = _Verdicts(studies, choices, margin, assumed)
            designs.append(verdicts.design(n_experts, power))
        step()
    table = tuple(verdicts.power(n) for n in TABLE)
    step()
    return Plan(
        model=model,
        experts=tuple(experts),
        pilot=pilot,
        difference=assumed,
        margin=margin,
        power=power,
        replicates=replicates,
        seed=seed,
        designs=tuple(designs),
        table=table,
        notes=tuple(_notes(pilot, assumed, margin, designs)),
    )


def _choices(n_experts: int, n_chosen: int, strangers: AbstractSet[Pair], seed: int) -> list[Weights]:
    """Weigh pairs for each choice of experts, or for some where there are many; the model is annotator 0."""
    if math.comb(n_experts, n_chosen) <= _SUBSETS:
        chosen = [list(each) for each in combinations(range(1, n_experts + 1), n_chosen)]
    else:
        rng = np.random.default_rng(seed)
        drawn = (rng.choice(n_experts, n_chosen, replace=False) for _ in range(_SUBSETS))
        chosen = [[int(expert) for expert in np.sort(each) + 1] for each in drawn]
    return [weights for each in chosen if (weights := _weights(each, strangers))]


def _weights(experts: Sequence[int], strangers: AbstractSet[Pair]) -> Weights:
    """Weigh the mean kappa with the model minus the mean kappa of pairs of experts; empty where one has no pair."""
    ours = [(0, expert) for expert in experts if (0, expert) not in strangers]
    theirs = [pair for pair in combinations(experts, 2) if pair not in strangers]
    if not ours or not theirs:
        return {}
    return dict.fromkeys(ours, 1 / len(ours)) | dict.fromkeys(theirs, -1 / len(theirs))


@dataclass(frozen=True, eq=False)
class _Studies:
    """Draws of the pilot's items; of each size with the same seed, so that sizes differ by little else."""

    patterns: Patterns
    replicates: int
    seed: int

    def times(self, n_items: int) -> Ints:
        """Draw how often each pattern occurs in each study: shape (studies, P)."""
        share = self.patterns.times / self.patterns.times.sum()
        return np.random.default_rng(self.seed).multinomial(n_items, share, self.replicates)


class _Verdicts:
    """The studies' verdicts with some choices of experts; in each, the true difference is the assumed one."""

    def __init__(self, studies: _Studies, choices: Sequence[Weights], margin: float, assumed: float) -> None:
        self._studies, self._choices, self._margin, self._assumed = studies, choices, margin, assumed
        values, _ = resampled(studies.patterns, choices, studies.patterns.times[np.newaxis])
        self._shift = assumed - values

    def design(self, n_experts: int, power: float) -> Design:
        """Find the items that reach the power."""
        _, se = self._of(SE_ITEMS)
        return Design(
            n_experts=n_experts,
            n_choices=len(self._choices),
            se_at_100_items=None if np.isnan(se).all() else float(np.nanmean(se)),
            needed=self._needed(power),
        )

    def power(self, n_items: int) -> Power:
        """Simulate studies of one size."""
        from scipy.special import stdtrit  # type: ignore[import-untyped]  # scipy has no types

        values, se = self._of(n_items)
        bound = values + self._shift - float(stdtrit(n_items - 1, CONFIDENCE)) * se
        share = (bound > -self._margin).mean(axis=1)  # a bound that is NaN shows nothing
        return Power(n_items, float(share.mean()), float(share.std()) / math.sqrt(len(share)))

    def _of(self, n_items: int) -> tuple[Floats, Floats]:
        return resampled(self._studies.patterns, self._choices, self._studies.times(n_items))

    def _needed(self, power: float) -> Power | None:
        if self._assumed <= -self._margin:
            return None
        too_few, found = FEWEST - 1, self.power(FEWEST)
        while found.power < power:
            if found.n_items == MOST:
                return None
            too_few, found = found.n_items, self.power(min(2 * found.n_items, MOST))
        while found.n_items - too_few > 1:
            middle = self.power((too_few + found.n_items) // 2)
            if middle.power < power:
                too_few = middle.n_items
            else:
                found = middle
        return found


def _notes(pilot: Estimate, assumed: float, margin: float, designs: Sequence[Design]) -> list[str]:
    n_experts = designs[-1].n_experts
    notes = []
    if assumed <= -margin:
        notes.append(f"a true difference of {assumed:.2f} is not above {-margin:.2f}: no number of items shows it")
    elif designs[-1].needed is None:
        notes.append(f"{MOST:,} items do not reach the power")
    notes.append(
        f"the pilot's {pilot.n_items} items leave its difference anywhere from {pilot.low:.2f} to {pilot.high:.2f}, "
        "and the items needed move with the one assumed; items drawn from so few vary a little less than new ones do"
    )
    notes.append(
        f"what more than {n_experts} experts would bring, a pilot with {n_experts} cannot tell"
        + (", nor how the standard error moves with their number" if n_experts == 2 else "")
    )
    return notes
