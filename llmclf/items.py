"""What is classified: texts and conversations, and the readers that stream them from tables."""

import json
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np

from llmclf.errors import InputError, TableError
from llmclf.status import Status
from llmclf.tables import Row, hash_of_file, is_blank, is_stream, printable, read_placed_rows, require_columns


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says before another speaks."""

    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Item:
    """One text, or one conversation of turns."""

    id: str
    text: str = ""
    turns: tuple[Turn, ...] = ()
    problem: Status | None = None
    """Why its row cannot be asked about."""
    place: int = field(default=0, compare=False)
    """Where its first row stands in the file that it was read from; see `read_placed_rows`."""

    def __post_init__(self) -> None:
        if self.problem is None:
            object.__setattr__(self, "problem", self._find_problem())

    @property
    def words(self) -> str:
        """All that is said in it: the text, or a line a turn."""
        return "\n".join(f"{turn.speaker}: {turn.text}" for turn in self.turns) if self.turns else self.text

    def _find_problem(self) -> Status | None:
        words = self.words
        if _has_surrogates(words):
            return Status.BAD_ENCODING
        is_blank = not any(turn.text.strip() for turn in self.turns) if self.turns else not words.strip()
        return Status.EMPTY if is_blank else None


@dataclass(frozen=True, slots=True)
class ItemColumns:
    """The columns in which a table holds its items, in one of four shapes.

    A text a row (`text`); a conversation a row, as JSON (`turns`) or with one column a turn (`speakers`);
    a turn a row (`conversation`, with `speaker` and `text`), the rows of a conversation together.
    """

    id: str = "id"
    text: str = "text"
    turns: str | None = None
    speakers: tuple[tuple[str, str], ...] = ()
    """Pairs of a speaker and the column that holds the turn."""
    conversation: str | None = None
    speaker: str = "speaker"

    def __post_init__(self) -> None:
        if sum(map(bool, (self.turns, self.speakers, self.conversation))) > 1:
            raise InputError(
                "a conversation comes in one shape", "Give one of --turns-column, --turn, --conversation-column"
            )

    @property
    def key(self) -> str:
        """The column with the items' ids."""
        return self.conversation or self.id

    @property
    def needed(self) -> list[str]:
        """All columns that are read."""
        if self.conversation:
            return [self.conversation, self.speaker, self.text]
        return [self.id, *([self.turns] if self.turns else [column for _, column in self.speakers] or [self.text])]


DEFAULT_COLUMNS = ItemColumns()


@dataclass(frozen=True)
class ItemTable:
    """A table, and how its items are read from it."""

    path: str | Path
    columns: ItemColumns = DEFAULT_COLUMNS
    given_format: str | None = None

    @cached_property
    def source(self) -> dict[str, Any] | None:
        """What tells whether it is the same as once: its hash, and how it is read; nothing where it is no file."""
        if not Path(self.path).is_file():
            return None
        return {"hash": hash_of_file(self.path), "format": self.given_format, "columns": repr(self.columns)}

    def check(self) -> int | None:
        """Check it and count its items; see `check_items`."""
        return check_items(self.path, self.columns, self.given_format)

    def items(self, start: int = 0) -> Iterator[Item]:
        """Read its items; see `stream_items`."""
        return stream_items(self.path, self.columns, self.given_format, start)


def read_items(
    path: str | Path, columns: ItemColumns = DEFAULT_COLUMNS, given_format: str | None = None
) -> Iterator[Item]:
    """Check a table of items, then read them one by one.

    Raises:
        TableError: no such file or column, no rows, an empty id, or, in a file, a repeated one.

    """
    check_items(path, columns, given_format)
    yield from stream_items(path, columns, given_format)


def check_items(path: str | Path, columns: ItemColumns, given_format: str | None = None) -> int | None:
    """Check a whole file before anything is asked, and count its items; a pipe cannot be checked.

    Raises:
        TableError: as `read_items`.

    """
    if is_stream(path):
        return None
    return check_ids(path, stream_items(path, columns, given_format))


def check_ids(where: str | Path, items: Iterable[Item]) -> int:
    """Count the items, each with an id of its own.

    Raises:
        TableError: an id is repeated.

    """
    hashes = np.frombuffer(array("q", (hash(item.id) for item in items)), dtype=np.int64)  # a set would not fit
    ordered = np.sort(hashes)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated):
        places = np.flatnonzero(hashes == repeated[0])[:2] + 1
        raise TableError(
            f"{where}: items {places[0]} and {places[1]} have the same id",
            "Give each its own id; the rows of one conversation stand together",
        )
    return len(hashes)


def stream_items(
    path: str | Path, columns: ItemColumns, given_format: str | None = None, start: int = 0
) -> Iterator[Item]:
    """Read items one by one, from the place of one of them; on a pipe, one with a repeated id has that problem."""
    items = _items_of_placed_rows(path, read_placed_rows(path, given_format, start), columns)
    return _without_repeats(items) if is_stream(path) else items


