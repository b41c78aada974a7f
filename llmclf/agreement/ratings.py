"""Who gave which item which label: integer codes on a declared scale."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from llmclf.agreement.categorical import Categorical
from llmclf.agreement.scale import MEASURED, check_label, code_reader, declared_scale, number_of, occurring_scale
from llmclf.errors import InputError, ScaleError, TableError, unknown
from llmclf.levels import Level

MISSING = -1
MOST_ANNOTATORS = 1000
"""That have a column each."""
_MOST_CELLS = 10**8
_ALWAYS_COLUMNS = 20
_MOST_LISTED = 100

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
    """The ratings of items by annotators.

    A crowd of very many annotators has no column each: with `raters`, a row of `codes` holds an item's ratings
    one after the other, and `raters` whose they are. Coefficients for exchangeable annotators need not care.
    """

    codes: Codes
    """Items x annotators (or, with `raters`, ratings): positions in `scale`, -1 where missing."""
    items: tuple[str, ...]
    annotators: tuple[str, ...]
    scale: tuple[str, ...]
    level: Level
    scale_declared: bool
    raters: npt.NDArray[np.int32] | None = None
    """Positions in `annotators`, of the shape of `codes`, -1 where missing; None where each has a column."""

    @classmethod
    def from_rows(cls, rows: Iterable[Rating], level: Level, scale: Sequence[str] | None = None) -> Self:
        """Collect rows, in any order; see `from_columns`."""
        rows = list(rows)
        item, annotator, label = (
            Categorical.of(column)
            for column in ((r.item for r in rows), (r.annotator for r in rows), (r.label for r in rows))
        )
        return cls.from_columns(item, annotator, label, level, scale, lambda row: rows[row].where)

    @classmethod
    def from_columns(
        cls,
        item: Categorical,
        annotator: Categorical,
        label: Categorical,
        level: Level,
        scale: Sequence[str] | None = None,
        where: Callable[[int], str] = lambda _: "",
    ) -> Self:
        """Collect a long table's rows; items and annotators stand in the order of their first row.

        Without a declared scale, it is the labels that occur: ascending if all are numbers, else alphabetical.
        On an ordinal, interval or ratio scale of numbers, `4` and `4.0` are one label.

        Args:
            item: of each row, as the next two.
            annotator: of each row.
            label: blank where it is missing.
            level: of the labels.
            scale: all labels there can be, in their order.
            where: gives the place of a row for error messages, as `row 7`.

        Raises:
            ScaleError: a label is not on the scale, or there can be no such scale.
            TableError: there are no ratings, or one annotator rated an item twice.

        """

        def rating(row: int) -> Rating:
            return Rating(item[row], annotator[row], label[row], where(row))

        _refuse_repeats(item, annotator, rating)
        given = {category: text for category, text in enumerate(label.categories) if text.strip()}
        if not given:
            raise TableError(
                "there are no ratings: no row has a label", "Give one row per item and annotator, with its label"
            )

        @contextmanager
        def placed(category: int) -> Iterator[None]:
            try:
                yield
            except ScaleError as error:
                raise ScaleError(f"{rating(label.first_row(category))}: {error.message}", error.hint) from None

        if scale is None:
            for category, text in given.items():
                with placed(category):
                    check_label(text, level)
        labels = occurring_scale(list(given.values()), level) if scale is None else declared_scale(scale, level)
        read_code = code_reader(labels, level)
        code_of_category = np.full(len(label.categories), MISSING, dtype=_smallest_type(len(labels)))
        for category, text in given.items():
            with placed(category):
                code_of_category[category] = read_code(text)
        items, annotators = tuple(item.categories), tuple(annotator.categories)
        codes, raters = _arranged(
            item.codes, annotator.codes, code_of_category[label.codes], (len(items), len(annotators))
        )
        return cls(codes, items, annotators, labels, level, scale_declared=scale is not None, raters=raters)

    @cached_property
    def values(self) -> npt.NDArray[np.float64]:
        """The labels' places on the scale: their numbers if all of a measured scale are, else 0 .. q-1."""
        numbers = [number_of(label) for label in self.scale] if self.level in MEASURED else [None]
        if None in numbers:
            return np.arange(len(self.scale), dtype=np.float64)
        return np.array(numbers, dtype=np.float64)

    def select(self, annotators: Sequence[str]) -> Self:
        """Keep these annotators, in this order; the items and the scale stay as they are.

        Raises:
            InputError: there is no such annotator, or one is named twice.

        """
        columns = self._columns(annotators)
        for one, next_one in pairwise(sorted(annotators)):
            if one == next_one:
                raise InputError(f"the annotator {one!r} is named twice", "Name each once")
        if self.raters is None:
            return replace(self, codes=self.codes[:, columns], annotators=tuple(annotators))
        place = np.full(len(self.annotators) + 1, MISSING, dtype=np.int32)  # the last is that of nobody
        place[columns] = np.arange(len(columns))
        raters = place[self.raters]
        item, slot = np.nonzero(raters != MISSING)
        shape = (len(self.items), len(columns))
        codes, left = _arranged(item, raters[item, slot], self.codes[item, slot], shape)
        return replace(self, codes=codes, annotators=tuple(annotators), raters=left)

    def labelled_by(self, annotators: Sequence[str]) -> Self:
        """Leave out all ratings of the items that one of these annotators did not label; the items stay as they are.

        Raises:
            InputError: there is no such annotator, or there are too many for a column each.

        """
        if self.raters is not None:
            raise InputError(
                f"{len(self.annotators)} annotators are too many to compare two by two", "Give --kind crowd"
            )
        labelled = (self.select(annotators).codes != MISSING).all(axis=1)
        codes = np.where(labelled[:, np.newaxis], self.codes, MISSING).astype(self.codes.dtype)
        return replace(self, codes=codes)

    def drop(self, annotators: Sequence[str]) -> Self:
        """Leave these annotators out.

        Raises:
            InputError: there is no such annotator.

        """
        self._columns(annotators)  # a misspelt name must not pass for one left out
        dropped = set(annotators)
        return self.select([name for name in self.annotators if name not in dropped])

    def _columns(self, annotators: Sequence[str]) -> list[int]:
        column_by_name = {name: column for column, name in enumerate(self.annotators)}
        for name in annotators:
            if name not in column_by_name:
                too_many = len(self.annotators) > _MOST_LISTED
                raise InputError(
                    f"unknown annotator {name!r}" if too_many else unknown("annotator", name, self.annotators)
                )
        return [column_by_name[name] for name in annotators]


