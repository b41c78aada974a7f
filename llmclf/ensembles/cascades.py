"""Cascades: a cheap model answers where it is sure enough, and a better one the rest."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from llmclf.agreement import Ratings, Undefined
from llmclf.agreement.clopper_pearson import lower_bound
from llmclf.agreement.counts import Floats
from llmclf.agreement.ratings import MISSING, Codes
from llmclf.annotations import Annotation, LabelValue, label_text
from llmclf.codebook import Question
from llmclf.ensembles.answers import ModelAnswers
from llmclf.errors import InputError
from llmclf.levels import Level
from llmclf.status import Status

DELTA: Final = 0.1
"""How likely the agreement may be less than was wanted."""
UNASKABLE: Final = frozenset({Status.EMPTY, Status.BAD_ENCODING, Status.DUPLICATE_ID})
"""What is wrong with an item itself, so that no model can answer."""
_STEPS = 25
"""Thresholds that are tested."""
_FIRST = 0.2
"""The share of the items that the first of them keeps, or more where the labelled ones are few."""
_NONE_KEPT = "no threshold found"


@dataclass(frozen=True, eq=False)
class Pair:
    """What a cheap model said of n items, and a better one and people of some of them.

    Raises:
        InputError: the two are one model, or have no items in common, or the cheap one gives no probabilities.

    """

    question: Question
    cheap: ModelAnswers
    better: ModelAnswers
    """Of a random sample of the items, or all of them: what a threshold is chosen by."""
    people: Mapping[str, LabelValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.cheap.model == self.better.model:
            raise InputError(f"{self.cheap.model!r} is both the cheap and the better model", "Give two models")
        if not self.cheap.by_item.keys() & self.better.by_item.keys():
            raise InputError(
                f"{self.better.model!r} has answered none of the items of {self.cheap.model!r}",
                "Give its answers to a random sample of them",
            )
        if self.people and not self.people.keys() & self.cheap.by_item.keys():
            raise InputError(f"people labelled none of the items of {self.cheap.model!r}", "Give labels of these items")
        if not np.isfinite(self.confidence).any():
            raise InputError(
                f"{self.cheap.model!r} gives no probabilities, which say where it is sure",
                "Ask a local model, or a server with --samples",
            )

    @property
    def items(self) -> tuple[str, ...]:
        """The items, in the order of the cheap model's answers."""
        return tuple(self.cheap.by_item)

    @cached_property
    def confidence(self) -> Floats:
        """The probability that the cheap model gives its label, -inf without a label or a probability: shape (n,)."""
        return np.array(
            [
                -math.inf if one.label is None or one.probability is None else one.probability
                for one in self.cheap.by_item.values()
            ]
        )

    @cached_property
    def n_askable(self) -> int:
        """The items that a model can be asked about."""
        return sum(one.status not in UNASKABLE for one in self.cheap.by_item.values())

    @cached_property
    def ratings(self) -> Ratings:
        """The labels of `people`, of the `cheap` model and of the `better` one."""
        given = [
            [label if label is None else label_text(label) for label in column]
            for column in (
                (self.people.get(item) for item in self.items),
                (one.label for one in self.cheap.by_item.values()),
                (self.better.label(item) for item in self.items),
            )
        ]
        scale = self.question.codes
        if self.question.level is Level.SET:
            scale = tuple(sorted({text for column in given for text in column if text is not None}))
        place: dict[str | None, int] = {text: code for code, text in enumerate(scale)} | {None: MISSING}
        codes = np.array([[place[text] for text in column] for column in given], dtype=np.int32).T
        return Ratings(
            codes, self.items, ("people", "cheap", "better"), scale, self.question.level, scale_declared=True
        )

    def codes(self, who: str) -> Codes:
        """Give the labels of one of `ratings`, -1 where there is none: shape (n,)."""
        codes: Codes = self.ratings.codes[:, self.ratings.annotators.index(who)]
        return codes

    def kept(self, threshold: float) -> npt.NDArray[np.bool_]:
        """Tell which items the cheap model answers: shape (n,)."""
        return np.asarray(self.confidence >= threshold)


