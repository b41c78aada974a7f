"""How many crowd workers a model is worth: the survey of people that predicts another person's answer as well."""

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.estimate import Estimate, Undefined
from llmclf.agreement.intervals import CONFIDENCE, jackknife
from llmclf.agreement.long_form import LongForm
from llmclf.agreement.ratings import MISSING, Codes
from llmclf.agreement.survey_scores import Score, distinct_rows, score_of, survey_scores
from llmclf.errors import InputError
from llmclf.levels import Level

USUAL_LARGEST = 10
MOST = 50
ROUNDING = 1e-12
MOST_DRAWN_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Workers:
    """A number of workers, or a bound on it where the power curve does not cross the model's score."""

    number: float
    """Between two sizes of surveys by linear interpolation."""
    bound: Literal["fewer than", "at least"] | None = None

    def __str__(self) -> str:
        return f"{self.bound} {self.number:g}" if self.bound else f"{self.number:.1f}"


@dataclass(frozen=True)
class CurvePoint:
    """The score of surveys of one size."""

    survey_size: int
    score: Estimate


@dataclass(frozen=True)
class SurveyEquivalence:
    """The power curve of the crowd, the model's score, and where they cross."""

    workers: Workers
    low: Workers
    high: Workers
    model: Estimate
    """The model's score, on the same items as the curve."""
    curve: tuple[CurvePoint, ...]
    """Surveys of 1, 2 .. workers."""
    score: Score
    answer: Literal["another worker", "reference"]
    """Whose answer is predicted."""
    n_items: int
    n_left_out: int
    """Items without the model's label, without an answer to predict, or with too few workers."""
    method: str

    def to_dict(self) -> dict[str, object]:
        """Give the fields by name."""
        return asdict(self)


def survey_equivalence(
    crowd: LongForm,
    model: Codes,
    reference: LongForm | None = None,
    *,
    score: Score | None = None,
    largest: int | None = None,
    replicates: int = 1_000,
    seed: int = 0,
) -> SurveyEquivalence | Undefined:
    """Find the smallest survey that predicts a person's answer as well as the model (Resnick et al. 2021, 2106.01254).

    The answer is that of a worker held out of the survey, each in turn, or one of the reference. Surveys are drawn
    without replacement, and their scores averaged exactly over all of them. The curve and the model stand on the
    same items: those with workers enough for the largest survey. Crowd, model and reference share items and scale.

    Args:
        crowd: the workers' ratings.
        model: shape (n_items,), the model's labels as positions on the scale, -1 missing.
        reference: ratings of experts, if these are to be predicted.
        score: agreement for nominal labels and sets, absolute error for ordinal ones, else squared error, if not given.
        largest: the size of the largest survey; if not given, the largest that half of the items allow, at most 10.
        replicates: of the percentile bootstrap over items.
        seed: of the bootstrap.

    Raises:
        InputError: the largest survey is not from 1 to 50.

    """
    if largest is not None and not 1 <= largest <= MOST:
        raise InputError(f"the largest survey is {largest}", f"Give a number from 1 to {MOST}")
    score = score or _usual_score(crowd.level)
    counts = crowd.counts()
    answers = counts if reference is None else reference.counts()
    spare = counts.sum(axis=1) - (reference is None)
    usable = (model != MISSING) & (spare >= 1) & answers.any(axis=1)
    if not usable.any():
        return Undefined(_nothing_to_compare(reference))
    if largest is None:
        largest = min(int(np.quantile(spare[usable], 0.5, method="higher")), USUAL_LARGEST)
    usable &= spare >= largest
    if not usable.any():
        return Undefined(f"no item has workers enough for surveys of {largest}")

    first, which = distinct_rows(np.column_stack([counts, answers, model])[usable])
    alike = np.flatnonzero(usable)[first]
    n_alike = np.bincount(which)
    n = int(n_alike.sum())
    patterns = _scores(score, counts[alike], answers[alike], model[alike], crowd.values, largest, reference is None)

    means = n_alike @ patterns / n
    without_one = (n * means - patterns) / max(n - 1, 1)
    bounds = (0.0, 1.0) if score == "agreement" else (-np.inf, 0.0)
    *surveys, of_model = (
        jackknife(float(mean), column, n_alike, bounds) for mean, column in zip(means, without_one.T, strict=True)
    )
    drawn = _crossings(_bootstrap(patterns, n_alike, replicates, np.random.default_rng(seed)))
    tails = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
    low, high = np.quantile(drawn, tails, method="inverted_cdf")  # between two bounds there is nothing to interpolate
    return SurveyEquivalence(
        _workers(_crossings(means[np.newaxis])[0], largest),
        _workers(low, largest),
        _workers(high, largest),
        of_model,
        tuple(CurvePoint(k, estimate) for k, estimate in enumerate(surveys, start=1)),
        score,
        "another worker" if reference is None else "reference",
        n,
        crowd.n_items - n,
        f"percentile bootstrap over items, {replicates} replicates",
    )


def _scores(
    score: Score, counts: Ints, answers: Ints, model: Codes, values: Floats, largest: int, held_out: bool
) -> Floats:
    """Average scores over the answers about each item: those of surveys of 1 .. largest workers, and the model's."""
    item, answer = np.nonzero(answers)
    pool = counts[item]
    if held_out:
        pool[np.arange(len(item)), answer] -= 1
    of_model = score_of(score, values[model[item]], values[answer])
    scores = np.column_stack([survey_scores(score, pool, answer, values, largest), of_model])
    sums = [np.bincount(item, answers[item, answer] * column) for column in scores.T]
    return np.asarray(np.stack(sums, axis=1) / answers.sum(axis=1, keepdims=True))


def _usual_score(level: Level) -> Score:
    match level:
        case Level.NOMINAL | Level.SET:
            return "agreement"
        case Level.ORDINAL:
            return "absolute-error"
        case _:
            return "squared-error"


def _nothing_to_compare(reference: LongForm | None) -> str:
    people = "two workers' ratings" if reference is None else "a worker's rating, a reference"
    return f"no item has {people} and the model's label"


def _bootstrap(patterns: Floats, n_alike: Ints, replicates: int, random: np.random.Generator) -> Floats:
    """Average items drawn with replacement: shape (replicates, columns of patterns)."""
    n = n_alike.sum()
    at_once = max(MOST_DRAWN_AT_ONCE // len(patterns), 1)
    parts = [
        random.multinomial(n, n_alike / n, size=min(at_once, replicates - begun)) @ patterns / n
        for begun in range(0, replicates, at_once)
    ]
    return np.concatenate(parts)


def _crossings(means: Floats) -> Floats:
    """Find where curves, of which the last column is the model, first reach it; 0 below them and inf above."""
    curve, model = means[:, :-1], means[:, -1:]
    reached: npt.NDArray[np.bool_] = curve >= model - ROUNDING
    first = reached.argmax(axis=1)
    rows = np.arange(len(means))
    there, before = curve[rows, first], curve[rows, first - 1]
    excess = there - model[:, 0]
    rise = np.where(first > 0, there - before, 1)
    crossing = np.where(first > 0, first + 1 - excess / np.where(rise > 0, rise, 1), excess <= ROUNDING)
    return np.where(reached.any(axis=1), crossing, np.inf)


def _workers(crossing: float, largest: int) -> Workers:
    if crossing == 0:
        return Workers(1, "fewer than")
    if np.isinf(crossing):
        return Workers(largest, "at least")
    return Workers(float(crossing))
