"""Rows into CSV, JSONL and Parquet files, as a stream."""

import csv
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

from llmclf.errors import TableError
from llmclf.tables import PARQUET_ROWS, STDIO, Row, cell_text, import_pyarrow, json_text, table_format

Write: TypeAlias = Callable[[Mapping[str, Any]], None]


@contextmanager
def write_rows(
    path: str | Path,
    columns: Sequence[str],
    *,
    number_columns: Sequence[str] = (),
    map_columns: Sequence[str] = (),
    given_format: str | None = None,
) -> Iterator[Write]:
    """Write a table row by row to a temporary file, which takes the path's place at the end; `-` is standard output.

    Nested cells are JSON text in CSV, JSON in JSONL, and in Parquet JSON text, or a map of numbers in `map_columns`.

    Raises:
        TableError: the path cannot be written.

    """
    form = check_writable(path, given_format)
    if str(path) == STDIO:
        yield _TEXT_WRITERS[form](sys.stdout, columns)
        sys.stdout.flush()
        return
    path = Path(path)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        if form == "parquet":
            with _parquet_writer(temporary, columns, number_columns, map_columns) as write:
                yield write
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                yield _TEXT_WRITERS[form](file, columns)
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101 - mkstemp makes files that others may not read
        temporary.replace(path)
    except OSError as error:
        hint = "Give a path in a folder that exists, may be written and has room"
        raise TableError(f"cannot write {path}: {error.strerror}", hint) from None
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


def check_writable(path: str | Path, given_format: str | None = None) -> str:
    """Give the format in which a table will be written.

    Raises:
        TableError: neither the name nor `given_format` says it, or it cannot be written there.

    """
    form = table_format(path, given_format, option="--out-format")
    if form == "parquet" and str(path) == STDIO:
        raise TableError("Parquet cannot be written to a pipe", "Give a file, or --out-format csv or jsonl")
    if Path(path).is_dir():
        raise TableError(f"cannot write {path}: it is a folder", "Give a file's path")
    return form


def check_folder(folder: str | Path) -> None:
    """Check that a folder is one, or can be made, and that Parquet files can be written.

    Raises:
        TableError: it cannot.
        MissingPackage: pyarrow is not installed.

    """
    import_pyarrow()
    folder = Path(folder)
    if not folder.is_dir() and (folder.exists() or not folder.absolute().parent.is_dir()):
        raise TableError(f"cannot make the folder {folder}", "Give a new name in a folder that exists")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _csv_writer(file: IO[str], columns: Sequence[str]) -> Write:
    plain = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(columns)

    def write(row: Mapping[str, Any]) -> None:
        cells = [cell if isinstance(cell := row[column], str) else cell_text(cell) for column in columns]
        # Which readers take for the end of a row, and Python 3.11 does not quote.
        (quoted if "\r" in "".join(cells) else plain).writerow(cells)

    return write


def _jsonl_writer(file: IO[str], columns: Sequence[str]) -> Write:
    def write(row: Mapping[str, Any]) -> None:
        file.write(json_text({column: row[column] for column in columns}) + "\n")

    return write


_TEXT_WRITERS = {"csv": _csv_writer, "jsonl": _jsonl_writer}


@contextmanager
def _parquet_writer(path: Path, columns: Sequence[str], numbers: Sequence[str], maps: Sequence[str]) -> Iterator[Write]:
    arrow, parquet = import_pyarrow()

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
        return list(value.items()) if column in maps else cell_text(value)

    def flush() -> None:
        writer.write_table(arrow.Table.from_pylist(waiting, schema=schema))
        waiting.clear()

    def write(row: Mapping[str, Any]) -> None:
        waiting.append({column: cell(row, column) for column in columns})
        if len(waiting) == PARQUET_ROWS:
            flush()

    with parquet.ParquetWriter(path, schema) as writer:
        yield write
        flush()