def pairable(codes: Codes) -> Codes:
    """Keep the items with two or more ratings, the only ones that can agree or disagree."""
    kept: Codes = codes[np.count_nonzero(codes != MISSING, axis=1) >= 2]
    return kept


def most_annotators(n_items: int) -> int:
    """Give how many annotators of so many items have a column each; more would fill the memory with blanks."""
    return min(MOST_ANNOTATORS, max(_ALWAYS_COLUMNS, _MOST_CELLS // max(n_items, 1)))


def _refuse_repeats(item: Categorical, annotator: Categorical, rating: Callable[[int], Rating]) -> None:
    cells = item.codes * np.int64(len(annotator.categories))
    cells += annotator.codes
    cells.sort()
    if not (cells[1:] == cells[:-1]).any():
        return
    cells = item.codes * np.int64(len(annotator.categories)) + annotator.codes
    is_first = np.zeros(len(cells), dtype=np.bool_)
    is_first[np.unique(cells, return_index=True)[1]] = True
    row = int(np.argmin(is_first))
    before = rating(int(np.argmax(cells == cells[row]))).where
    also = f" (first at {before})" if before else ""
    raise TableError(f"{rating(row)}: rated twice by the same annotator{also}", "Keep one of the two rows")


def _arranged(
    item: npt.NDArray[np.integer[Any]], annotator: npt.NDArray[np.int32], code: Codes, shape: tuple[int, int]
) -> tuple[Codes, npt.NDArray[np.int32] | None]:
    """Give each rating its place: its annotator's column or, where those are too many, the next of its item."""
    n_items, n_annotators = shape
    if n_annotators <= most_annotators(n_items):
        codes = np.full(shape, MISSING, dtype=code.dtype)
        codes[item, annotator] = code
        return codes, None
    rated = np.flatnonzero(code != MISSING)
    rated = rated[np.argsort(item[rated], kind="stable")]
    n_ratings = np.bincount(item[rated], minlength=n_items)
    row = item[rated]
    slot = np.arange(len(rated)) - (np.cumsum(n_ratings) - n_ratings)[row]
    most = int(n_ratings.max(initial=0))
    if n_items * most > 4 * _MOST_CELLS:
        raise TableError(
            f"one item has {most} ratings and there are {n_items} items, more than can be held together",
            "Measure the few items that very many have rated apart",
        )
    codes = np.full((n_items, most), MISSING, dtype=code.dtype)
    raters = np.full(codes.shape, MISSING, dtype=np.int32)
    codes[row, slot], raters[row, slot] = code[rated], annotator[rated]
    return codes, raters


def _smallest_type(n_labels: int) -> type[np.signedinteger[Any]]:
    return next(kind for kind in (np.int8, np.int16, np.int32) if n_labels - 1 <= np.iinfo(kind).max)
