"""What a cascade reads and writes beside tables of annotations."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmclf.annotations import COLUMNS, Annotation, table_columns
from llmclf.budget import Price, price_of
from llmclf.cli.reading import read_one_model
from llmclf.errors import InputError, TableError
from llmclf.table_writing import check_writable, write_rows
from llmclf.tables import printable, read_rows, require_columns

if TYPE_CHECKING:
    from llmclf.codebook import Codebook, Question
    from llmclf.ensembles.answers import ModelAnswers

ANSWERED_BY = "answered_by"


def check_paths(out: Path, route: Path | None, inputs: Iterable[Path | None], output_format: str | None) -> None:
    """Check that what is written can be, and is none of the inputs.

    Raises:
        InputError: it is one.
        TableError: it cannot be written.

    """
    given = [path.resolve() for path in inputs if path]
    check_writable(out, output_format)
    if route:
        check_writable(route)
    for option, path in (("--out", out), ("--route", route)):
        if path and path.resolve() in given:
            raise InputError(f"{option} {path} is an input", "Give another path")
    if route and route.resolve() == out.resolve():
        raise InputError(f"--route {route} is also --out", "Give another path")


def read_routed(codebook: "Codebook", question: "Question", path: Path, better: str) -> "ModelAnswers":
    """Read the better model's answers to the items that were sent to it.

    Raises:
        InputError: they are another model's.

    """
    found = read_one_model(codebook, question, path)
    if found.model != better:
        raise InputError(f"{path} has the answers of {found.model!r}, not of {better!r}", "Ask the same model")
    return found


def price_of_answer(path: Path, prices: Mapping[str, Price]) -> float:
    """Give what an answer in a job cost on average.

    Raises:
        InputError: the file is no job, or its model has no price.

    """
    from llmclf.audit.sources import is_job
    from llmclf.ensembles.cascades import UNASKABLE
    from llmclf.job_file import JobFile, open_records

    if not is_job(path):
        raise InputError(
            f"{path} does not say how many tokens its answers took",
            "Give the job in its place, or --price-cheap and --price-better",
        )
    with open_records(path) as records:
        file = JobFile(records)
        number = file.choose(None)
        price = price_of(file.plans[number].annotator, prices)
        asked = sum(n for status, n in file.progress(number).statuses.items() if status not in UNASKABLE)
        return price.of(file.spent(number)) / max(1, asked)


def write_answers(
    path: Path, reasons: Sequence[str], answers: Iterable[tuple[Annotation, str]], output_format: str | None
) -> None:
    """Write the table of annotations, with a column for the model that gave an answer.

    Raises:
        TableError: the path cannot be written.

    """
    columns = (*COLUMNS, ANSWERED_BY, *table_columns(reasons)[len(COLUMNS) :])
    numbers, maps = ("probability", "samples"), ("probabilities",)
    with write_rows(path, columns, number_columns=numbers, map_columns=maps, given_format=output_format) as write:
        for annotation, model in answers:
            write(annotation.to_dict() | {ANSWERED_BY: model})


def write_route(path: Path, items: Iterable[str], table: Path | None, id_column: str) -> None:
    """Write the rows of a table that have these ids or, without a table, the ids.

    Raises:
        TableError: the table lacks an id, or the path cannot be written.

    """
    waiting = dict.fromkeys(items, False)
    if table is None:
        with write_rows(path, [id_column]) as write:
            for item in waiting:
                write({id_column: item})
        return
    first = next(read_rows(table))
    require_columns(table, first, [id_column])
    with write_rows(path, list(first)) as write:
        for row in read_rows(table):
            item = printable(str(row.get(id_column)))
            if item in waiting:
                waiting[item] = True
                write({column: _readable(row.get(column)) for column in first})
        missing = next((item for item, is_there in waiting.items() if not is_there), None)
        if missing is not None:
            raise TableError(
                f"{table} has no row with the id {missing!r} in column {id_column!r}",
                "Give the table that was annotated",
            )


def _readable(cell: Any) -> Any:  # noqa: ANN401 - any cell
    return printable(cell) if isinstance(cell, str) else cell
