"""The Alternative Annotator Test for LLM-as-a-Judge: How to Statistically Justify Replacing Human Annotators with LLMs.

Nitay Calderon, Roi Reichart, Rotem Dror. 2025.
https://arxiv.org/abs/2501.10970

Data: https://github.com/nitaytech/AltTest

    python -m evals.alt_test    # every winning rate and advantage probability, beside those of the authors' code
"""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from evals.datasets import find
from llmclf.agreement import Rating, Ratings, Undefined
from llmclf.agreement.alternative_annotator import AlternativeAnnotatorTest, InPlaceOf, alternative_annotator_test
from llmclf.errors import LlmclfError
from llmclf.levels import Level

LEVELS: Final = {
    "wax": Level.NOMINAL,
    "mtbench": Level.NOMINAL,
    "framing": Level.NOMINAL,
    "cebab_aspects": Level.NOMINAL,
    "cebab_stars": Level.INTERVAL,
}
"""By dataset. The authors score all of them by accuracy, but cebab_stars by negative RMSE."""
SAME: Final = 1e-9
"""Results that differ by less differ by rounding only."""


class Reference(NamedTuple):
    """What the authors' code gives for one model on one dataset."""

    dataset: str
    model: str
    epsilon: float
    n_annotators: int
    winning_rate: float
    advantage_probability: float


class Comparison(NamedTuple):
    """Ours beside the authors'."""

    reference: Reference
    ours: AlternativeAnnotatorTest

    @property
    def matches(self) -> bool:
        """Whether winning rate, advantage probability and the number of annotators are the same."""
        theirs = self.reference
        return (
            len(self.ours.annotators) == theirs.n_annotators
            and abs(self.ours.at(theirs.epsilon).winning_rate - theirs.winning_rate) < SAME
            and abs(self.ours.advantage_probability - theirs.advantage_probability) < SAME
        )

    def differing_annotators(self, per_annotator: dict[tuple[str, str, str], dict[str, str]]) -> list[str]:
        """Name the annotators whose numbers of items, shares, p-value or outcome differ."""
        theirs = self.reference
        outcome = self.ours.at(theirs.epsilon)
        return [
            annotator.annotator
            for annotator, p, wins in zip(self.ours.annotators, outcome.p, outcome.wins, strict=True)
            if not _same(annotator, p, wins, per_annotator.get((theirs.dataset, theirs.model, annotator.annotator)))
        ]


def compare() -> list[Comparison]:
    """Test all models on all datasets."""
    tables = {dataset: _ratings(dataset) for dataset in LEVELS}
    comparisons = []
    for reference in _references():
        ratings, people = tables[reference.dataset]
        ours = alternative_annotator_test(ratings, reference.model, people)
        if isinstance(ours, Undefined):
            raise LlmclfError(f"{reference.dataset}: {ours.undefined}")
        comparisons.append(Comparison(reference, ours))
    return comparisons


def run() -> int:
    """Print ours beside theirs; the exit code is 1 if one differs."""
    comparisons, per_annotator = compare(), _per_annotator()
    table = Table(title="Winning rate and advantage probability, ours and the authors'")
    for heading in ("dataset", "model"):
        table.add_column(heading, no_wrap=True)
    for heading in ("epsilon", "winning", "theirs", "advantage", "theirs", "passes from", "annotators alike"):
        table.add_column(heading, justify="right")
    alike = total = 0
    for c in comparisons:
        differing = c.differing_annotators(per_annotator)
        n = len(c.ours.annotators)
        alike, total = alike + n - len(differing), total + n
        passes_from = next((epsilon for epsilon, rate in c.ours.curve() if rate >= 0.5), None)
        table.add_row(
            c.reference.dataset,
            c.reference.model,
            f"{c.reference.epsilon:g}",
            f"{c.ours.at(c.reference.epsilon).winning_rate:.4f}",
            f"{c.reference.winning_rate:.4f}",
            f"{c.ours.advantage_probability:.6f}",
            f"{c.reference.advantage_probability:.6f}",
            "none" if passes_from is None else f"{passes_from:.2f}",
            f"{n - len(differing)} of {n}",
        )
    Console(width=125).print(table)
    matching = sum(c.matches for c in comparisons)
    print(f"{matching} of {len(comparisons)} winning rates and advantage probabilities match")
    print(f"{alike} of {len(per_annotator)} annotators match")
    return 0 if matching == len(comparisons) and alike == total == len(per_annotator) else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; give its exit code."""
    argparse.ArgumentParser(prog="python -m evals.alt_test", description=(__doc__ or "").splitlines()[0]).parse_args(
        arguments
    )
    try:
        return run()
    except LlmclfError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _ratings(dataset: str) -> tuple[Ratings, list[str]]:
    """Read the labels of people and models, and the people's names."""
    folder = find("alttest") / dataset
    labels: dict[str, dict[str, dict[str, str | int]]] = {
        kind: json.loads((folder / f"{kind}_annotations.json").read_text(encoding="utf-8")) for kind in ("human", "llm")
    }
    rows = [
        Rating(item, annotator, str(label))
        for of_kind in labels.values()
        for annotator, by_item in of_kind.items()
        for item, label in by_item.items()
    ]
    return Ratings.from_rows(rows, LEVELS[dataset]), list(labels["human"])


def _references() -> list[Reference]:
    with (find("alttest") / "reference_results.csv").open(encoding="utf-8", newline="") as opened:
        return [
            Reference(
                line["dataset"],
                line["llm"],
                float(line["epsilon"]),
                int(line["n_annotators"]),
                float(line["winning_rate"]),
                float(line["advantage_prob"]),
            )
            for line in csv.DictReader(opened)
        ]


def _per_annotator() -> dict[tuple[str, str, str], dict[str, str]]:
    with (find("alttest") / "reference_per_annotator.csv").open(encoding="utf-8", newline="") as opened:
        return {(line["dataset"], line["llm"], line["annotator"]): line for line in csv.DictReader(opened)}


def _same(annotator: InPlaceOf, p: float, wins: bool, line: dict[str, str] | None) -> bool:
    return (
        line is not None
        and annotator.n_items == int(line["n_instances"])
        and abs(annotator.model - float(line["rho_llm"])) < SAME
        and abs(annotator.human - float(line["rho_human"])) < SAME
        and abs(p - float(line["p_value"])) < SAME
        and wins == (line["rejected"] == "True")
    )


if __name__ == "__main__":
    raise SystemExit(main())
