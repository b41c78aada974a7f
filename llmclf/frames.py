"""pandas and polars frames in and out, whichever the caller has; neither is imported here."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

from llmclf.annotations import Annotation, table_columns
from llmclf.backends.base import Backend
from llmclf.backends.registry import open_backend
from llmclf.classifier import annotate
from llmclf.codebook import Codebook
from llmclf.errors import InputError
from llmclf.items import DEFAULT_COLUMNS, Item, ItemColumns, check_ids, items_of_rows
from llmclf.job import Job
from llmclf.policy import DEFAULT, Policy

Frame: TypeAlias = Any
"""A pandas or polars DataFrame."""


def annotate_frame(
    frame: Frame,
    codebook: Codebook,
    backend: Backend | str,
    columns: ItemColumns = DEFAULT_COLUMNS,
    job: str | Path | None = None,
    policy: Policy | str = DEFAULT,
) -> Frame:
    """Annotate the rows of a frame, and give the long table as a frame of the same library.

    Args:
        frame: of pandas or polars.
        codebook: what is asked.
        backend: who is asked: an opened backend, or a URI; see `open_backend`.
        columns: where the frame holds its items.
        job: a file for the record of replies; what is recorded there is not asked again.
        policy: decides on labels.

    Raises:
        InputError: it is neither a pandas nor a polars frame.
        TableError: a column is missing, or an id is empty or occurs twice.

    """
    items = list(items_of_rows("the frame", frame_rows(frame), columns))
    check_ids("the frame", items)
    rows = [annotation.to_dict() for annotation in _annotations(items, codebook, backend, job, Policy.of(policy))]
    names = table_columns(codebook.reasons)
    return like(frame).DataFrame({name: [row[name] for row in rows] for name in names})


def _annotations(
    items: list[Item], codebook: Codebook, backend: Backend | str, job: str | Path | None, policy: Policy
) -> Iterator[Annotation]:
    with ExitStack() as undo:
        if job is not None:
            work = Job(job, codebook, backend, policy=policy)
            undo.callback(work.close)
            yield from work.annotate(items)
        else:
            if isinstance(backend, str):
                backend = open_backend(backend)
                undo.callback(backend.close)
            yield from annotate(items, codebook, backend, policy=policy.for_answers(codebook, backend.origin))


def library_of(data: object) -> str:
    """Give the name of the library that a series or frame is from: `pandas`, `polars`, or nothing."""
    name = type(data).__module__.partition(".")[0]
    return name if name in ("pandas", "polars") else ""


def like(data: object) -> Any:  # noqa: ANN401 - the library, which is loaded since the data is of it
    """Give the library that a series or frame is from."""
    return sys.modules[library_of(data)]


def frame_rows(frame: Frame) -> Iterator[dict[str, Any]]:
    """Give a frame's rows as dictionaries, with None where a cell is missing."""
    library = library_of(frame)
    if library == "polars":
        yield from frame.iter_rows(named=True)
    elif library == "pandas":
        yield from frame.astype(object).where(frame.notna(), None).to_dict("records")
    else:
        raise InputError(f"{type(frame).__name__} is no data frame", "Give one of pandas or polars")


def texts_of(data: Any, column: str | None = None) -> Sequence[Any]:  # noqa: ANN401 - all that holds texts
    """Give the texts in a list, array, series, or in a frame's one column or the column named."""
    shape: tuple[int, ...] = getattr(data, "shape", ())
    if library_of(data) and len(shape) == 2:
        names = list(data.columns)
        if column is None and len(names) != 1:
            raise InputError(f"the frame has the columns {', '.join(map(str, names))}", "Name the one with the texts")
        return list(data[names[0] if column is None else column])
    if len(shape) == 2 and shape[1] == 1:
        return list(data[:, 0])
    if isinstance(data, str) or not isinstance(data, Iterable) or len(shape) > 1:
        raise InputError(f"{type(data).__name__} holds no texts", "Give a list, an array, a series or a frame of texts")
    return list(data)