def threshold_for_agreement(
    pair: Pair, wanted: float, reference: str = "better", delta: float = DELTA
) -> float | Undefined:
    """Choose the lowest threshold at which the kept answers agree with a reference as often as wanted.

    With P(agreement among kept items >= wanted) >= 1 - delta, over samples of the labelled items, which must be
    exchangeable with the others. The thresholds tested are quantiles of the confidence of all items, which no label
    decides. The first keeps a fifth of them, and twice as many labelled ones as it takes if all of these agree: one
    of few items would often fail by chance, and end the sequence.

    Args:
        pair: of models.
        wanted: the share of kept items with the reference's label.
        reference: `better` or `people`.
        delta: of the bound.

    Raises:
        InputError: what is wanted is no share between 0 and 1, or there are no people.

    """
    if not 0 < wanted < 1:
        raise InputError(f"an agreement of {wanted:g} cannot be shown", "Give a share above 0 and below 1")
    if not 0 < delta < 1:
        raise InputError(f"{delta:g} is no probability of an error", "Give one above 0 and below 1")
    labels = pair.codes(reference)
    labelled = (labels != MISSING) & np.isfinite(pair.confidence)
    n = int(np.count_nonzero(labelled))
    least = math.ceil(math.log(delta) / math.log(wanted))
    if n < least:
        return Undefined(
            f"{_NONE_KEPT}: {n} labelled items cannot show an agreement of {wanted:g}, for which it takes {least}"
        )
    confidence = np.sort(pair.confidence[np.isfinite(pair.confidence)])[::-1]
    shares = np.linspace(min(1, max(_FIRST, 2 * least / n)), 1, _STEPS)
    thresholds = np.unique(confidence[np.ceil(shares * len(confidence)).astype(np.int64) - 1])[::-1]
    agrees = labels[labelled] == pair.codes("cheap")[labelled]
    return certified_threshold(pair.confidence[labelled], agrees, thresholds, wanted, delta)


def certified_threshold(
    confidence: Floats, agrees: npt.NDArray[np.bool_], thresholds: Floats, wanted: float, delta: float
) -> float | Undefined:
    """Test thresholds from the highest down, until one fails, and give the last that passes.

    Fixed-sequence testing (Angelopoulos et al. 2021, Learn then Test): each at level delta, by whether the
    one-sided Clopper-Pearson bound of the agreement is at least what is wanted.
    """
    found: float | Undefined = Undefined(f"{_NONE_KEPT}: the surest answers do not show an agreement of {wanted:g}")
    for threshold in thresholds.tolist():
        kept = confidence >= threshold
        if lower_bound(int(agrees[kept].sum()), int(kept.sum()), delta) < wanted:
            break
        found = threshold
    return found


def threshold_for_calls(pair: Pair, share: float) -> float:
    """Choose the lowest confidence at which no more than this share of the items goes to the better model.

    Raises:
        InputError: that is no share, or more items than these have no answer of the cheap model's.

    """
    if not 0 <= share <= 1:
        raise InputError(f"{share:g} is no share of the items", "Give one from 0 to 1")
    confidence = np.sort(pair.confidence[np.isfinite(pair.confidence)])
    unanswered = pair.n_askable - len(confidence)
    allowed = math.floor(share * pair.n_askable + 1e-9) - unanswered  # .3 x 10 items is 3, as people count
    if allowed < 0:
        raise InputError(
            f"{unanswered:,} of {pair.n_askable:,} items have no answer with a probability by {pair.cheap.model!r}, "
            "and go to the better model in any case",
            "Allow a larger share or cost",
        )
    if allowed >= len(confidence):
        return math.nextafter(float(confidence[-1]), math.inf)
    return float(confidence[allowed])


def answered(pair: Pair, threshold: float, routed: ModelAnswers | None = None) -> Iterator[tuple[Annotation, str]]:
    """Give each item's answer as the cascade's, with the name of the model that gave it, or nothing.

    Items that wait for the better model have the status `routed`.

    Args:
        pair: of models.
        threshold: of the confidence from which on the cheap model answers.
        routed: more answers of the better model's, to items that were sent to it.

    """
    name = f"cascade({pair.cheap.model}, {pair.better.model})"
    for kept, (item, own) in zip(pair.kept(threshold).tolist(), pair.cheap.by_item.items(), strict=True):
        if kept:
            yield replace(own, annotator=name), own.annotator
        elif own.status in UNASKABLE:
            yield replace(own, annotator=name), ""
        else:
            other = pair.better.by_item.get(item) or (routed and routed.by_item.get(item))
            if other:
                yield replace(other, annotator=name), other.annotator
            else:
                yield Annotation(item, own.question, name, own.kind, None, status=Status.ROUTED), ""
