"""Who gave which label to what: the one long table that everything writes and reads."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from llmclf.backends.base import Origin
from llmclf.errors import TableError, unknown
from llmclf.status import Status
from llmclf.table_writing import check_folder, write_rows
from llmclf.tables import Row, is_blank, json_text, printable, read_rows, require_columns

COLUMNS = (
    "item",
    "question",
    "annotator",
    "kind",
    "label",
    "probability",
    "probabilities",
    "origin",
    "samples",
    "status",
    "policy",
    "instability",
    "fitted_on",
)
_NEEDED = COLUMNS[: COLUMNS.index("policy")]
"""By which a table is known as one of ours."""
REASON_COLUMNS = {"rationale": ("rationale",), "evidence": ("evidence", "misquoted")}
"""Columns that come after these where a codebook asks for the reason."""
PART_ROWS = 100_000
"""Of a table that is written in parts."""

LabelValue: TypeAlias = str | tuple[str, ...]
"""One label's code, or the codes of a set (`()` when none applies)."""


FittedOn: TypeAlias = Literal["others", "itself"]


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
    """By label. They sum to 1, but for a set, where each is the probability that the label applies.

    Labels that a server's log-probabilities do not tell are missing: what the others leave is theirs, at most.
    """
    origin: Origin | None = None
    """Where they come from; None without any."""
    samples: int | None = None
    """How many replies were counted, where they are shares of them."""
    status: Status = Status.OK
    rationale: str = ""
    """Why this label, in the annotator's words."""
    evidence: tuple[str, ...] = ()
    """Quotes from the item, as the annotator gave them."""
    misquoted: tuple[str, ...] = ()
    """Those of the quotes that were looked for in the item and are not in it."""
    policy: str = ""
    """By which the label was decided on."""
    instability: float | None = None
    """How far several ways of asking are from their mean, in total variation: 0 alike, 1 opposed."""
    fitted_on: FittedOn | None = None
    """Where the policy was fitted to labelled examples and the item is one: to the others alone, or to itself, too."""

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
            "origin": self.origin,
            "samples": self.samples,
            "status": str(self.status),
            "rationale": self.rationale or None,
            "evidence": list(self.evidence) or None,
            "misquoted": list(self.misquoted) or None,
            "policy": self.policy or None,
            "instability": self.instability,
            "fitted_on": self.fitted_on,
        }


def label_text(label: LabelValue | None) -> str:
    """Write a label as a table's cell: a set as a JSON array in alphabetical order, no answer as nothing."""
    if label is None:
        return ""
    return label if isinstance(label, str) else json_text(sorted(label))


def table_columns(reasons: Iterable[str] = ()) -> tuple[str, ...]:
    """Give the columns of a table, with those of the reasons that a codebook asks for."""
    asked = set(reasons)
    return (*COLUMNS, *chain.from_iterable(REASON_COLUMNS[reason] for reason in REASON_COLUMNS if reason in asked))


def write_annotations(
    path: str | Path,
    annotations: Iterable[Annotation],
    reasons: Sequence[str] = (),
    given_format: str | None = None,
) -> None:
    """Write the long table as CSV, JSONL or Parquet, with columns for reasons: those of the codebook.

    Raises:
        TableError: the path cannot be written, or an annotation has a reason and the table no column for it.

    """
    columns = table_columns(reasons)
    left_out = [reason for reason in REASON_COLUMNS if reason not in columns]
    numbers, maps = ("probability", "samples", "instability"), ("probabilities",)
    with write_rows(path, columns, number_columns=numbers, map_columns=maps, given_format=given_format) as write:
        for annotation in annotations:
            row = annotation.to_dict()
            for reason in left_out:
                if row[reason]:
                    raise TableError(
                        f"{path}: item {annotation.item!r} has {reason}, and the table no column for it",
                        "Give write_annotations the codebook's reasons",
                    )
            write(row)


