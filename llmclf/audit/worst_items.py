"""The items on which people agree among themselves, and not with the model."""

from collections.abc import Callable, Mapping

from llmclf.annotations import label_text
from llmclf.audit.labels import Labels
from llmclf.audit.report import RecordOfAnswer, WorstItem
from llmclf.audit.sources import Sourced

MOST = 10

Lookup = Callable[[str, int], RecordOfAnswer]


def worst_items(labels: Labels, model: str, texts: Mapping[str, str], record: Lookup | None) -> list[WorstItem]:
    """Rank items by how much surer people are of their label than of the model's, then by its probability."""

    def badness(row: Sourced) -> tuple[float, float]:
        counts = labels.label_counts(row.annotation.item)
        gap = max(counts.values()) - counts[label_text(row.annotation.label)]
        return gap / counts.total(), row.annotation.probability or 0.0

    judged = [
        row
        for row in labels.own_rows(model)
        if row.annotation.label is not None and row.annotation.item in labels.of_people
    ]
    ranked = sorted(((badness(row), at) for at, row in enumerate(judged)), key=lambda one: (-one[0][0], -one[0][1]))
    worst = [judged[at] for (gap, _), at in ranked[:MOST] if gap > 0]
    return [
        WorstItem(
            item=row.annotation.item,
            label=label_text(row.annotation.label),
            probability=row.annotation.probability,
            people=dict(labels.label_counts(row.annotation.item).most_common()),
            labels=labels.of_people[row.annotation.item],
            text=texts.get(row.annotation.item),
            rationale=row.annotation.rationale,
            records=[record(row.job, number) for number in row.replies] if record else [],
        )
        for row in worst
    ]
