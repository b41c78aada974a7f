"""A cascade of the two models: what it saves where the larger one is clearly better."""

from collections.abc import Iterator
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


def cascade(small: tuple[str, Recorded], large: tuple[str, Recorded], policy: Policy) -> Cascade:
    """Send the half of the texts of which the small model is least sure to the large one.

    Half of the calls is what is wanted, so no label decides where the threshold is.
    """
    task = min((small[1].task, large[1].task), key=lambda task: len(task.items))
    n = len(task.items)
    people = {item.id: task.question.codes[code] for item, code in zip(task.items, task.truth, strict=True)}
    cheap, better = (
        ModelAnswers(name, {each.item: replace(each, annotator=name) for each in recorded.annotations(policy)[:n]})
        for name, recorded in (small, large)
    )
    pair = Pair(task.question, cheap, better, people)
    found = cascade_report(pair, threshold_for_calls(pair, SAVED))
    measure = found.macro_f1
    assert measure is not None
    cheap_f1, better_f1, both_f1 = _values(measure)
    problem = ""
    if better_f1 - cheap_f1 < LEAD:
        problem = f"not demonstrated: {large[0]} {better_f1:.3f}, {small[0]} {cheap_f1:.3f}, no lead of {LEAD:g}"
    elif n < LEAST:
        problem = f"not demonstrated: {n} texts, fewer than {LEAST:,}"
    verdict = measure.test.verdict if isinstance(measure.test, MarginTest) else measure.test.undefined
    f1 = (cheap_f1, better_f1, both_f1)
    return Cascade(task.name, problem, small[0], large[0], n, found.saved_calls, f1, str(verdict))


def _values(measure: Measure) -> Iterator[float]:
    for found in (measure.cheap, measure.better, measure.cascade):
        assert not isinstance(found, Undefined)
        yield found.value
