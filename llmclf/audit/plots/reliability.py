"""Reliability diagram: how often a model is right among answers to which it gave much the same probability."""

from collections.abc import Sequence
from dataclasses import dataclass

from llmclf.annotations import Kind
from llmclf.audit.numbers import shown, spoken_interval
from llmclf.audit.plots.axes import Area, Scale, x_axis, y_axis
from llmclf.audit.plots.svg import FONT, curve, drawing, group, line, marker, rectangle, text


@dataclass(frozen=True)
class Bin:
    """The answers with a probability from `start` to `end`; bins without answers are left out."""

    start: float
    end: float
    count: int
    probability: float
    """The mean of theirs."""
    accuracy: float
    """The share of them that is right."""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Reliability:
    """What the plot shows."""

    title: str
    bins: tuple[Bin, ...]


def reliability(plot: Reliability, *, small: bool = False) -> str:
    """Draw accuracy over probability beside the diagonal of perfect calibration, with the count of each bin below."""
    area = Area.of(small=small)
    floor = area.bottom - (26 if small else 54)
    x = Scale(0.0, 1.0, 0.5 if small else 0.2, area.left, area.right)
    y = Scale(0.0, 1.0, 0.5 if small else 0.2, floor, area.top)
    parts = [
        *y_axis(y, area.left, area.right, "Share right", small=small),
        line(x(0), y(0), x(1), y(1), "reference"),
        group(_marks(plot.bins, x, y, small=small), Kind.MODEL),
        *_counts(plot.bins, x, floor, area.bottom, small=small),
        *x_axis(x, area.bottom, "Probability of the label (bars: how many answers)", small=small),
    ]
    return drawing(plot.title, _words(plot), parts, width=area.width, height=area.height, small=small)


def _marks(bins: Sequence[Bin], x: Scale, y: Scale, *, small: bool) -> list[str]:
    points = [(x(each.probability), y(each.accuracy)) for each in bins]
    intervals = [
        line(at, y(each.low), at, y(each.high), "interval")
        for (at, _), each in zip(points, bins, strict=True)
        if each.low is not None and each.high is not None
    ]
    size = 2.5 if small else 3.5
    return [*intervals, curve(points, "curve"), *(marker(*point, Kind.MODEL, size) for point in points)]


def _counts(bins: Sequence[Bin], x: Scale, top: float, bottom: float, *, small: bool) -> list[str]:
    """Draw a bar a bin; the highest leaves room for its number."""
    room = bottom - top - (4 if small else FONT + 6)
    most = max(each.count for each in bins)
    parts = []
    for each in bins:
        height = room * each.count / most
        left, right = x(each.start), x(each.end)
        bar = rectangle(left + 1, bottom - height, right - left - 2, height, "bar")
        parts.append(group([bar], "count", f"{shown(each.start)} to {shown(each.end)}: {each.count}"))
        if not small:
            middle = (left + right) / 2
            parts.append(text(middle, bottom - height - 3, str(each.count), anchor="middle", class_="tick"))
    return parts


def _words(plot: Reliability) -> str:
    said = [
        f"{spoken_interval(each.accuracy, each.low, each.high)} of {each.count} answers with mean probability "
        f"{shown(each.probability)}"
        for each in plot.bins
    ]
    return f"Share right: {'; '.join(said)}."
