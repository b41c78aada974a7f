"""Works `hosted` and `limited`: how near a job comes to what the client, and what the server, allows."""

import statistics
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from evals.bulk_annotate import Ended, Folder, wrong_rows
from evals.bulk_report import Check, Finding, say
from evals.bulk_servers import ROOT, Behaviour, Counts, serving

LATENCY: Final = 0.2
_IN_FLIGHT: Final = 64
ALLOWED: Final = 50.0
_OF_BARE, _OF_ALLOWED = 0.9, 0.95
_WINDOW: Final = 10.0
"""Seconds over which the slowest stretch is found."""


def hosted(path: Path, rows: int, repeats: int) -> Finding:
    """Ask a server with latency in turns by a bare loop and by a job, and compare the answers a second."""
    bare, ours, wrong = [], [], 0
    for repeat in range(repeats):
        folder = Folder(path / str(repeat), rows)
        with serving(Behaviour(LATENCY)) as server:
            command = [sys.executable, "-m", "evals.bulk_bare", server.address, str(folder.codebook)]
            subprocess.run([*command, str(_IN_FLIGHT), str(rows)], cwd=ROOT, check=True)  # noqa: S603 - our own
            bare.append(server.counts().rate)
        with serving(Behaviour(LATENCY)) as server:
            folder.run(folder.command(server.uri, {"concurrency": _IN_FLIGHT}))
            ours.append(server.counts().rate)
        wrong += wrong_rows(folder.out, rows)
        say(f"hosted: {bare[-1]:.0f} requests/s by the bare loop, {ours[-1]:.0f} by the job")
    ratio = statistics.median(ours) / statistics.median(bare)
    return Finding(
        "hosted",
        (
            Check(
                f"{LATENCY * 1000:.0f} ms, {_IN_FLIGHT} in flight: at least {_OF_BARE} of a bare loop's rate",
                f"{ratio:.2f}: {statistics.median(ours):.0f} of {statistics.median(bare):.0f}/s",
                ratio >= _OF_BARE,
            ),
            Check("all rows labelled", f"{wrong:,} missing or wrong", wrong == 0),
        ),
        {"bare": list(bare), "ours": list(ours), "concurrency": _IN_FLIGHT, "rows": rows},
    )


def limited(path: Path, rows: int) -> Finding:
    """Ask a server that allows so many requests a second, and says only that others are too many."""
    folder = Folder(path, rows)
    with serving(Behaviour(latency=0.05, allowed=ALLOWED)) as server:
        ended = folder.run(folder.command(server.uri, {"concurrency": 16}))
        counts = server.counts()
    wrong = wrong_rows(folder.out, rows)
    return Finding("limited", limited_checks(counts, ended, wrong), {"refused": counts.refused, "rows": rows})


def limited_checks(counts: Counts, ended: Ended, wrong: int) -> tuple[Check, ...]:
    """Judge a job by what the server saw of it."""
    began, end = counts.first_asked[0], counts.first_asked[-1]
    times = [at - began for at in counts.answered if at <= end]
    settling, rate = settled(times, end - began, _OF_ALLOWED * ALLOWED)
    tail = counts.answered[-1] - end
    share = rate / ALLOWED
    slowest = slowest_rate([at for at in times if at >= settling], end - began) / ALLOWED
    return (
        Check(
            f"{ALLOWED:.0f} requests/s allowed: at least {_OF_ALLOWED} of it, after settling",
            f"{share:.2f} after {settling} s; {_WINDOW:.0f} s at worst: {slowest:.2f}",
            share >= _OF_ALLOWED,
        ),
        Check("all rows labelled", f"{wrong:,} missing or wrong, exit code {ended.code}", wrong == ended.code == 0),
        Check(
            "refused requests, and the time for the last rows to be asked again",
            f"{counts.refused:,}, {tail:.0f} s",
            is_met=None,
        ),
    )


def settled(times: Sequence[float], end: float, wanted: float) -> tuple[int, float]:
    """Give the first second from which on to the end the wanted rate is held, and that rate.

    Where it is not within the first half, the rate of the second half. The first second is left out: what a server
    has saved up is answered in it.
    """
    half = max(1, int(end / 2))
    for second in range(1, half + 1):
        rate = (len(times) - bisect_left(times, second)) / (end - second)
        if rate >= wanted:
            break
    return second, rate


def slowest_rate(times: Sequence[float], end: float) -> float:
    """Give the least rate of answers over a window of some seconds, or over all where that is shorter."""
    window = min(_WINDOW, end - times[0])
    counts = [bisect_left(times, at + window) - place for place, at in enumerate(times) if at + window <= end]
    return min(counts, default=len(times)) / window
