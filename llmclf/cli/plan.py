"""`llmclf plan`: how many items, and how many experts each, a study needs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmclf.annotations import Annotation, AnnotationColumns, Kind
from llmclf.cli.columns import AnnotatorColumnOption, ItemColumnOption, LabelColumnOption
from llmclf.cli.common import JsonOption, console, number, progress, split_list
from llmclf.errors import InputError, ScaleError, unknown
from llmclf.levels import Level

if TYPE_CHECKING:
    from llmclf.agreement import Ratings, Undefined
    from llmclf.agreement.planning import Design, Plan
    from llmclf.codebook import Codebook, Question


def plan(
    pilot: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="A table of annotations by a model and two or more experts; repeatable."),
    ],
    margin: Annotated[
        float, typer.Option(help="By how much less than experts the model may agree with experts.")
    ] = 0.1,
    power: Annotated[float, typer.Option(help="The probability with which the study is to show it.")] = 0.8,
    codebook: Annotated[
        Path | None, typer.Option("--codebook", "-c", help="A folder with codebook.toml, or a TOML file.")
    ] = None,
    level: Annotated[Level | None, typer.Option(help="Without a codebook: the level of the labels.")] = None,
    scale: Annotated[
        str | None, typer.Option(help="Without a codebook: all possible labels, in order, separated by commas.")
    ] = None,
    difference: Annotated[
        float | None, typer.Option(help="The true difference to plan for; default: the pilot's.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model's name, in a table of several.")] = None,
    question: Annotated[
        str | None, typer.Option("--question", "-q", help="The question; default: each of the table's.")
    ] = None,
    kind: Annotated[Kind | None, typer.Option(help="What the annotators are, in tables without a column kind.")] = None,
    item_column: ItemColumnOption = "item",
    annotator_column: AnnotatorColumnOption = "annotator",
    label_column: LabelColumnOption = "label",
    replicates: Annotated[int, typer.Option(min=100, help="Studies that are simulated of each size.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulation.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Say how many items show that a model is not inferior to experts, simulated from a pilot.

    Example: llmclf plan --pilot pilot.csv --margin 0.1 --power 0.8 --level ordinal --scale 1,2,3,4,5
    """
    from llmclf.agreement.planning import plan as planned
    from llmclf.codebook import Codebook
    from llmclf.tables import json_text

    columns = AnnotationColumns(item=item_column, annotator=annotator_column, label=label_column, kind=kind)
    labels = split_list(scale) if scale is not None else None
    scales = _Scales(Codebook.load(codebook) if codebook else None, level, labels)
    by_question = _by_question(pilot, columns, scales, question)
    pilots = [_pilot(name, rows, scales, model) for name, rows in by_question.items()]
    found = []
    with progress("simulated", sum(len(each.experts) for each in pilots), "designs") as step:
        for each in pilots:
            plan_of_it = planned(
                each.ratings,
                each.model,
                each.experts,
                margin,
                power,
                difference=difference,
                replicates=replicates,
                seed=seed,
                step=lambda: step(1, 0),
            )
            found.append((each.question, plan_of_it))
    if as_json:
        print(json_text({"questions": [{"question": name, **one.to_dict()} for name, one in found]}))
        return
    for name, one in found:
        _show(name, one)


@dataclass(frozen=True)
class _Pilot:
    question: str
    ratings: "Ratings"
    model: str
    experts: list[str]


@dataclass(frozen=True)
class _Scales:
    """Where the labels' level and scale come from: a codebook, or options."""

    codebook: "Codebook | None"
    level: Level | None
    labels: list[str] | None

    def __post_init__(self) -> None:
        if self.codebook is None and self.level is None:
            raise InputError("the level of the labels is not known", "Give --codebook, or --level and --scale")
        if self.codebook and (self.level or self.labels):
            raise InputError("a codebook says the level and the scale", "Leave out --level and --scale, or --codebook")

    def of(self, question: str) -> tuple[Level, Sequence[str] | None]:
        """Give the level and the scale of a question."""
        if self.codebook is None:
            assert self.level is not None
            return self.level, self.labels
        asked = self._asked(question)
        return asked.level, asked.codes

    def name_of(self, question: str) -> str:
        """Give the question's name; where a table names none, it is the codebook's only one."""
        if question or self.codebook is None or len(self.codebook.questions) > 1:
            return question
        return self.codebook.questions[0].name

    def read(self, question: str, label: str) -> str:
        """Give the label's code."""
        return self._asked(question).read(label) if self.codebook and label else label

    def _asked(self, question: str) -> "Question":
        assert self.codebook is not None
        if not question and len(self.codebook.questions) == 1:
            return self.codebook.questions[0]
        return self.codebook.get(question)


