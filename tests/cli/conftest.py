import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from llmclf.cli import main


class Run(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


Cli = Callable[..., Run]

CODEBOOK = """
name = "mood"
[[question]]
name = "mood"
kind = "choice"
ask = "How does the writer feel?"
[[question.label]]
name = "glad"
[[question.label]]
name = "sad"
"""

REASONED_CODEBOOK = CODEBOOK.replace("ask =", "rationale = true\nevidence = true\nask =")

CONVERSATION_CODEBOOK = """
name = "talk"
unit = "conversation"
[[question]]
name = "warmth"
kind = "score"
ask = "How warm is the reply?"
[[question.label]]
name = "cold"
value = 0
[[question.label]]
name = "warm"
value = 1
[[question]]
name = "topics"
kind = "set"
ask = "What is it about?"
[[question.label]]
name = "work"
[[question.label]]
name = "health"
"""


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process, as `llmclf ...` in a shell would."""

    def run(*arguments: object, stdin: bytes = b"") -> Run:
        monkeypatch.setattr(sys, "argv", ["llmclf", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return Run(int(end.value.code or 0), out, err)

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three codebooks and a table of texts."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mood.toml").write_text(CODEBOOK)
    (tmp_path / "why.toml").write_text(REASONED_CODEBOOK)
    (tmp_path / "talk.toml").write_text(CONVERSATION_CODEBOOK)
    (tmp_path / "in.csv").write_text('id,text\na,"I won, at last!"\nb,My cat died.\nc,\n')
    return tmp_path


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch, gguf: Path) -> None:  # noqa: ARG001 - without the model nothing here runs
    for name in ("OPENAI_API_KEY", "LLMCLF_API_KEY"):
        monkeypatch.delenv(name, raising=False)
