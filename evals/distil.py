"""A student beside its teacher: how far each agrees with people on clickbait headlines, and how fast it labels.

Abhijnan Chakraborty, Bhargavi Paranjape, Sourya Kakarla, Niloy Ganguly. 2016. Stop Clickbait: Detecting and Preventing
Clickbaits in Online News Media. 32,000 headlines.

    python -m evals.distil                    # the embedded model labels 2,000 headlines, its student all
    python -m evals.distil --teacher FILE     # labels that are recorded: a table or a job of OUT/headlines.csv
"""

import argparse
import gzip
import math
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from rich.table import Table

from evals.datasets import find
from llmclf.agreement import Estimate
from llmclf.agreement.intervals import jackknifed_mean, normal
from llmclf.annotations import read_annotations
from llmclf.audit.numbers import shown_interval
from llmclf.cli.annotate import run_annotation
from llmclf.cli.common import console
from llmclf.cli.distil import run_distil
from llmclf.codebook import Codebook
from llmclf.errors import LlmclfError
from llmclf.students.teaching import read_teacher
from llmclf.table_writing import write_rows

FILES: Final = {"clickbait": "clickbait_data.gz", "news": "non_clickbait_data.gz"}
CODEBOOK: Final = """
name = "clickbait"
[[question]]
name = "clickbait"
kind = "choice"
ask = "Is this headline clickbait, written to make people curious, or news?"
cue = "The headline is"
label = [{name = "clickbait"}, {name = "news"}]
"""
MARGIN: Final = 0.03
"""By which a student may agree less with people than its teacher."""
FASTEST: Final = 10_000
"""Rows a second that a student is to label."""


@dataclass(frozen=True)
class Compared:
    """Teacher and student beside people."""

    what: str
    teacher: Estimate
    """Accuracy, as the next."""
    student: Estimate
    difference: Estimate
    """The student's accuracy less the teacher's."""

    @property
    def verdict(self) -> str:
        """Whether the student is within the margin of its teacher."""
        if self.difference.low is None or self.difference.high is None:
            return "not shown"
        if self.difference.low > -MARGIN:
            return "within"
        return "below" if self.difference.high < -MARGIN else "not shown"


def main(arguments: Sequence[str] | None = None) -> int:
    """Teach, label and compare."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.distil", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", default="local", help="local, or recorded labels of OUT/headlines.csv")
    parser.add_argument("--teacher-rows", type=int, default=2000, help="that the local model labels")
    parser.add_argument("--out", type=Path, default=Path("out/distil"), help="the folder to write to")
    options = parser.parse_args(arguments)
    table, labels, by_student = (options.out / name for name in ("headlines.csv", "teacher.csv", "student.csv"))
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        people = write_headlines(table)
        if options.teacher == "local":
            label(table, options.teacher_rows, labels, options.out)
        else:
            labels = Path(options.teacher)
        summary = run_distil(table, by_student, labels=labels)
        teacher = read_teacher(labels)
    except LlmclfError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    of_teacher = {item: str(said.label) for item, said in teacher.by_item.items()}
    of_student = {said.item: str(said.label) for _, said in read_annotations(by_student)}
    compared = compare(people, of_teacher, of_student)
    console().print(report(compared))
    for line in summary.lines():
        print(line)
    print(f"target within {MARGIN}: {', '.join(f'{one.what} {one.verdict}' for one in compared)}")
    fast = "met" if summary.rows_per_second >= FASTEST else "missed"
    alone = len(people) / summary.processor_seconds
    print(f"target {FASTEST:,} rows/s: {summary.rows_per_second:,.0f}, {fast}; {alone:,.0f} a second of processor time")
    return 0


def write_headlines(path: Path) -> dict[str, str]:
    """Write all headlines in an order drawn once, and give the people's labels by their ids."""
    folder = find("clickbait")
    headlines = []
    for code, name in FILES.items():
        with gzip.open(folder / name, "rt", encoding="utf-8") as lines:
            headlines += [(line.strip(), code) for line in lines if line.strip()]
    random.Random(0).shuffle(headlines)  # noqa: S311 - an order, not a secret
    with write_rows(path, ("id", "text")) as write:
        for number, (text, _) in enumerate(headlines):
            write({"id": str(number), "text": text})
    return {str(number): code for number, (_, code) in enumerate(headlines)}


def label(table: Path, rows: int, labels: Path, folder: Path) -> None:
    """Let the embedded model label the first headlines."""
    from llmclf.tables import read_rows

    sample, codebook = folder / "sample.csv", folder / "codebook.toml"
    codebook.write_text(CODEBOOK, encoding="utf-8")
    Codebook.load(codebook)
    with write_rows(sample, ("id", "text")) as write:
        for row in islice(read_rows(table), rows):
            write(row)
    run_annotation(sample, codebook, labels, backend="local")


def compare(people: Mapping[str, str], teacher: Mapping[str, str], student: Mapping[str, str]) -> list[Compared]:
    """Compare on the texts that the teacher labelled, pair by pair, and with the student's labels of all others."""
    taught = [item for item in people if item in teacher]
    others = [item for item in people if item not in teacher]
    right = {who: _right(people, said, taught) for who, said in (("teacher", teacher), ("student", student))}
    of_teacher = jackknifed_mean(right["teacher"], (0.0, 1.0))
    held_out = jackknifed_mean(right["student"], (0.0, 1.0))
    paired = jackknifed_mean(right["student"] - right["teacher"], (-1.0, 1.0))
    found = [Compared(f"{len(taught):,} taught", of_teacher, held_out, paired)]
    if others:
        of_others = jackknifed_mean(_right(people, student, others), (0.0, 1.0))
        se = math.hypot(of_teacher.se or 0.0, of_others.se or 0.0)
        apart = normal(of_others.value - of_teacher.value, se, len(others), "independent samples, normal")
        found.append(Compared(f"{len(others):,} others", of_teacher, of_others, apart))
    return found


def _right(people: Mapping[str, str], said: Mapping[str, str], items: Sequence[str]) -> "np.typing.NDArray[np.float64]":
    return np.array([float(said.get(item) == people[item]) for item in items])


def report(compared: Sequence[Compared]) -> Table:
    """Give the table that a person reads."""
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, title_justify="left")
    made.title = "Accuracy against people, with 95 % intervals; taught texts are held out"
    made.add_column("headlines")
    for heading in ("teacher", "student", "student - teacher"):
        made.add_column(heading, justify="right", no_wrap=True)
    for one in compared:
        values = [shown_interval(e.value, e.low, e.high, 3) for e in (one.teacher, one.student, one.difference)]
        made.add_row(one.what, *values)
    return made


if __name__ == "__main__":
    sys.exit(main())
