"""Work `rows`: very many rows, by a backend that answers at once, killed before the end and taken up again."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from evals.bulk_annotate import Folder, wrong_rows
from evals.bulk_report import Check, Finding, say
from evals.bulk_scripted import STEP
from evals.bulk_servers import ROOT

_KILLED_AT: Final = 0.9
"""Of the rows."""
_PEAK: Final = 300 * 10**6
_RATE: Final = 20_000
_RESUME: Final = 5.0


@dataclass(frozen=True)
class Life:
    """What one process did; seconds from its start."""

    first: float
    """To the first request; infinite where there was none."""
    last: float
    """To the last step of requests that it told of."""
    end: float
    asked: int
    """Requests, to a full step."""
    cpu: float
    """Seconds of processors, all threads, to the last that it told of."""
    peak: int
    """Bytes."""
    code: int

    @property
    def rate(self) -> float:
        """Requests a second, from the first to the last."""
        return self.asked / (self.last - self.first) if self.asked else 0.0


def rows(path: Path, count: int) -> Finding:
    """Annotate so many rows in two processes, of which the first is killed."""
    say(f"rows: writing {count:,} of them")
    folder = Folder(path, count)
    killed = _live(folder, int(count * _KILLED_AT) // STEP * STEP)
    say(f"rows: killed after {killed.end:.0f} s; {killed.rate:,.0f} requests/s, {killed.peak / 1e6:.0f} MB")
    resumed = _live(folder, None)
    say(f"rows: ended after {resumed.end:.0f} s more")
    return Finding(
        "rows",
        checks(count, killed, resumed, wrong_rows(folder.out, count)),
        {
            "rows": count,
            "killed": asdict(killed),
            "resumed": asdict(resumed),
            "record_bytes": folder.job.stat().st_size,
        },
    )


def checks(count: int, killed: Life, resumed: Life, wrong: int) -> tuple[Check, ...]:
    """Judge the two processes."""
    peak, seconds = max(killed.peak, resumed.peak), killed.end + resumed.end
    rate = count / seconds
    after = f"{resumed.end - resumed.last:,.0f} s after the last request"
    return (
        Check(f"{count:,} rows, all labelled", f"{wrong:,} missing or wrong", wrong == resumed.code == 0),
        Check(f"peak memory at most {_PEAK / 1e6:.0f} MB", f"{peak / 1e6:.0f} MB", peak <= _PEAK),
        Check(
            f"at least {_RATE:,} rows/s, from the start to the table",
            f"{rate:,.0f}/s: {killed.first:,.0f} s to the first request, {killed.rate:,.0f} requests/s, {after}",
            rate >= _RATE,
        ),
        Check(
            f"killed at {_KILLED_AT:.0%}: under {_RESUME:.0f} s from the resume to its first request",
            f"{resumed.first:.1f} s",
            resumed.first < _RESUME,
        ),
    )


def _live(folder: Folder, most: int | None) -> Life:
    """Run a process to its end, or kill it when it has asked so much."""
    command = [sys.executable, "-m", "evals.bulk_scripted"]
    command += map(str, (folder.table, folder.codebook, folder.job, folder.out))
    first = last = float("inf")
    asked, cpu, peak = 0, 0.0, 0
    began = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        assert process.stdout
        for line in process.stdout:
            told, seconds = json.loads(line), time.monotonic() - began
            cpu, peak = told["cpu"], told["peak"]
            if told["event"] == "first":
                first = seconds
            elif told["event"] == "asked":
                asked, last = told["asked"], seconds
            if asked == most:
                process.kill()
    return Life(first, last, time.monotonic() - began, asked, cpu, peak, process.returncode)
