"""Crowd size: how well so many crowd workers do, and how many of them a model is worth."""

from dataclasses import dataclass

from llmclf.annotations import Kind
from llmclf.audit.numbers import shown, spoken_interval
from llmclf.audit.plots.axes import Area, Scale, x_axis, y_axis
from llmclf.audit.plots.svg import band, curve, drawing, group, line, marker, text


@dataclass(frozen=True)
class CrowdPoint:
    """What a crowd of so many workers reaches."""

    workers: int
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class CrowdSize:
    """What the plot shows; the axis says what the crowd and the model reach."""

    title: str
    axis: str
    points: tuple[CrowdPoint, ...]
    """In rising order of workers."""
    model: str
    model_value: float
    worth: float
    """Of how many workers the model is the equal."""
    at_least: bool = False
    """The model is above every crowd that there is, and may be worth more."""
    axis_holds: tuple[float, ...] = ()
    """Give many plots the same, and they share one axis."""


def crowd_size(plot: CrowdSize, *, small: bool = False) -> str:
    """Draw the crowd's curve with its band, the model's level, and where they cross."""
    area = Area.of(small=small)
    values = [v for point in plot.points for v in (point.value, point.low, point.high) if v is not None]
    workers = [point.workers for point in plot.points]
    x = Scale.over([0, *workers], area.left, area.right, most=4 if small else 8)
    y = Scale.over([plot.model_value, *plot.axis_holds, *values], area.bottom, area.top, most=3 if small else 5)
    banded = [point for point in plot.points if point.low is not None and point.high is not None]
    crowd = [curve([(x(point.workers), y(point.value)) for point in plot.points], "curve")]
    if banded:
        lower = [(x(point.workers), y(point.low)) for point in banded if point.low is not None]
        upper = [(x(point.workers), y(point.high)) for point in banded if point.high is not None]
        crowd.insert(0, band(lower, upper, "band"))
    if len(plot.points) <= 12:
        crowd += [marker(x(point.workers), y(point.value), Kind.CROWD, 2 if small else 3) for point in plot.points]
    level, crossing = y(plot.model_value), x(plot.worth)
    model = [line(area.left, level, area.right, level, "level"), marker(crossing, level, Kind.MODEL, 4)]
    if not plot.at_least:
        model.append(line(crossing, level, crossing, area.bottom, "drop"))
    parts = [
        *y_axis(y, area.left, area.right, plot.axis, small=small),
        group(crowd, Kind.CROWD),
        group(model, Kind.MODEL),
        *x_axis(x, area.bottom, "Crowd workers", small=small),
    ]
    if small:
        parts.append(text(area.right, area.bottom - 5, _worth(plot), anchor="end", class_="number"))
    else:
        parts.append(text(area.right, level - 7, f"{plot.model}: {_worth(plot)}", anchor="end"))
    return drawing(plot.title, _words(plot), parts, width=area.width, height=area.height, small=small)


def _worth(plot: CrowdSize) -> str:
    if plot.at_least:
        return f"worth at least {shown(plot.worth, 0)}"
    return "worth less than 1" if plot.worth < 1 else f"worth {shown(plot.worth, 1)}"


def _words(plot: CrowdSize) -> str:
    crowd = ", ".join(
        f"{spoken_interval(point.value, point.low, point.high)} with {point.workers}" for point in plot.points
    )
    return f"{plot.axis} of the crowd: {crowd}. {plot.model} reaches {shown(plot.model_value)}, {_worth(plot)} workers."
