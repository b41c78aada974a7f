"""Embeddings of a table's items: from its columns, or from an array beside it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from llmclf.errors import InputError, TableError
from llmclf.tables import Row, require_columns

EmbeddingOf: TypeAlias = Callable[[int, Row], npt.NDArray[np.float32]]
"""Gives the embedding of an item by its number, from 0, and its first row."""

_ARRAY = ".npy"


def open_embeddings(where: str, columns: Sequence[str], count: int | None) -> EmbeddingOf:
    """Open the embeddings of a table's items.

    Args:
        where: an array's file, *.npy, or what names the columns, for error messages.
        columns: otherwise, the columns: each holds a number, or a list of numbers.
        count: how many items the table has, if that is known.

    Raises:
        InputError: there is no such array, or it has not a row an item.

    """
    return _of_array(Path(where), count) if where.endswith(_ARRAY) else _of_columns(columns)


def _of_array(path: Path, count: int | None) -> EmbeddingOf:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as an array: {error}", "Write it with numpy.save") from None
    if array.ndim != 2 or array.dtype.kind not in "fiu" or (count is not None and len(array) != count):
        shape = f"shape {array.shape} and type {array.dtype}"
        rows = "" if count is None else f", {count}"
        raise InputError(f"{path} has {shape}", f"Give numbers, a row an item in the table's order{rows}")

    def embedding(number: int, row: Row) -> npt.NDArray[np.float32]:  # noqa: ARG001 - as the other form
        if number >= len(array):
            raise InputError(f"{path} has {len(array)} rows, and the table more items", "Give a row an item")
        return _checked(f"{path}: row {number + 1}", array[number])

    return embedding


def _of_columns(columns: Sequence[str]) -> EmbeddingOf:
    def embedding(number: int, row: Row) -> npt.NDArray[np.float32]:
        require_columns("the table", row, columns)
        return _checked(f"item {number + 1}", [part for column in columns for part in _numbers(row[column])])

    return embedding


def _numbers(cell: Any) -> Sequence[Any]:  # noqa: ANN401 - any cell
    try:
        numbers = json.loads(cell) if isinstance(cell, str) else cell
    except (ValueError, RecursionError):
        return [None]
    return numbers if isinstance(numbers, list) else [numbers]


def _checked(where: str, numbers: Any) -> npt.NDArray[np.float32]:  # noqa: ANN401 - whatever was found there
    try:
        vector = np.asarray(numbers, dtype=np.float32)
    except (TypeError, ValueError):
        vector = np.array([np.nan], dtype=np.float32)
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise TableError(f"{where} has no embedding", "Give finite numbers, or lists of them")
    return vector
