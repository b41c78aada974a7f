"""One row a measurement: how fast a peer answered one work with one model in one layout, and how well."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from evals.peers.measure import Frame
from evals.throughput_ceiling import MANY_LABELS, Ceiling
from evals.throughput_peers import OWN, WAITING, Package, PeerProblem, interpreter, run_task, say
from evals.throughput_works import Work

SHIPPED: Final = "shipped"
CHOSEN: Final = "chosen"
OURS: Final = "llmclf"
BEST_ONLY: Final = {"llmclf best-only": "raw", "llmclf corrected": "corrected"}
"""Rows of llmclf's for many labels, and how their best label is found."""
_WINDOW: Final = 256
"""Texts that llmclf looks at together."""


@dataclass(frozen=True)
class Row:
    """One measurement, or in `problem` why there is none."""

    work: str
    peer: str
    layout: str
    """`SHIPPED` or `CHOSEN`: the file as it is, or in the layout that llmclf chose."""
    problem: str = ""
    rate: float = 0.0
    """Units (texts or conversations) a second, the median of the repeats."""
    texts: int = 0
    """Texts a repeat."""
    spread: float = 0.0
    """The slowest repeat over the fastest, less 1."""
    read: float = 0.0
    written: float = 0.0
    """Tokens a unit that the model read, and that it wrote."""
    right: float | None = None
    """The share of answers that are people's."""
    invalid: int = 0
    memory: int = 0
    """The largest resident size in bytes, a server's with its client's."""
    waiting: str = ""
    """How its threads wait for each other."""


@dataclass
class Bench:
    """Measures rows, one process after the other."""

    cache: Path
    threads: int
    seconds: float
    repeats: int
    _waiting: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def rows(
        self, work: Work, packages: Sequence[Package], ceilings: Mapping[str, Ceiling], shipped: Path
    ) -> Iterator[Row]:
        """Measure llmclf and its peers on one work and one model."""
        frame, chosen = ceilings[CHOSEN].frame, ceilings[CHOSEN].path
        say(f"{work.name}: {OURS}")
        for layout, setting in ((CHOSEN, None), (SHIPPED, "shipped")):
            yield self._ours(work, OURS, layout, str(shipped), frame, {"layout": setting})
        if work.name == MANY_LABELS:
            for name, best_only in BEST_ONLY.items():
                yield self._ours(work, name, CHOSEN, str(shipped), frame, {"layout": None, "best_only": best_only})
        for package in packages:
            if work.mode not in package.modes:
                continue
            if work.name in package.too_slow:
                yield Row(work.name, package.name, SHIPPED, "left out, since it takes minutes a text")
                continue
            say(f"{work.name}: {package.name}")
            row = self._theirs(work, package, SHIPPED, str(shipped), frame)
            yield row
            if str(shipped) != chosen and not row.problem:
                yield self._theirs(work, package, CHOSEN, chosen, frame)

    def _ours(
        self, work: Work, name: str, layout: str, model: str, frame: Frame | None, settings: Mapping[str, Any]
    ) -> Row:
        task = work.task(
            model, frame, threads=self.threads, seconds=self.seconds, repeats=self.repeats, settings=settings
        )
        if name in BEST_ONLY:  # a search ends in ever smaller batches: a repeat is a full window, as in a job
            task = replace(task, least=_WINDOW, seconds=4 * self.seconds)
        try:
            result = run_task(OWN, "evals.peers.llmclf", task, self.cache, waiting=None)
        except PeerProblem as problem:
            return Row(work.name, name, layout, str(problem))
        return row(work, name, layout, result, None)

    def _theirs(self, work: Work, package: Package, layout: str, model: str, frame: Frame | None) -> Row:
        task = work.task(model, frame, threads=self.threads, seconds=self.seconds, repeats=self.repeats)
        try:
            python = interpreter(package, self.cache)
            waiting = self._best_waiting(python, package, work, model, frame)
            result = run_task(python, package.module, task, self.cache, waiting=waiting)
        except PeerProblem as problem:
            return Row(work.name, package.name, layout, str(problem))
        return row(work, package.name, layout, result, waiting)

    def _best_waiting(self, python: Path, package: Package, work: Work, model: str, frame: Frame | None) -> str | None:
        """Find out once for a peer and a model whether it is faster with threads that spin or with threads that sleep.

        Small batches are several times faster with spinning threads, as long as nothing else runs.
        """
        key = package.name, model
        if key not in self._waiting:
            task = work.task(model, frame, threads=self.threads, seconds=self.seconds / 4, repeats=1)
            rates = {
                waiting: _rate(run_task(python, package.module, task, self.cache, waiting=waiting))
                for waiting in WAITING
            }
            self._waiting[key] = max(rates, key=lambda waiting: rates[waiting])
        return self._waiting[key]


def row(work: Work, peer: str, layout: str, result: Mapping[str, Any], waiting: str | None) -> Row:
    """Turn what a peer's script wrote into a row."""
    right, invalid = work.score(result["answers"])
    seconds = result["seconds"]
    return Row(
        work.name,
        peer,
        layout,
        rate=_rate(result),
        texts=result["texts"],
        spread=max(seconds) / min(seconds) - 1,
        read=result["read"],
        written=result["written"],
        right=right,
        invalid=invalid,
        memory=result["memory"],
        waiting="sleep" if OURS in peer or waiting else "spin",
    )


def _rate(result: Mapping[str, Any]) -> float:
    return float(result["texts"] / statistics.median(result["seconds"]))
