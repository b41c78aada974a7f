"""Tables that a person can read, and which targets are met."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from evals.throughput_ceiling import MANY_LABELS, Ceiling
from evals.throughput_memory import Memory
from evals.throughput_rows import BEST_ONLY, CHOSEN, OURS, SHIPPED, Row
from evals.throughput_works import Work

SHORT = ("clickbait", "amazon", "cebab")


@dataclass(frozen=True)
class Found:
    """All that was measured with one model."""

    model: str
    ceilings: Mapping[str, Ceiling]
    """By layout."""
    rows: Sequence[Row]
    memory: Sequence[Memory]

    def rate(self, work: str, peer: str, layout: str) -> float | None:
        """Give one rate, if it was measured; a peer's on the file that both layouts share counts for both."""
        same = self.ceilings[CHOSEN].path == self.ceilings[SHIPPED].path
        layouts = (layout, SHIPPED) if same and peer != OURS else (layout,)
        rows = (row for row in self.rows if (row.work, row.peer) == (work, peer) and row.layout in layouts)
        return next((row.rate for row in rows if row.rate), None)

    def fastest(self, work: str, layout: str) -> tuple[str, float] | None:
        """Give the fastest peer and its rate."""
        peers = {r.peer for r in self.rows if r.work == work and not r.peer.startswith(OURS)}
        rates = {peer: rate for peer in peers if (rate := self.rate(work, peer, layout))}
        return max(rates.items(), key=lambda one: one[1], default=None)

    def share(self, work: str) -> float | None:
        """Give llmclf's share of the ceiling."""
        ours = self.rate(work, OURS, CHOSEN)
        return ours and ours / self.ceilings[CHOSEN].rate(work)


@dataclass(frozen=True)
class Target:
    """What is to be reached, and what was."""

    text: str
    least: float
    reached: Sequence[tuple[str, float]]
    """Of what, and how much; the least of them counts."""

    def __str__(self) -> str:
        """Say it in one line."""
        if not self.reached:
            return f"not measured  {self.text}"
        figures = ", ".join(f"{value:.2f} ({what})" for what, value in self.reached)
        is_met = min(value for _, value in self.reached) >= self.least
        return f"{'met' if is_met else 'not met':<13} {self.text}: {figures}"


def targets(found: Found) -> Iterator[Target]:
    """Give all targets of one model."""

    def beside(work: str, ours: str, peer: str | None, layout: str) -> list[tuple[str, float]]:
        mine = found.rate(work, ours, CHOSEN)
        if peer is None:
            theirs = found.fastest(work, layout)
        else:
            theirs = (peer, rate) if (rate := found.rate(work, peer, layout)) else None
        return [(f"{work}, {theirs[0]}", mine / theirs[1])] if mine and theirs else []

    def fastest(works: Sequence[str], layout: str) -> list[tuple[str, float]]:
        return [one for work in works for one in beside(work, OURS, None, layout)]

    def shares(works: Sequence[str]) -> list[tuple[str, float]]:
        return [(work, share) for work in works if (share := found.share(work))]

    yield Target("short texts, at least 0.85 of the ceiling", 0.85, shares(SHORT))
    yield Target("short texts, at least 6 x the fastest peer as shipped", 6, fastest(SHORT, SHIPPED))
    yield Target("short texts, at least 1.5 x the fastest peer in the same layout", 1.5, fastest(SHORT, CHOSEN))
    yield Target("77 labels, at least 0.8 of the ceiling", 0.8, shares([MANY_LABELS]))
    yield Target("77 labels, at least 6 x outlines", 6, beside(MANY_LABELS, OURS, "outlines", SHIPPED))
    best = [one for name in BEST_ONLY for one in beside(MANY_LABELS, name, "guidance", SHIPPED)][:1]
    yield Target("77 labels, the best only, at least 3 x guidance", 3, best)
    yield Target("long texts, at least 6 x the fastest peer as shipped", 6, fastest(["long"], SHIPPED))
    yield Target("replies, at least 3 x outlines", 3, beside("generation", OURS, "outlines", SHIPPED))
    within = [(one.what, one.allowed / one.peak) for one in found.memory if not one.problem]
    yield Target("memory, file + 350 MB over what was taken, at least 1", 1, within)


