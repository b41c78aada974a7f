"""When Large Language Models are Reliable for Judging Empathic Communication.

Aakriti Kumar, Nalin Poungpeth, Diyi Yang, Erina Farrell, Bruce Lambert, Matthew Groh. 2025.
https://arxiv.org/abs/2506.10150

Data: https://github.com/aakriti1kumar/replication-data-and-code-when-LLMs-reliable-empathic-communication

    python -m evals.empathy recompute                # the 126 published kappas and p-values, from the raw annotations
    python -m evals.empathy audit                    # the same, the kappas on the declared scale, and 21 verdicts
    python -m evals.empathy label --backend local    # a model's labels of the 150 public conversations, beside them
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from evals import empathy_data as data
from evals import empathy_verdicts
from evals.empathy_label import label, rated
from evals.empathy_report import report
from llmclf.agreement import Estimate, Rating, Ratings
from llmclf.agreement.cohen_kappa import Distance, weighted_kappa_quadratic
from llmclf.agreement.intervals import wald_p
from llmclf.codebook import number_text
from llmclf.errors import LlmclfError
from llmclf.levels import Level

PAIRS = (
    ("expert1", "expert2"),
    ("expert2", "expert3"),
    ("expert3", "expert1"),
    ("experts", "llm"),
    ("experts", "crowd"),
    ("llm", "crowd"),
)


class Comparison(NamedTuple):
    """A published coefficient beside the recomputed one, rounded as the publication rounds."""

    published: data.Published
    kappa: float
    z: float
    p: float

    @property
    def kappa_matches(self) -> bool:
        """Whether the kappas are equal."""
        return self.kappa == self.published.kappa

    @property
    def z_matches(self) -> bool:
        """Whether the test statistics are equal."""
        return self.z == self.published.z

    @property
    def p_matches(self) -> bool:
        """Whether the p-values are equal."""
        return self.p == self.published.p

    @property
    def matches(self) -> bool:
        """Whether all three are."""
        return self.kappa_matches and self.z_matches and self.p_matches


def compare(distance: Distance = "observed-index") -> list[Comparison]:
    """Recompute every published kappa: as the paper did, or with distances of the ratings themselves.

    The paper weights by the squared distance of positions among the values that the pair uses, and takes
    z = kappa / its large-sample standard error.
    """
    tables = {
        (name, dimension): _as_published(rows, dimension)
        for name, framework in data.FRAMEWORKS.items()
        for rows in [data.ratings(name)]
        for dimension in framework.dimensions
    }
    return [_compare(row, tables[row.framework, row.dimension], distance) for row in data.published()]


def recompute() -> int:
    """Print the recomputed kappas beside the published ones; the exit code is 1 if one differs."""
    comparisons = compare()
    _print(comparisons, "Quadratic kappa (p)")
    for c in comparisons:
        if not c.matches:
            ours = f"kappa {c.kappa:.2f}, z {c.z:.3f}, p {c.p:.3f}"
            theirs = f"kappa {c.published.kappa:.2f}, z {c.published.z:.3f}, p {c.published.p:.3f}"
            print(f"{c.published.dimension}, {', '.join(c.published.pair)}: {ours}; published are {theirs}")
    n = len(comparisons)
    print(f"{sum(c.z_matches for c in comparisons)} of {n} z statistics match")
    kappas, ps = sum(c.kappa_matches for c in comparisons), sum(c.p_matches for c in comparisons)
    print(f"{kappas} of {n} kappas and {ps} of {n} p-values match")
    return 0 if all(c.matches for c in comparisons) else 1


def audit(out: Path) -> int:
    """Print the published kappas, those of the declared scale, and what they say of Gemini; exits as `recompute`."""
    exit_code = recompute()
    on_scale = compare("declared")
    _print(on_scale, "The same on the declared scale; ! differs from the published")
    differing = [c for c in on_scale if not c.kappa_matches]
    pairs = Counter(" and ".join(c.published.pair) for c in differing)
    where = ", ".join(f"{count} of {pair}" for pair, count in pairs.most_common())
    print(f"{len(differing)} of {len(on_scale)} kappas differ on the declared scale: {where}")
    empathy_verdicts.show()
    report(out)
    return exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; give its exit code."""
    parser = argparse.ArgumentParser(prog="python -m evals.empathy", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("recompute", help="the 126 published kappas and p-values, from the raw annotations")
    command.set_defaults(run=lambda _: recompute())
    command = commands.add_parser("audit", help="the same, the kappas on the declared scale, and 21 verdicts on Gemini")
    folder = Path("out/empathy")
    command.add_argument("--out", type=Path, default=folder, help=f"the folder of the report; default: {folder}")
    command.set_defaults(run=lambda chosen: audit(chosen.out))
    command = commands.add_parser("label", help="label the public conversations, and compare with experts and others")
    command.add_argument("--backend", required=True, metavar="URI", help="as llmclf takes it: local, openai:MODEL, ...")
    command.add_argument("--out", type=Path, metavar="FILE", help="the table of annotations to write")
    job = Path("out/empathy.job.sqlite")
    command.add_argument("--job", type=Path, metavar="FILE", default=job, help=f"the record of replies; default: {job}")
    command.set_defaults(run=lambda chosen: label(chosen.backend, chosen.out, chosen.job))
    chosen = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = chosen.run
    try:
        return run(chosen)
    except LlmclfError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _as_published(rows: list[data.Row], dimension: str) -> Ratings:
    """Make the paper's annotators of ours, `experts` the median of the three and `llm` Gemini, in hundredths."""
    values = rated(rows, dimension)
    for item in {item for item, _ in values}:
        values[item, "llm"] = values[item, "gemini"]
    hundredths = (
        Rating(item, annotator, "" if value is None else number_text(round(100 * value)))
        for (item, annotator), value in values.items()
    )
    return Ratings.from_rows(hundredths, Level.ORDINAL)


def _compare(published: data.Published, table: Ratings, distance: Distance) -> Comparison:
    kappa = weighted_kappa_quadratic(table.select(published.pair), distance, interval="closed-form")
    if not isinstance(kappa, Estimate) or kappa.se is None or (p := wald_p(kappa)) is None:
        return Comparison(published, float("nan"), float("nan"), float("nan"))
    return Comparison(published, round(kappa.value, 2), round(kappa.value / kappa.se, 3), round(p, 3))


def _print(comparisons: Sequence[Comparison], title: str) -> None:
    found = {(c.published.framework, c.published.dimension, c.published.pair): c for c in comparisons}
    table = Table("dimension", *("\n".join(pair) for pair in PAIRS), title=title)
    for name, framework in data.FRAMEWORKS.items():
        table.add_section()
        table.add_row(f"[bold]{framework.title}[/bold]")
        for dimension in framework.dimensions:
            table.add_row(dimension, *(_cell(found[name, dimension, pair]) for pair in PAIRS))
    Console(width=135).print(table)


def _cell(comparison: Comparison) -> str:
    text = f"{comparison.kappa + 0.0:.2f} ({comparison.p:.3f})"  # + 0 makes -0 plain
    return text if comparison.matches else f"[red]{text} ![/red]"


if __name__ == "__main__":
    raise SystemExit(main())
