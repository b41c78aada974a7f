"""The zero-shot comparison as tables of at most 100 columns, and which targets are met."""

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

from evals.zero_shot_abstention import DELTA
from evals.zero_shot_measures import Difference
from evals.zero_shot_rows import DEFAULT, RAW_NAME, SHARES, Found, Row
from evals.zero_shot_tasks import GATED

_SYSTEM = 30


def own_shares(found: Found, model: str, task: str) -> Iterator[str]:
    """Give one task's table at the data's own label shares."""
    yield f"\n{model}, {task}"
    yield f"default, as chosen on all other tasks: {found.chosen[task]}"
    yield f"{'':<{_SYSTEM}}{'n':>5}{'acc':>6}{'F1':>6}{'loss':>7}{'Brier':>7}{'ECE':>6}{'shares':>8}{'invalid':>9}"
    for row in _of(found.rows, model, task, None):
        m = row.measures
        if m is None:
            yield f"{row.system:<{_SYSTEM}}{row.problem}"
            continue
        figures = f"{m.n:>5}{_short(m.accuracy):>6}{_short(m.macro_f1):>6}{_long(m.log_loss):>7}{_short(m.brier):>7}"
        yield f"{row.system:<{_SYSTEM}}{figures}{_short(m.ece):>6}{_short(m.share_error):>8}{m.invalid:>9}"


def differences_table(found: Found, model: str) -> Iterator[str]:
    """Give llmclf's differences from the peers at the data's own label shares."""
    yield f"\n{model}: llmclf's default less each peer on the same texts; 95 % intervals, * clear of 0"
    yield f"{'':<13}{'':<18}{'macro-F1':<23}{'log loss':<23}Brier"
    for row in found.rows:
        if row.model == model and row.share is None and row.differences:
            cells = [_interval(row.differences.get(name)) for name in ("macro_f1", "log_loss", "brier")]
            yield f"{row.task[:12]:<13}{row.system:<18}{cells[0]:<23}{cells[1]:<23}{cells[2]}".rstrip()


def resampled(found: Found, model: str, task: str) -> Iterator[str]:
    """Give one two-way task's table at other shares of its first label."""
    rows = {share: list(_of(found.rows, model, task, share)) for share in SHARES}
    if not rows[SHARES[0]]:
        return
    yield f"\n{model}, {task}: the same answers at other shares of the first label"
    yield f"{'':<{_SYSTEM}}" + "".join(f"{f'{share:g}: F1':>8}{'loss':>6}{'shares':>8}" for share in SHARES)
    for same_system in zip(*rows.values(), strict=True):
        cells = [
            f"{_short(m.macro_f1):>8}{_short(m.log_loss):>6}{_short(m.share_error):>8}"
            for row in same_system
            if (m := row.measures)
        ]
        yield f"{same_system[0].system:<{_SYSTEM}}{''.join(cells)}"


def policy_table(found: Found) -> Iterator[str]:
    """Give the policies, the best ones first."""
    yield "\nPolicies, means over tasks and models; loss and Brier in units of equal probabilities' ones;"
    yield "score: F1 - (loss + Brier) / 2, by which the default is chosen"
    yield f"{'':<60}{'F1':>6}{'loss':>8}{'Brier':>8}{'score':>8}"
    for name, one in sorted(found.policies.items(), key=lambda item: -item[1].score):
        yield f"{name:<60}{_short(one.macro_f1):>6}{_long(one.log_loss):>8}{_long(one.brier):>8}{one.score:>8.3f}"


def labelled_table(found: Found) -> Iterator[str]:
    """Give what labelled examples are worth."""
    yield "\nWith labelled examples, on the held-out texts; chance: the ECE that perfect calibration would have"
    yield f"{'':<25}{'calibration':<12}{'n':>5}{'F1':>6}{'loss':>7}{'Brier':>7}{'ECE':>6}{'chance':>8}  excess"
    for one in found.calibrated:
        name = f"{one.model[:8]} {one.task}"
        if one.measures is None or one.calibration is None:
            yield f"{name[:24]:<25}{one.method:<12}{one.problem}"[:100]
            continue
        m, c = one.measures, one.calibration
        figures = f"{m.n:>5}{_short(m.macro_f1):>6}{_long(m.log_loss):>7}{_short(m.brier):>7}{_short(c.error):>6}"
        excess = f"{c.excess:.3f} [{c.low:.3f}, {c.high:.3f}]"
        yield f"{name[:24]:<25}{one.method:<12}{figures}{_short(c.expected):>8}  {excess}"


def abstention_table(found: Found) -> Iterator[str]:
    """Give what can be answered at a risk of 10 %."""
    yield "\nAt most 10 % wrong of what is answered, with probability .9: thresholds by 200 labels, 500 draws"
    yield f"{'':<27}{'':<16}{'answered':>9}{'found':>7}{'broken':>8}   just p >= .9: answered, wrong"
    for one in found.abstaining:
        broken = f"{one.violated:.3f} ± {one.monte_carlo_error:.3f}"
        plain = f"{_short(one.plain_coverage):>9}{_short(one.plain_risk):>7}"
        name = f"{one.model[:9]} {one.task}"
        yield f"{name:<27}{one.system:<16}{_short(one.coverage):>9}{_short(one.found):>7}  {broken}{plain}"


