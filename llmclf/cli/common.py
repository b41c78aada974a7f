"""What commands share: options, exit codes, and how things are shown."""

import csv
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmclf.errors import InputError, unknown

if TYPE_CHECKING:
    from rich.console import Console

    from llmclf.agreement import Coefficient
    from llmclf.prompts import Order

SOME_UNLABELLED = 3

BackendOption = Annotated[
    str,
    typer.Option(
        "--backend",
        "-b",
        metavar="URI",
        help="local, local:PATH.gguf, openai:MODEL or http://HOST:PORT/v1#MODEL; for typed decisions decisions:MODEL, "
        "decisions+http://HOST:PORT/v1#MODEL or systemone+http://HOST:PORT/v1#MODEL.",
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
LocalOnlyOption = Annotated[
    bool, typer.Option("--local-only", help="Refuse a backend to which texts would leave this machine.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for a program.")]


def split_list(text: str) -> list[str]:
    """Split at commas; a part that holds one is quoted, as in CSV."""
    return [part.strip() for part in next(csv.reader([text], skipinitialspace=True), [])]


def parse_settings(settings: Iterable[str] | None) -> dict[str, Any]:
    """Read `name=value` settings; numbers become numbers, true and false truth values."""
    parsed: dict[str, Any] = {}
    for setting in settings or ():
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise InputError(f"--setting {setting}: no value", "Write NAME=VALUE, as in --setting context=4096")
        parsed[name.replace("-", "_")] = _value(value)
    return parsed


def parse_order(name: str | None) -> "Order | None":
    """Read an order of the prompt by its name."""
    from llmclf.prompts import ORDERS

    for order in ORDERS:
        if name == order:
            return order
    if name is not None:
        raise InputError(unknown("order", name, ORDERS))
    return None


def _value(text: str) -> bool | int | float | str:
    if text in ("true", "false"):
        return text == "true"
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
    """Write a number with two decimals, and zero without a sign."""
    return "" if value is None else f"{value:.2f}".replace("-0.00", "0.00")


def coefficient_cells(coefficient: "Coefficient") -> tuple[str, str, str]:
    """Give the cells of one coefficient: value, interval, items; or why there is none."""
    from llmclf.agreement import Undefined

    if isinstance(coefficient, Undefined):
        return "", f"undefined: {coefficient.reason}", ""
    interval = (
        "none: " + coefficient.method
        if coefficient.low is None
        else f"{number(coefficient.low)} to {number(coefficient.high)}"
    )
    return number(coefficient.value), interval, str(coefficient.n_items)


@contextmanager
def progress(what: str, total: int | None) -> "Iterator[Callable[[int], None]]":
    """Show progress and speed on standard error: a bar on a terminal, otherwise a line every tenth of the way.

    Gives the function to call after each step, with the number of steps that have failed so far.
    """
    terminal = console(stderr=True)
    if not terminal.is_terminal:
        yield _line_progress(what, total)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    failures = TextColumn("{task.fields[failures]}")
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        failures,
        TimeRemainingColumn(),
        console=terminal,
    ) as bar:
        number = bar.add_task(what, total=total, failures="", rate="")
        (task,) = bar.tasks

        def step(failed: int) -> None:
            failures = f"{failed} without a label" if failed else ""
            # Of the whole way: answers come in bursts.
            rate = f"{(task.completed + 1) / task.elapsed:.1f}/s" if task.elapsed else ""
            bar.update(number, advance=1, failures=failures, rate=rate)

        yield step


def _line_progress(what: str, total: int | None) -> "Callable[[int], None]":
    steps, began = count(1), time.monotonic()
    every = max(1, total // 10) if total else 1000

    def step(failed: int) -> None:
        done = next(steps)
        if done % every == 0 or done == total:
            rate = done / max(time.monotonic() - began, 1e-9)
            failures = f", {failed} without a label" if failed else ""
            print(f"{what} {done}/{total or '?'}, {rate:.1f}/s{failures}", file=sys.stderr, flush=True)

    return step
