"""The audit of the paper's three models over all 21 dimensions, as a report."""

from collections.abc import Iterator
from pathlib import Path

from evals import empathy_data as data
from llmclf.annotations import Annotation, Kind
from llmclf.audit.compare import audit
from llmclf.audit.report import Audit
from llmclf.audit.sources import Sourced
from llmclf.audit.writing import write_report
from llmclf.codebook import Codebook, Label, Question, number_text

CROWD = "mean of the crowd, rounded"
"""The published rating is a mean, and a mean is seldom a label of the scale."""


def report(folder: Path) -> Audit:
    """Audit the models, and write the report."""
    found = audit(_annotations(), codebook())
    write_report(folder, found)
    print(f"{folder / 'report.html'} is written: {(folder / 'report.html').stat().st_size:,} bytes")
    return found


def codebook() -> Codebook:
    """Make one codebook of all frameworks."""
    return Codebook(
        name="empathic_communication",
        question=tuple(
            Question(
                name=dimension,
                kind="score",
                ask=f"How far does the conversation show {dimension.replace('_', ' ')}? ({framework.title})",
                label=tuple(Label(name=value, value=float(value)) for value in framework.scale),
            )
            for framework in data.FRAMEWORKS.values()
            for dimension in framework.dimensions
        ),
    )


def _annotations() -> Iterator[Sourced]:
    for name in data.FRAMEWORKS:
        for row in data.ratings(name):
            if row.kind == "crowd":
                label = None if row.value is None else number_text(round(row.value))
                yield Sourced(Annotation(row.item, row.dimension, CROWD, Kind.CROWD, label), name)
            else:
                label = None if row.value is None else number_text(row.value)
                yield Sourced(Annotation(row.item, row.dimension, row.annotator, Kind(row.kind), label), name)
