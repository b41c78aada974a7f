"""Who gave which label to what: the one long table that everything writes and reads."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from llmclf.errors import InputError, TableError, unknown
from llmclf.status import Status
from llmclf.tables import Row, json_text, read_rows, require_columns, write_rows

COLUMNS = ("item", "question", "annotator", "kind", "label", "probability", "probabilities", "status")

LabelValue: TypeAlias = str | tuple[str, ...]
"""One label's code, or the codes of a set (`()` when none applies)."""


class Kind(StrEnum):
    """What an annotator is."""

    EXPERT = "expert"
    CROWD = "crowd"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotator's answer to one question about one item; a row of the table."""

    item: str
    question: str
    annotator: str
    kind: Kind
    label: LabelValue | None
    """None: no answer; `status` says why."""
    probability: float | None = None
    """Of the label, as the annotator gave it."""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    """By label. They sum to 1, but for a set, where each is the probability that the label applies."""
    status: Status = Status.OK

    def to_dict(self) -> dict[str, Any]:
        """Give the row, ready for JSON."""
        label = list(self.label) if isinstance(self.label, tuple) else self.label
        return {
            "item": self.item,
            "question": self.question,
            "annotator": self.annotator,
            "kind": str(self.kind),
            "label": label,
            "probability": self.probability,
            "probabilities": dict(self.probabilities) or None,
            "status": str(self.status),
        }


def label_text(label: LabelValue | None) -> str:
    """Write a label as a table's cell: a set as a JSON array in alphabetical order, no answer as nothing."""
    if label is None:
        return ""
    return label if isinstance(label, str) else json_text(sorted(label))


def write_annotations(path: str | Path, annotations: Iterable[Annotation]) -> None:
    """Write the long table as CSV, JSONL or Parquet.

    Raises:
        TableError: the path cannot be written.

    """
    columns = {"number_columns": ("probability",), "map_columns": ("probabilities",)}
    with write_rows(path, COLUMNS, **columns) as write:
        for annotation in annotations:
            write(annotation.to_dict())


@dataclass(frozen=True, slots=True)
class AnnotationColumns:
    """The columns in which a table holds its annotations: one answer a row, or one form a row.

    With `questions`, pairs of a column and the question that it answers, a row is one annotator's form.
    """

    item: str = "item"
    annotator: str = "annotator"
    label: str = "label"
    questions: tuple[tuple[str, str], ...] = ()
    kind: Kind | None = None
    """What the annotators are, where the table has no column `kind`."""
    question: str = ""
    """What they were asked, where the table has no column `question`."""


def read_annotations(
    path: str | Path, columns: AnnotationColumns = AnnotationColumns()
) -> Iterator[tuple[int, Annotation]]:
    """Read a table of annotations, each with the number of its row; labels are as they are written.

    In a table of forms without an annotator column, the file's name is the annotator's.

    Raises:
        TableError: a column is missing, or a cell does not hold what its column says.

    """
    rows = read_rows(path)
    first = next(rows)
    answers = [column for column, _ in columns.questions] or [columns.annotator, columns.label]
    require_columns(path, first, [columns.item, *answers])
    if columns.kind is None and "kind" not in first:
        raise TableError(f"{path} does not say what its annotators are", "Give --kind expert, crowd or model")
    for number, row in enumerate(chain([first], rows), start=1):
        where = f"{path}: row {number}"
        common: dict[str, Any] = {
            "item": _name(where, row, columns.item),
            "annotator": _name(where, row, columns.annotator) if columns.annotator in row else Path(path).stem,
            "kind": _known(where, Kind, row["kind"], "kind") if "kind" in row else columns.kind,
        }
        for column, question in columns.questions:
            yield number, Annotation(question=question, label=_label(where, row[column]), **common)
        if not columns.questions:
            yield number, _annotation_of_row(where, row, columns, common)


def _annotation_of_row(where: str, row: Row, columns: AnnotationColumns, common: dict[str, Any]) -> Annotation:
    status = row.get("status")
    return Annotation(
        question=str(row.get("question") or columns.question),
        label=_label(where, row[columns.label]),
        probability=_probability(where, row.get("probability")),
        probabilities=_probabilities(where, row.get("probabilities")),
        status=_known(where, Status, status, "status") if status else Status.OK,
        **common,
    )


def _name(where: str, row: Row, column: str) -> str:
    cell = row[column]
    text = str(cell) if isinstance(cell, str | int) and not isinstance(cell, bool) else ""
    if not text.strip():
        raise TableError(f"{where} has no {column}: {cell!r}", "Names and ids are text or whole numbers")
    return text


def _label(where: str, cell: object) -> LabelValue | None:
    """Read one label; a JSON array, as a cell or as its text, is a set of labels."""
    if isinstance(cell, str) and cell.startswith("["):
        try:
            cell = json.loads(cell)
        except json.JSONDecodeError:
            raise TableError(f"{where}: the label {cell!r} is no JSON array", 'Write a set as ["a", "b"]') from None
    if isinstance(cell, list):
        if not all(isinstance(label, str) for label in cell):
            raise TableError(f"{where}: the set {json_text(cell)} holds something that is no label")
        return tuple(cell)
    if cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        raise TableError(f"{where}: {cell!r} is no label")
    return str(cell)


def _probability(where: str, cell: object) -> float | None:
    if cell is None or cell == "":
        return None
    try:
        return float(cell)  # type: ignore[arg-type]  # anything else is the error below
    except (TypeError, ValueError):
        raise TableError(f"{where}: {cell!r} is no probability") from None


def _probabilities(where: str, cell: object) -> dict[str, float]:
    if cell is None or cell == "":
        return {}
    try:
        table: Any = json.loads(cell) if isinstance(cell, str) else cell
        return {str(label): float(value) for label, value in table.items()}
    except (ValueError, TypeError, AttributeError):
        raise TableError(f"{where}: {cell!r} are no probabilities", 'Write a JSON object, as {"yes": 0.9}') from None


def _known(where: str, kind: type[Any], cell: object, what: str) -> Any:  # noqa: ANN401 - the given enum
    try:
        return kind(cell)
    except ValueError:
        raise InputError(f"{where}: {unknown(what, str(cell), [str(member) for member in kind])}") from None
