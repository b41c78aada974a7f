"""`llmclf audit`: models beside people, question by question."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmclf.annotations import AnnotationColumns, Kind
from llmclf.cli.common import JsonOption, console, number, split_list

if TYPE_CHECKING:
    from rich.table import Table

    from llmclf.audit.compare import Sourced
    from llmclf.audit.report import Coefficients, ModelAudit, QuestionAudit, ServedPlan

_SHOWN_WORST = 3


def audit(
    tables: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Tables of annotations: the model's and people's.")
    ],
    codebook: Annotated[Path, typer.Option("--codebook", "-c", help="A folder with codebook.toml, or a TOML file.")],
    kind: Annotated[Kind | None, typer.Option(help="What the annotators are, in tables without a column kind.")] = None,
    question: Annotated[
        str, typer.Option("--question", "-q", help="The question, in tables without a column question.")
    ] = "",
    item_column: Annotated[str, typer.Option(help="The column with the items' ids.")] = "item",
    annotator_column: Annotated[str, typer.Option(help="The column with the annotators' names.")] = "annotator",
    label_column: Annotated[str, typer.Option(help="The column with the labels.")] = "label",
    question_columns: Annotated[
        str,
        typer.Option(
            metavar="A,B=QUESTION,...",
            help="One row is a form: the columns with the answers to questions of these names.",
        ),
    ] = "",
    job: Annotated[
        list[Path] | None, typer.Option(metavar="JOB", help="The model's --job, to see whether it changed; repeatable.")
    ] = None,
    items: Annotated[Path | None, typer.Option(help="The annotated table, for the worst items' texts.")] = None,
    id_column: Annotated[str, typer.Option(help="In --items, the column with the ids.")] = "id",
    text_column: Annotated[str, typer.Option(help="In --items, the column with the texts.")] = "text",
    as_json: JsonOption = False,
) -> None:
    """Compare a model's labels with people's, with 95 % intervals over items.

    A table that `llmclf annotate` wrote is read as it is; the column options say where other tables hold theirs.

    Example: llmclf audit labels.csv crowd.csv --codebook prompts/sentiment --kind crowd
    """
    from llmclf.audit.compare import audit as compare
    from llmclf.codebook import Codebook
    from llmclf.served import change

    columns = AnnotationColumns(
        item=item_column,
        annotator=annotator_column,
        label=label_column,
        questions=tuple(_question_column(name) for name in split_list(question_columns)),
        kind=kind,
        question=question,
    )
    book = Codebook.load(codebook)
    texts = _texts(items, id_column, text_column) if items else {}
    found = compare(_annotations(tables, columns), book, texts)
    found = found.model_copy(update={"served": [plan for path in job or () for plan in _served(path)]})
    if as_json:
        print(found.model_dump_json())
        return
    for plan in found.served:
        if changed := change(plan.models):
            console().print(f"warning: {plan.job}, plan {plan.plan}: {changed}", markup=False)
    for audited in found.questions:
        _show(audited)


def _question_column(name: str) -> tuple[str, str]:
    column, equals, question = name.partition("=")
    return column, question if equals else column


def _annotations(tables: Sequence[Path], columns: AnnotationColumns) -> "Iterator[Sourced]":
    from llmclf.annotations import COLUMNS, read_annotations
    from llmclf.audit.compare import Sourced
    from llmclf.tables import read_rows

    for path in tables:
        is_ours = set(COLUMNS) <= set(next(read_rows(path)))
        for row, annotation in read_annotations(path, AnnotationColumns() if is_ours else columns):
            yield Sourced(annotation, f"{path}: row {row}")


def _served(path: Path) -> "Iterator[ServedPlan]":
    from llmclf.audit.report import ServedPlan
    from llmclf.job_file import JobFile, open_records

    with open_records(path) as records:
        file = JobFile(records)
        for plan, its in file.plans.items():
            yield ServedPlan(job=str(path), plan=plan, annotator=its.annotator, models=file.served(plan))


def _texts(path: Path, id_column: str, text_column: str) -> dict[str, str]:
    from llmclf.items import ItemColumns, read_items

    return {item.id: item.text for item in read_items(path, ItemColumns(id=id_column, text=text_column))}


def _show(audited: "QuestionAudit") -> None:
    terminal = console()
    terminal.print(f"\n{audited.question} ({audited.kind}; {', '.join(audited.scale)})", style="bold", markup=False)
    kappa = "weighted_kappa_quadratic" if audited.kind == "score" else "cohen_kappa"
    people = _table("people among themselves", "items", "agreement", "alpha")
    for group in audited.people:
        _row(people, f"{group.n_annotators} {group.kind}", group.n_items, group.coefficients, "krippendorff_alpha")
    terminal.print(people)
    for model in audited.models:
        beside = _table(
            f"{model.annotator} and", "items", "agreement", "weighted kappa" if audited.kind == "score" else "kappa"
        )
        for comparison in model.against:
            who = f"{comparison.kind}: {comparison.annotator}"
            _row(beside, who, comparison.n_items, comparison.coefficients, kappa)
            if comparison.baseline:
                _row(
                    beside,
                    f"  if always {comparison.baseline.label}",
                    comparison.n_items,
                    comparison.baseline.coefficients,
                    kappa,
                )
        terminal.print(beside)
        _show_model(model)


def _table(*columns: str) -> "Table":
    from rich.table import Table

    return Table(*columns, box=None, pad_edge=False, show_edge=False, expand=True)


def _row(table: "Table", name: str, n_items: int, coefficients: "Coefficients", second: str) -> None:
    table.add_row(name, str(n_items), *(_cell(coefficients[each]) for each in ("percent_agreement", second)))


def _cell(coefficient: Mapping[str, Any]) -> str:
    if "undefined" in coefficient:
        return f"undefined: {coefficient['undefined']}"
    if coefficient["low"] is None:
        return number(coefficient["value"])
    return f"{number(coefficient['value'])} ({number(coefficient['low'])} to {number(coefficient['high'])})"


def _show_model(model: "ModelAudit") -> None:
    terminal = console()
    total = sum(model.statuses.values())
    statuses = ", ".join(f"{count} {status}" for status, count in model.statuses.items())
    shares = ", ".join(f"{label} {share:.0%}" for label, share in model.label_shares.items())
    terminal.print(f"labels: {shares}  ({total} items: {statuses})", markup=False)
    for comparison in model.against:
        if comparison.ties:
            terminal.print(f"{comparison.ties} left out: the {comparison.kind} has no single label for them")
    for worst in model.worst_items[:_SHOWN_WORST]:
        people = ", ".join(f"{label} {count}" for label, count in worst.people.items())
        sure = f" ({number(worst.probability)})" if worst.probability is not None else ""
        terminal.print(f"worst: {worst.item}: model {worst.label}{sure}, people {people}", markup=False)
        if worst.text:
            terminal.print(f"  {worst.text}", markup=False, no_wrap=True, overflow="ellipsis")
