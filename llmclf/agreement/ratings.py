"""Who gave which item which label: integer codes on a declared scale."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from llmclf.codebook import number_text
from llmclf.errors import InputError, ScaleError, TableError, unknown
from llmclf.levels import Level

MISSING = -1

Codes = npt.NDArray[np.signedinteger[Any]]


@dataclass(frozen=True)
class Rating:
    """One annotator's answer about one item: one row of a table."""

    item: str
    annotator: str
    label: str
    """Blank where the answer is missing. A set is one opaque string, the empty set among them, so never blank."""
    where: str = ""
    """Where it stands, for error messages: `row 7`."""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}item {self.item!r}, annotator {self.annotator!r}"


@dataclass(frozen=True, eq=False)  # arrays have no single truth value to compare by
class Ratings:
    """The ratings of items by annotators."""

    codes: Codes
    """Items x annotators: positions in `scale`, -1 where missing."""
    items: tuple[str, ...]
    annotators: tuple[str, ...]
    scale: tuple[str, ...]
    level: Level
    scale_declared: bool

    @classmethod
    def from_rows(cls, rows: Iterable[Rating], level: Level, scale: Sequence[str] | None = None) -> Self:
        """Collect rows, in any order; items and annotators stand in the order of their first row.

        Without a declared scale, it is the labels that occur: ascending if all are numbers, else alphabetical.
        On an ordinal or interval scale of numbers, `4` and `4.0` are one label.

        Raises:
            ScaleError: a label is not on the scale, or there can be no such scale.
            TableError: there are no ratings, or one annotator rated an item twice.

        """
        rated = _once_each(rows)
        labels = _declared(scale, level) if scale is not None else _occurring(rated, level)
        as_numbers = _measures(level) and all(_number(label) is not None for label in labels)
        code_by_label = {label: code for code, label in enumerate(labels)}
        items = {item: i for i, item in enumerate(dict.fromkeys(row.item for row in rated))}
        annotators = {name: j for j, name in enumerate(dict.fromkeys(row.annotator for row in rated))}
        codes = np.full((len(items), len(annotators)), MISSING, dtype=_smallest_type(len(labels)))
        for row in rated:
            if _is_missing(row):
                continue
            code = code_by_label.get(_spelled(row.label) if as_numbers else row.label)
            if code is None:
                hint = "Correct the row, or declare the scale with --scale so that it holds this label"
                raise ScaleError(f"{row}: {unknown('label', row.label, labels)}", hint)
            codes[items[row.item], annotators[row.annotator]] = code
        return cls(codes, tuple(items), tuple(annotators), labels, level, scale_declared=scale is not None)

    @cached_property
    def values(self) -> npt.NDArray[np.float64]:
        """The labels' places on the scale: their numbers if all of an ordinal or interval scale are, else 0 .. q-1."""
        numbers = [_number(label) for label in self.scale] if _measures(self.level) else [None]
        if None in numbers:
            return np.arange(len(self.scale), dtype=np.float64)
        return np.array(numbers, dtype=np.float64)

    def select(self, annotators: Sequence[str]) -> Self:
        """Keep these annotators, in this order; the items and the scale stay as they are.

        Raises:
            InputError: there is no such annotator.

        """
        for name in annotators:
            if name not in self.annotators:
                raise InputError(unknown("annotator", name, self.annotators))
        columns = [self.annotators.index(name) for name in annotators]
        return replace(self, codes=self.codes[:, columns], annotators=tuple(annotators))

    def drop(self, annotators: Sequence[str]) -> Self:
        """Leave these annotators out.

        Raises:
            InputError: there is no such annotator.

        """
        self.select(annotators)  # a misspelt name must not pass for one left out
        return self.select([name for name in self.annotators if name not in annotators])


def pairable(codes: Codes) -> Codes:
    """Keep the items with two or more ratings, the only ones that can agree or disagree."""
    kept: Codes = codes[np.count_nonzero(codes != MISSING, axis=1) >= 2]
    return kept


def _once_each(rows: Iterable[Rating]) -> list[Rating]:
    first: dict[tuple[str, str], Rating] = {}
    for row in rows:
        before = first.setdefault((row.item, row.annotator), row)
        if before is not row:
            also = f" (first at {before.where})" if before.where else ""
            raise TableError(f"{row}: rated twice by the same annotator{also}", "Keep one of the two rows")
    if all(_is_missing(row) for row in first.values()):
        raise TableError(
            "there are no ratings: no row has a label", "Give one row per item and annotator, with its label"
        )
    return list(first.values())


def _declared(scale: Sequence[str], level: Level) -> tuple[str, ...]:
    numbers = [_number(label) for label in scale]
    wholly_numeric = None not in numbers
    if level in (Level.INTERVAL, Level.RATIO) and not wholly_numeric:
        word = scale[numbers.index(None)]
        raise ScaleError(
            f"the {level} scale has the label {word!r}, which is no number", "Give numbers, or use the level ordinal"
        )
    labels = tuple(_spelled(label) for label in scale) if _measures(level) and wholly_numeric else tuple(scale)
    if any(not label.strip() for label in labels):
        raise ScaleError("the scale has a blank label", "A blank is a missing rating: take it out of --scale")
    repeated = [label for label, times in Counter(labels).items() if times > 1]
    if repeated:
        raise ScaleError(f"the scale has the label {repeated[0]!r} more than once", "Give each label once in --scale")
    if len(labels) < 2:
        raise ScaleError(f"the scale has {len(labels)} label(s)", "Give two or more labels in --scale")
    if level is Level.ORDINAL and wholly_numeric and numbers not in (sorted(numbers), sorted(numbers, reverse=True)):  # type: ignore[type-var]  # none is None
        raise ScaleError(
            f"the ordinal scale {', '.join(labels)} is neither ascending nor descending",
            "Give --scale in order, lowest first",
        )
    return labels


def _occurring(rated: list[Rating], level: Level) -> tuple[str, ...]:
    numbers: dict[str, float] = {}
    for row in rated:
        if _is_missing(row) or row.label in numbers:
            continue
        number = _number(row.label)
        if number is not None:
            numbers[row.label] = number
        elif level is Level.ORDINAL:
            raise ScaleError(
                f"{row}: the label {row.label!r} is no number, so its rank is unknown",
                "Give --scale with the labels in order, lowest first",
            )
        elif level is Level.INTERVAL:
            raise ScaleError(
                f"{row}: the label {row.label!r} is no number",
                "Correct the row, or use the level ordinal and give --scale in order",
            )
        else:
            return tuple(sorted({row.label for row in rated if not _is_missing(row)}))
    if _measures(level):
        return tuple(number_text(number) for number in sorted(set(numbers.values())))
    return tuple(sorted(numbers, key=lambda label: (numbers[label], label)))


def _measures(level: Level) -> bool:
    return level in (Level.ORDINAL, Level.INTERVAL, Level.RATIO)


def _is_missing(row: Rating) -> bool:
    return not row.label.strip()


def _number(label: str) -> float | None:
    try:
        number = float(label)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _spelled(label: str) -> str:
    number = _number(label)
    return label if number is None else number_text(number)


def _smallest_type(n_labels: int) -> type[np.signedinteger[Any]]:
    return next(kind for kind in (np.int8, np.int16, np.int32) if n_labels - 1 <= np.iinfo(kind).max)
