"""A cascade of the two models: what it saves where one of them is clearly better."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from evals.zero_shot_scores import Recorded
from llmclf.agreement import Undefined
from llmclf.agreement.non_inferiority import MarginTest
from llmclf.ensembles.answers import ModelAnswers
from llmclf.ensembles.cascade_report import Measure, cascade_report
from llmclf.ensembles.cascades import Pair, threshold_for_calls
from llmclf.policy import Policy

LEAD: Final = 0.05
"""In macro-F1, of the better model."""
LEAST: Final = 1000
"""Texts."""
SAVED: Final = 0.5
"""The share of the better model's calls that is to be saved."""


@dataclass(frozen=True)
class Cascade:
    """A cascade on one task, or in `problem` why there is none to be shown."""

    task: str
    problem: str = ""
    cheap: str = ""
    better: str = ""
    n: int = 0
    saved: float = 0.0
    macro_f1: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of the cheap model, the better one and the cascade."""
    verdict: str = ""
    """Whether it is not inferior by the margin."""


def cascade(answers: Sequence[tuple[str, Recorded]], policy: Policy) -> Cascade:
    """Send the half of the texts of which the cheap model is least sure to the better one.

    Half of the calls is what is wanted, so no label decides where the threshold is.
    """
    (first, one), (second, other) = answers
    task = min((one.task, other.task), key=lambda task: len(task.items))
    n = len(task.items)
    if n < LEAST:
        return Cascade(task.name, f"not demonstrated: {n} texts, fewer than {LEAST:,}")
    people = {item.id: task.question.codes[code] for item, code in zip(task.items, task.truth, strict=True)}
    given = [
        ModelAnswers(name, {each.item: replace(each, annotator=name) for each in recorded.annotations(policy)[:n]})
        for name, recorded in ((first, one), (second, other))
    ]
    for cheap, better in (given, given[::-1]):
        pair = Pair(task.question, cheap, better, people)
        found = cascade_report(pair, threshold_for_calls(pair, SAVED))
        measure = found.macro_f1
        assert measure is not None
        cheap_f1, better_f1, both_f1 = _values(measure)
        if better_f1 - cheap_f1 >= LEAD:
            verdict = measure.test.verdict if isinstance(measure.test, MarginTest) else measure.test.undefined
            f1 = (cheap_f1, better_f1, both_f1)
            return Cascade(task.name, "", cheap.model, better.model, n, found.saved_calls, f1, str(verdict))
    return Cascade(task.name, f"not demonstrated: no model leads by {LEAD:g} ({cheap_f1:.3f} and {better_f1:.3f})")


def _values(measure: Measure) -> Iterator[float]:
    for found in (measure.cheap, measure.better, measure.cascade):
        assert not isinstance(found, Undefined)
        yield found.value
