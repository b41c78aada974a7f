"""Rows of CSV, JSONL and Parquet files, as a stream."""

import csv
import hashlib
import io
import json
import math
import stat
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, Self, TypeAlias

from llmclf.errors import MissingPackage, TableError, unknown

Row: TypeAlias = dict[str, Any]

FORMATS = ("csv", "jsonl", "parquet")
STDIO = "-"
PARQUET_ROWS = 4096


def table_format(path: str | Path, given: str | None = None, option: str = "--format") -> str:
    """Give a table's format by what was said, otherwise by the file's suffix.

    Raises:
        TableError: neither says it.

    """
    name = given or Path(path).suffix.removeprefix(".").lower()
    name = {"ndjson": "jsonl", "json": "jsonl", "pq": "parquet"}.get(name, name)
    if name not in FORMATS:
        raise TableError(
            f"{path}: cannot tell the format",
            "Name the file *.csv, *.jsonl or *.parquet, or, where the command takes it, "
            f"give {option} {'|'.join(FORMATS)}",
        )
    return name


def is_stream(path: str | Path) -> bool:
    """Say whether a table can be read only once, as from a pipe."""
    return str(path) == STDIO or (Path(path).exists() and not stat.S_ISREG(Path(path).stat().st_mode))


def hash_of_file(path: str | Path) -> str:
    """Give the hash of a file's content.

    Raises:
        TableError: it cannot be read.

    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}", "Check the path") from None


def read_rows(path: str | Path, given_format: str | None = None) -> Iterator[Row]:
    """Read a table row by row; text that is not UTF-8 comes with surrogate escapes.

    Raises:
        TableError: there is no such file, it is empty, or it is not what its format says.

    """
    return (row for _, row in read_placed_rows(path, given_format))


def read_placed_rows(path: str | Path, given_format: str | None = None, start: int = 0) -> Iterator[tuple[int, Row]]:
    """Read a table row by row, each with its place in the file: a byte, or in Parquet a row.

    Raises:
        TableError: as `read_rows`.

    Args:
        path: the file, or `-` for standard input.
        given_format: where the name does not say it.
        start: the place of the row to begin with, as an earlier reading of the same file gave it.

    """
    form = table_format(path, given_format)
    if str(path) != STDIO:
        if not Path(path).exists():
            raise TableError(f"no file at {path}", "Check the path")
        if Path(path).is_dir():
            raise TableError(f"{path} is a folder", "Give a file")
    if form == "parquet" and is_stream(path):
        raise TableError(f"{path}: Parquet cannot be read from a pipe", "Give a file, or pipe CSV or JSONL")
    rows = {"csv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet}[form](path, start)
    first = next(rows, None)
    if first is None:
        raise TableError(f"{path} has no rows", "Give a table with at least one")
    yield first
    yield from rows


def require_columns(path: str | Path, row: Row, columns: Iterable[str]) -> None:
    """Check that a row has these columns.

    Raises:
        TableError: one is missing; says which there are.

    """
    for column in columns:
        if column not in row:
            raise TableError(
                f"{path}: {unknown('column', column, row)}",
                "Correct the header, whose columns are parted by commas, or name the column by an option: see --help",
            )


class _Lines(Iterator[str]):
    """The lines of a text file, and the byte at which the next one begins."""

    def __init__(self, path: str | Path) -> None:
        self._bytes = sys.stdin.buffer if str(path) == STDIO else Path(path).open("rb")  # noqa: SIM115 - closed as text
        self._text = self._decoded()
        self.place = 0

    def _decoded(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(self._bytes, encoding="utf-8", errors="surrogateescape", newline="")

    def __next__(self) -> str:
        line = next(self._text)
        is_first = self.place == 0
        self.place += len(line) if line.isascii() else len(line.encode(errors="surrogateescape"))
        return line.removeprefix("\ufeff") if is_first else line

    def go_to(self, place: int) -> None:
        self._text.detach()
        self._bytes.seek(place)
        self._text, self.place = self._decoded(), place

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()


def _read_csv(path: str | Path, start: int) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(sys.maxsize)
    with _Lines(path) as lines:
        reader = csv.reader(lines, strict=True)
        try:
            header = next(reader, None)
            if header is None:
                return
            _refuse_repeats(path, header)
            if start > lines.place:
                lines.go_to(start)
            number, place = 0, lines.place
            for cells in reader:
                if cells:  # an empty line is no row
                    number += 1
                    if len(cells) != len(header):
                        raise TableError(
                            f"{path}: row {number} has {len(cells)} cells and the header {len(header)}",
                            "Quote cells that hold commas",
                        )
                    yield place, dict(zip(header, cells, strict=True))
                place = lines.place
        except csv.Error as error:
            raise TableError(f"{path}: line {reader.line_num} is not CSV: {error}") from None


def _refuse_repeats(path: str | Path, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise TableError(f"{path}: the column {repeated[0]!r} occurs more than once", "Rename one")


def _read_jsonl(path: str | Path, start: int) -> Iterator[tuple[int, Row]]:
    with _Lines(path) as lines:
        if start:
            lines.go_to(start)
        place = start
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:  # also of a number with thousands of digits
                    reason = getattr(error, "msg", str(error))
                    raise TableError(
                        f"{path}: line {number} is not JSON: {reason}", "Give one JSON object a line"
                    ) from None
                if not isinstance(row, dict):
                    raise TableError(f"{path}: line {number} is not a JSON object", "Give one JSON object a line")
                yield place, row
            place = lines.place


def _read_parquet(path: str | Path, start: int) -> Iterator[tuple[int, Row]]:
    arrow, parquet = import_pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _refuse_repeats(path, names)
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            ends = list(accumulate(sizes))
            first_group = bisect_right(ends, start)
            place = ends[first_group - 1] if first_group else 0
            groups = range(first_group, len(sizes))
            for batch in file.iter_batches(batch_size=PARQUET_ROWS, row_groups=groups):
                columns = [_python_values(arrow, column) for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    if place >= start:
                        yield place, dict(zip(names, cells, strict=True))
                    place += 1
    except (arrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise TableError(f"{path} cannot be read as Parquet: {reason}", "Write the file again") from None


def _python_values(arrow: Any, column: Any) -> list[Any]:  # noqa: ANN401 - pyarrow has no types of its own
    if arrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    # As bytes, so that a cell which is not UTF-8 spoils its own row alone.
    cells = [_decoded(cell) for cell in column.cast(_with_bytes(arrow, column.type)).to_pylist()]
    return [cell and dict(cell) for cell in cells] if arrow.types.is_map(column.type) else cells


def _with_bytes(arrow: Any, kind: Any) -> Any:  # noqa: ANN401 - the same
    """Give the type with bytes in place of text."""
    types = arrow.types
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return arrow.large_binary()
    if types.is_list(kind) or types.is_large_list(kind):
        return arrow.large_list(_with_bytes(arrow, kind.value_type))
    if types.is_map(kind):
        return arrow.map_(_with_bytes(arrow, kind.key_type), _with_bytes(arrow, kind.item_type))
    if types.is_struct(kind):
        return arrow.struct([(field.name, _with_bytes(arrow, field.type)) for field in kind])
    return kind


def _decoded(cell: Any) -> Any:  # noqa: ANN401 - any cell
    match cell:
        case bytes():
            return cell.decode("utf-8", errors="surrogateescape")
        case list() | tuple():
            return type(cell)(map(_decoded, cell))
        case dict():
            return {_decoded(key): _decoded(part) for key, part in cell.items()}
        case _:
            return cell


def import_pyarrow() -> tuple[Any, Any]:
    """Give pyarrow and its parquet module.

    Raises:
        MissingPackage: it is not installed.

    """
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise MissingPackage("Parquet files need pyarrow", "Run: pip install 'llmclf[parquet]'") from None
    return arrow, parquet


def cell_text(value: Any) -> str:  # noqa: ANN401 - any cell
    """Write a cell as text: what is nested as JSON, nothing as nothing."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json_text(value)


def json_text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Write JSON on one line, characters as they are."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def printable(text: str) -> str:
    """Write what UTF-8 cannot hold as an escape: of a name that is not UTF-8, something to find it by."""
    return text.encode(errors="backslashreplace").decode()


def is_blank(cell: object) -> bool:
    """Say whether a cell holds nothing: null, an empty text, or not a number."""
    if isinstance(cell, str):
        return not cell
    # pandas' NA is known by its type's name alone, so that pandas need not be imported.
    return cell is None or (isinstance(cell, float) and math.isnan(cell)) or type(cell).__name__ == "NAType"
