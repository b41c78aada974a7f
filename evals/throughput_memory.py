"""The memory that `llmclf annotate` takes, as a process of its own, over tables of many and of few rows."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from evals.throughput_peers import ROOT, say
from evals.throughput_works import Work

ALLOWED: Final = 350 * 10**6
"""Bytes beside the model's file."""
_CODEBOOK = """\
name = "clickbait"
[[question]]
name = "kind"
kind = "choice"
ask = "Is this headline clickbait, written to make people curious, or news?"
cue = "The headline is"
label = [{name = "clickbait"}, {name = "news"}]
"""


@dataclass(frozen=True)
class Memory:
    """What one run took at its peak."""

    what: str
    peak: int
    """Bytes: of the process, or of the largest one that it started."""
    file: int
    """Bytes of the model's file in the layout that was read."""
    problem: str = ""

    @property
    def allowed(self) -> int:
        """What it may take."""
        return self.file + ALLOWED

    @property
    def is_within(self) -> bool:
        """Whether it took no more."""
        return not self.problem and self.peak <= self.allowed


def measure(model: Path, chosen: Path, work: Work, counts: Sequence[int]) -> Iterator[Memory]:
    """Annotate headlines with a model whose layout has been chosen, and once as if for the first time."""
    file = chosen.stat().st_size
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "codebook.toml").write_text(_CODEBOOK, encoding="utf-8")
        few = _write_csv(folder / "few.csv", work.texts, counts[0])
        for count in counts:
            table = _write_csv(folder / f"{count}.csv", work.texts, count)
            yield _annotate(f"CSV, {count:,} rows", table, model, file, {})
        yield _annotate(f"Parquet, {counts[0]:,} rows", _to_parquet(few), model, file, {})
        fresh = {"XDG_CACHE_HOME": str(folder / "cache")}
        yield _annotate(f"first use, CSV, {counts[0]:,} rows", few, model, file, fresh)


def _write_csv(path: Path, texts: Sequence[str], count: int) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        write = csv.writer(file)
        write.writerow(("id", "text"))
        # Different texts, since equal ones are asked once.
        write.writerows((n, f"{texts[n % len(texts)]} {n // len(texts) or ''}") for n in range(count))
    return path


def _to_parquet(table: Path) -> Path:
    """Write a table as Parquet, in a process of its own: a child's peak is never less than its parent's."""
    target = table.with_suffix(".parquet")
    code = (
        "import sys, pyarrow.csv, pyarrow.parquet\n"
        "table = pyarrow.csv.read_csv(sys.argv[1])\n"
        "table = table.set_column(0, 'id', table['id'].cast('string'))\n"
        "pyarrow.parquet.write_table(table, sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", code, str(table), str(target)], check=True)  # noqa: S603 - our own
    return target


def _annotate(what: str, table: Path, model: Path, file: int, variables: Mapping[str, str]) -> Memory:
    say(f"memory: {what}")
    out = table.with_name(f"{what}.csv".replace(" ", "-"))
    command = [sys.executable, "-m", "llmclf", "annotate", str(table), "--out", str(out)]
    command += ["--codebook", str(table.with_name("codebook.toml")), "--backend", f"local:{model}"]
    said = out.with_suffix(".txt")
    with said.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **variables}, stdout=log, stderr=log)  # noqa: S603 - our own
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # so that nobody waits for it again
    problem = ""
    if process.returncode:
        problem = (said.read_text(encoding="utf-8").strip().splitlines() or [f"exit code {process.returncode}"])[-1]
    return Memory(what, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024), file, problem[:120])