def items_with_rows(
    path: str | Path, columns: ItemColumns, given_format: str | None = None
) -> Iterator[tuple[Item, list[Row]]]:
    """Read items one by one, each with the rows that hold it; see `stream_items`."""
    waiting: deque[Row] = deque()

    def watched() -> Iterator[tuple[int, Row]]:
        for place, row in read_placed_rows(path, given_format):
            waiting.append(row)
            yield place, row

    items = _items_of_placed_rows(path, watched(), columns)
    for item in _without_repeats(items) if is_stream(path) else items:
        yield item, [waiting.popleft() for _ in range(len(item.turns) if columns.conversation else 1)]


def items_of_rows(where: str | Path, rows: Iterable[Row], columns: ItemColumns) -> Iterator[Item]:
    """Give the items of a table's rows; `where` names the table in errors.

    Raises:
        TableError: there are no rows, a column is missing, an id is empty, or a cell is not text.

    """
    return _items_of_placed_rows(where, enumerate(rows), columns)


def _items_of_placed_rows(where: str | Path, rows: Iterator[tuple[int, Row]], columns: ItemColumns) -> Iterator[Item]:
    first = next(rows, None)
    if first is None:
        raise TableError(f"{where} has no rows")
    require_columns(where, first[1], columns.needed)
    numbered = enumerate(chain([first], rows), start=1)
    if columns.conversation:
        for item_id, group in groupby(numbered, key=lambda row: _id(where, row[0], row[1][1], columns.key)):
            turns = list(group)
            place = turns[0][1][0]
            yield Item(item_id, turns=tuple(_turn_of_row(where, n, row, columns) for n, (_, row) in turns), place=place)
    else:
        for number, (place, row) in numbered:
            yield _item_of_row(where, number, place, row, columns)


def _item_of_row(path: str | Path, number: int, place: int, row: Row, columns: ItemColumns) -> Item:
    item_id = _id(path, number, row, columns.id)
    if columns.turns:
        return Item(item_id, turns=_turns_of_json(path, number, row, columns.turns), place=place)
    if columns.speakers:
        turns = [Turn(speaker, _text(path, number, row, column)) for speaker, column in columns.speakers]
        return Item(item_id, turns=tuple(turn for turn in turns if turn.text.strip()), place=place)
    return Item(item_id, text=_text(path, number, row, columns.text), place=place)


def _turn_of_row(path: str | Path, number: int, row: Row, columns: ItemColumns) -> Turn:
    return Turn(_text(path, number, row, columns.speaker), _text(path, number, row, columns.text))


def _turns_of_json(path: str | Path, number: int, row: Row, column: str) -> tuple[Turn, ...]:
    cell = row.get(column)
    if is_blank(cell):
        return ()
    try:
        turns: Any = json.loads(cell) if isinstance(cell, str) else cell
        return tuple(Turn(_checked_text(turn["speaker"]), _checked_text(turn["text"])) for turn in turns)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise TableError(
            f"{path}: row {number}, column {column!r} does not hold turns",
            'Give JSON: [{"speaker": "A", "text": "..."}, ...]',
        ) from None


def _checked_text(words: object) -> str:
    if not isinstance(words, str):
        raise TypeError
    return words


def _id(path: str | Path, number: int, row: Row, column: str) -> str:
    cell = row.get(column)
    if isinstance(cell, bool) or not isinstance(cell, str | int | None):
        raise TableError(f"{path}: row {number}, column {column!r}: {cell!r} is no id", "Ids are text or whole numbers")
    text = "" if cell is None else printable(str(cell))
    if not text.strip():
        raise TableError(f"{path}: row {number} has no id in column {column!r}", "Give every row an id of its own")
    return text


def _text(path: str | Path, number: int, row: Row, column: str) -> str:
    cell = row.get(column)
    if is_blank(cell):
        return ""
    if not isinstance(cell, str):
        raise TableError(f"{path}: row {number}, column {column!r}: {cell!r} is not text", "Put it in quotes")
    return cell


def _without_repeats(items: Iterable[Item]) -> Iterator[Item]:
    seen: set[int] = set()
    for item in items:
        key = hash(item.id)
        yield replace(item, problem=Status.DUPLICATE_ID) if key in seen else item
        seen.add(key)


def _has_surrogates(text: str) -> bool:
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def items_of(values: Iterable[Any]) -> list[Item]:
    """Make items of texts, numbered from 0; a missing text is an empty one.

    Raises:
        InputError: a value is not text.

    """
    items = []
    for number, value in enumerate(values):
        if not isinstance(value, str) and not is_blank(value):
            raise InputError(f"value {number} is {type(value).__name__}, not text", "Give one column of texts")
        items.append(Item(str(number), text=value if isinstance(value, str) else ""))
    return items
