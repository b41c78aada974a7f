"""Columns of tables, read whole: the distinct cells of each, and which of them a row has."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from llmclf.agreement.categorical import Categorical
from llmclf.errors import MissingPackage, TableError
from llmclf.tables import Row, import_pyarrow, is_blank, is_stream, read_rows, require_columns, table_format

CellReader: TypeAlias = Callable[[Any], str]
"""Gives a cell's text; its TableError need not say where the cell is. A cell with nothing in it comes as None."""

BULK_BYTES = 1_000_000
"""Of a CSV file that is large enough to be worth loading pyarrow for, where that is installed."""
_CHECKED_BYTES = 1 << 24
_QUOTE, *_ENDS = b'",\r\n'


def read_columns(
    path: str | Path, choose: Callable[[Row], Mapping[str, CellReader]], given_format: str | None = None
) -> dict[str, Categorical]:
    """Read columns of a table; every cell of a CSV file is text, whatever it looks like.

    Args:
        path: the file, or `-` for standard input.
        choose: says by the first row which columns are read, and how their cells are.
        given_format: where the name does not say it.

    Raises:
        TableError: as `read_rows`; a column is missing, has cells of different types, or a cell is refused.

    """
    if table_format(path, given_format) == "csv" and not is_stream(path) and _size(path) >= BULK_BYTES:
        readers = _chosen(path, next(read_rows(path, given_format)), choose)
        if (columns := _read_in_bulk(path, readers)) is not None:
            return columns
    rows = read_rows(path, given_format)
    first = next(rows)
    growing = {name: _Growing(path, name, read) for name, read in _chosen(path, first, choose).items()}
    for row in chain([first], rows):
        for name, column in growing.items():
            column.append(row.get(name))
    return {name: column.whole() for name, column in growing.items()}


def _size(path: str | Path) -> int:
    return Path(path).stat().st_size if Path(path).is_file() else 0


def _chosen(
    path: str | Path, first: Row, choose: Callable[[Row], Mapping[str, CellReader]]
) -> Mapping[str, CellReader]:
    readers = choose(first)
    require_columns(path, first, readers)
    return readers


class _Growing:
    """A column as it is read."""

    def __init__(self, path: str | Path, name: str, read: CellReader) -> None:
        self._path, self._name, self._read = path, name, read
        self._codes = array("i")
        self._code_by_text: dict[str, int] = {}
        self._code_by_cell: dict[str, int] = {}
        self._kind, self._first = "", 0

    def append(self, cell: object) -> None:
        """Take the next row's cell."""
        code = self._code_by_cell.get(cell) if isinstance(cell, str) else None
        self._codes.append(self._code(len(self._codes), cell) if code is None else code)

    def extend(self, cells: Sequence[str], rows: npt.NDArray[np.int32]) -> None:
        """Take the next rows' cells: the distinct ones, and which of them each row has."""
        begin = len(self._codes)
        codes = np.fromiter(map(self._code_by_cell.get, cells, repeat(-1)), dtype=np.int32, count=len(cells))
        first_row = np.empty(len(cells), dtype=np.int64)
        first_row[rows[::-1]] = np.arange(begin, begin + len(rows))[::-1]
        for place in np.flatnonzero(codes < 0).tolist():
            codes[place] = self._code(int(first_row[place]), cells[place])
        self._codes.frombytes(codes[rows].tobytes())

    def _code(self, row: int, cell: object) -> int:
        try:
            text = self._text(row, cell)
        except TableError as error:
            where = f"{self._path}: row {row + 1}, column {self._name!r}"
            raise TableError(f"{where}: {error.message}", error.hint) from None
        code = self._code_by_text.setdefault(text, len(self._code_by_text))
        if isinstance(cell, str):
            self._code_by_cell[text if text == cell else cell] = code  # one text, not two that are equal
        return code

    def _text(self, row: int, cell: object) -> str:
        if is_blank(cell):
            return self._read(None)
        kind = _kind(cell)
        if not self._kind:
            self._kind, self._first = kind, row
        if kind != self._kind:
            raise TableError(
                f"{cell!r} is {kind}, and row {self._first + 1} has {self._kind}",
                "Write the cells of a column all as text or all as numbers",
            )
        return self._read(cell)

    def whole(self) -> Categorical:
        """Give what was taken."""
        return Categorical(np.frombuffer(self._codes, dtype=np.int32), list(self._code_by_text))


def _kind(cell: object) -> str:
    match cell:
        case str():
            return "text"
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return f"of type {type(cell).__name__}"


def _read_in_bulk(path: str | Path, readers: Mapping[str, CellReader]) -> dict[str, Categorical] | None:
    """Read a CSV file by pyarrow; None without it, and where the slower way has to say what is wrong with the file."""
    try:
        arrow, _ = import_pyarrow()
    except MissingPackage:
        return None
    from pyarrow import csv

    if not _is_strictly_quoted(path):
        return None  # pyarrow would read "a"b as ab
    text = arrow.dictionary(arrow.int32(), arrow.string())
    convert = csv.ConvertOptions(column_types=dict.fromkeys(readers, text), include_columns=list(readers))
    growing = {name: _Growing(path, name, read) for name, read in readers.items()}
    try:
        with csv.open_csv(path, None, csv.ParseOptions(newlines_in_values=True), convert) as batches:
            for batch in batches:
                for name, cells in zip(batch.schema.names, batch.columns, strict=True):
                    growing[name].extend(cells.dictionary.to_pylist(), cells.indices.to_numpy())
    except arrow.ArrowInvalid:
        return None
    return {name: column.whole() for name, column in growing.items()}


def _is_strictly_quoted(path: str | Path) -> bool:
    """Say whether each quote opens or closes a cell, or is one of two within it."""
    size, quotes_before = _size(path), 0
    for start in range(0, size, _CHECKED_BYTES):
        data = np.fromfile(path, dtype=np.uint8, count=_CHECKED_BYTES + 1 + (start > 0), offset=max(start - 1, 0))
        data = np.pad(data, (int(start == 0), int(start + _CHECKED_BYTES >= size)), constant_values=ord("\n"))
        place = np.flatnonzero(data[1:-1] == _QUOTE) + 1
        closes = (np.arange(len(place)) + quotes_before) % 2
        beside = data[place + np.where(closes, 1, -1)]
        if not np.isin(beside, [_QUOTE, *_ENDS]).all():
            return False
        quotes_before += len(place)
    return quotes_before % 2 == 0
