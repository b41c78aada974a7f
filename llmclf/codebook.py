"""What is asked: a codebook of questions, each with its labels. One TOML file."""

import hashlib
import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StrictBool,
    StringConstraints,
    ValidationError,
    model_validator,
)

from llmclf.errors import CodebookError, InputError, ScaleError, unknown
from llmclf.levels import Level

CODEBOOK_FILE = "codebook.toml"
_SEE = "Correct the codebook: the README shows a whole one"
REASONS = ("evidence", "rationale")
"""What a question may ask for beside its label, in the order of a reply."""

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def __copy__(self) -> Self:
        copy = super().__copy__()
        for name in [name for name in copy.__dict__ if name not in type(self).model_fields]:
            del copy.__dict__[name]  # computed of this one; the copy may be changed
        return copy


class Label(_Strict):
    """One possible answer."""

    name: Name
    """What the model reads and says."""
    value: float | None = None
    """Its place on the scale of a `score` question."""
    definition: str = ""
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """What stands for the label in a table: the value on a scale, otherwise the name."""
        return self.name if self.value is None else number_text(self.value)


class Question(_Strict):
    """One question: `choice` (one label), `score` (one level of an ordered scale), `set` (any labels)."""

    name: Name
    kind: Literal["choice", "score", "set"]
    ask: Name
    cue: str = ""
    """How the model's reply begins, up to the label: "The sentiment is"."""
    rationale: StrictBool = False
    """Whether the reply says, in a sentence or two, why the label fits."""
    evidence: StrictBool = False
    """Whether the reply quotes, word for word, what of the text the label rests on."""
    label: tuple[Label, ...]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:  # what depends on a question alone is kept by it, and looked up for every answer
        return hash((self.name, self.kind, self.ask, self.label))

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels; a score's are in ascending order of their values."""
        return self.label

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        """Which of `REASONS` it asks for."""
        return tuple(reason for reason in REASONS if getattr(self, reason))

    @property
    def codes(self) -> tuple[str, ...]:
        """The labels' codes: the declared scale."""
        return tuple(label.code for label in self.label)

    @property
    def level(self) -> Level:
        """The level of measurement of the answers."""
        return {"choice": Level.NOMINAL, "score": Level.ORDINAL, "set": Level.SET}[self.kind]

    def read(self, cell: str) -> str:
        """Give the code of one label as people write it: its code, its name, or an equal number.

        Raises:
            ScaleError: the cell is no label of this question.

        """
        code = self._codes_by_spelling.get(cell)
        if code is None and self.kind == "score":
            code = self._codes_by_spelling.get(_number_spelling(cell))
        if code is None:
            raise ScaleError(f"question {self.name!r}: {unknown('label', cell, self._codes_by_spelling)}")
        return code

    @cached_property
    def _codes_by_spelling(self) -> dict[str, str]:
        by_name = {label.name: label.code for label in self.label}
        return by_name | {label.code: label.code for label in self.label}

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [label.name for label in self.label]
        least = 1 if self.kind == "set" else 2
        if len(names) < least:
            raise ValueError(
                f"question {self.name!r} has {len(names)} label(s); a {self.kind} question needs at least {least}"
            )
        _refuse_repeats(f"question {self.name!r}: label", names)
        values = [label.value for label in self.label]
        if self.kind == "score":
            if any(value is None or not math.isfinite(value) for value in values):
                raise ValueError(f"question {self.name!r}: every label of a score question needs a finite value")
            if any(high <= low for low, high in pairwise(values)):  # type: ignore[operator]  # none is None: checked above
                raise ValueError(f"question {self.name!r}: the values of a score's labels must ascend")
            for label in self.label:
                other = next((o for o in self.label if o is not label and o.code == _number_spelling(label.name)), None)
                if other:
                    raise ValueError(
                        f"question {self.name!r}: {label.name!r} is the name of one label and the value of another"
                    )
        elif any(value is not None for value in values):
            raise ValueError(f"question {self.name!r}: only the labels of a score question have a value")
        return self


