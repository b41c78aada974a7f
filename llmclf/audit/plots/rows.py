"""Plots with one named row an estimate: names left and numbers right or, in a small plot, both above their line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from llmclf.audit.plots.axes import Scale
from llmclf.audit.plots.svg import FONT, SMALL_FONT, fitted, line, text, text_width

_MOST_OF_NAME: Final = 220.0  # pixels
_GAP: Final = 12.0


@dataclass(frozen=True)
class Layout:
    """Where rows, and the axis below them, stand."""

    left: float
    right: float
    top: float
    row_height: float
    width: float
    bottom: float
    small: bool

    @classmethod
    def of(cls, names: Sequence[str], numbers: Sequence[str], *, head: float, small: bool) -> Self:
        """Give names and numbers the room that they need, the plot the rest; `head` is kept free above the rows."""
        if small:
            return cls(13, 187, head, 30, 200, head + 30 * len(names), small)
        left = min(_MOST_OF_NAME, max(map(text_width, names))) + _GAP
        right = 720 - max(map(text_width, numbers)) - _GAP
        return cls(left, right, head, 24, 720, head + 24 * len(names) + 6, small)

    @property
    def height(self) -> float:
        """The whole picture's."""
        return self.bottom + (21 if self.small else 42)

    def y(self, row: int) -> float:
        """Give the line on which a row's marks stand."""
        return self.top + self.row_height * (row + (0.72 if self.small else 0.5))

    def label(self, row: int, name: str, numbers: str) -> list[str]:
        """Write a row's name and numbers."""
        if not self.small:
            base = self.y(row) + FONT / 3
            return [
                text(0, base, fitted(name, self.left - _GAP)),
                text(self.right + _GAP, base, numbers, class_="number"),
            ]
        base, room = self.y(row) - 7, self.width - text_width(numbers, SMALL_FONT) - 6
        return [
            text(0, base, fitted(name, room, SMALL_FONT)),
            text(self.width, base, numbers, anchor="end", class_="number"),
        ]


def interval_line(low: float, high: float, scale: Scale, y: float) -> list[str]:
    """Draw an interval with its two ends."""
    a, b = scale(low), scale(high)
    return [line(a, y, b, y, "interval"), line(a, y - 4, a, y + 4, "interval"), line(b, y - 4, b, y + 4, "interval")]
