"""The alternative annotator test: whether a model does better in the place of each annotator than they do."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np

from llmclf.agreement.benjamini_yekutieli import benjamini_yekutieli
from llmclf.agreement.counts import Floats
from llmclf.agreement.estimate import Undefined
from llmclf.agreement.ratings import MISSING, Codes, Ratings, most_annotators
from llmclf.errors import InputError
from llmclf.levels import Level

Score = Literal["accuracy", "negative RMSE"]
"""Of a label against those of the other annotators: the share that is the same, or minus the root of the mean
squared distance."""

MIN_ITEMS: Final = 30
FALSE_DISCOVERY_RATE: Final = 0.05
PASSING: Final = 0.5
"""The winning rate from which the model passes."""
EPSILONS: Final = tuple(hundredth / 100 for hundredth in range(51))
_TIE = 1e-9
"""Of the squared range of the scale: scores nearer than this differ by rounding only."""


@dataclass(frozen=True)
class InPlaceOf:
    """The model in one annotator's place, on the items that the model, they and someone else labelled."""

    annotator: str
    n_items: int
    model: float
    """The share of items on which the model's score is no lower than theirs: rho^f of the paper."""
    human: float
    """The share on which theirs is no lower than the model's: rho^h."""
    sd: float
    """Of the difference of the two over items."""

    def p(self, epsilon: float) -> float:
        """Test that `human` exceeds `model` by epsilon or more, by the one-sided t-test."""
        excess = self.human - self.model - epsilon
        if self.sd == 0:
            return 0.0 if excess < 0 else 1.0
        from scipy.special import stdtr  # type: ignore[import-untyped]  # scipy has no types

        return float(stdtr(self.n_items - 1, excess / self.sd * math.sqrt(self.n_items)))


@dataclass(frozen=True)
class AtEpsilon:
    """The outcome for one epsilon: what the model's lower cost is worth."""

    epsilon: float
    winning_rate: float
    """The share of annotators in whose place the model does better."""
    passes: bool
    p: tuple[float, ...]
    """For each annotator."""
    wins: tuple[bool, ...]
    """For each annotator, with the false discovery rate kept at 5 % (Benjamini & Yekutieli 2001)."""


@dataclass(frozen=True)
class AlternativeAnnotatorTest:
    """The test for any epsilon. To pass it is not to be non-inferior: it may be easy to do better than one person."""

    score: Score
    advantage_probability: float
    """The mean over annotators of the share of items on which the model's score is no lower than theirs."""
    annotators: tuple[InPlaceOf, ...]
    left_out: tuple[str, ...]
    """Annotators with fewer than 30 such items, who are compared with all the same."""

    def at(self, epsilon: float) -> AtEpsilon:
        """Test in the place of each annotator."""
        p = [annotator.p(epsilon) for annotator in self.annotators]
        wins = benjamini_yekutieli(p) <= FALSE_DISCOVERY_RATE
        winning_rate = float(wins.mean())
        return AtEpsilon(epsilon, winning_rate, winning_rate >= PASSING, tuple(p), tuple(wins.tolist()))

    def curve(self, epsilons: Iterable[float] = EPSILONS) -> list[tuple[float, float]]:
        """Give the winning rate at each epsilon."""
        return [(epsilon, self.at(epsilon).winning_rate) for epsilon in epsilons]

    def to_dict(self, epsilons: Iterable[float]) -> dict[str, Any]:
        """Give the fields by name, with the outcomes at these epsilons."""
        return {**asdict(self), "at": [asdict(self.at(epsilon)) for epsilon in epsilons], "curve": self.curve()}


def alternative_annotator_test(
    ratings: Ratings, model: str, annotators: Sequence[str]
) -> AlternativeAnnotatorTest | Undefined:
    """Leave each annotator out in turn, and score them and the model against the others.

    Calderon, Reichart & Dror 2025, "The Alternative Annotator Test for LLM-as-a-Judge", section 3.
    The score is accuracy for nominal labels and sets, else negative RMSE. Ties count for both.

    Raises:
        InputError: there is no such annotator, or the model is one of them.

    """
    if model in annotators:
        raise InputError(f"{model!r} is among the annotators that it is tested against", "Name people only")
    selected, own = ratings.select(annotators), ratings.select([model]).codes[:, 0]
    if selected.raters is not None:
        return Undefined(f"more than {most_annotators(len(ratings.items))} annotators")
    people = selected.codes
    shared = np.count_nonzero(people != MISSING, axis=1) >= 2
    score: Score = "accuracy" if ratings.level in (Level.NOMINAL, Level.SET) else "negative RMSE"
    tested: list[InPlaceOf] = []
    left_out: list[str] = []
    for place, name in enumerate(annotators):
        theirs = people[:, place]
        items = shared & (theirs != MISSING) & (own != MISSING)
        if np.count_nonzero(items) < MIN_ITEMS:
            left_out.append(name)
            continue
        others = np.delete(people[items], place, axis=1)
        model_cost, human_cost = (_cost(labels[items], others, ratings, score) for labels in (own, theirs))
        tested.append(_in_place_of(name, model_cost, human_cost, _TIE * float(np.ptp(ratings.values)) ** 2))
    if not tested:
        return Undefined(f"no annotator has {MIN_ITEMS} items that the model and another annotator labelled")
    advantage = sum(annotator.model for annotator in tested) / len(tested)
    return AlternativeAnnotatorTest(score, advantage, tuple(tested), tuple(left_out))


def _cost(labels: Codes, others: Codes, ratings: Ratings, score: Score) -> Floats:
    """Sum the distances of each item's label to the others' labels: shape (items,).

    One item has as many others for the model as for the annotator, so that the sums are ranked as the scores are.
    """
    if score == "accuracy":
        distances = (labels[:, np.newaxis] != others).astype(np.float64)
    else:
        distances = (ratings.values[labels][:, np.newaxis] - ratings.values[others]) ** 2
    return np.asarray(np.where(others == MISSING, 0.0, distances).sum(axis=1))


def _in_place_of(name: str, model: Floats, human: Floats, tie: float) -> InPlaceOf:
    model_wins, human_wins = (model <= human + tie).astype(np.float64), (human <= model + tie).astype(np.float64)
    sd = float((human_wins - model_wins).std(ddof=1))
    return InPlaceOf(name, len(model), float(model_wins.mean()), float(human_wins.mean()), sd)
