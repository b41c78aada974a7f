import numpy as np
import pytest

from evals import abstention
from evals.abstention import Rule, TrueRisk, at_equal_validity, simulate, table


def test_the_true_risk_of_a_calibrated_model_is_what_it_does_not_claim() -> None:
    true_risk = TrueRisk(lambda confidence: confidence)
    risk, coverage = true_risk.at(0.0)
    assert risk == pytest.approx(1 / 12, abs=1e-4)  # 1 - E[.5 + Beta(5, 1) / 2]
    assert coverage == 1
    risk, coverage = true_risk.at(0.9)
    assert coverage == pytest.approx(1 - 0.8**5, abs=1e-4)
    surer = 0.5 + np.random.default_rng(0).beta(5, 1, 10**6) / 2
    assert risk == pytest.approx(1 - surer[surer >= 0.9].mean(), abs=2e-4)


def test_promises_are_kept_where_plain_thresholds_break_theirs() -> None:
    found = {one.rule: one for one in simulate(np.random.default_rng(0), 200, "overconfident", 300, 0.1)}
    assert found["fixed-sequence"].holds
    assert found["bonferroni"].holds
    assert found["1 - alpha"].share_broken == 1
    assert found["empirical"].share_broken > 0.3
    assert not found["empirical"].holds


def test_equal_validity_leaves_out_where_the_plain_threshold_breaks_its_promise() -> None:
    rules = [
        Rule(model, 300, 0.1, rule, 1000, broken, coverage)
        for model, plain in (("kept", 0), ("broken", 1000))
        for rule, broken, coverage in (
            ("fixed-sequence", 0, 0.6 if model == "kept" else 0.1),
            ("bonferroni", 0, 0.5),
            ("1 - alpha", plain, 0.4),
            ("empirical", 400, 0.9),
        )
    ]
    assert at_equal_validity(rules)[1:] == [
        "    300 labels: fixed-sequence 0.60, bonferroni 0.50, 1 - alpha 0.40 (1 of 2 designs)"
    ]
    assert table(rules).row_count == 2


def test_the_table_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert abstention.main(["--samples", "5", "--items", "1000", "--alphas", "0.05", "0.2"]) == 0
    printed = capsys.readouterr().out
    assert sum(line.startswith(tuple(abstention.MODELS)) for line in printed.splitlines()) == 8
    assert "…" not in printed
    assert max(map(len, printed.splitlines()[:-4])) <= 80
