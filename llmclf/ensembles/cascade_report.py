"""What a cascade saves, and what its answers are worth beside those of its models."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from llmclf.agreement import Coefficient, Ratings, Undefined
from llmclf.agreement.classification import macro_f1_replicates
from llmclf.agreement.clopper_pearson import lower_bound
from llmclf.agreement.counts import Floats
from llmclf.agreement.estimate import NO_PAIRS
from llmclf.agreement.non_inferiority import MarginTest, margin_test
from llmclf.agreement.ratings import MISSING
from llmclf.agreement.replicates import Replicates
from llmclf.ensembles.cascades import DELTA, Pair
from llmclf.errors import InputError
from llmclf.levels import Level

_POINTS = 10
"""Of the curve."""


@dataclass(frozen=True)
class Prices:
    """What an answer costs, in any money.

    Raises:
        InputError: one is less than nothing, or the better model costs nothing.

    """

    cheap: float
    better: float

    def __post_init__(self) -> None:
        if not (self.cheap >= 0 and self.better > 0):
            raise InputError(
                f"prices of {self.cheap:g} and {self.better:g}",
                "Give the better model's above 0, the cheap one's not below",
            )

    def of(self, n_asked: int, n_routed: int) -> float:
        """Give the cost of asking the cheap model about all, and the better one about some."""
        return n_asked * self.cheap + n_routed * self.better

    def share_for(self, cost: float, n_asked: int) -> float:
        """Give the share of items that may go to the better model.

        Raises:
            InputError: the cheap model alone costs more.

        """
        left = cost - n_asked * self.cheap
        if left < 0:
            raise InputError(
                f"the cheap model alone costs {n_asked * self.cheap:g}, more than {cost:g}", "Give a higher --cost"
            )
        return min(1.0, left / (n_asked * self.better))


@dataclass(frozen=True)
class Agreement:
    """Of the cheap model's kept answers with the better model, where both labelled."""

    n_items: int
    value: float | None
    bound: float
    """One-sided, at the delta of the report."""


@dataclass(frozen=True)
class CurvePoint:
    """What comes of one threshold."""

    threshold: float
    kept: float
    """The share of the items that can be asked about."""
    agreement: Agreement
    accuracy: float | None
    """Of the cascade with people, as the next; None without people."""
    macro_f1: float | None
    cost: float | None


@dataclass(frozen=True)
class Measure:
    """Agreement with people on the items that people and the better model labelled."""

    cheap: Coefficient
    better: Coefficient
    cascade: Coefficient
    difference: Coefficient
    """The cascade's less the better model's, paired over items."""
    test: MarginTest | Undefined
    """Whether it is not inferior by the margin."""


@dataclass(frozen=True)
class CascadeReport:
    """What a threshold saves, and what it costs in agreement."""

    question: str
    cheap: str
    better: str
    threshold: float
    n_items: int
    n_askable: int
    """Those that a model can be asked about."""
    n_kept: int
    """Those that the cheap model answers."""
    delta: float
    agreement: Agreement
    accuracy: Measure | None
    """None without people, as the next."""
    macro_f1: Measure | None
    n_people: int
    """Items that people and the better model labelled."""
    margin: float
    cost: float | None
    """Of the cascade, but for the answers that were asked for to choose the threshold; None without prices."""
    cost_of_better: float | None
    """Of the better model alone."""

    @property
    def saved_calls(self) -> float:
        """The share of the better model's calls that are saved."""
        return self.n_kept / self.n_askable

    def to_dict(self) -> dict[str, Any]:
        """Give the fields by name."""
        return {**asdict(self), "saved_calls": self.saved_calls}


