"""Small things that all sections need: names, cells, and many plots as one."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from llmclf.agreement import Coefficient, Undefined
from llmclf.audit.page import Block, Column, Figure, SmallMultiples
from llmclf.audit.report import Audit, ModelAudit, QuestionAudit
from llmclf.audit.wording import models_of

Answer = tuple[QuestionAudit, ModelAudit]
_Plot = TypeVar("_Plot")
VALUES = ("Value:2", "Low:2", "High:2")
"""Columns of a coefficient; see `number_cells`."""
_LONGEST = 120


def columns(*names: str) -> tuple[Column, ...]:
    """Read columns, those of numbers with their decimals: `Bound:2`."""
    parts = [name.partition(":") for name in names]
    return tuple(Column(name, int(digits) if digits else None) for name, _, digits in parts)


def answers(audit: Audit) -> list[Answer]:
    """Give each model's answers to each question."""
    return [(question, model) for question in audit.questions for model in question.models]


def name_in(audit: Audit, answer: Answer) -> str:
    """Name an answer by its question and, where there are several models, by its model."""
    question, model = answer
    return question.question if len(models_of(audit)) == 1 else f"{question.question}: {model.annotator}"


def number_cells(coefficient: Coefficient) -> tuple[float | None, float | None, float | None]:
    """Give value, low and high; nothing where there is none."""
    if isinstance(coefficient, Undefined):
        return None, None, None
    return coefficient.value, coefficient.low, coefficient.high


def reason(coefficient: Coefficient) -> str:
    """Say why there is no value or no interval."""
    if isinstance(coefficient, Undefined):
        return f"undefined: {coefficient.undefined}"
    return coefficient.method if coefficient.low is None else ""


def one_line(text: str) -> str:
    """Cut a text to what fits a cell."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def figures(
    plots: Sequence[tuple[str, _Plot]], draw: Callable[..., str], caption: str, *, two_sizes: bool = False
) -> list[Block]:
    """Draw one plot large, or many as small multiples."""
    if len(plots) == 1:
        ((_, plot),) = plots
        return [Figure(draw(plot), caption, draw(plot, small=True) if two_sizes else "")]
    if not plots:
        return []
    return [SmallMultiples(tuple(Figure(draw(plot, small=True), name) for name, plot in plots), caption)]


def held(values: Sequence[float | None], *always: float) -> tuple[float, ...]:
    """Give the least and the greatest of the values, so that plots of one kind share an axis."""
    known = [value for value in values if value is not None]
    return (min([*known, *always]), max([*known, *always])) if known or always else ()
