"""Which layout of a model's weights this processor reads fastest, without making the scores noisier.

Measured at first use, each candidate in a process of its own since a build of llama.cpp may crash on one, and kept
in the user's cache folder by the file's hash, the processor and the build.
"""

import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from llmclf.backends.cache import cache_gigabytes, file_hash, folder, keep, machine_hash, write_atomically
from llmclf.backends.llama import LlamaModel, available_cpus, check_model_file, rewrite
from llmclf.errors import BackendError, InputError, unknown

log = logging.getLogger(__name__)

SHIPPED = "shipped"
REFERENCE = "F16"
_REPACKED = "-repacked"
_CRASHED = "llama.cpp crashed"
CANDIDATES = (SHIPPED, f"{SHIPPED}{_REPACKED}", "Q8_0", f"Q8_0{_REPACKED}", REFERENCE, "BF16")
"""Repacked: in the order that the processor's matrix units want."""
LAYOUTS = (*CANDIDATES, "F32")
"""F32 is never chosen, being slower and twice as large as F16; packing moves its scores least."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one layout did with the built-in texts on this machine; or, in `problem`, why it did not."""

    tokens_per_second: float = 0.0
    noise: float = 0.0
    """Mean absolute difference of the labels' log-likelihoods from those in F16, in nats."""
    flips: int = 0
    """Texts with another best label than in F16, where F16 tells the best two apart by more than the noise as shipped
    twice over."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Weights:
    """A model file as it is to be loaded; `sha256` is of the file as shipped."""

    path: Path
    layout: str
    name: str
    sha256: str
    measured: Mapping[str, Measured] = field(default_factory=dict)

    @property
    def repacked(self) -> bool:
        """Whether llama.cpp may repack the weights as it loads them."""
        return self.layout.endswith(_REPACKED)


def weights(path: Path, layout: str | None) -> Weights:
    """Give a model file in a layout, by default in the one that is best on this machine.

    Raises:
        InputError: there is no such layout.
        BackendError: the file cannot be rewritten, or this build of llama.cpp cannot read the layout.

    """
    if layout is not None and layout not in LAYOUTS:
        raise InputError(unknown("layout", layout, LAYOUTS))
    check_model_file(path)
    sha256 = file_hash(path)
    measured = {} if layout and not layout.endswith(_REPACKED) else _measured(path, sha256)
    if layout and measured and (problem := measured.get(layout, Measured(problem="not measured")).problem):
        raise BackendError(f"the layout {layout} does not work here: {problem}", "Give another layout, or none")
    chosen = layout or best(measured)
    return Weights(_in_layout(path, sha256, chosen), chosen, path.stem, sha256, measured)


def best(measured: Mapping[str, Measured]) -> str:
    """Give the fastest of the layouts whose scores are no noisier than those of the layout as shipped."""
    shipped = measured[SHIPPED]
    fit = {
        layout: one
        for layout, one in measured.items()
        if not one.problem and (layout == SHIPPED or (one.noise <= shipped.noise and not one.flips))
    }
    return max(fit, key=lambda layout: fit[layout].tokens_per_second)


def _measured(path: Path, sha256: str) -> dict[str, Measured]:
    """Measure all layouts, or read what was measured here before."""
    record = folder() / f"{sha256[:16]}-{machine_hash()}.json"
    if not record.is_file():
        measured = _measure_all(path)
        write_atomically(record, json.dumps({layout: asdict(one) for layout, one in measured.items()}))
        chosen, one, shipped = best(measured), measured[best(measured)], measured[SHIPPED]
        log.info(
            "%s is read as %s: %.0f tokens/s (as shipped %.0f), noise %.3f nats (%.3f)",
            *(path.stem, chosen, one.tokens_per_second, shipped.tokens_per_second, one.noise, shipped.noise),
        )
    return {layout: Measured(**one) for layout, one in json.loads(record.read_text(encoding="utf-8")).items()}


def _measure_all(path: Path) -> dict[str, Measured]:
    shipped = _probe(path, SHIPPED)
    if isinstance(shipped, str):
        if _CRASHED not in shipped:
            LlamaModel(path).close()  # says itself what is wrong with the file
        raise BackendError(f"{path} cannot be read: {shipped}", "Build llama-cpp-python anew, or give another model")
    log.info("measuring which weight layout of %s is the fastest here: once, for up to a minute", path.stem)
    problem = _not_rewritten(path, shipped["parameters"])
    if problem:
        log.info("%s is read as shipped: %s", path.stem, problem)
        speed = {"tokens_per_second": shipped["tokens_per_second"]}
        return {SHIPPED: Measured(**speed)} | {layout: Measured(problem=problem) for layout in CANDIDATES[1:]}
    probes: dict[str, dict[str, Any] | str] = {SHIPPED: shipped}
    with TemporaryDirectory(dir=folder()) as scratch:
        for layout in CANDIDATES[1:]:
            kind = layout.removesuffix(_REPACKED)
            file = path if kind == SHIPPED else Path(scratch) / f"{kind}.gguf"
            try:
                if not file.exists():
                    rewrite(path, file, kind)
                probes[layout] = _probe(file, layout)
            except BackendError as error:
                probes[layout] = error.message
    return _compare(probes)


def _compare(probes: Mapping[str, dict[str, Any] | str]) -> dict[str, Measured]:
    reference = probes[REFERENCE]
    if isinstance(reference, str):
        return {
            layout: Measured(problem=f"no F16 to compare with: {reference}") if layout != SHIPPED else Measured()
            for layout in probes
        }
    exact = np.array(reference["scores"])
    two = np.sort(exact, axis=1)[:, -2:]
    scores = {layout: np.array(one["scores"]) for layout, one in probes.items() if not isinstance(one, str)}
    noise = {layout: float(np.abs(one - exact).mean()) for layout, one in scores.items()}
    clear = two[:, 1] - two[:, 0] > 2 * noise[SHIPPED]
    return {
        layout: Measured(problem=one)
        if isinstance(one, str)
        else Measured(
            one["tokens_per_second"],
            noise[layout],
            int((clear & (scores[layout].argmax(axis=1) != exact.argmax(axis=1))).sum()),
        )
        for layout, one in probes.items()
    }


def _not_rewritten(path: Path, parameters: int) -> str:
    """Say why a model is not rewritten, if so."""
    gigabytes = 2 * parameters / 1e9
    if gigabytes > cache_gigabytes():
        return f"in F16 it would take {gigabytes:.1f} GB, and the cache may hold {cache_gigabytes():.1f}"
    if "-of-" in path.name:
        return "it is in several files"
    return ""


def _probe(path: Path, layout: str) -> dict[str, Any] | str:
    """Measure one file in a process of its own; give what it found, or why it ended without."""
    command = [sys.executable, "-m", "llmclf.backends.probe", str(path), layout, str(available_cpus())]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)  # noqa: S603 - our own module
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if ended.returncode < 0:
        return f"{_CRASHED} (signal {-ended.returncode})"
    if ended.returncode:
        return (ended.stderr.strip().splitlines() or ["it ended without a word"])[-1]
    return dict(json.loads(ended.stdout))


def _in_layout(path: Path, sha256: str, layout: str) -> Path:
    """Give the file that holds a layout, rewritten unless it is kept already."""
    kind = layout.removesuffix(_REPACKED)
    if kind == SHIPPED:
        return path
    file = folder() / f"{sha256[:16]}-{kind}.gguf"
    if not file.is_file():
        with TemporaryDirectory(dir=folder()) as scratch:
            rewrite(path, Path(scratch) / "new.gguf", kind)
            (Path(scratch) / "new.gguf").replace(file)
    keep(file)
    return file
