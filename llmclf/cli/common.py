"""What commands share: options, exit codes, and how things are shown."""

import csv
import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from llmclf.audit.numbers import shown
from llmclf.errors import InputError, unknown

if TYPE_CHECKING:
    from rich.console import Console

    from llmclf.items import ItemTable
    from llmclf.job import Job
    from llmclf.policy import Policy
    from llmclf.prompts import Order

SOME_UNLABELLED = 3

BackendOption = Annotated[
    str,
    typer.Option(
        "--backend",
        "-b",
        metavar="URI",
        help="local, local:PATH.gguf, openai:MODEL or http://HOST:PORT/v1#MODEL; by other APIs of theirs, batch:MODEL, "
        "decisions:MODEL, or a URL after batch+, decisions+ or systemone+.",
    ),
]
SettingOption = Annotated[
    list[str] | None,
    typer.Option(
        "--setting",
        metavar="NAME=VALUE",
        help="A setting of the backend, as context=4096 or concurrency=32; repeatable.",
    ),
]
CodebookOption = Annotated[Path, typer.Option("--codebook", "-c", help="A folder with codebook.toml, or a TOML file.")]
OrderOption = Annotated[
    str | None,
    typer.Option("--order", help="What comes first in a prompt, codebook or text; default: what is cheaper."),
]
OutputFormatOption = Annotated[
    str | None, typer.Option("--out-format", help="csv or jsonl, where the name of --out does not say.")
]
PricesOption = Annotated[
    Path | None,
    typer.Option(help="TOML: [MODEL] input = 0.15, cached_input = 0.07, output = 0.6, for a million tokens."),
]
LocalOnlyOption = Annotated[
    bool, typer.Option("--local-only", help="Refuse a backend to which texts would leave this machine.")
]
RedactOption = Annotated[
    bool,
    typer.Option("--redact", help="Replace e-mail addresses, phone, card and IBAN numbers before a model reads them."),
]
PhoneRegionsOption = Annotated[
    str, typer.Option(metavar="US,DE,...", help="With --redact: whose phone numbers are found without +country.")
]
PolicyOption = Annotated[
    str | None,
    typer.Option(
        "--policy",
        "-p",
        metavar="NAME|FILE",
        help="How replies become labels: default, raw, mean, content-free, random-words, orders, channel, batch, "
        "batch-mean, or a TOML file.",
    ),
]
MaxRequestsOption = Annotated[
    int | None, typer.Option("--max-requests", min=1, help="Stop before more requests are asked; exit code 6.")
]
MaxCostOption = Annotated[
    float | None,
    typer.Option("--max-cost", min=0, help="Stop before all replies on record would cost more; needs --prices."),
]
NoTextsOption = Annotated[
    bool,
    typer.Option("--no-texts", help="Record hashes in place of texts, under the key in LLMCLF_TEXT_KEY."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for a program.")]


SamplesOption = Annotated[
    int | None,
    typer.Option(
        "--samples",
        min=1,
        metavar="K",
        help="Servers: ask each question K times, at temperature 1; probabilities are shares of the replies.",
    ),
]
_WORDS = {"true": True, "false": False, "none": None}


def split_list(text: str) -> list[str]:
    """Split at commas; a part that holds one is quoted, as in CSV."""
    return [part.strip() for part in next(csv.reader([text], skipinitialspace=True), [])]


def parse_settings(settings: Iterable[str] | None) -> dict[str, Any]:
    """Read `name=value` settings; numbers become numbers, true and false truth values, and none None."""
    parsed: dict[str, Any] = {}
    for setting in settings or ():
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise InputError(f"--setting {setting}: no value", "Write NAME=VALUE, as in --setting context=4096")
        parsed[name.replace("-", "_")] = _value(value)
    return parsed


def parse_regions(regions: str) -> Sequence[str]:
    """Read the countries whose phone numbers are found; without any, those of most languages."""
    from llmclf.personal_data import REGIONS

    return split_list(regions) or sorted(REGIONS)


def parse_policy(name: str | None, *, best_only: bool = False) -> "Policy":
    """Read a policy by its name, or from a file."""
    from llmclf.policy import Policy

    policy = Policy.load(name or "default")
    return policy.for_best_only() if best_only else policy


def parse_order(name: str | None) -> "Order | None":
    """Read an order of the prompt by its name."""
    from llmclf.prompts import ORDERS

    for order in ORDERS:
        if name == order:
            return order
    if name is not None:
        raise InputError(unknown("order", name, ORDERS))
    return None


def _value(text: str) -> bool | int | float | str | None:
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


class _OneLine(logging.Handler):
    """Shows what llmclf has to say, a line each, on standard error as it is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"llmclf: {record.getMessage()}", file=sys.stderr, flush=True)


def show_log() -> None:
    """Show what llmclf says of its own work."""
    log = logging.getLogger("llmclf")
    log.setLevel(logging.INFO)
    if not any(isinstance(handler, _OneLine) for handler in log.handlers):
        log.addHandler(_OneLine())


def console(*, stderr: bool = False) -> "Console":
    """Give a terminal to print to; where the output is no terminal, 80 columns and no colours."""
    from rich.console import Console

    return Console(
        stderr=stderr, highlight=False, width=None if (sys.stderr if stderr else sys.stdout).isatty() else 80
    )


def number(value: float | None) -> str:
    """Write a number with two decimals, and what is none as nothing."""
    return "" if value is None else shown(value)


def duration(seconds: float) -> str:
    """Write a duration in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class Progress(Protocol):
    """Tells of a step: how many are done, how many of their parts failed, and what all has cost so far."""

    def __call__(self, done: int, failed: int, cost: float | None = None) -> None:
        """Take a step."""


@contextmanager
def progress(what: str, total: int | None, unit: str = "") -> Iterator[Progress]:
    """Show progress and speed on standard error: a bar on a terminal, otherwise a line every tenth of the way.

    The first step may be what was done before.
    """
    terminal = console(stderr=True)
    if not terminal.is_terminal:
        yield _LineProgress(what, total, unit)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}")]
    with Progress(*columns, TimeRemainingColumn(), console=terminal) as bar:
        task = bar.add_task(what, total=total, state="")
        state = _State()

        def step(done: int, failed: int, cost: float | None = None) -> None:
            state.add(done, failed, cost)
            if state.is_due(0.1) or state.done == total:
                bar.update(task, completed=state.done, state=state.words)

        yield step


def ask_table(work: "Job", table: "ItemTable", count: int | None) -> None:
    """Ask about every item of a table with progress, and let go of the job."""
    try:
        with progress("asking", count, "items") as step:
            for done, failed in work.run_table(table, count=count):
                step(done, failed, work.cost)
    finally:
        work.close()


class _State:
    """What is shown beside the count."""

    def __init__(self) -> None:
        self.done = self._failed = 0
        self._cost: float | None = None
        self._began = self._shown = time.monotonic()
        self._before: int | None = None

    def add(self, done: int, failed: int, cost: float | None) -> None:
        if self._before is None:
            self._before = done if done > 1 else 0
        self.done += done
        self._failed += failed
        self._cost = cost

    def is_due(self, every: float) -> bool:
        now = time.monotonic()
        if now - self._shown < every:
            return False
        self._shown = now
        return True

    @property
    def words(self) -> str:
        # Of the whole way: answers come in bursts.
        rate = (self.done - (self._before or 0)) / max(time.monotonic() - self._began, 1e-9)
        cost = "" if self._cost is None else f", cost {self._cost:,.4g}"
        failed = f", {self._failed} without a label" if self._failed else ""
        return f"{rate:.1f}/s{cost}{failed}"


class _LineProgress:
    def __init__(self, what: str, total: int | None, unit: str) -> None:
        self._what, self._total, self._unit = what, total, f" {unit}" if unit else ""
        self._every = max(1, total // 10) if total else 1000
        self._state = _State()

    def __call__(self, done: int, failed: int, cost: float | None = None) -> None:
        state = self._state
        before = state.done // self._every
        state.add(done, failed, cost)
        if state.done // self._every > before or state.done == self._total:
            how_far = f"{state.done}/{self._total or '?'}{self._unit}"
            print(f"{self._what} {how_far}, {state.words}", file=sys.stderr, flush=True)
