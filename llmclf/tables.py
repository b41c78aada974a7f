"""Rows in and out of CSV, JSONL and Parquet files, as a stream."""

import csv
import io
import json
import math
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

from llmclf.errors import MissingPackage, TableError, unknown

Row: TypeAlias = dict[str, Any]

FORMATS = ("csv", "jsonl", "parquet")
STDIN = "-"
_PARQUET_ROWS = 4096


def table_format(path: str | Path, given: str | None = None) -> str:
    """Give a table's format by what was said, otherwise by the file's suffix.

    Raises:
        TableError: neither says it.

    """
    name = given or Path(path).suffix.removeprefix(".").lower()
    name = {"ndjson": "jsonl", "json": "jsonl", "pq": "parquet"}.get(name, name)
    if name not in FORMATS:
        raise TableError(
            f"{path}: cannot tell the format",
            f"Name the file *.csv, *.jsonl or *.parquet, or give --format {'|'.join(FORMATS)}",
        )
    return name


def is_stream(path: str | Path) -> bool:
    """Say whether a table can be read only once, as from a pipe."""
    return str(path) == STDIN or (Path(path).exists() and not stat.S_ISREG(Path(path).stat().st_mode))


def read_rows(path: str | Path, given_format: str | None = None) -> Iterator[Row]:
    """Read a table row by row; text that is not UTF-8 comes with surrogate escapes.

    Raises:
        TableError: there is no such file, it is empty, or it is not what its format says.

    """
    form = table_format(path, given_format)
    if str(path) != STDIN:
        if not Path(path).exists():
            raise TableError(f"no file at {path}", "Check the path")
        if Path(path).is_dir():
            raise TableError(f"{path} is a folder", "Give a file")
    if form == "parquet" and is_stream(path):
        raise TableError(f"{path}: Parquet cannot be read from a pipe", "Give a file, or pipe CSV or JSONL")
    rows = {"csv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet}[form](path)
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
            raise TableError(f"{path}: {unknown('column', column, row)}")


def _open_text(path: str | Path) -> IO[str]:
    if str(path) == STDIN:
        return io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", errors="surrogateescape", newline="")
    return Path(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _read_csv(path: str | Path) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)
    with _open_text(path) as file:
        lines = csv.reader(file, strict=True)
        try:
            header = next(lines, None)
            if header is None:
                return
            _refuse_repeats(path, header)
            for number, cells in enumerate(filter(None, lines), start=1):  # an empty line is no row
                if len(cells) != len(header):
                    raise TableError(
                        f"{path}: row {number} has {len(cells)} cells and the header {len(header)}",
                        "Quote cells that hold commas",
                    )
                yield dict(zip(header, cells, strict=True))
        except csv.Error as error:
            raise TableError(f"{path}: line {lines.line_num} is not CSV: {error}") from None


def _refuse_repeats(path: str | Path, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise TableError(f"{path}: the column {repeated[0]!r} occurs more than once", "Rename one")


def _read_jsonl(path: str | Path) -> Iterator[Row]:
    with _open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:  # also of a number with thousands of digits
                reason = getattr(error, "msg", str(error))
                raise TableError(
                    f"{path}: line {number} is not JSON: {reason}", "Give one JSON object a line"
                ) from None
            if not isinstance(row, dict):
                raise TableError(f"{path}: line {number} is not a JSON object", "Give one JSON object a line")
            yield row


def _read_parquet(path: str | Path) -> Iterator[Row]:
    arrow, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _refuse_repeats(path, names)
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                columns = [_python_values(arrow, column) for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    yield dict(zip(names, cells, strict=True))
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


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise MissingPackage("Parquet files need pyarrow", "Run: pip install 'llmclf[parquet]'") from None
    return arrow, parquet


Write: TypeAlias = Callable[[Mapping[str, Any]], None]


@contextmanager
def write_rows(
    path: str | Path, columns: Sequence[str], *, number_columns: Sequence[str] = (), map_columns: Sequence[str] = ()
) -> Iterator[Write]:
    """Write a table row by row to a temporary file, which takes the path's place at the end.

    Nested cells are JSON text in CSV, JSON in JSONL, and in Parquet JSON text, or a map of numbers in `map_columns`.

    Raises:
        TableError: the path cannot be written.

    """
    path = Path(path)
    form = table_format(path)
    if path.is_dir():
        raise TableError(f"cannot write {path}: it is a folder", "Give a file's path")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise TableError(
            f"cannot write {path}: {error.strerror}", "Give a path in a folder that exists and may be written"
        ) from None
    os.close(handle)
    temporary = Path(name)
    try:
        if form == "parquet":
            with _parquet_writer(temporary, columns, number_columns, map_columns) as write:
                yield write
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                yield _csv_writer(file, columns) if form == "csv" else _jsonl_writer(file, columns)
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101 - mkstemp makes files that others may not read
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _csv_writer(file: IO[str], columns: Sequence[str]) -> Write:
    plain = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(columns)

    def write(row: Mapping[str, Any]) -> None:
        cells = [_cell_text(row[column]) for column in columns]
        # Which readers take for the end of a row, and Python 3.11 does not quote.
        (quoted if any("\r" in cell for cell in cells) else plain).writerow(cells)

    return write


def _jsonl_writer(file: IO[str], columns: Sequence[str]) -> Write:
    def write(row: Mapping[str, Any]) -> None:
        file.write(json_text({column: row[column] for column in columns}) + "\n")

    return write


@contextmanager
def _parquet_writer(path: Path, columns: Sequence[str], numbers: Sequence[str], maps: Sequence[str]) -> Iterator[Write]:
    arrow, parquet = _pyarrow()

    def column_type(column: str) -> Any:  # noqa: ANN401 - pyarrow has no types of its own
        if column in maps:
            return arrow.map_(arrow.string(), arrow.float64())
        return arrow.float64() if column in numbers else arrow.string()

    schema = arrow.schema([(column, column_type(column)) for column in columns])
    waiting: list[Row] = []

    def cell(row: Mapping[str, Any], column: str) -> Any:  # noqa: ANN401 - what pyarrow takes
        value = row[column]
        if value is None or column in numbers:
            return value
        return list(value.items()) if column in maps else _cell_text(value)

    def flush() -> None:
        writer.write_table(arrow.Table.from_pylist(waiting, schema=schema))
        waiting.clear()

    def write(row: Mapping[str, Any]) -> None:
        waiting.append({column: cell(row, column) for column in columns})
        if len(waiting) == _PARQUET_ROWS:
            flush()

    with parquet.ParquetWriter(path, schema) as writer:
        yield write
        flush()


def _cell_text(value: Any) -> str:  # noqa: ANN401 - any cell
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
