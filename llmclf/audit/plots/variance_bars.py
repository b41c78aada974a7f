"""Variance bars: which share of the variance of a model's answers each source brings."""

from dataclasses import dataclass

from llmclf.audit.numbers import shown
from llmclf.audit.plots.axes import Scale, x_axis
from llmclf.audit.plots.rows import Layout
from llmclf.audit.plots.svg import drawing, group, rectangle


@dataclass(frozen=True)
class Component:
    """One source of variance: items, prompts, runs, one of their interactions, or the rest."""

    name: str
    variance: float
    share: float
    """Of the sum of all, 0 to 1."""


@dataclass(frozen=True)
class VarianceBars:
    """What the plot shows."""

    title: str
    components: tuple[Component, ...]


def variance_bars(plot: VarianceBars, *, small: bool = False) -> str:
    """Draw one bar a component, as long as its share."""
    numbers = [f"{shown(100 * each.share, 0)} %" for each in plot.components]
    layout = Layout.of([each.name for each in plot.components], numbers, head=2, small=small)
    scale = Scale(0.0, 100.0, 50.0 if small else 25.0, layout.left, layout.right)
    thick = 7.0 if small else 14.0
    parts = []
    for index, each in enumerate(plot.components):
        end, y = scale(100 * each.share), layout.y(index)
        bar = rectangle(layout.left, y - thick / 2, end - layout.left, thick, "bar")
        parts += [*layout.label(index, each.name, numbers[index]), group([bar], "component", _said(each))]
    parts += x_axis(scale, layout.bottom, "Share of variance, %", small=small)
    return drawing(plot.title, _words(plot), parts, width=layout.width, height=layout.height, small=small)


def _said(each: Component) -> str:
    return f"{each.name} {shown(100 * each.share, 0)} % (variance {shown(each.variance, 3)})"


def _words(plot: VarianceBars) -> str:
    return f"Share of variance: {'; '.join(map(_said, plot.components))}."
