"""What the plots are drawn with: elements and text of an SVG that takes its colours and fonts from the page."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import Final
from zlib import crc32

from llmclf.annotations import Kind
from llmclf.audit.numbers import Outcome, shown

FONT: Final = 13.0
"""Pixels; `report.css` sets the same."""
SMALL_FONT: Final = 11.0
_CHARACTER: Final = 0.56  # of the font's size: the mean width in common sans-serif faces
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CAMEL_CASE: Final = {"viewBox"}

Point = tuple[float, float]


def writable(text: str) -> str:
    """Put U+FFFD for what neither XML nor UTF-8 can hold: control characters, halves of surrogate pairs."""
    return _NOT_XML.sub("\ufffd", text)


def escaped(text: str) -> str:
    """Make a text safe in an element or an attribute."""
    return escape(writable(text))


def element(name: str, content: str = "", /, **attributes: str | float) -> str:
    """Write an element; `class_` is `class`, and an underscore in other names is a hyphen."""
    written = "".join(f' {_name(key)}="{_value(value)}"' for key, value in attributes.items())
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def _name(key: str) -> str:
    return key if key in _CAMEL_CASE else key.removesuffix("_").replace("_", "-")


def _value(value: str | float) -> str:
    return escaped(value) if isinstance(value, str) else shown(value, 1).removesuffix(".0")


def drawing(title: str, words: str, parts: Iterable[str], *, width: float, height: float, small: bool) -> str:
    """Close a picture; `words` say what it shows to those who do not see it."""
    title, words, drawn = escaped(title), escaped(words), "".join(parts)
    id_ = f"p{crc32(f'{title}{words}{drawn}'.encode()):x}"  # other pictures on the page have other ids
    return element(
        "svg",
        element("title", title, id=f"{id_}t") + element("desc", words, id=f"{id_}d") + drawn,
        xmlns="http://www.w3.org/2000/svg",
        class_="plot small" if small else "plot",
        role="img",
        aria_labelledby=f"{id_}t {id_}d",
        width=width,
        height=height,
        viewBox=f"0 0 {_value(width)} {_value(height)}",
    )


def group(parts: Iterable[str], class_: str, title: str = "") -> str:
    """Hold parts together; the title is what a mouse that rests on them is told."""
    return element("g", (element("title", escaped(title)) if title else "") + "".join(parts), class_=class_)


def text(x: float, y: float, words: str, *, anchor: str = "start", class_: str = "") -> str:
    """Write words with their baseline at y; the anchor is start, middle or end."""
    attributes: dict[str, str | float] = {"x": x, "y": y}
    if anchor != "start":
        attributes["text_anchor"] = anchor
    if class_:
        attributes["class_"] = class_
    return element("text", escaped(words), **attributes)


def text_width(words: str, font: float = FONT) -> float:
    """Estimate the pixels that words take."""
    return (len(words) + 0.5) * font * _CHARACTER


def fitted(words: str, room: float, font: float = FONT) -> str:
    """Cut words to the pixels that they may take."""
    most = int(room / font / _CHARACTER)
    return words if len(words) <= most else words[: most - 1] + "…"


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    """Draw a straight line."""
    return element("line", class_=class_, x1=x1, y1=y1, x2=x2, y2=y2)


def rectangle(x: float, y: float, width: float, height: float, class_: str) -> str:
    """Draw a rectangle whose upper left corner is x, y."""
    return element("rect", class_=class_, x=x, y=y, width=width, height=height)


def curve(points: Sequence[Point], class_: str) -> str:
    """Join points, left to right; those within a pixel of the one before are left out."""
    drawn = [points[0], *(b for a, b in pairwise(points) if int(a[0]) != int(b[0])), points[-1]]
    return element("polyline", class_=class_, points=_coordinates(drawn))


def band(lower: Sequence[Point], upper: Sequence[Point], class_: str) -> str:
    """Fill what lies between two curves."""
    return element("polygon", class_=class_, points=_coordinates([*lower, *reversed(upper)]))


def _coordinates(points: Iterable[Point]) -> str:
    return " ".join(f"{_value(x)},{_value(y)}" for x, y in points)


def marker(x: float, y: float, shape: Kind | Outcome, size: float = 4.5) -> str:
    """Draw a marker that is told from the others by its shape, too."""
    match shape:
        case Kind.EXPERT | Outcome.PASS:
            return element("circle", class_=f"mark {shape}", cx=x, cy=y, r=size)
        case Kind.MODEL:
            corners = [(x, y - size * 1.3), (x + size * 1.3, y), (x, y + size * 1.3), (x - size * 1.3, y)]
            return element("polygon", class_=f"mark {shape}", points=_coordinates(corners))
        case Kind.CROWD:
            return rectangle(x - size, y - size, 2 * size, 2 * size, f"mark {shape}")
        case Outcome.FAIL:
            left, right, top, bottom = map(_value, (x - size, x + size, y - size, y + size))
            crossed = f"M{left} {top}L{right} {bottom}M{right} {top}L{left} {bottom}"
            return element("path", class_=f"mark {shape}", d=crossed)
        case Outcome.INCONCLUSIVE:
            return element("circle", class_=f"mark {shape}", cx=x, cy=y, r=size)
