"""Label the public conversations of Kumar et al. 2025 with a model, and compare it with the published raters."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from rich.table import Table

from evals import empathy_data as data
from llmclf.agreement import Coefficient, Estimate, Rating, Ratings
from llmclf.agreement.cohen_kappa import weighted_kappa_quadratic
from llmclf.annotations import Annotation, write_annotations
from llmclf.backends.base import Backend
from llmclf.backends.recorded import RecordedBackend
from llmclf.backends.registry import open_backend
from llmclf.classifier import annotate
from llmclf.cli.common import SOME_UNLABELLED, Progress, console, number, progress
from llmclf.codebook import Codebook, number_text
from llmclf.items import Item, Turn
from llmclf.levels import Level
from llmclf.status import Status
from llmclf.store import Store

PROMPTS: Final = Path(__file__).parents[1] / "prompts"
CODEBOOKS: Final = {
    "epitome": "epitome",
    "empatheticdialogues": "empathetic_dialogues",
    "lend_an_ear": "lend_an_ear",
}
"""Folders in `prompts/` by framework: those whose conversations are public."""
EXPERTS: Final = ("expert1", "expert2", "expert3")
OTHERS: Final = {"gemini": "Gemini", "gpt": "GPT-4o", "claude": "Claude", "crowd": "crowd"}
_NOTE = """\
Quadratic weighted kappa with the median of the three experts, and its 95 % interval by jackknife over conversations.
Weights are squared differences of the ratings on the declared scale, in all columns alike; the crowd's rating is the
mean of its members, unrounded. 'experts' is the median kappa of their three pairs; n are the conversations labelled.
Published kappas weight by places among the values that occur, and so can differ: see recompute."""


class Comparison(NamedTuple):
    """How far a model and the published raters agree with the experts in one dimension."""

    framework: str
    dimension: str
    model: Coefficient
    """With the median of the experts, as are `others`."""
    experts: float
    """The median over the three pairs of experts."""
    others: dict[str, Coefficient]
    """By annotator, as `OTHERS` has them."""
    statuses: Counter[Status]
    """What became of the conversations."""


def label(uri: str, out: Path | None, job: Path) -> int:
    """Ask a backend about all conversations and print how far it agrees; the exit code is 3 if some have no label."""
    codebooks = {name: Codebook.load(PROMPTS / folder) for name, folder in CODEBOOKS.items()}
    conversations = data.conversations()
    items = {name: [_item(conversation) for conversation in conversations[name]] for name in CODEBOOKS}
    job.parent.mkdir(parents=True, exist_ok=True)
    backend = RecordedBackend(open_backend(uri), Store(job))
    annotations: list[Annotation] = []
    try:
        total = sum(len(items[name]) * len(codebook.questions) for name, codebook in codebooks.items())
        with progress("labelling", total) as step:
            asked = (a for name, codebook in codebooks.items() for a in annotate(items[name], codebook, backend))
            watched = _watch(asked, annotations, step)
            if out:
                write_annotations(out, watched)
            else:
                for _ in watched:
                    pass
    finally:
        backend.close()
    comparisons = compare(annotations)
    _print(backend, comparisons)
    print(f"{backend.asked} requests asked, {backend.found} answered from the record {job}")
    return 0 if all(c.statuses.total() == c.statuses[Status.OK] for c in comparisons) else SOME_UNLABELLED


def compare(annotations: Iterable[Annotation]) -> list[Comparison]:
    """Compare a model's annotations, which cover all dimensions, with the published ratings."""
    by_dimension: dict[str, list[Annotation]] = {}
    for annotation in annotations:
        by_dimension.setdefault(annotation.question, []).append(annotation)
    return [
        _compare(name, dimension, rated(rows, dimension), by_dimension[dimension])
        for name in CODEBOOKS
        for rows in [data.ratings(name)]
        for dimension in data.FRAMEWORKS[name].dimensions
    ]


def rated(rows: Iterable[data.Row], dimension: str) -> dict[tuple[str, str], float | None]:
    """Give the ratings in one dimension by item and annotator, with `experts`, the median of the three."""
    values = {(row.item, row.annotator): row.value for row in rows if row.dimension == dimension}
    for item in dict.fromkeys(item for item, _ in values):
        of_experts = [value for expert in EXPERTS if (value := values.get((item, expert))) is not None]
        values[item, "experts"] = median(of_experts) if of_experts else None
    return values


def _item(conversation: data.Conversation) -> Item:
    name, turns = conversation
    return Item(name, turns=tuple(Turn(speaker, text) for speaker, text in turns))


def _watch(annotations: Iterable[Annotation], kept: list[Annotation], step: Progress) -> Iterator[Annotation]:
    for annotation in annotations:
        kept.append(annotation)
        step(1, annotation.label is None)
        yield annotation


def _compare(
    framework: str,
    dimension: str,
    values: dict[tuple[str, str], float | None],
    annotations: Sequence[Annotation],
) -> Comparison:
    rows = [Rating(item, who, "" if value is None else number_text(value)) for (item, who), value in values.items()]
    rows += [Rating(each.item, "model", str(each.label or "")) for each in annotations]
    # The scale is what occurs, because the crowd's means are on no declared one; distances are of values all the same.
    ratings = Ratings.from_rows(rows, Level.ORDINAL)

    def kappa(first: str, second: str) -> Coefficient:
        return weighted_kappa_quadratic(ratings.select((first, second)))

    pairs = [kappa(first, second) for first, second in zip(EXPERTS, EXPERTS[1:] + EXPERTS[:1], strict=True)]
    return Comparison(
        framework,
        dimension,
        model=kappa("experts", "model"),
        experts=median(pair.value for pair in pairs if isinstance(pair, Estimate)),
        others={name: kappa("experts", name) for name in OTHERS},
        statuses=Counter(each.status for each in annotations),
    )


def _print(backend: Backend, comparisons: Sequence[Comparison]) -> None:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, title=f"{backend.name} and the experts")
    table.add_column("dimension", max_width=24)
    for heading in ("model", "interval", "experts", *OTHERS.values(), "n"):
        table.add_column(heading, justify="right", no_wrap=True)
    framework = ""
    for c in comparisons:
        if c.framework != framework:
            framework = c.framework
            table.add_row(f"[bold]{data.FRAMEWORKS[framework].title}[/bold]")
        others = (_value(coefficient) for coefficient in c.others.values())
        name = c.dimension.removeprefix("level_").replace("_", " ")
        table.add_row(
            f" {name}", _value(c.model), _interval(c.model), number(c.experts), *others, str(c.statuses[Status.OK])
        )
    terminal = console()
    terminal.print(table)
    terminal.print(_NOTE.replace("\n", " "), markup=False)
    remarks: dict[str, list[str]] = {}
    for c in comparisons:
        if isinstance(c.model, Estimate) and c.model.low is None:
            remarks.setdefault(c.model.method, []).append(c.dimension)
        failures = [f"{count} {status}" for status, count in c.statuses.items() if status is not Status.OK]
        if failures:
            remarks.setdefault(f"without a label: {', '.join(failures)}", []).append(c.dimension)
    for remark, dimensions in remarks.items():
        terminal.print(f"{', '.join(dimensions)}: {remark}", markup=False)


def _value(coefficient: Coefficient) -> str:
    return number(coefficient.value) if isinstance(coefficient, Estimate) else "-"


def _interval(coefficient: Coefficient) -> str:
    if not isinstance(coefficient, Estimate) or coefficient.low is None:
        return "none"
    return f"{number(coefficient.low)}, {number(coefficient.high)}"
