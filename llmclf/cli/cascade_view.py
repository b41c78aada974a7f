"""A cascade on a terminal: what it saves first, then what it costs in agreement, and the curve."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmclf.agreement import Coefficient, Undefined
from llmclf.audit.numbers import shown, spoken_interval
from llmclf.ensembles.cascade_report import Agreement, CascadeReport, CurvePoint, Measure

if TYPE_CHECKING:
    from rich.console import Console


def show(report: CascadeReport, points: Sequence[CurvePoint], chosen_by: str, terminal: "Console") -> None:
    """Print what was found, and by which option."""

    def say(line: str) -> None:
        terminal.print(line, markup=False)

    routed = report.n_askable - report.n_kept
    say(f"{report.question}: {report.cheap} where its probability is at least {report.threshold:.4g} (by {chosen_by})")
    say(
        f"{report.n_items:,} items: {report.n_kept:,} by {report.cheap}, {routed:,} by {report.better}; "
        f"{report.saved_calls:.0%} of its calls are saved"
    )
    if report.cost is not None and report.cost_of_better is not None:
        saved = report.cost_of_better - report.cost
        say(
            f"cost: {report.cost:,.4g} in place of {report.cost_of_better:,.4g} for {report.better} alone, "
            f"{saved / report.cost_of_better:.0%} less"
        )
    say(f"kept answers that are those of {report.better}: {_agreement(report.agreement, report.delta)}")
    if report.accuracy and report.macro_f1:
        _show_people(report, report.accuracy, report.macro_f1, terminal)
    show_curve(points, report.delta, terminal)


def _agreement(found: Agreement, delta: float) -> str:
    if found.value is None:
        return "not known, for none of them was asked"
    return f"{shown(found.value, 3)} of {found.n_items:,}, at least {shown(found.bound, 3)} ({1 - delta:.0%} sure)"


def _show_people(report: CascadeReport, accuracy: Measure, macro_f1: Measure, terminal: "Console") -> None:
    from rich.table import Table

    terminal.print(
        f"\nwith people, on the {report.n_people:,} items that they and {report.better} labelled:", markup=False
    )
    table = Table("", report.cheap, report.better, "cascade", "less the better", box=None, pad_edge=False)
    measures = {"accuracy": accuracy, "macro-F1": macro_f1}
    for name, found in measures.items():
        cells = [_value(one) for one in (found.cheap, found.better, found.cascade)]
        table.add_row(name, *cells, _interval(found.difference))
    terminal.print(table)
    for name, found in measures.items():
        if isinstance(found.test, Undefined):
            verdict = f"undefined ({found.test.undefined})"
        else:
            bound = found.test.upper if found.test.verdict == "worse" else found.test.lower
            verdict = f"{found.test.verdict} (one-sided 95 % bound {shown(bound, 3)})"
        terminal.print(f"{name} beside {report.better}, margin {report.margin:g}: {verdict}", markup=False)


def show_curve(points: Sequence[CurvePoint], delta: float, terminal: "Console") -> None:
    """Print what comes of other thresholds."""
    from rich.table import Table

    terminal.print(f"\nby threshold; 'at least' is {1 - delta:.0%} sure, for each threshold alone:", markup=False)
    with_people = any(point.accuracy is not None for point in points)
    with_cost = any(point.cost is not None for point in points)
    names = ["threshold", "kept", "compared", "agree", "at least"]
    names += ["accuracy", "macro-F1"] * with_people + ["cost"] * with_cost
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right")
    for point in points:
        agreement = point.agreement
        cells = [f"{point.threshold:.4g}", f"{point.kept:.0%}", f"{agreement.n_items:,}"]
        cells += ["" if agreement.value is None else shown(agreement.value, 3), shown(agreement.bound, 3)]
        cells += [_three(point.accuracy), _three(point.macro_f1)] * with_people
        cells += [f"{point.cost:,.4g}" if point.cost is not None else ""] * with_cost
        table.add_row(*cells)
    terminal.print(table)


def _three(value: float | None) -> str:
    return "" if value is None else shown(value, 3)


def _value(found: Coefficient) -> str:
    return f"undefined: {found.undefined}" if isinstance(found, Undefined) else shown(found.value, 3)


def _interval(found: Coefficient) -> str:
    if isinstance(found, Undefined):
        return ""
    return spoken_interval(found.value, found.low, found.high, 3)
