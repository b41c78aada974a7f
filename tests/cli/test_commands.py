import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Cli

COMMANDS = ("classify", "annotate", "ensemble", "cascade", "agreement", "audit", "models")
SLOW = {"openai", "llama_cpp", "jinja2", "pyarrow", "pandas", "polars", "sklearn", "scipy", "xllamacpp", "ray"}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(cli: Cli, command: str) -> None:
    run = cli(command, "--help")
    assert run.code == 0
    assert f"Example: llmclf {command}" in run.out


def test_every_command_is_in_the_help(cli: Cli) -> None:
    assert all(command in cli("--help").out for command in COMMANDS)


@pytest.mark.parametrize("code", ["import llmclf", "import sys; sys.argv[1:] = ['--help']; import llmclf.__main__"])
def test_neither_import_nor_help_loads_a_slow_library(code: str) -> None:
    program = (
        f"import atexit, sys\natexit.register(lambda: print('LOADED', *sorted(sys.modules), file=sys.stderr))\n{code}"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.rpartition("LOADED")[2].split())
    assert not loaded & SLOW


def test_models_says_which_are_here(cli: Cli, tmp_path: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Qwen2.5-0.5B-Instruct-q4_k_m.gguf").touch()
    (tmp_path / "my-own.gguf").touch()
    monkeypatch.setenv("LLMCLF_MODELS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nothing"))
    found = json.loads(cli("models", "--json").out)
    here = {model["name"]: model["here"] for model in found["known"]}
    assert here["SmolLM2-135M-Instruct"] == [str(gguf)]
    assert here["Qwen2.5-0.5B-Instruct"] == [str(tmp_path / "Qwen2.5-0.5B-Instruct-q4_k_m.gguf")]
    assert here["Qwen2.5-1.5B-Instruct"] == []
    assert found["others"] == [str(tmp_path / "my-own.gguf")]
    shown = cli("models").out
    assert "my-own.gguf" in shown
    assert "get it from" in shown
