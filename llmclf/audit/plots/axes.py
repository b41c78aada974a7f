"""Scales, and the axes that show them."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor, isclose, log10
from typing import Self

from llmclf.audit.numbers import shown
from llmclf.audit.plots.svg import FONT, SMALL_FONT, line, text, text_width


@dataclass(frozen=True)
class Scale:
    """Values -> pixels, linear."""

    low: float
    high: float
    step: float
    """Between ticks; `low` and `high` are whole steps."""
    start: float
    """The pixel of `low`."""
    end: float

    @classmethod
    def over(cls, values: Iterable[float], start: float, end: float, *, most: int = 5) -> Self:
        """Span the values in at most so many round steps, and one or two more where they end between ticks."""
        seen = list(values)
        low, high = min(seen), max(seen)
        step = _round_step((high - low or 1.0) / most)
        # 0.3 / 0.1 is 2.9999999999999996
        first, last = floor(round(low / step, 6)), ceil(round(high / step, 6))
        if first == last:
            first, last = first - 1, last + 1
        return cls(first * step, last * step, step, start, end)

    def __call__(self, value: float) -> float:
        """Give the pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """The pixel of each tick, and its number."""
        digits = next(digits for digits in range(10) if isclose(round(self.step, digits), self.step))
        values = [self.low + index * self.step for index in range(round((self.high - self.low) / self.step) + 1)]
        return [(self(value), shown(value, digits)) for value in values]


def _round_step(least: float) -> float:
    """Give the smallest of 1, 2 or 5 times a power of ten that is no less."""
    power = 10.0 ** floor(log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def x_axis(scale: Scale, y: float, name: str, *, small: bool) -> list[str]:
    """Draw ticks below y with their numbers and, but for a small plot, the name under them."""
    font = SMALL_FONT if small else FONT
    parts = [line(scale.start, y, scale.end, y, "axis")]
    free = float("-inf")
    for x, number in scale.ticks:
        parts.append(line(x, y, x, y + 4, "axis"))
        half = text_width(number, font) / 2
        if x - half > free:
            parts.append(text(x, y + 6 + font, number, anchor="middle", class_="tick"))
            free = x + half + font / 3
    if not small:
        parts.append(text((scale.start + scale.end) / 2, y + 10 + 2 * font, name, anchor="middle"))
    return parts


def y_axis(scale: Scale, left: float, right: float, name: str, *, small: bool) -> list[str]:
    """Draw a line across at each tick, the numbers left of them and, but for a small plot, the name above."""
    font = SMALL_FONT if small else FONT
    parts = [line(left, y, right, y, "grid") for y, _ in scale.ticks]
    parts += [text(left - 5, y + font / 3, number, anchor="end", class_="tick") for y, number in scale.ticks]
    if not small:
        parts.append(text(0, scale.end - font, name))
    return parts


@dataclass(frozen=True)
class Area:
    """Where a plot with two axes draws: the pixels of its edges, and the size of the whole picture."""

    left: float
    right: float
    top: float
    bottom: float
    width: float
    height: float

    @classmethod
    def of(cls, *, small: bool) -> Self:
        """Give the area of a small plot, or of one of normal size."""
        return cls(34, 188, 10, 112, 200, 136) if small else cls(48, 422, 34, 244, 440, 292)
