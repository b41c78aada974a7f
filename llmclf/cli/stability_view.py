"""The stability of one question's answers on a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmclf.agreement import Coefficient, Undefined
from llmclf.agreement.variance_components import VarianceComponents
from llmclf.audit.numbers import shown, spoken_interval
from llmclf.stability.measures import NAMES, Change, ItemStability
from llmclf.stability.ways import WayAnswers

if TYPE_CHECKING:
    from rich.console import Console


def show(answers: WayAnswers, changes: Sequence[Change], worst: Sequence[ItemStability], terminal: "Console") -> None:
    """Print what each kind of change does, where the variance comes from, and the least stable items."""
    from rich.table import Table

    terminal.print(
        f"{answers.question.name}: {len(answers.items):,} items, asked in {len(answers.ways)} ways; "
        "each answer as it is, without correction",
        markup=False,
    )
    table = Table("change", box=None, pad_edge=False)
    for name in ("flip rate", "flipped", "spread", "alpha"):
        table.add_column(name, justify="right")
    for one in changes:
        table.add_row(
            NAMES[one.kind] if one.n_ways == 1 else f"{one.n_ways} {NAMES[one.kind]}s",
            _interval(one.flip_rate),
            f"{one.n_flipped:,} of {one.n_items:,}",
            _value(one.spread),
            _interval(one.agreement),
        )
    terminal.print(table)
    for one in changes:
        terminal.print(f"variance, {one.kind}: {_shares(one.components)}", markup=False)
    for item in worst:
        if item.flip_rate:
            labels = ", ".join(f"{way}: {label}" for way, label in item.labels.items())
            terminal.print(f"unstable: {item.item}: {item.label}; {labels}", markup=False, overflow="fold")


def _shares(found: VarianceComponents | Undefined) -> str:
    if isinstance(found, Undefined):
        return f"undefined ({found.undefined})"
    return ", ".join(f"{one.name} {one.share:.0%}" for one in found.components)


def _interval(found: Coefficient) -> str:
    if isinstance(found, Undefined):
        return "undefined"
    return spoken_interval(found.value, found.low, found.high)


def _value(found: Coefficient) -> str:
    return "undefined" if isinstance(found, Undefined) else shown(found.value)
