"""Work `kills`: a job is killed again and again at random moments, and goes on."""

import random
import shutil
import subprocess
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from evals.bulk_annotate import Folder, export_command, read_answers, wrong_rows
from evals.bulk_report import Check, Finding, say
from evals.bulk_servers import Behaviour, Server, serving

CONCURRENCY: Final = 16
_LATENCY: Final = 0.03
_EARLY: Final = 0.1
"""The share of kills before the first request of a process."""
_LOOKS: Final = 20
"""How often it is looked at what is on record, at most."""


def kills(path: Path, count: int, rows: int) -> Finding:
    """Kill a job so many times, let it go on to its end, and compare what was sent with what was said."""
    folder = Folder(path, rows)
    killer = _Killer(2 * rows // (count + 1))
    printed = 0
    killed_at: list[float] = []
    with serving(Behaviour(_LATENCY)) as server:
        command = folder.command(server.uri, {"concurrency": CONCURRENCY})
        record = _Record(folder, server)
        while len(killed_at) < count:
            process = folder.start(command)
            is_killed = killer.kill(process, server)
            printed += folder.end(process).lost
            if not is_killed:
                break
            killed_at.append(time.monotonic())
            killed = len(killed_at)
            if killed % max(1, count // _LOOKS) == 0:
                say(f"kills: {killed} of {count}, {len(record.look())} of {rows} rows on record")
        ended = folder.run(command)
        printed += ended.lost
        counts = server.counts()
        lost = record.lost(counts.asked)
    killed = len(killed_at)
    surplus, most = counts.requests - rows, killed * CONCURRENCY
    oldest = max((_age(at, killed_at) for at in counts.asked_again), default=0.0)
    wrong = wrong_rows(folder.out, rows)
    return Finding(
        "kills",
        (
            Check(f"{count} SIGKILLs of a job of {rows:,} rows", f"{killed} before it ended", killed == count),
            Check("the job ends well", f"exit code {ended.code}", ended.code == 0),
            Check("every row answered once in the output", f"{wrong:,} missing or wrong", wrong == 0),
            Check("nothing acknowledged is lost", f"{lost:,} of {len(record.asked):,} lost", lost == 0),
            Check(
                f"sent beyond the rows: no more than what was in flight, at most {most:,}",
                f"{surplus:,} sent",
                0 <= surplus <= most,
            ),
            Check("no more than the resumes print", f"{printed:,} printed", surplus <= printed),
            Check("which print no more than was in flight", f"{printed:,} of {most:,}", printed <= most),
            Check("equal to what the resumes print", f"{surplus:,} and {printed:,}", surplus == printed),
            Check(
                "of them, those that had been answered, and how long before the kill",
                f"{len(counts.asked_again):,}, {oldest * 1000:.0f} ms at most",
                is_met=None,
            ),
        ),
        {
            "rows": rows,
            "kills": killed,
            "concurrency": CONCURRENCY,
            "surplus": surplus,
            "printed": printed,
            "answered": len(counts.asked_again),
            "oldest": oldest,
        },
    )


def _age(answered: float, killed_at: Sequence[float]) -> float:
    """Give the seconds from an answer to the kill that came next."""
    return killed_at[bisect_left(killed_at, answered)] - answered


@dataclass
class _Killer:
    """Kills at random moments, some of them in the start, such that the whole job is met."""

    most: int
    """Requests that a process may send at most before it is killed."""
    start: float = 1.0
    """Seconds from a process's start to its first request, as it was the last time."""
    _random: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - moments, not secrets

    def kill(self, process: "subprocess.Popen[bytes]", server: Server) -> bool:
        """Kill, and say whether it still ran."""
        began, before = time.monotonic(), server.requests()
        if self._random.random() < _EARLY:
            time.sleep(self._random.uniform(0, self.start))
        else:
            wanted, seen = self._random.randrange(1, self.most + 1), 0
            while process.poll() is None and seen < wanted:
                time.sleep(0.01)
                now = server.requests() - before
                if now and not seen:
                    self.start = time.monotonic() - began
                seen = now
            time.sleep(self._random.uniform(0, _LATENCY))
        is_running = process.poll() is None
        process.kill()
        return is_running


@dataclass
class _Record:
    """What a job has acknowledged, by looks at copies of its record, so that its own is left as the kill left it."""

    folder: Folder
    server: Server
    asked: dict[int, int] = field(default_factory=dict)
    """How often each acknowledged row had been asked about when it was first seen on record."""
    _gone: set[int] = field(default_factory=set)

    def look(self) -> set[int]:
        """Give the rows that are on record, labelled."""
        copy = self.folder.path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for file in self.folder.path.glob(f"{self.folder.job.name}*"):
            shutil.copy(file, copy)
        out = copy / "out.csv"
        with (copy / "said.txt").open("wb") as said:
            subprocess.run(export_command(copy / self.folder.job.name, out), stdout=said, stderr=said, check=False)  # noqa: S603 - our own
        rows = {number for number, _, status in read_answers(out) if status == "ok"} if out.exists() else set()
        asked = self.server.counts().asked
        self._gone |= self.asked.keys() - rows
        for number in rows:
            self.asked.setdefault(number, asked[number])
        return rows

    def lost(self, asked: dict[int, int]) -> int:
        """Count the acknowledged rows that were gone later, or were asked about again."""
        return len(self._gone | {number for number, times in self.asked.items() if asked[number] != times})
