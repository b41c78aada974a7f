"""An audit on a terminal: the verdicts first, then each question."""

from typing import TYPE_CHECKING

from llmclf.agreement import Coefficient, Undefined
from llmclf.audit.fitted_on import kept
from llmclf.audit.numbers import shown, spoken_interval
from llmclf.audit.report import Audit, ModelAudit, QuestionAudit
from llmclf.audit.wording import answers_of, conclusion, models_of, name_of, sentence
from llmclf.cli.common import number
from llmclf.stability.measures import NAMES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_SHOWN_WORST = 3


def show(audit: Audit, terminal: "Console", *, details: bool) -> None:
    """Print what was found; with details, of each question who agrees with whom."""
    for warning in audit.warnings:
        terminal.print(f"warning: {warning}", markup=False)
    for annotator in models_of(audit):
        terminal.print(f"\n{conclusion(audit, annotator)}", style="bold", markup=False)
        terminal.print(_verdicts(audit, annotator))
    if details:
        for question in audit.questions:
            _question(question, terminal)


def _verdicts(audit: Audit, annotator: str) -> "Table":
    table = _table("question", "model", "experts", "difference", "bound", no_wrap=("verdict",))
    for question, model in answers_of(audit, annotator):
        found = model.non_inferiority
        compared, test = found.comparison, found.these_experts
        bound = None if isinstance(test, Undefined) else test.lower
        values = [_value(one) for one in (compared.agreement, compared.reference, compared.difference)]
        table.add_row(question.question, *values, "" if bound is None else shown(bound, 3), found.verdict)
    return table


def _value(coefficient: Coefficient) -> str:
    return "" if isinstance(coefficient, Undefined) else shown(coefficient.value)


def _question(question: QuestionAudit, terminal: "Console") -> None:
    terminal.print(f"\n{question.question} ({question.kind}; {', '.join(question.scale)})", style="bold", markup=False)
    for warning in question.warnings:
        terminal.print(f"warning: {warning}", markup=False)
    people = _table("people among themselves", "items", "agreement", "alpha")
    for group in question.people:
        found = group.coefficients
        people.add_row(
            f"{group.n_annotators} {group.kind}",
            str(group.n_items),
            _cell(found["percent_agreement"]),
            _cell(found["krippendorff_alpha"]),
        )
    terminal.print(people)
    for model in question.models:
        terminal.print(_beside(question, model))
        _model(question, model, terminal)


def _beside(question: QuestionAudit, model: ModelAudit) -> "Table":
    beside = _table(f"{model.annotator} and", "items", "agreement", name_of(question.coefficient))
    for one in model.against:
        agreement = _cell(one.coefficients["percent_agreement"])
        beside.add_row(f"{one.kind}: {one.annotator}", str(one.n_items), agreement, _cell(one.agreement))
        if one.baseline:
            found = one.baseline.coefficients
            cells = [_cell(found[name]) for name in ("percent_agreement", question.coefficient)]
            beside.add_row(f"  if always {one.baseline.label}", str(one.n_items), *cells)
    return beside


def _model(question: QuestionAudit, model: ModelAudit, terminal: "Console") -> None:
    total = sum(model.statuses.values())
    statuses = ", ".join(f"{count} {status}" for status, count in model.statuses.items())
    shares = ", ".join(f"{label} {share:.0%}" for label, share in model.label_shares.items())
    terminal.print(sentence(question, model), markup=False)
    terminal.print(f"labels: {shares}  ({total} items: {statuses})", markup=False)
    if said := kept(model.annotator, model.fitted_on):
        terminal.print(said, markup=False)
    if model.changes:
        rates = ", ".join(f"{NAMES[change.kind]} {_value(change.flip_rate)}" for change in model.changes)
        terminal.print(f"labels that change when asked again or otherwise: {rates}", markup=False)
    for one in model.against:
        if one.ties:
            terminal.print(f"{one.ties} left out: the {one.kind} has no single label for them")
    for worst in model.worst_items[:_SHOWN_WORST]:
        people = ", ".join(f"{label} {count}" for label, count in worst.people.items())
        sure = f" ({number(worst.probability)})" if worst.probability is not None else ""
        terminal.print(f"worst: {worst.item}: model {worst.label}{sure}, people {people}", markup=False)
        if worst.text:
            terminal.print(f"  {worst.text}", markup=False, no_wrap=True, overflow="ellipsis")


def _table(*columns: str, no_wrap: tuple[str, ...] = ()) -> "Table":
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, show_edge=False, expand=True)
    for name in no_wrap:
        table.add_column(name, no_wrap=True)
    return table


def _cell(coefficient: Coefficient) -> str:
    if isinstance(coefficient, Undefined):
        return f"undefined: {coefficient.undefined}"
    return spoken_interval(coefficient.value, coefficient.low, coefficient.high)
