"""Tables of ratings as people have them: a rating a row, a form a row, or a column a rater."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from llmclf.agreement import Ratings
from llmclf.agreement.categorical import Categorical
from llmclf.annotations import label_text
from llmclf.codebook import number_text
from llmclf.errors import InputError, ScaleError, TableError, unknown
from llmclf.levels import Level
from llmclf.table_columns import CellReader, read_columns
from llmclf.tables import Row, printable


@dataclass(frozen=True, slots=True)
class RatingColumns:
    """The columns in which a table holds its ratings, in one of three shapes.

    A rating a row (`label`); one annotator's form a row (`questions`); or an item a row (`wide`).
    """

    item: str = "item"
    annotator: str = ""
    """`annotator` if not given; in a table of forms without it, the file's name is the annotator's."""
    label: str = "label"
    questions: tuple[tuple[str, str], ...] = ()
    """Pairs of a column and the question that it answers."""
    wide: bool = False
    raters: tuple[str, ...] = ()
    """The raters' columns in a wide table; all but the items' if not given."""

    def __post_init__(self) -> None:
        if self.questions and (self.wide or self.raters):
            raise InputError("a table is wide or has forms, not both", "Give --wide or --question-columns")


@dataclass(frozen=True, eq=False)
class Answers:
    """All answers to one question, one a row."""

    item: Categorical
    annotator: Categorical
    label: Categorical
    where: Callable[[int], str]
    """Gives the place of a row in the file, for error messages."""

    def ratings(self, level: Level, scale: Sequence[str] | None = None, set_separator: str | None = None) -> Ratings:
        """Code the labels.

        Args:
            level: of the labels.
            scale: all labels there can be, in their order; of sets, all members.
            set_separator: what stands between the members of a set that is no JSON array.

        Raises:
            ScaleError: a label does not fit the level or the scale.
            TableError: as `Ratings.from_columns`.

        """
        if level is not Level.SET:
            self._check(_refuse_set)
            return Ratings.from_columns(self.item, self.annotator, self.label, level, scale, self.where)

        def read(text: str) -> str:
            return _read_set(text, scale, set_separator)

        self._check(read)
        return Ratings.from_columns(self.item, self.annotator, self.label.mapped(read), level, None, self.where)

    def taken(self, rows: npt.NDArray[np.bool_]) -> Self:
        """Keep these rows."""
        place = np.flatnonzero(rows)
        return type(self)(
            self.item.taken(rows),
            self.annotator.taken(rows),
            self.label.taken(rows),
            lambda row: self.where(int(place[row])),
        )

    def _check(self, check: Callable[[str], object]) -> None:
        for category, text in enumerate(self.label.categories):
            try:
                check(text)
            except ScaleError as error:
                where = self.where(self.label.first_row(category))
                raise ScaleError(f"{where}: {error.message}", error.hint) from None


def read_answers(
    path: str | Path, columns: RatingColumns = RatingColumns(), given_format: str | None = None
) -> dict[str, Answers]:
    """Read the answers to each question of a table; where it names none, to the question "".

    Raises:
        TableError: a column is missing, an item or an annotator has no name, or a cell is no label.

    """
    if columns.wide or columns.raters:
        return {"": _read_wide(path, columns, given_format)}
    if columns.questions:
        return _read_forms(path, columns, given_format)
    return _read_long(path, columns, given_format)


def _read_long(path: str | Path, columns: RatingColumns, given_format: str | None) -> dict[str, Answers]:
    annotator = columns.annotator or "annotator"

    def choose(first: Row) -> dict[str, CellReader]:
        readers: dict[str, CellReader] = {
            columns.item: _read_name,
            annotator: _read_name,
            columns.label: _read_label,
        }
        return readers | {"question": _read_question} if "question" in first else readers

    read = read_columns(path, choose, given_format)
    answers = Answers(read[columns.item], read[annotator], read[columns.label], _in_column(path, columns.label))
    if (question := read.get("question")) is None:
        return {"": answers}
    if len(question.categories) == 1:
        return {question.categories[0]: answers}
    return {name: answers.taken(question.codes == code) for code, name in enumerate(question.categories)}


def _read_forms(path: str | Path, columns: RatingColumns, given_format: str | None) -> dict[str, Answers]:
    annotator = columns.annotator or "annotator"

    def choose(first: Row) -> dict[str, CellReader]:
        readers: dict[str, CellReader] = {columns.item: _read_name}
        readers |= {column: _read_label for column, _ in columns.questions}
        return readers | {annotator: _read_name} if annotator in first or columns.annotator else readers

    read = read_columns(path, choose, given_format)
    item = read[columns.item]
    of_file = Categorical(np.zeros(len(item.codes), dtype=np.int32), [Path(path).stem])
    annotators = read.get(annotator, of_file)
    return {
        question: Answers(item, annotators, read[column], _in_column(path, column))
        for column, question in columns.questions
    }


def _read_wide(path: str | Path, columns: RatingColumns, given_format: str | None) -> Answers:
    def choose(first: Row) -> dict[str, CellReader]:
        if columns.item in columns.raters:
            raise InputError(
                f"the column {columns.item!r} is the items' and no rater's", "Leave it out of --rater-columns"
            )
        raters = columns.raters or [name for name in first if name != columns.item]
        return {columns.item: _read_name, **dict.fromkeys(raters, _read_label)}

    read = read_columns(path, choose, given_format)
    item = read.pop(columns.item)
    if not read:
        raise TableError(f"{path} has no column but {columns.item!r}", "Give a table with a column a rater")
    names, n_raters = list(read), len(read)
    label = Categorical.of(text for column in read.values() for text in column.categories)
    codes = np.empty((len(item.codes), n_raters), dtype=np.int32)
    start = 0
    for place, column in enumerate(read.values()):
        codes[:, place] = label.codes[start : start + len(column.categories)][column.codes]
        start += len(column.categories)

    def where(cell: int) -> str:
        row, place = divmod(cell, n_raters)
        return f"{path}: row {row + 1}, column {names[place]!r}"

    return Answers(
        Categorical(np.repeat(item.codes, n_raters), item.categories),
        Categorical(np.tile(np.arange(n_raters, dtype=np.int32), len(item.codes)), names),
        Categorical(codes.ravel(), label.categories),
        where,
    )


def _in_column(path: str | Path, column: str) -> Callable[[int], str]:
    return lambda row: f"{path}: row {row + 1}, column {column!r}"


def _read_name(cell: Any) -> str:  # noqa: ANN401 - any cell, as below
    if isinstance(cell, str) and cell.isascii() and cell.strip():
        return cell
    text = printable(str(cell)) if isinstance(cell, str | int) and not isinstance(cell, bool) else ""
    if not text.strip():
        shown = "it is blank" if cell is None or isinstance(cell, str) else f"{cell!r} is no name"
        raise TableError(shown, "Names and ids are text or whole numbers")
    return text


def _read_question(cell: Any) -> str:  # noqa: ANN401
    return "" if cell is None else printable(str(cell))


def _read_label(cell: Any) -> str:  # noqa: ANN401
    """Write a label as text: a set as `label_text` does, nothing as nothing."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        members = _members(cell)
        return printable(cell) if members is None else label_text(members)
    if isinstance(cell, list) and all(isinstance(member, str) for member in cell):
        return label_text(tuple(map(printable, cell)))
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        raise TableError(f"{cell!r} is no label", 'Labels are text or numbers, a set is ["a", "b"]')
    if isinstance(cell, float) and not math.isfinite(cell):
        raise TableError(f"{cell!r} is no label", "Give a finite number, or nothing where there is no answer")
    return str(cell) if isinstance(cell, int) else number_text(cell)


def _members(text: str) -> tuple[str, ...] | None:
    try:
        members = json.loads(text) if text.startswith("[") else None
    except (ValueError, RecursionError):
        return None  # a label may begin with a bracket
    if isinstance(members, list) and all(isinstance(member, str) for member in members):
        return tuple(map(printable, members))
    return None


def _refuse_set(text: str) -> None:
    if _members(text) is not None:
        raise ScaleError("the label is a set", "Give --level set")


def _read_set(text: str, known: Sequence[str] | None, separator: str | None) -> str:
    members = _members(text)
    if not text.strip():
        return ""
    if members is None and not separator:
        raise ScaleError(
            f"the label {text!r} is no set", 'Write it as ["a", "b"], or say by --set-separator what parts its members'
        )
    if members is None:
        members = tuple(part.strip() for part in text.split(separator))
    repeated = [member for member in members if members.count(member) > 1]
    if repeated:
        raise ScaleError(f"the set {text} has {repeated[0]!r} more than once", "Name each member once")
    for member in members:
        if known is not None and member not in known:
            raise ScaleError(unknown("member", member, known), "Correct the row, or add the member to --scale")
    return label_text(members)