def cascade_table(found: Found) -> Iterator[str]:
    """Give what cascades of the two models save."""
    yield "\nCascades: half of the texts go to the better model, those of which the cheap one is least sure"
    for one in found.cascades:
        if one.problem:
            yield f"{one.task:<24}{one.problem}"
        else:
            cheap, better, both = map(_short, one.macro_f1)
            models = f"{one.cheap} {cheap}, {one.better} {better}, cascade {both}"
            yield f"{one.task:<24}{models}; {one.n} texts, {one.saved:.0%} of calls saved: {one.verdict} at .02"


def targets(found: Found) -> Iterator[str]:
    """Say which targets are met."""
    judged = [row for row in found.rows if row.share is None and row.differences and row.texts >= GATED]
    yield from _f1_targets(judged)
    for labels, differences_of in (
        ("no labels", attrgetter("differences")),
        ("200 labels", attrgetter("with_labels")),
    ):
        for name in ("log_loss", "brier"):
            gaps = [(row, differences_of(row)[name]) for row in judged if name in differences_of(row)]
            worse = [f"{row.model} {row.task} {row.system}" for row, gap in gaps if gap.value >= 0]
            text = f"{name.replace('_', ' ')} below every peer's that gives probabilities, {labels}"
            yield _verdict(not worse and bool(gaps), f"{text}: {len(gaps) - len(worse)} of {len(gaps)}", worse)
    ours = [row for row in found.rows if row.measures and row.system.startswith("llmclf")]
    invalid = sum(row.measures.invalid for row in ours if row.measures)
    yield _verdict(invalid == 0, f"no invalid answer of llmclf's: {invalid}", [])
    large = [one for one in found.calibrated if one.measures and one.measures.n >= 2000 and one.method == "vector"]
    high = [f"{one.model} {one.task}" for one in large if one.calibration and one.calibration.error > 0.05]
    yield _verdict(
        not high and bool(large),
        f"ECE at most .05 with 200 labels on 2,000 texts: {len(large) - len(high)} of {len(large)}",
        high,
    )

    yield from _abstention_targets(found)
    shown = [one for one in found.cascades if not one.problem]
    saving = [one.task for one in shown if one.verdict == "non-inferior"]
    text = "cascade saves half of the better model's calls, non-inferior at .02"
    yield (
        _verdict(bool(saving), f"{text}: {', '.join(saving) or 'nowhere'}", [])
        if shown
        else f"not demonstrated  {text}"
    )


def _abstention_targets(found: Found) -> Iterator[str]:
    broken = [
        f"{one.model} {one.task} {one.system}: {one.violated:.3f}"
        for one in found.abstaining
        if one.violated > DELTA + 2 * one.monte_carlo_error
    ]
    yield _verdict(not broken, "a promised risk is broken in at most 10 % of draws", broken)
    by_system = {(one.model, one.task, one.system): one.coverage for one in found.abstaining}
    gains = [
        coverage - by_system[model, task, RAW_NAME]
        for (model, task, system), coverage in by_system.items()
        if system == DEFAULT
    ]
    wins, losses = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    text = f"more answered than by raw probabilities at equal validity: {wins} more, {losses} fewer of {len(gains)}"
    yield _verdict(wins > losses, text, [])


def _f1_targets(judged: Sequence[Row]) -> Iterator[str]:
    by_cell: dict[tuple[str, str], list[Row]] = {}
    for row in judged:
        by_cell.setdefault((row.model, row.task), []).append(row)
    wins = []
    for cell, rows in by_cell.items():
        best = max(rows, key=lambda row: row.measures.macro_f1 if row.measures else 0.0)
        if best.differences["macro_f1"].low > 0:
            wins.append(cell)
    behind = [f"{row.model} {row.task} {row.system}" for row in judged if row.differences["macro_f1"].high < 0]
    text = f"macro-F1 clearly above the best peer's on most tasks: {len(wins)} of {len(by_cell)}"
    yield _verdict(2 * len(wins) > len(by_cell), text, [])
    yield _verdict(not behind, "macro-F1 clearly below no peer's", behind)


def _verdict(is_met: bool, text: str, exceptions: Sequence[str]) -> str:
    said = f"{'met' if is_met else 'not met':<9}{text}"
    return "\n".join([said, *(f"{'':<11}not {one}" for one in exceptions)])


def _of(rows: Iterable[Row], model: str, task: str, share: float | None) -> Iterator[Row]:
    return (row for row in rows if (row.model, row.task, row.share) == (model, task, share))


def _interval(difference: Difference | None) -> str:
    if difference is None:
        return "-"
    mark = "*" if difference.is_clear else ""
    return f"{difference.value:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]{mark}"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".removeprefix("0")


def _long(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
