from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from evals import coverage
from evals.coverage import PERCENT, Covered, over_both, over_items, table


def test_intervals_over_items_hold_the_truth_where_there_are_many() -> None:
    found = {one.coefficient: one for one in over_items(np.random.default_rng(0), 400, 300, 0.5)}
    assert found.keys() == {PERCENT, "Cohen's kappa", "alpha"}
    for one in found.values():
        assert one.held + one.missed + one.none == 400
        assert one.coverage == pytest.approx(0.95, abs=4 * 0.011)


def test_items_alone_do_not_tell_of_other_raters() -> None:
    found = {(one.over, one.coefficient): one for one in over_both(np.random.default_rng(0), 60, 300, 0.5)}
    for name in (PERCENT, "Conger's kappa", "alpha"):
        assert found["items only", name].coverage < 0.8 < found["both", name].coverage


def test_a_share_comes_with_its_monte_carlo_error() -> None:
    one = Covered("items", "alpha", 30, 0.5, held=90, missed=10, none=100)
    assert (one.coverage, one.accepted) == (0.9, False)
    assert one.monte_carlo_error == pytest.approx(0.03)


def test_the_table_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(width=80, record=True, file=StringIO())
    console.print(table([Covered("items only", PERCENT, 1000, 0.9, held=9300, missed=700, none=0)]))
    shown = console.export_text().splitlines()[-1].split()
    assert shown == ["items", "only", "percent", "agreement", "1,000", "0.9", "0.930", "0.003", "0.0%"]
    assert coverage.main(["--quick", "--items", "30", "--prevalences", "0.9"]) == 0
    printed = capsys.readouterr().out
    assert sum(line.startswith("items ") for line in printed.splitlines()) == 6
    assert "…" not in printed
