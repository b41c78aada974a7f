"""Forest plot: estimates with their intervals, one a row, beside reference lines."""

from collections.abc import Iterable
from dataclasses import dataclass

from llmclf.annotations import Kind
from llmclf.audit.numbers import shown, shown_interval, spoken_interval
from llmclf.audit.plots.axes import Scale, x_axis
from llmclf.audit.plots.rows import Layout, interval_line
from llmclf.audit.plots.svg import FONT, drawing, group, line, marker, text, text_width


@dataclass(frozen=True)
class Row:
    """One estimate; without a value it is shown as undefined."""

    name: str
    kind: Kind
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Reference:
    """A value to compare with, and its name."""

    value: float
    name: str = ""


@dataclass(frozen=True)
class Forest:
    """What the plot shows; the axis says what was estimated."""

    title: str
    axis: str
    rows: tuple[Row, ...]
    references: tuple[Reference, ...] = ()
    axis_holds: tuple[float, ...] = (0.0,)
    """Give many plots the same, and they share one axis."""


def forest(plot: Forest, *, small: bool = False) -> str:
    """Draw one row an estimate, its marker by kind: circle expert, diamond model, square crowd."""
    kinds = [kind for kind in Kind if any(row.kind is kind for row in plot.rows)]
    numbers = [_numbers(row, small=small) for row in plot.rows]
    head = 2.0 if small else 26.0 + (22.0 if len(kinds) > 1 else 0.0)
    layout = Layout.of([row.name for row in plot.rows], numbers, head=head, small=small)
    values = [v for row in plot.rows for v in (row.value, row.low, row.high) if v is not None]
    scale = Scale.over(
        [*plot.axis_holds, *values, *(each.value for each in plot.references)], layout.left, layout.right
    )
    parts = _reference_lines(plot.references, scale, layout)
    for index, row in enumerate(plot.rows):
        parts += layout.label(index, row.name, numbers[index])
        parts += _marks(row, scale, layout.y(index))
    parts += x_axis(scale, layout.bottom, plot.axis, small=small)
    if len(kinds) > 1 and not small:
        parts += _legend(kinds)
    return drawing(plot.title, _words(plot), parts, width=layout.width, height=layout.height, small=small)


def _reference_lines(references: Iterable[Reference], scale: Scale, layout: Layout) -> list[str]:
    """Draw a line down through all rows for each, its name above it where that has room."""
    parts, free = [], float("-inf")
    for reference in sorted(references, key=lambda each: each.value):
        x, half = scale(reference.value), text_width(reference.name) / 2
        parts.append(line(x, layout.top - 2, x, layout.bottom, "reference"))
        if reference.name and not layout.small and x - half > free:
            parts.append(text(x, layout.top - 7, reference.name, anchor="middle", class_="tick"))
            free = x + half + 6
    return parts


def _legend(kinds: Iterable[Kind]) -> list[str]:
    """Name each kind beside its marker, in one line at the top."""
    parts, x = [], 6.0
    for kind in kinds:
        parts += [marker(x, 9, kind), text(x + 10, 9 + FONT / 3, kind)]
        x += 10 + text_width(kind) + 22
    return parts


def _numbers(row: Row, *, small: bool) -> str:
    if row.value is None:
        return "undefined"
    return shown(row.value) if small else shown_interval(row.value, row.low, row.high)


def _marks(row: Row, scale: Scale, y: float) -> list[str]:
    if row.value is None:
        return []
    interval = [] if row.low is None or row.high is None else interval_line(row.low, row.high, scale, y)
    said = f"{row.name}: {shown_interval(row.value, row.low, row.high)}"
    return [group([*interval, marker(scale(row.value), y, row.kind)], row.kind, said)]


def _words(plot: Forest) -> str:
    rows = [
        f"{row.name} ({row.kind}) "
        + ("undefined" if row.value is None else spoken_interval(row.value, row.low, row.high))
        for row in plot.rows
    ]
    beside = [each.name or shown(each.value) for each in plot.references]
    lines = f" Reference lines at {', '.join(beside)}." if beside else ""
    return f"{plot.axis}: {'; '.join(rows)}.{lines}"
