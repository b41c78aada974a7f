"""`llmclf annotate` as a process: the files that it is given, how it ends, and what it writes."""

import csv
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

from evals.bulk_servers import LABELS, ROOT, label, text

Settings = Mapping[str, float]

_CODEBOOK: Final = f"""\
name = "snippets"
instructions = "You judge snippets from reviews."
[[question]]
name = "sentiment"
kind = "choice"
ask = "Which sentiment does it express?"
label = [{", ".join(f'{{name = "{name}"}}' for name in LABELS)}]
"""
_LOST: Final = re.compile(
    r"^llmclf: (\d+) requests were sent before the last stop and have no answer on record$", re.MULTILINE
)


@dataclass(frozen=True)
class Ended:
    """How a process ended, and what it said on standard error."""

    code: int
    said: str

    @property
    def lost(self) -> int:
        """Requests that it said were sent before the last stop and not answered."""
        return sum(map(int, _LOST.findall(self.said)))

    @property
    def last_line(self) -> str:
        """The last thing that it said."""
        return (self.said.strip().splitlines() or [""])[-1]

    @property
    def is_clear_error(self) -> bool:
        """Whether it says in one line what is wrong, and exits as for what the user can mend."""
        return self.code == 2 and self.last_line.startswith("llmclf: ") and "Traceback" not in self.said

    def __str__(self) -> str:
        """Say it in one line."""
        return f"exit code {self.code}: {self.last_line}"


@dataclass(frozen=True)
class Folder:
    """A folder with a table of numbered texts, and what becomes of it."""

    path: Path
    rows: int

    def __post_init__(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self.codebook.write_text(_CODEBOOK, encoding="utf-8")
        with self.table.open("w", encoding="utf-8", newline="") as file:
            write = csv.writer(file)
            write.writerow(("id", "text"))
            write.writerows((number, text(number)) for number in range(self.rows))

    @property
    def table(self) -> Path:
        """What is annotated."""
        return self.path / "texts.csv"

    @property
    def codebook(self) -> Path:
        """What is asked."""
        return self.path / "codebook.toml"

    @property
    def out(self) -> Path:
        """What is written."""
        return self.path / "out.csv"

    @property
    def job(self) -> Path:
        """The record."""
        return self.path / "job.sqlite"

    @property
    def said(self) -> Path:
        """What the last process said on standard error."""
        return self.path / "said.txt"

    def command(self, uri: str, settings: Settings, *more: str, out: Path | None = None) -> list[str]:
        """Give the command that annotates the table."""
        command = [sys.executable, "-m", "llmclf", "annotate", str(self.table), "--codebook", str(self.codebook)]
        command += ["--backend", uri, "--out", str(out or self.out), "--job", str(self.job)]
        for name, value in settings.items():
            command += ["--setting", f"{name}={value}"]
        return [*command, *more]

    def start(self, command: Sequence[str], variables: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """Start a process that says what it has to say to the file `said`."""
        with self.said.open("wb") as said:
            return subprocess.Popen(  # noqa: S603 - our own
                command, cwd=ROOT, env={**os.environ, **(variables or {})}, stdout=subprocess.DEVNULL, stderr=said
            )

    def end(self, process: "subprocess.Popen[bytes]") -> Ended:
        """Wait for the end of a process that was started here."""
        code = process.wait()
        return Ended(code, self.said.read_text(encoding="utf-8"))

    def run(self, command: Sequence[str], variables: Mapping[str, str] | None = None) -> Ended:
        """Start a process, and wait for its end."""
        return self.end(self.start(command, variables))


def export_command(job: Path, out: Path) -> list[str]:
    """Give the command that writes the table again from a record."""
    return [sys.executable, "-m", "llmclf", "job", "export", str(job), "--out", str(out)]


def labelled(number: int) -> tuple[str, str]:
    """Give the label and the status of a text that the server answers as it should."""
    return label(number), "ok"


def read_answers(out: Path) -> Iterator[tuple[int, str, str]]:
    """Give the number, the label and the status of all rows of a table of annotations."""
    with out.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield int(row["item"]), row["label"], row["status"]


def wrong_rows(out: Path, rows: int, expected: Callable[[int], tuple[str, str]] = labelled) -> int:
    """Count the rows of a table that are not, in the order of the input, each text's once and as expected."""
    wanted = ((number, *expected(number)) for number in range(rows))
    found = read_answers(out) if out.exists() else iter(())
    return sum(one != other for one, other in zip_longest(wanted, found))
