"""What the works of `evals.bulk` found, as the table that a person reads."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rich.table import Table

from llmclf.backends.base import Json


@dataclass(frozen=True)
class Check:
    """One part of a work's target, and what was measured."""

    target: str
    measured: str
    is_met: bool | None
    """None: it has no target, or could not be measured here."""

    @property
    def verdict(self) -> str:
        """Say it in two words."""
        return {True: "met", False: "not met", None: "-"}[self.is_met]


@dataclass(frozen=True)
class Finding:
    """What one work found."""

    work: str
    checks: tuple[Check, ...]
    figures: Mapping[str, Json] = field(default_factory=dict)
    """What else was measured."""

    @property
    def is_met(self) -> bool:
        """Whether nothing that was measured misses its target."""
        return all(check.is_met is not False for check in self.checks)


def table(findings: Iterable[Finding]) -> Table:
    """Give the table of all works."""
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    made.add_column("work", no_wrap=True)
    made.add_column("target", max_width=36)
    made.add_column("measured", max_width=24)
    made.add_column("", no_wrap=True)
    for finding in findings:
        for place, check in enumerate(finding.checks):
            made.add_row("" if place else finding.work, check.target, check.measured, check.verdict)
        made.add_row()
    return made


def say(what: str) -> None:
    """Tell the person who waits what is going on."""
    print(f"bulk: {what}", file=sys.stderr, flush=True)