_Placed = tuple[str, Annotation]
"""An annotation after its place, for error messages."""


def _by_question(
    paths: Iterable[Path], columns: AnnotationColumns, scales: _Scales, question: str | None
) -> dict[str, list[_Placed]]:
    rows: dict[str, list[_Placed]] = {}
    for where, annotation in _read(paths, columns):
        name = scales.name_of(annotation.question)
        rows.setdefault(name, []).append((where, annotation))
    if question is None:
        return rows
    if question not in rows:
        raise InputError(unknown("question", question, rows))
    return {question: rows[question]}


def _read(paths: Iterable[Path], columns: AnnotationColumns) -> Iterator[_Placed]:
    from llmclf.annotations import read_annotations

    for path in paths:
        for row, annotation in read_annotations(path, columns):
            yield f"{path}: row {row}", annotation


def _pilot(question: str, rows: Sequence[_Placed], scales: _Scales, model: str | None) -> _Pilot:
    from llmclf.agreement import Rating, Ratings
    from llmclf.annotations import label_text

    about = f"question {question!r}" if question else "the pilot"
    names = {
        kind: list(dict.fromkeys(a.annotator for _, a in rows if a.kind is kind)) for kind in (Kind.MODEL, Kind.EXPERT)
    }
    models, experts = names[Kind.MODEL], names[Kind.EXPERT]
    if model is not None and model not in models:
        raise InputError(f"{about}: {unknown('model', model, models)}")
    if model is None and len(models) != 1:
        named = f"the models {', '.join(models)}" if models else "no annotations of a model"
        raise InputError(f"{about} has {named}", "Choose one with --model" if models else "Add those to --pilot")
    chosen = model or models[0]
    ratings = []
    for where, a in rows:
        if a.annotator != chosen and a.kind is not Kind.EXPERT:
            continue
        try:
            label = scales.read(question, label_text(a.label))
        except ScaleError as error:
            raise ScaleError(f"{where}: {error.message}") from None
        ratings.append(Rating(a.item, a.annotator, label, where))
    return _Pilot(question, Ratings.from_rows(ratings, *scales.of(question)), chosen, experts)


def _show(question: str, found: "Plan | Undefined") -> None:
    from llmclf.agreement import Undefined

    terminal = console()
    if isinstance(found, Undefined):
        terminal.print(f"\n{question or 'pilot'}: undefined: {found.undefined}", markup=False)
        return
    pilot = found.pilot
    terminal.print(
        f"\n{question or 'pilot'}: {found.model} and {len(found.experts)} experts", style="bold", markup=False
    )
    terminal.print(
        f"pilot       difference {number(pilot.value)} ({number(pilot.low)} to {number(pilot.high)}), "
        f"{pilot.n_items} items",
        markup=False,
    )
    terminal.print(
        f"planned for a true difference of {number(found.difference)} with margin {number(found.margin)} "
        f"and power {found.power:.0%}",
        markup=False,
    )
    _show_tables(found)
    for note in found.notes:
        terminal.print(f"note: {note}", markup=False)


def _show_tables(found: "Plan") -> None:
    from rich.table import Table

    terminal = console()
    designs = Table("experts", "se at 100 items", "items needed", "experts' labels", "power", box=None, pad_edge=False)
    for design in found.designs:
        designs.add_row(str(design.n_experts), _error(design.se_at_100_items), *_needed(design))
    terminal.print(designs)
    table = Table(*(f"{power.n_items}" for power in found.table), box=None, pad_edge=False)
    table.add_row(*(number(power.power) for power in found.table))
    worst = max(power.monte_carlo_se for power in found.table)
    terminal.print(f"power by items, with all experts (Monte Carlo error at most {worst:.3f}):")
    terminal.print(table)


def _needed(design: "Design") -> tuple[str, str, str]:
    if design.needed is None:
        return "none do", "", ""
    n = design.needed.n_items
    return f"{n:,}", f"{n * design.n_experts:,}", f"{design.needed.power:.3f} ± {design.needed.monte_carlo_se:.3f}"


def _error(se: float | None) -> str:
    return "" if se is None else f"{se:.3f}"
