"""Epsilon curve of the alternative annotator test: the winning rate over what annotating by hand costs more."""

from dataclasses import dataclass
from itertools import groupby
from typing import Final

from llmclf.annotations import Kind
from llmclf.audit.numbers import shown
from llmclf.audit.plots.axes import Area, Scale, x_axis, y_axis
from llmclf.audit.plots.svg import curve, drawing, group, line, marker, text

THRESHOLD: Final = 0.5
"""The winning rate at which a model passes."""


@dataclass(frozen=True)
class EpsilonCurve:
    """A model's winning rate at each epsilon, in rising order of epsilon."""

    title: str
    points: tuple[tuple[float, float], ...]
    """Epsilon and winning rate."""


def epsilon_curve(plot: EpsilonCurve, *, small: bool = False) -> str:
    """Draw the winning rate, the threshold that it must reach, and where it first does."""
    area = Area.of(small=small)
    x = Scale.over([epsilon for epsilon, _ in plot.points], area.left, area.right, most=3 if small else 6)
    y = Scale(0.0, 1.0, 0.5 if small else 0.25, area.bottom, area.top)
    threshold = y(THRESHOLD)
    parts = y_axis(y, area.left, area.right, "Winning rate", small=small)
    parts.append(line(area.left, threshold, area.right, threshold, "reference"))
    marks = [curve([(x(epsilon), y(rate)) for epsilon, rate in plot.points], "curve")]
    if len(plot.points) <= 12:
        marks += [marker(x(epsilon), y(rate), Kind.MODEL, 2.5 if small else 3.5) for epsilon, rate in plot.points]
    parts.append(group(marks, Kind.MODEL))
    if not small:
        parts.append(text(area.right, threshold - 5, "passes from here up", anchor="end", class_="tick"))
    parts += x_axis(x, area.bottom, "Epsilon", small=small)
    return drawing(plot.title, _words(plot), parts, width=area.width, height=area.height, small=small)


def _words(plot: EpsilonCurve) -> str:
    runs = [(rate, next(points)[0]) for rate, points in groupby(plot.points, key=lambda point: point[1])]
    rates = ", ".join(f"{shown(rate)} from epsilon {shown(epsilon)}" for rate, epsilon in runs)
    passes = next((epsilon for epsilon, rate in plot.points if rate >= THRESHOLD), None)
    verdict = "never passes" if passes is None else f"first passes at epsilon {shown(passes)}"
    return f"Winning rate {rates}; with the threshold at {shown(THRESHOLD)} the model {verdict}."