def work_table(found: Found, work: Work) -> Table:
    """Give the table of one work."""
    table = _table(f"{work.title}, {work.unit}s/s ({found.model})")
    table.add_column("", no_wrap=True)
    for heading in ("shipped", "x", "same", "x", "read", "wrote", "right", "bad", "MB", "waits"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in found.rows:
        is_shown = row.layout == (CHOSEN if row.peer.startswith(OURS) else SHIPPED)
        if row.work == work.name and is_shown and not row.problem:
            table.add_row(*_cells(found, work, row))
    return table


def problem_lines(found: Found, work: Work) -> Iterator[str]:
    """Say why rows are missing."""
    for row in found.rows:
        if row.work == work.name and row.problem:
            yield f"{row.peer}, {row.layout}: {row.problem}"


def _cells(found: Found, work: Work, row: Row) -> list[str]:
    peer = row.peer
    ours = found.rate(work.name, OURS, CHOSEN)
    rates = [found.rate(work.name, peer, layout) for layout in (SHIPPED, CHOSEN)]
    ratios = [ours / rate if ours and rate and not peer.startswith(OURS) else None for rate in rates]
    return [
        peer,
        _number(rates[0]),
        _number(ratios[0]),
        _number(rates[1]),
        _number(ratios[1]),
        f"{row.read:.0f}",
        f"{row.written:.1f}",
        "-" if row.right is None else f"{row.right:.2f}",
        str(row.invalid),
        f"{row.memory / 1e6:.0f}",
        row.waiting,
    ]


def ceiling_line(found: Found, work: Work) -> str:
    """Say what the ceiling of a work is, and how near llmclf comes."""
    ceiling = found.ceilings[CHOSEN]
    need = ceiling.needs[work.name]
    nodes = f" + {need.nodes} inside labels" if work.name == MANY_LABELS else ""
    tokens = f"{need.text:.1f} of the text + {need.tail:.0f} after it ({need.tail_share:.0%}){nodes}"
    if work.mode == "generate":
        return f"Tokens a prompt needs: {tokens}."
    share = found.share(work.name)
    reached = f"; llmclf reaches {share:.2f} of it" if share else ""
    if work.name == MANY_LABELS:
        reached += f". With the logits of those inside labels no more than {ceiling.rate_with_logits(work.name):.1f}"
    return (
        f"Ceiling: {ceiling.rate(work.name):.1f} {work.unit}s/s, from {ceiling.tokens_per_second:,.0f} tokens/s over "
        f"{tokens}{reached}."
    )


def roofline(found: Found) -> Iterator[str]:
    """Say which limit binds: the matrix units, or what llama.cpp makes of them."""
    yield f"Roofline ({found.model})"
    for name, ceiling in found.ceilings.items():
        yield (
            f"  {name:<8} {ceiling.layout:<17} prefill {ceiling.tokens_per_second:7,.0f} tokens/s x 2 x "
            f"{ceiling.matrix_parameters / 1e6:.0f} M weights = {ceiling.prefill_gflops:5.0f} GFLOP/s"
        )
    fastest = max(ceiling.matmul_gflops for ceiling in found.ceilings.values())
    yield f"  numpy's product of two matrices in 32-bit floats, all cores: {fastest:.0f} GFLOP/s"


def memory_table(found: Found) -> Table:
    """Give the table of the memory that annotating took."""
    table = _table(f"Memory of `llmclf annotate` ({found.model})")
    table.add_column("")
    for heading in ("peak MB", "model file", "file + 350"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found.memory:
        if one.problem:
            table.add_row(one.what, one.problem)
        else:
            table.add_row(one.what, *(f"{size / 1e6:.0f}" for size in (one.peak, one.file, one.allowed)))
    return table


def _table(title: str) -> Table:
    return Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, title=title, title_justify="left")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
