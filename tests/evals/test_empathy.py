import csv
import os
from pathlib import Path

import pytest

from evals import empathy, empathy_data, empathy_verdicts
from evals.datasets import SOURCES, find
from llmclf.errors import InputError
from tests.agreement.tables import estimate

DATA = Path(os.environ.get("LLMCLF_DATA", "no such folder")) / "empathy"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the empathy data are not here: set LLMCLF_DATA")


@needs_data
def test_all_published_kappas_are_recomputed(capsys: pytest.CaptureFixture[str]) -> None:
    assert empathy.main(["recompute"]) == 0
    shown = capsys.readouterr().out
    assert shown.endswith("126 of 126 z statistics match\n126 of 126 kappas and 126 of 126 p-values match\n")
    assert "demonstrating_understanding" in shown


@needs_data
def test_a_mismatch_is_shown_and_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    first, *others = empathy_data.published()
    wrong = first._replace(kappa=first.kappa + 0.01)
    monkeypatch.setattr(empathy_data, "published", lambda: [wrong, *others])
    assert empathy.main(["recompute"]) == 1
    shown = capsys.readouterr().out
    assert "125 of 126 kappas and 126 of 126 p-values match" in shown
    assert f"{first.dimension}, expert1, expert2: kappa {first.kappa:.2f}" in shown


@needs_data
def test_kappas_on_the_declared_scale() -> None:
    file = DATA / "empathy_kappa_full_precision.csv"
    if not file.exists():
        pytest.skip("an independent computation of them is not here")
    with file.open(newline="") as opened:
        independent = {
            (line["Dataset"], line["Dimension"], line["pair"]): float(line["kappa_value_weights"])
            for line in csv.DictReader(opened)
        }
    ours = {
        (empathy_data.FRAMEWORKS[c.published.framework].title, c.published.dimension, str(c.published.pair)): c.kappa
        for c in empathy.compare("declared")
    }
    assert ours == {key: round(kappa, 2) for key, kappa in independent.items()}
    assert len(ours) == 126


@needs_data
def test_verdicts_on_gemini() -> None:
    found = {one.dimension: one for one in empathy_verdicts.compare()}
    assert len(found) == 21
    passed = {
        margin: [name for name, one in found.items() if one.test(margin).verdict == "non-inferior"]
        for margin in (0.1, 0.2)
    }
    assert (len(passed[0.1]), len(passed[0.2])) == (6, 12)
    assert set(passed[0.1]) < set(passed[0.2])
    # the two that are nearest to -0.20, from either side
    assert found["m_caredfor"].test(0.2).lower == pytest.approx(-0.19937, abs=5e-6)
    assert found["m_affirmed"].test(0.2).lower == pytest.approx(-0.20298, abs=5e-6)
    advice = found["advice_giving"].by_margin[0.1]
    assert advice.verdict == "inconclusive"
    assert estimate(advice.comparison.agreement).value == pytest.approx(0.59, abs=5e-3)
    assert estimate(advice.comparison.reference).value == pytest.approx(0.65, abs=5e-3)
    assert estimate(found["advice_giving"].against_crowd.difference).value == pytest.approx(0.27, abs=5e-3)


@needs_data
def test_the_audit_shows_all_three_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert empathy.main(["audit"]) == 0
    shown = capsys.readouterr().out
    assert "126 of 126 kappas and 126 of 126 p-values match" in shown
    assert "32 of 126 kappas differ on the declared scale: 15 of experts and crowd, 15 of llm and crowd" in shown
    assert "Gemini is non-inferior in 6 of 21 dimensions at margin 0.10, before the ceiling" in shown
    assert "Gemini is non-inferior in 12 of 21 dimensions at margin 0.20, before the ceiling" in shown
    assert "m_caredfor, lower bound -0.19937" in shown
    assert "-0.00" not in shown


@needs_data
def test_conversations() -> None:
    by_framework = empathy_data.conversations()
    assert list(by_framework) == ["epitome", "lend_an_ear", "empatheticdialogues"]
    for name, found in by_framework.items():
        ids = [item for item, _ in found]
        assert len(set(ids)) == len(ids) == 50
        assert set(ids) == {row.item for row in empathy_data.ratings(name)}
        turns = [turn for _, conversation in found for turn in conversation]
        assert {speaker for speaker, _ in turns} == {"Seeker", "Supporter"}
        assert not any("_comma_" in text or "Supporter:" in text or not text for _, text in turns)
    said = dict(by_framework["lend_an_ear"])["20241031150832963315"]
    assert any("\n" in text for _, text in said), "a line without a speaker goes on with the turn before it"


@needs_data
def test_ratings() -> None:
    n_dimensions = 0
    for name, framework in empathy_data.FRAMEWORKS.items():
        rows = empathy_data.ratings(name)
        n_dimensions += len(framework.dimensions)
        assert len(rows) == 50 * 7 * len(framework.dimensions)
        scale = {float(label) for label in framework.scale}
        assert {row.value for row in rows if row.kind != "crowd"} <= scale
        assert {row.annotator for row in rows if row.kind == "expert"} == {"expert1", "expert2", "expert3"}
    assert n_dimensions == 21
    # columns stand in another order in this file than in the models'
    shown = [row for row in empathy_data.ratings("epitome") if (row.item, row.annotator) == ("41g07l", "expert1")]
    assert [(row.dimension, row.value) for row in shown] == [
        ("level_emotional_reactions", 1),
        ("level_explorations", 2),
        ("level_interpretations", 1),
    ]


def test_absent_data_say_where_they_come_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LLMCLF_DATA", raising=False)
    assert empathy.main(["recompute"]) == 2
    shown = capsys.readouterr().err
    assert "LLMCLF_DATA is not set" in shown
    assert SOURCES["empathy"] in shown
    assert shown.count("\n") == 1
    monkeypatch.setenv("LLMCLF_DATA", str(tmp_path))
    with pytest.raises(InputError, match="not found in"):
        find("empathy")
    with pytest.raises(InputError, match="did you mean 'empathy'"):
        find("empaty")
    (tmp_path / "empathy").mkdir()
    assert find("empathy") == tmp_path / "empathy"
    assert empathy.main(["recompute"]) == 2
    assert "no file" in capsys.readouterr().err
