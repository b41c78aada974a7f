from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from evals import agreement_speed
from evals.agreement_speed import Speed, codes_of, main, ours, peer


def printed(*arguments: str) -> list[str]:
    console = Console(width=120, record=True, file=StringIO())
    main(["--items", "300", "--repeats", "1", *arguments], console)
    return console.export_text().splitlines()


def test_the_table_times_ours_and_says_which_peers_are_not_installed() -> None:
    lines = printed()
    assert "300 items x 10 annotators, 5 labels" in lines[0]
    assert [line.split()[1] for line in lines if line.startswith("│")] == ["llmclf", "llmclf", *agreement_speed.PEERS]
    assert sum("not installed" in line for line in lines) == 3
    assert sum("7 coefficients with jackknife" in line for line in lines) == 2


def test_a_peer_is_timed_in_its_own_environment(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("""#!/bin/sh\necho '{"version": "9.9", "point": 2.0, "replicate": 0.5}'\n""")
    python.chmod(0o755)
    assert peer(str(python), "evalaudit", codes_of(10)) == Speed("evalaudit 9.9", "alpha", 2.0, 500.0)
    scaled = Speed("krippendorff 9.9", "alpha; bootstrap scaled from 10", 2.0, 500.0)
    assert peer(str(python), "krippendorff", codes_of(10)) == scaled
    assert any("evalaudit 9.9" in line and "500.0" in line for line in printed("--peers", str(python)))


def test_a_peer_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'KeyError: 3' >&2\nexit 1\n")
    python.chmod(0o755)
    assert peer(str(python), "irrCAC", codes_of(10)) == "KeyError: 3"
    python.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(agreement_speed, "LONGEST", 0.05)
    assert peer(str(python), "irrCAC", codes_of(10)) == "no answer in 0 s"


def test_missing_ratings_are_timed_too() -> None:
    codes = codes_of(1000, 0.1)
    assert 0.05 < (codes < 0).mean() < 0.15
    assert ours(codes, ", 10 % missing", 1).what.endswith("10 % missing")
