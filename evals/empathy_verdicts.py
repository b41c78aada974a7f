"""Whether a model may stand in for the experts of Kumar et al. 2025, dimension by dimension."""

import math
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from evals import empathy_data as data
from evals.empathy_label import EXPERTS, rated
from llmclf.agreement import Coefficient, Estimate, Rating, Ratings, Undefined
from llmclf.agreement.non_inferiority import HolmVerdict, MarginTest, NonInferiority, holm_adjusted, non_inferiority
from llmclf.agreement.paired_difference import PairedDifference, difference_from_annotator
from llmclf.codebook import number_text
from llmclf.levels import Level

MODEL: Final = "gemini"
MARGINS: Final = (0.1, 0.2)
_NOTE = """\
Mean quadratic kappa of Gemini with each of three experts, less the mean of the three pairs of experts, on the declared
scale. 'bounds' are one-sided, 95 %, by the delete-one jackknife over conversations, t with n - 1 degrees of freedom,
and decide about these experts; 'like these' are over conversations and experts, with r - 1. 'ceiling' is the same lower
bound of the experts' own kappa, which must be above 0. * stands among all dimensions (Holm). 'items' decide at margin
0.10 with 80 % power if the true difference is the observed one, and if there is none. 'crowd' is Gemini's kappa with
the experts less the crowd's, with its 95 % interval over conversations."""


class Verdicts(NamedTuple):
    """What holds of the model in one dimension."""

    dimension: str
    by_margin: dict[float, NonInferiority]
    against_crowd: PairedDifference

    def test(self, margin: float) -> MarginTest:
        """Give the test for these experts, which the data define in every dimension."""
        test = self.by_margin[margin].these_experts
        assert isinstance(test, MarginTest), test
        return test


def compare(model: str = MODEL) -> list[Verdicts]:
    """Test the model in all 21 dimensions."""
    return [
        _compare(model, dimension, rated(rows, dimension), framework.scale)
        for name, framework in data.FRAMEWORKS.items()
        for rows in [data.ratings(name)]
        for dimension in framework.dimensions
    ]


def show() -> None:
    """Print the verdicts, their number before the ceiling, and what is nearest to a margin."""
    found = compare()
    terminal = Console(width=150)
    terminal.print(_table(found))
    terminal.print(_NOTE.replace("\n", " "), markup=False)
    for margin in MARGINS:
        n = sum(one.test(margin).verdict == "non-inferior" for one in found)
        print(f"Gemini is non-inferior in {n} of {len(found)} dimensions at margin {margin:.2f}, before the ceiling")
        nearest = min(found, key=lambda one: abs(one.test(margin).lower + margin))
        print(f"  nearest to it: {_edge(nearest, margin)}")


def _compare(
    model: str, dimension: str, values: dict[tuple[str, str], float | None], scale: tuple[str, ...]
) -> Verdicts:
    on_scale = _ratings(values, (*EXPERTS, model), Level.ORDINAL, scale)
    # the crowd's rating is a mean, seldom on the scale; as on an interval scale, distances are those of the numbers
    with_crowd = _ratings(values, (*EXPERTS, model, "crowd"), Level.INTERVAL, None)
    return Verdicts(
        dimension,
        {margin: non_inferiority(on_scale, model, EXPERTS, margin) for margin in MARGINS},
        difference_from_annotator(with_crowd, model, "crowd", EXPERTS),
    )


def _ratings(
    values: dict[tuple[str, str], float | None], names: tuple[str, ...], level: Level, scale: tuple[str, ...] | None
) -> Ratings:
    rows = (
        Rating(item, name, "" if value is None else number_text(value))
        for (item, name), value in values.items()
        if name in names
    )
    return Ratings.from_rows(rows, level, scale)


def _table(found: list[Verdicts]) -> Table:
    table = Table(title="Gemini and the experts", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("dimension", no_wrap=True)
    headings = ["Gemini", "experts", "ceiling", "difference", "bounds", "like these", "crowd"]
    for heading in [*headings, *(f"at {margin:.2f}" for margin in MARGINS), "items"]:
        table.add_column(heading, justify="right", no_wrap=True)
    holm = {margin: holm_adjusted({one.dimension: one.by_margin[margin] for one in found}) for margin in MARGINS}
    for one in found:
        first = one.by_margin[MARGINS[0]]
        table.add_row(
            one.dimension.removeprefix("level_").replace("_", " "),
            _value(first.comparison.agreement),
            _value(first.comparison.reference),
            "-" if first.ceiling_lower is None else _rounded(first.ceiling_lower),
            _value(first.comparison.difference),
            _bounds(first.these_experts),
            _bounds(first.experts_like_these),
            _with_interval(one.against_crowd.difference),
            *(_verdict(one.by_margin[margin], holm[margin][one.dimension]) for margin in MARGINS),
            _items(first),
        )
    return table


def _edge(one: Verdicts, margin: float) -> str:
    """Say what decides nearest to the margin, in more digits, and what a wider standard error would make of it."""
    test = one.test(margin)
    middle = (test.lower + test.upper) / 2
    wider = middle - (middle - test.lower) * math.sqrt((test.df + 1) / test.df)
    without = "without the factor (n - 1) / n of the jackknife's variance"
    return f"{one.dimension}, lower bound {test.lower:.5f} ({wider:.5f} {without}): {test.verdict}"


def _rounded(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # + 0 makes -0 plain


def _value(coefficient: Coefficient) -> str:
    return _rounded(coefficient.value) if isinstance(coefficient, Estimate) else "-"


def _with_interval(coefficient: Coefficient) -> str:
    if not isinstance(coefficient, Estimate) or coefficient.low is None or coefficient.high is None:
        return "-"
    return f"{_rounded(coefficient.value)} [{_rounded(coefficient.low)}, {_rounded(coefficient.high)}]"


def _bounds(test: MarginTest | Undefined) -> str:
    return f"{_rounded(test.lower)}, {_rounded(test.upper)}" if isinstance(test, MarginTest) else "-"


def _verdict(result: NonInferiority, among_all: HolmVerdict) -> str:
    return result.verdict + ("*" if among_all.verdict == result.verdict == "non-inferior" else " ")


def _items(result: NonInferiority) -> str:
    needed = result.items_needed
    return f"{needed.if_as_observed or 'never'}, {needed.if_equal}" if needed else ""
