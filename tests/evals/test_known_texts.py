import csv
import os
from pathlib import Path

import pytest

from evals import known_texts
from llmclf.audit import public_data

DATA = Path(os.environ.get("LLMCLF_DATA", "no such folder"))
needs_data = pytest.mark.skipif(not (DATA / "banking77").is_dir(), reason="the data are not here: set LLMCLF_DATA")


@needs_data
def test_the_file_is_what_the_data_sets_give(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(known_texts, "KNOWN_TEXTS", tmp_path / "known_texts.json")
    assert known_texts.main() == 0, capsys.readouterr().err
    assert (tmp_path / "known_texts.json").read_text() == public_data.KNOWN_TEXTS.read_text()


@needs_data
def test_items_of_a_public_data_set_are_recognised_however_they_are_written() -> None:
    with (DATA / "banking77" / "test.csv").open(newline="") as file:
        texts = [f"  {row['text'].upper()} " for row in csv.DictReader(file)][:300]
    assert "Banking77" in str(public_data.public_data_warning(texts))
    assert public_data.public_data_warning(text + " and more" for text in texts) is None
