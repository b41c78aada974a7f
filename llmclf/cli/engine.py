"""The option --engine: what it takes, and the folder that it writes."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmclf.errors import InputError, unknown

if TYPE_CHECKING:
    from llmclf.annotations import Annotation

EngineOption = Annotated[
    str | None,
    typer.Option(
        metavar="ray",
        help="Share the work among actors on a Ray cluster (RAY_ADDRESS, or this machine), with --setting actors=2, "
        "cpus=1, gpus=0 (of each actor), micro_batch=1000 (items); --out is then a folder of Parquet files.",
    ),
]


def check_out(
    out: Path, output_format: str | None, engine: str | None, in_process: Mapping[str, object | None]
) -> None:
    """Check that a table, or by an engine its folder, can be written, and that the options given work with it.

    Raises:
        InputError: the engine is unknown, or one of the options works within this process alone.
        TableError: nothing can be written there.

    """
    from llmclf.table_writing import check_folder, check_writable

    if engine is None:
        check_writable(out, output_format)
        return
    if engine != "ray":
        raise InputError(unknown("engine", engine, ["ray"]))
    for option, given in {**in_process, "--out-format": output_format}.items():
        if given is not None:
            raise InputError(f"{option} does not work with --engine ray", "Leave one of them out")
    check_folder(out)


def write_table(
    out: Path,
    annotations: Iterable["Annotation"],
    reasons: Sequence[str],
    output_format: str | None,
    engine: str | None,
) -> None:
    """Write a table to a file, or by an engine in parts to a folder."""
    from llmclf.annotations import write_annotations, write_parts

    if engine:
        write_parts(out, annotations, reasons)
    else:
        write_annotations(out, annotations, reasons, output_format)
