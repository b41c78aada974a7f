import csv
import os
from pathlib import Path

import pytest

from evals import alt_test
from tests.agreement.reference import reference

DATA = Path(os.environ.get("LLMCLF_DATA", "no such folder")) / "alttest"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the alternative annotator test's data are not here")


@needs_data
def test_all_published_results_are_recomputed() -> None:
    ours = {
        (c.reference.dataset, c.reference.model): (c.ours.at(c.reference.epsilon), c.ours.advantage_probability)
        for c in alt_test.compare()
    }
    rows = reference("alttest_published")["rows"]
    assert len(ours) == len(rows) == 30
    for dataset, model, epsilon, verdict, winning_rate, advantage in rows:
        outcome, advantage_probability = ours[dataset, model]
        assert outcome.epsilon == epsilon
        assert outcome.winning_rate == pytest.approx(winning_rate, abs=5.1e-3)  # a tie of rounding: .375 is .38
        assert advantage_probability == pytest.approx(advantage, abs=5e-3)
        assert outcome.passes == (verdict == "PASSED")


@needs_data
def test_every_annotator_is_as_the_authors_code_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert alt_test.main([]) == 0
    shown = capsys.readouterr().out
    assert shown.endswith("30 of 30 winning rates and advantage probabilities match\n210 of 210 annotators match\n")


@needs_data
def test_a_difference_is_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for folder in DATA.iterdir():
        (tmp_path / folder.name).symlink_to(folder)
    for name, column in (("reference_results.csv", "advantage_prob"), ("reference_per_annotator.csv", "p_value")):
        with (DATA / name).open(newline="") as opened:
            lines = list(csv.DictReader(opened))
        lines[0][column] = "0.5"
        (tmp_path / name).unlink()
        with (tmp_path / name).open("w", newline="") as opened:
            writer = csv.DictWriter(opened, lines[0])
            writer.writeheader()
            writer.writerows(lines)
    monkeypatch.setattr(alt_test, "find", lambda _: tmp_path)
    assert alt_test.main([]) == 1
    shown = capsys.readouterr().out
    assert "29 of 30 winning rates and advantage probabilities match\n209 of 210 annotators match\n" in shown


def test_absent_data_say_where_they_come_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LLMCLF_DATA", raising=False)
    assert alt_test.main([]) == 2
    assert "nitaytech/AltTest" in capsys.readouterr().err
