"""Differences beside a margin: estimate, two-sided interval, and the one-sided bound that decides."""

from dataclasses import dataclass

from llmclf.audit.numbers import Outcome, shown, spoken_interval
from llmclf.audit.plots.axes import Scale, x_axis
from llmclf.audit.plots.rows import Layout, interval_line
from llmclf.audit.plots.svg import drawing, group, line, marker, rectangle, text


@dataclass(frozen=True)
class Difference:
    """Model minus people, in one question; without a value it is shown as undefined."""

    name: str
    verdict: str
    outcome: Outcome
    value: float | None
    low: float | None = None
    high: float | None = None
    bound: float | None = None
    """The lower one-sided one, which is compared with the margin."""


@dataclass(frozen=True)
class Differences:
    """What the plot shows; the axis says what was subtracted from what."""

    title: str
    axis: str
    margin: float
    """At most so much below zero counts as no worse; positive."""
    rows: tuple[Difference, ...]
    axis_holds: tuple[float, ...] = ()
    """Give many plots the same, and they share one axis."""


def difference_with_margin(plot: Differences, *, small: bool = False) -> str:
    """Draw one row a difference, with lines at zero and at minus the margin; what is left of the margin is shaded."""
    numbers = [_numbers(row, small=small) for row in plot.rows]
    layout = Layout.of([row.name for row in plot.rows], numbers, head=2 if small else 26, small=small)
    values = [v for row in plot.rows for v in (row.value, row.low, row.high, row.bound) if v is not None]
    scale = Scale.over([0.0, -plot.margin, *plot.axis_holds, *values], layout.left, layout.right)
    edge = scale(-plot.margin)
    parts = [
        rectangle(layout.left, layout.top - 2, edge - layout.left, layout.bottom - layout.top + 2, "beyond"),
        line(scale(0.0), layout.top - 2, scale(0.0), layout.bottom, "zero"),
        line(edge, layout.top - 2, edge, layout.bottom, "margin"),
    ]
    if not small:
        parts.append(text(edge - 4, layout.top - 8, f"margin {shown(-plot.margin)}", anchor="end", class_="tick"))
        parts.append(text(scale(0.0) - 4, layout.top - 8, "0: no difference", class_="tick"))
    for index, row in enumerate(plot.rows):
        parts += layout.label(index, row.name, numbers[index])
        parts += _marks(row, scale, layout.y(index))
    parts += x_axis(scale, layout.bottom, plot.axis, small=small)
    return drawing(plot.title, _words(plot), parts, width=layout.width, height=layout.height, small=small)


def _numbers(row: Difference, *, small: bool) -> str:
    if row.value is None:
        return row.verdict
    return shown(row.value) if small else f"{shown(row.value):>5}  {row.verdict}"


def _marks(row: Difference, scale: Scale, y: float) -> list[str]:
    if row.value is None:
        return []
    x = scale(row.value)
    parts = [] if row.low is None or row.high is None else interval_line(row.low, row.high, scale, y)
    if row.bound is not None:
        bound = scale(row.bound)
        parts += [line(bound, y, x, y, "bound"), line(bound, y - 6, bound, y + 6, "bound")]
    return [group([*parts, marker(x, y, row.outcome)], row.outcome, _said(row))]


def _said(row: Difference) -> str:
    if row.value is None:
        return f"{row.name} {row.verdict}"
    bound = "" if row.bound is None else f", one-sided bound {shown(row.bound)}"
    return f"{row.name} {spoken_interval(row.value, row.low, row.high)}{bound}, {row.verdict}"


def _words(plot: Differences) -> str:
    return f"{plot.axis}, beside a margin of {shown(plot.margin)}: {'; '.join(map(_said, plot.rows))}."
