"""The section on stability: whether a model says the same when it is asked again, or in another way."""

from collections.abc import Iterator, Sequence

from llmclf.agreement import Undefined
from llmclf.agreement.variance_components import VarianceComponents
from llmclf.audit.page import Block, Paragraph, Section, Table
from llmclf.audit.plots.variance_bars import Component, VarianceBars, variance_bars
from llmclf.audit.report import Audit, Stability
from llmclf.audit.views import VALUES, answers, columns, figures, name_in, number_cells, reason
from llmclf.stability.measures import NAMES, Change


def stability(audit: Audit) -> Section:
    """Whether the model says the same again."""
    named = [(name_in(audit, answer), answer[1]) for answer in answers(audit)]
    repeated = [(name, model.stability) for name, model in named if model.stability]
    changed = [(name, change) for name, model in named for change in model.changes]
    parts = [(name, one.components) for name, one in repeated]
    parts += [(f"{name}, {NAMES[one.kind]}", one.components) for name, one in changed]
    known = [(name, components) for name, components in parts if isinstance(components, VarianceComponents)]
    bars = [
        (name, VarianceBars(name, tuple(Component(c.name, c.variance.value, c.share) for c in components.components)))
        for name, components in known
    ]
    blocks = figures(
        bars, variance_bars, "Shares of the variance of one answer. Items are what should vary.", two_sizes=True
    )
    if changed:
        blocks += _of_changes(changed)
    if repeated:
        blocks.append(_of_repeats(repeated))
    if known:
        blocks.append(_of_variance(known))
    blocks += [
        Paragraph(f"{name}: no components: {one.undefined}.") for name, one in parts if isinstance(one, Undefined)
    ]
    if not blocks:
        blocks.append(
            Paragraph(
                "Each model was asked once, in one way. Give its job after `llmclf stability`, or tables with a column "
                "prompt or run."
            )
        )
    lead = "Whether the model says the same when it is asked again, or in another way."
    return Section("stability", "Stability", lead, tuple(blocks))


def _of_changes(changed: Sequence[tuple[str, Change]]) -> Iterator[Block]:
    flips = [
        (name, NAMES[one.kind], one.n_ways, one.n_items, one.n_flipped, *number_cells(one.flip_rate))
        for name, one in changed
    ]
    yield Table(
        "Flip rate: how often the label in another way of asking is not that of the plain question",
        columns("Question", "Change", "Ways:0", "Items:0", "Flipped:0", *VALUES),
        tuple(flips),
    )
    measures = [
        (name, NAMES[one.kind], what, *number_cells(value), reason(value))
        for name, one in changed
        for what, value in (("spread", one.spread), ("Krippendorff's alpha", one.agreement))
    ]
    yield Table(
        "Spread of probabilities, and agreement of all ways",
        columns("Question", "Change", "Measure", *VALUES, "Note"),
        tuple(measures),
    )
    yield Paragraph(
        "Each answer is taken as it is, without the policy's correction, and compared with that to the plain question. "
        "Flipped items have another label in at least one way. The spread is the total variation between probabilities."
    )


def _of_repeats(repeated: Sequence[tuple[str, Stability]]) -> Table:
    rows = [
        (name, what, count, *number_cells(rate), reason(rate))
        for name, one in repeated
        for what, count, rate in (
            ("runs", one.n_runs, one.flip_rate_of_runs),
            ("prompts", one.n_prompts, one.flip_rate_of_prompts),
        )
    ]
    heads = columns("Question", "Between", "Number:0", *VALUES, "Note")
    return Table("Flip rate: how often two answers about an item differ", heads, tuple(rows))


def _of_variance(known: Sequence[tuple[str, VarianceComponents]]) -> Table:
    rows = [
        (name, one.name, *number_cells(one.variance), 100 * one.share)
        for name, components in known
        for one in components.components
    ]
    heads = columns("Question", "Source", "Variance:4", "Low:4", "High:4", "Share, %:0")
    return Table("Variance components of one answer", heads, tuple(rows))
