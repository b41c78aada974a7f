"""Labels by policies that were fitted to labelled examples: those of the examples themselves prove nothing."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from llmclf.annotations import FittedOn
from llmclf.audit.sources import Sourced


def comparable(row: Sourced) -> Sourced:
    """Give a row as it may be held against people: where the policy was fitted to the item's own label, without any."""
    if row.annotation.fitted_on != "itself":
        return row
    annotation = replace(row.annotation, label=None, probability=None, probabilities={})
    return replace(row, annotation=annotation)


def fitted_on(rows: Iterable[Sourced]) -> dict[FittedOn, int]:
    """Count a model's answers about labelled examples, by what the policy was fitted to when it decided on them."""
    return dict(Counter(row.annotation.fitted_on for row in rows if row.annotation.fitted_on))


def left_out(model: str, counts: dict[FittedOn, int]) -> str:
    """Say how many answers are left out, and why; nothing where none are."""
    if not (count := counts.get("itself")):
        return ""
    return (
        f"{count:,} answers of {model} are left out of all comparisons with people: its policy was fitted to the "
        "labels of these very items, so that agreement on them proves nothing"
    )


def kept(model: str, counts: dict[FittedOn, int]) -> str:
    """Say how many answers about labelled examples are compared, and why they may be; nothing where none are."""
    if not (count := counts.get("others")):
        return ""
    return (
        f"{count:,} answers of {model} about labelled examples are compared with people: "
        "each was decided on by a fit to the other examples alone"
    )
