"""What labelling a very large table would take: by a model alone, by a hosted batch, and with a student's help."""

import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from llmclf.annotations import write_annotations
from llmclf.codebook import Codebook, Question
from llmclf.errors import InputError
from llmclf.estimate import SAMPLE, Estimate
from llmclf.items import ItemTable, items_with_rows
from llmclf.students.distillation import Example, Student, Taught
from llmclf.students.lessons import vectorizer

BATCH_SHARE: Final = 0.5
"""Of the usual price, which a Batch API takes."""
BATCH_REQUESTS: Final = 50_000
"""The most in one batch, which is answered within 24 hours."""
_REPEATS: Final = 3


@dataclass(frozen=True, slots=True)
class Way:
    """One way to label all rows."""

    name: str
    rows_asked: int
    """Rows about which a model is asked."""
    seconds: float | None
    """Without what batches take; None where a model's time is not known."""
    batches: int
    """Of requests; 0 for a model that answers at once."""
    money: float | None


@dataclass(frozen=True, slots=True)
class DistilEstimate:
    """Ways to label a table's rows, or as many as there will be."""

    rows: int
    taught: int
    """Rows from which a student learns."""
    unsure_share: float
    """Of the other rows, those about which the model is asked in the end."""
    student_rows_per_second: float
    """From the table read to the labels written; of each question has a student of its own."""
    ways: tuple[Way, ...]


def estimate_distil(
    engine: tuple[str, Estimate],
    batches: Mapping[str, Estimate],
    *,
    rows: int,
    taught: int,
    unsure_share: float,
    speed: float,
) -> DistilEstimate:
    """Set the ways beside each other; a student's training, minutes for some ten thousand texts, is left out.

    Args:
        engine: the name of a model that answers at once, and what it would take for a table of such rows.
        batches: by its name, what each model that a Batch API serves would take, at the usual price.
        rows: how many there are, or will be.
        taught: how many of them a student would learn from.
        unsure_share: of the others, how many the model would be asked about.
        speed: of the student, in rows a second.

    Raises:
        InputError: the student would learn from more rows than there are.

    """
    if taught > rows:
        raise InputError(f"a student cannot learn from {taught:,} of {rows:,} rows", "Give a smaller --distil")
    asked = taught + round(unsure_share * (rows - taught))

    def ways() -> Iterator[Way]:
        for count, by_student in ((rows, 0.0), (asked, rows / speed)):
            name, found = engine
            seconds = None if found.seconds is None else by_student + _scaled(found.seconds, found, count)
            yield Way(_named(name, by_student), count, seconds, 0, _money(found, count))
            for model, hosted in batches.items():
                requests = math.ceil(_scaled(hosted.requests, hosted, count) / BATCH_REQUESTS)
                money = _money(hosted, count)
                yield Way(
                    _named(f"batch:{model}", by_student),
                    count,
                    by_student,
                    requests,
                    None if money is None else BATCH_SHARE * money,
                )

    return DistilEstimate(rows, taught, unsure_share, speed, tuple(ways()))


def student_speed(table: ItemTable, codebook: Codebook) -> float:
    """Measure how many of a table's rows a second students of each question label, on the first of them."""
    seconds = 0.0
    with tempfile.TemporaryDirectory(prefix="llmclf-") as folder:
        for question in codebook.questions:
            student = _blank(question, [example.item.words for example in _examples(table)])
            times = []
            for _ in range(_REPEATS):
                began = time.perf_counter()
                write_annotations(Path(folder) / "labels.csv", student.annotate(_examples(table)))
                times.append(time.perf_counter() - began)
            seconds += min(times)
    return sum(1 for _ in _examples(table)) / seconds


def _examples(table: ItemTable) -> Iterator[Example]:
    stream = items_with_rows(table.path, table.columns, table.given_format)
    return (Example(item) for item, _ in islice(stream, SAMPLE))


def _blank(question: Question, texts: list[str]) -> Student:
    """Make a student that knows the words and nothing about them."""
    words = vectorizer().fit(texts)
    q = len(question.codes)
    return Student(
        question=question.name,
        teacher="",
        codes=question.codes,
        is_set=question.kind == "set",
        weights=np.zeros((len(words.vocabulary_), q), dtype=np.float32),
        bias=np.zeros(q),
        words=words,
        taught=Taught(np.empty(0, dtype=np.uint64), np.empty((0, q), dtype=np.bool_), np.empty((0, q), np.float32)),
        strength=1.0,
        too_rare={},
        source="",
    )


def _named(name: str, by_student: float) -> str:
    return f"student({name})" if by_student else name


def _scaled(value: float, found: Estimate, rows: int) -> float:
    return value * rows / found.items


def _money(found: Estimate, rows: int) -> float | None:
    return None if found.money is None else _scaled(found.money, found, rows)