def cascade_report(
    pair: Pair, threshold: float, prices: Prices | None = None, margin: float = 0.02, delta: float = DELTA
) -> CascadeReport:
    """Say what a threshold saves and, on the items that the better model has answered, what it costs.

    Of accuracy and macro-F1, intervals are jackknifed over items, and the test of the difference is one-sided at 5 %.
    The choice of the threshold by the same items is not part of them.
    """
    n_kept = int(pair.kept(threshold).sum())
    judged = _judged(pair, threshold) if pair.people else None
    n_people = 0 if judged is None else len(judged.items)
    return CascadeReport(
        question=pair.question.name,
        cheap=pair.cheap.model,
        better=pair.better.model,
        threshold=threshold,
        n_items=len(pair.items),
        n_askable=pair.n_askable,
        n_kept=n_kept,
        delta=delta,
        agreement=_agreement(pair, threshold, delta),
        accuracy=None if judged is None else _measure(judged, _accuracy, margin),
        macro_f1=None if judged is None else _measure(judged, _macro_f1, margin),
        n_people=n_people,
        margin=margin,
        cost=None if prices is None else prices.of(pair.n_askable, pair.n_askable - n_kept),
        cost_of_better=None if prices is None else prices.of(0, pair.n_askable),
    )


def curve(pair: Pair, prices: Prices | None = None, delta: float = DELTA) -> list[CurvePoint]:
    """Say what comes of thresholds that keep a tenth of the answers with a confidence, two tenths, and so on."""
    confidence = np.sort(pair.confidence[np.isfinite(pair.confidence)])[::-1]
    places = -(-np.arange(1, _POINTS + 1) * len(confidence) // _POINTS) - 1  # rounded up
    points = []
    for threshold in np.unique(confidence[places])[::-1].tolist():
        report = cascade_report(pair, threshold, prices, delta=delta)
        points.append(
            CurvePoint(
                threshold,
                report.saved_calls,
                report.agreement,
                _value(report.accuracy),
                _value(report.macro_f1),
                report.cost,
            )
        )
    return points


def _value(measure: Measure | None) -> float | None:
    return None if measure is None or isinstance(measure.cascade, Undefined) else measure.cascade.value


def _agreement(pair: Pair, threshold: float, delta: float) -> Agreement:
    cheap, better = pair.codes("cheap"), pair.codes("better")
    both = pair.kept(threshold) & (better != MISSING)
    n, n_agree = int(both.sum()), int((both & (cheap == better)).sum())
    return Agreement(n, n_agree / n if n else None, lower_bound(n_agree, n, delta))


def _judged(pair: Pair, threshold: float) -> Ratings:
    """Give the labels of people, both models and the cascade, of the items that people and the better one labelled."""
    ratings = pair.ratings
    both = (pair.codes("people") != MISSING) & (pair.codes("better") != MISSING)
    cascade = np.where(pair.kept(threshold), pair.codes("cheap"), pair.codes("better"))
    return replace(
        ratings,
        codes=np.column_stack([ratings.codes, cascade])[both],
        items=tuple(item for item, is_there in zip(pair.items, both.tolist(), strict=True) if is_there),
        annotators=(*ratings.annotators, "cascade"),
    )


def _measure(judged: Ratings, statistic: Callable[[Ratings], Replicates | Undefined], margin: float) -> Measure:
    cheap, better, cascade = (statistic(judged.select(["people", who])) for who in ("cheap", "better", "cascade"))
    difference: Coefficient
    if isinstance(cascade, Undefined):
        difference = cascade
    elif isinstance(better, Undefined):
        difference = better
    else:
        difference = (cascade - better).estimate()
    test = margin_test(difference, margin, "these experts", len(judged.items) - 1)
    return Measure(_share(cheap), _share(better), _share(cascade), difference, test)


def _share(found: Replicates | Undefined) -> Coefficient:
    return found if isinstance(found, Undefined) else found.estimate((0.0, 1.0))


def _accuracy(pair: Ratings) -> Replicates | Undefined:
    counted = np.asarray((pair.codes != MISSING).all(axis=1))
    n = int(counted.sum())
    if n == 0:
        return Undefined(NO_PAIRS)
    right: Floats = (pair.codes[:, 0] == pair.codes[:, 1]).astype(np.float64)
    total = float(right[counted].sum())
    return Replicates(total / n, np.where(counted, (total - right) / max(n - 1, 1), total / n), counted)


def _macro_f1(pair: Ratings) -> Replicates | Undefined:
    return Undefined("the answers are sets") if pair.level is Level.SET else macro_f1_replicates(pair)