def write_parts(
    folder: str | Path, annotations: Iterable[Annotation], reasons: Sequence[str] = (), rows: int = PART_ROWS
) -> None:
    """Write the long table as Parquet files in a folder, in the order of their names; see `write_annotations`.

    Those of an earlier table are replaced, or removed where this one has fewer.
    """
    folder = Path(folder)
    check_folder(folder)
    folder.mkdir(exist_ok=True)
    stream = iter(annotations)
    written: set[Path] = set()
    while (first := next(stream, None)) is not None:
        part = folder / f"part-{len(written):06d}.parquet"
        write_annotations(part, chain([first], islice(stream, rows - 1)), reasons)
        written.add(part)
    for part in set(folder.glob("part-*.parquet")) - written:
        part.unlink()


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

    A table with all columns that `write_annotations` writes is read by these. In a table of forms without an annotator
    column, the file's name is the annotator's.

    Raises:
        TableError: a column is missing, or a cell does not hold what its column says.

    """
    rows = read_rows(path)
    first = next(rows)
    if set(_NEEDED) <= set(first):
        columns = AnnotationColumns()
    answers = [column for column, _ in columns.questions] or [columns.annotator, columns.label]
    require_columns(path, first, [columns.item, *answers])
    for number, row in enumerate(chain([first], rows), start=1):
        where = f"{path}: row {number}"
        if columns.kind is None and is_blank(row.get("kind")):
            raise TableError(f"{where} does not say what its annotators are", "Give --kind expert, crowd or model")
        common: dict[str, Any] = {
            "item": _name(where, row, columns.item),
            "annotator": _name(where, row, columns.annotator) if columns.annotator in first else Path(path).stem,
            "kind": columns.kind if is_blank(row.get("kind")) else _known(where, Kind, row["kind"], "kind"),
        }
        for column, question in columns.questions:
            yield number, Annotation(question=question, label=_label(where, row.get(column)), **common)
        if not columns.questions:
            yield number, _annotation_of_row(where, row, columns, common)


def _annotation_of_row(where: str, row: Row, columns: AnnotationColumns, common: dict[str, Any]) -> Annotation:
    question, status, origin = row.get("question"), row.get("status"), row.get("origin")
    fitted_on = row.get("fitted_on")
    return Annotation(
        question=columns.question if is_blank(question) else str(question),
        label=_label(where, row.get(columns.label)),
        probability=_probability(where, row.get("probability")),
        probabilities=_probabilities(where, row.get("probabilities")),
        origin=None if is_blank(origin) else _one_of(where, get_args(Origin), origin, "origin"),
        samples=_count(where, row.get("samples")),
        status=Status.OK if is_blank(status) else _known(where, Status, status, "status"),
        rationale=_rationale(where, row.get("rationale")),
        evidence=_quotes(where, row.get("evidence")),
        misquoted=_quotes(where, row.get("misquoted")),
        policy="" if is_blank(row.get("policy")) else str(row["policy"]),
        instability=_probability(where, row.get("instability")),
        fitted_on=None if is_blank(fitted_on) else _one_of(where, get_args(FittedOn), fitted_on, "fitted_on"),
        **common,
    )


def _name(where: str, row: Row, column: str) -> str:
    cell = row.get(column)
    text = printable(str(cell)) if isinstance(cell, str | int) and not isinstance(cell, bool) else ""
    if not text.strip():
        raise TableError(f"{where} has no {column}: {cell!r}", "Names and ids are text or whole numbers")
    return text


def _label(where: str, cell: object) -> LabelValue | None:
    """Read one label; a JSON array of texts, as a cell or as its text, is a set of labels."""
    if is_blank(cell):
        return None
    labels = _texts(cell)
    if labels is not None:
        return labels
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        raise TableError(f"{where}: {cell!r} is no label", 'Labels are text or numbers, a set is ["a", "b"]')
    return printable(str(cell))


def _rationale(where: str, cell: object) -> str:
    if is_blank(cell):
        return ""
    if not isinstance(cell, str):
        raise TableError(f"{where}: {cell!r} is no rationale", "Put it in quotes")
    return printable(cell)


def _quotes(where: str, cell: object) -> tuple[str, ...]:
    """Read quotes; a text that is no JSON array of texts is one quote, as people write it."""
    if is_blank(cell):
        return ()
    quotes = _texts(cell)
    if quotes is not None:
        return quotes
    if not isinstance(cell, str):
        raise TableError(f"{where}: {cell!r} are no quotes", 'Write them as ["a", "b"]')
    return (printable(cell),)


def _texts(cell: object) -> tuple[str, ...] | None:
    """Give the texts of a JSON array of texts, as a cell or as its text; None where it is none."""
    texts = _json_array(cell) if isinstance(cell, str) else cell
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        return tuple(map(printable, texts))
    return None


def _json_array(text: str) -> object:
    try:
        return json.loads(text) if text.startswith("[") else None
    except (ValueError, RecursionError):
        return None  # a label or a quote may begin with a bracket


def _probability(where: str, cell: object) -> float | None:
    if is_blank(cell):
        return None
    try:
        return float(cell)  # type: ignore[arg-type]  # anything else is the error below
    except (TypeError, ValueError):
        raise TableError(f"{where}: {cell!r} is no probability") from None


def _probabilities(where: str, cell: object) -> dict[str, float]:
    if is_blank(cell):
        return {}
    try:
        table: Any = json.loads(cell) if isinstance(cell, str) else cell
        return {str(label): float(value) for label, value in table.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise TableError(f"{where}: {cell!r} are no probabilities", 'Write a JSON object, as {"yes": 0.9}') from None


def _count(where: str, cell: object) -> int | None:
    if is_blank(cell):
        return None
    try:
        number = float(cell)  # type: ignore[arg-type]  # anything else is the error below
    except (TypeError, ValueError):
        number = math.nan
    if not number.is_integer():
        raise TableError(f"{where}: {cell!r} are no samples", "Give how many replies were counted")
    return int(number)


def _one_of(where: str, known: Sequence[Any], cell: object, what: str) -> Any:  # noqa: ANN401 - one of the known
    if cell not in known:
        raise TableError(f"{where}: {unknown(what, str(cell), known)}")
    return cell


def _known(where: str, kind: type[Any], cell: object, what: str) -> Any:  # noqa: ANN401 - the given enum
    try:
        return kind(cell)
    except ValueError:
        raise TableError(f"{where}: {unknown(what, str(cell), [str(member) for member in kind])}") from None
