"""Every command and every line of Python in the README runs."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from llmclf import Codebook
from llmclf.budget import read_prices

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line[2:] for line in README.splitlines() if line.startswith("$ ")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, gguf: Path) -> Path:  # noqa: ARG001 - the commands need the model
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "prompts", folder / "prompts")
    (folder / "reviews.csv").write_text("id,text\n1,I love it.\n2,It broke.\n3,Arrived on Tuesday.\n")
    (folder / "crowd.csv").write_text(
        "item,annotator,kind,label\n"
        + "".join(
            f"{n},{who},crowd,{label}\n"
            for who in "ab"
            for n, label in enumerate(("positive", "negative", "neutral"), 1)
        )
    )
    (folder / "experts.csv").write_text(
        "item,annotator,label\n1,anna,positive\n2,anna,negative\n3,anna,neutral\n1,ben,positive\n2,ben,negative\n3,ben,positive\n"
    )
    return folder


def test_the_readme_has_what_is_tested_here() -> None:
    assert len(COMMANDS) >= 5
    assert len(blocks("python")) == 1
    assert len(blocks("toml")) == 2


def test_every_command_runs(folder: Path) -> None:
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "llmclf"
        done = subprocess.run(
            [sys.executable, "-m", "llmclf", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert done.stdout


def test_the_python_runs(folder: Path) -> None:
    (code,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("ok")


def test_the_price_table_is_one(tmp_path: Path) -> None:
    text, _ = blocks("toml")
    (tmp_path / "prices.toml").write_text(text)
    assert read_prices(tmp_path / "prices.toml")["gpt-x"].output == 0.6


def test_the_codebook_is_one(tmp_path: Path) -> None:
    _, text = blocks("toml")
    (tmp_path / "codebook.toml").write_text(text)
    assert Codebook.load(tmp_path).questions[0].codes == ("0", "2")
    assert tomllib.loads(text)["name"] == "epitome"
