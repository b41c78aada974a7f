import sys
from pathlib import Path

import pytest

from .conftest import Cli

ARGUMENTS = ["annotate", "in.csv", "--codebook", "mood.toml", "--out", "labels", "--engine", "ray"]


def test_without_ray_the_engine_says_what_to_install(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    run = cli(*ARGUMENTS)
    assert (run.code, run.err) == (2, "llmclf: --engine ray needs Ray. Run: pip install 'llmclf[ray]'\n")
    assert not (folder / "labels").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "rya"], "unknown engine 'rya': did you mean 'ray'?"),
        (["--out", "in.csv"], "cannot make the folder in.csv"),
        (["--out", "nowhere/labels"], "cannot make the folder nowhere/labels"),
        (["--out-format", "csv"], "--out-format does not work with --engine ray"),
        (["--max-requests", "3"], "--max-requests does not work with --engine ray"),
        (["--redact"], "--redact does not work with --engine ray"),
        (["--no-texts"], "--no-texts does not work with --engine ray"),
        (["--setting", "actors=0"], "the setting actors is 0. Give a number from 1 up"),
        (["--setting", "actors=1.5"], "the setting actors is 1.5"),
        (["--setting", "micro_batch=many"], "the setting micro_batch is 'many'"),
        (["--setting", "gpus=-1"], "the setting gpus is -1. Give a number from 0 up"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(cli: Cli, folder: Path, arguments: list[str], said: str) -> None:
    before = sorted(folder.rglob("*"))
    run = cli(*ARGUMENTS, *arguments)
    assert run.code == 2
    assert said in run.err
    assert len(run.err.splitlines()) == 1
    assert sorted(folder.rglob("*")) == before
