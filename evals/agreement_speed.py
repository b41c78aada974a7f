"""How long the coefficients of exchangeable annotators take from codes, beside other packages.

python -m evals.agreement_speed [--items N] [--peers PYTHON]

The peers need an environment of their own, whose interpreter is given: two are under the GPL, and irrCAC wants an
old SciPy that it does not need.

    python -m venv peers && peers/bin/pip install pandas scipy && \
        peers/bin/pip install --no-deps krippendorff irrCAC evalaudit
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from llmclf.agreement import Coefficient, Ratings
from llmclf.agreement.bootstrap import Bootstrap
from llmclf.agreement.brennan_prediger import brennan_prediger
from llmclf.agreement.exchangeable import Interval
from llmclf.agreement.fleiss_kappa import fleiss_kappa
from llmclf.agreement.gwet_ac import gwet_ac1, gwet_ac2_linear, gwet_ac2_quadratic
from llmclf.agreement.krippendorff_alpha import krippendorff_alpha
from llmclf.agreement.percent_agreement import percent_agreement
from llmclf.levels import Level

ROOT = Path(__file__).parents[1]
ANNOTATORS, LABELS = 10, 5
COEFFICIENTS: tuple[Callable[[Ratings, Interval], Coefficient], ...] = (
    percent_agreement,
    fleiss_kappa,
    krippendorff_alpha,
    gwet_ac1,
    gwet_ac2_linear,
    gwet_ac2_quadratic,
    brennan_prediger,
)
REPLICATES = 1000
PEERS = {
    "krippendorff": ("alpha", 10),
    "irrCAC": ("AC1, Fleiss, alpha, Brennan-Prediger", 3),
    "evalaudit": ("alpha", REPLICATES),
}
"""What each computes, and how many replicates are timed: few where a loop makes them, one as long as the next."""
LONGEST = 900.0
"""Seconds that a peer may take."""


@dataclass(frozen=True)
class Speed:
    """The seconds of a package's coefficients, and of 1,000 bootstrap replicates of them beside that."""

    package: str
    what: str
    point: float
    bootstrap: float


def codes_of(n: int, missing: float = 0.0) -> npt.NDArray[np.int8]:
    """Make the codes of annotators who agree on 60 % of the ratings, more by chance."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, LABELS, (n, 1), dtype=np.int8)
    guess = rng.integers(0, LABELS, (n, ANNOTATORS), dtype=np.int8)
    codes = np.where(rng.random((n, ANNOTATORS)) < 0.6, truth, guess)
    codes[rng.random(codes.shape) < missing] = -1
    return codes


def ours(codes: npt.NDArray[np.int8], missing: str, repeats: int) -> Speed:
    """Time all coefficients with jackknife intervals, and again with bootstrap intervals, each from codes."""
    what = f"{len(COEFFICIENTS)} coefficients with jackknife{missing}"
    point = statistics.median(_seconds(codes, ["jackknife"]) for _ in range(repeats))
    both = statistics.median(_seconds(codes, ["jackknife", Bootstrap(0, REPLICATES)]) for _ in range(repeats))
    return Speed("llmclf", what, point, both - point)


def _seconds(codes: npt.NDArray[np.int8], intervals: Sequence[Interval]) -> float:
    items, annotators, scale = (tuple(map(str, range(size))) for size in (*codes.shape, LABELS))
    # new ones, of which nothing is counted yet
    ratings = Ratings(codes, items, annotators, scale, Level.ORDINAL, scale_declared=True)
    began = time.perf_counter()
    for interval in intervals:
        for of in COEFFICIENTS:
            of(ratings, interval)
    return time.perf_counter() - began


def peer(python: str, name: str, codes: npt.NDArray[np.int8]) -> Speed | str:
    """Time a peer in its environment, or say why there is nothing to be timed."""
    what, replicates = PEERS[name]
    with TemporaryDirectory() as folder:
        path = Path(folder, "codes.npy")
        np.save(path, codes)
        command = [python, "-m", "evals.peers.agreement", name, str(path), str(replicates)]
        try:
            ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONGEST)  # noqa: S603 - our own
        except subprocess.TimeoutExpired:
            return f"no answer in {LONGEST:.0f} s"
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
        return "not installed" if "No module named" in last else last[:60]
    found = json.loads(ended.stdout)
    if replicates < REPLICATES:
        what = f"{what}; bootstrap scaled from {replicates}"
    return Speed(f"{name} {found['version']}", what, found["point"], found["replicate"] * REPLICATES)


def main(arguments: Sequence[str] | None = None, console: Console | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5, help="ours; the median is shown")
    parser.add_argument("--peers", metavar="PYTHON", default=sys.executable, help="the peers' interpreter")
    asked = parser.parse_args(arguments)
    codes = codes_of(asked.items)
    title = f"{asked.items:,} items x {ANNOTATORS} annotators, {LABELS} labels, seconds from codes"
    table = Table("package", "what", "point", "1,000 replicates", "x", title=title, title_justify="left")
    mine = [
        ours(codes, "", asked.repeats),
        ours(codes_of(asked.items, 0.1), ", 10 % missing", asked.repeats),
    ]
    for speed in mine:
        table.add_row(speed.package, speed.what, f"{speed.point:.3f}", f"{speed.bootstrap:.3f}", "1")
    for name in PEERS:
        found = peer(asked.peers, name, codes)
        if isinstance(found, str):
            table.add_row(name, found, "", "", "")
            continue
        times = f"{found.bootstrap / mine[0].bootstrap:,.0f}"
        table.add_row(found.package, found.what, f"{found.point:.2f}", f"{found.bootstrap:.1f}", times)
    (console or Console()).print(table)


if __name__ == "__main__":
    main()
