"""Risk-coverage curve: how often a model is wrong when only its surest answers are kept."""

from dataclasses import dataclass
from typing import Final

from llmclf.annotations import Kind
from llmclf.audit.numbers import shown
from llmclf.audit.plots.axes import Area, Scale, x_axis, y_axis
from llmclf.audit.plots.svg import curve, drawing, group, line, text

_SAID_AT: Final = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class RiskCoverage:
    """The share of wrong answers at each share of answers kept, in rising order of coverage."""

    title: str
    points: tuple[tuple[float, float], ...]
    """Coverage and risk; the last is that of all answers."""
    axis_holds: tuple[float, ...] = ()
    """Give many plots the same, and they share one axis."""


def risk_coverage(plot: RiskCoverage, *, small: bool = False) -> str:
    """Draw the risk over coverage, beside the risk of all answers."""
    area = Area.of(small=small)
    x = Scale(0.0, 1.0, 0.5 if small else 0.2, area.left, area.right)
    y = Scale.over(
        [0.0, *plot.axis_holds, *(risk for _, risk in plot.points)], area.bottom, area.top, most=3 if small else 5
    )
    overall = plot.points[-1][1]
    parts = [
        *y_axis(y, area.left, area.right, "Share wrong of the answers kept", small=small),
        line(area.left, y(overall), area.right, y(overall), "reference"),
        group([curve([(x(coverage), y(risk)) for coverage, risk in plot.points], "curve")], Kind.MODEL),
        *x_axis(x, area.bottom, "Share of answers kept, surest first", small=small),
    ]
    if not small:
        said = f"all answers: {shown(overall)}"
        parts.append(text(area.left + 6, y(overall) - 6, said, class_="tick"))
    return drawing(plot.title, _words(plot), parts, width=area.width, height=area.height, small=small)


def _words(plot: RiskCoverage) -> str:
    reached = [next((point for point in plot.points if point[0] >= at), plot.points[-1]) for at in _SAID_AT]
    said = [f"{shown(risk)} of the surest {shown(100 * coverage, 0)} %" for coverage, risk in dict.fromkeys(reached)]
    return f"Share wrong: {', '.join(said)}."