class Codebook(_Strict):
    """Questions about one kind of unit. Its identity is the hash of its content."""

    name: Name
    unit: Literal["text", "conversation"] = "text"
    instructions: str = ""
    question: tuple[Question, ...] = Field(min_length=1)
    _folder: Path | None = PrivateAttr(default=None)
    _templates: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @property
    def questions(self) -> tuple[Question, ...]:
        """The questions, in order."""
        return self.question

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        """Which of `REASONS` a question of it asks for."""
        return tuple(reason for reason in REASONS if any(reason in question.reasons for question in self.question))

    @property
    def folder(self) -> Path | None:
        """Where it was loaded from, and where a prompt template of its own is looked for; not part of what it says."""
        return self._folder

    @property
    def templates(self) -> Mapping[str, str]:
        """The sources of its prompt's templates, by name, where it comes from a record; they are used as they are."""
        return self._templates

    def with_templates(self, sources: Mapping[str, str]) -> Self:
        """Give the codebook with the prompt that it was asked by."""
        copy = self.model_copy()
        copy._templates = sources
        return copy

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the content, as hexadecimal digits."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def get(self, name: str) -> Question:
        """Give the question of that name.

        Raises:
            InputError: there is none.

        """
        for question in self.question:
            if question.name == name:
                return question
        raise InputError(unknown("question", name, (q.name for q in self.question)))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a codebook from a TOML or JSON file, or from a folder that holds `codebook.toml`.

        Raises:
            CodebookError: there is no such file, or it is no valid codebook.

        """
        path = Path(path)
        file = path / CODEBOOK_FILE if path.is_dir() else path
        try:
            text = file.read_text(encoding="utf-8-sig")
            content = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
        except FileNotFoundError:
            raise CodebookError(
                f"no codebook at {file}", "Give a folder that holds codebook.toml, or a TOML file"
            ) from None
        except (OSError, ValueError) as error:
            form = "JSON" if file.suffix == ".json" else "TOML"
            raise CodebookError(f"{file} cannot be read as {form}: {error}", _SEE) from None
        try:
            book = cls.model_validate(content)
        except ValidationError as error:
            raise CodebookError(f"{file}: {_first_fault(error)}", _SEE) from None
        book._folder = file.parent
        return book

    @classmethod
    def from_labels(
        cls, labels: list[str] | tuple[str, ...], ask: str = "Which label fits the text best?", name: str = "label"
    ) -> Self:
        """Make a codebook of one `choice` question from bare labels.

        Raises:
            CodebookError: fewer than two labels, or one twice.

        """
        try:
            question = Question(name=name, kind="choice", ask=ask, label=tuple(Label(name=label) for label in labels))
            return cls(name=name, question=(question,))
        except ValidationError as error:
            raise CodebookError(
                _first_fault(error), "Give two or more different labels, as in positive,negative"
            ) from None

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_repeats("question", [question.name for question in self.question])
        return self


def number_text(value: float) -> str:
    """Write a number as people write it in tables: no trailing `.0`."""
    return str(int(value)) if value == int(value) else repr(value)


def _number_spelling(cell: str) -> str:
    try:
        value = float(cell)
    except ValueError:
        return cell
    return number_text(value) if math.isfinite(value) else cell


def _refuse_repeats(what: str, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{what} {repeated[0]!r} occurs more than once")


def _first_fault(error: ValidationError) -> str:
    faults = error.errors()
    # A misspelt key before the one that is missing for it.
    fault = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    if fault["type"] == "value_error":
        return fault["msg"].removeprefix("Value error, ")
    *place, key = fault["loc"]
    if fault["type"] == "extra_forbidden":
        tables: list[type[BaseModel]] = [Codebook, Question, Label]
        return f"{_place(place)}{unknown('key', str(key), tables[len(place) // 2].model_fields)}"
    return f"{_place(fault['loc'])}{fault['msg']}"


def _place(location: Iterable[str | int]) -> str:
    words = [f"{part + 1}" if isinstance(part, int) else part for part in location]
    return f"{' '.join(words)}: " if words else ""
