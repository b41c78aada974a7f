"""The user's cache folder: rewritten weights, what was measured, and hashes of files; all of it may be deleted."""

import hashlib
import os
import platform
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

from llmclf.backends.llama import available_cpus, library_file
from llmclf.errors import InputError

SIZE_VARIABLE = "LLMCLF_CACHE_GB"
_GIGABYTES = 4.0


def folder() -> Path:
    """Give the folder, made if it is not there."""
    place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmclf"
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the cache folder {place} cannot be made: {error.strerror}", "Set XDG_CACHE_HOME") from None
    return place


def cache_gigabytes() -> float:
    """Give what the rewritten weights may take together; a model that takes more is used as shipped."""
    text = os.environ.get(SIZE_VARIABLE, str(_GIGABYTES))
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{SIZE_VARIABLE} is {text!r}", "Give a number of gigabytes") from None


def keep(file: Path) -> None:
    """Mark a file as used now, and delete the longest unused ones while all take too much."""
    os.utime(file)
    others = sorted(folder().glob("*.gguf"), key=lambda path: path.stat().st_mtime)
    total = sum(path.stat().st_size for path in others)
    for path in others:
        if total <= cache_gigabytes() * 1e9 or path == file:
            break
        total -= path.stat().st_size
        path.unlink(missing_ok=True)


def write_atomically(file: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    with NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, delete=False) as new:
        new.write(text)
    Path(new.name).replace(file)


def file_hash(path: Path) -> str:
    """Give the SHA-256 of a file, as hexadecimal digits; computed once for a path, size and time of change."""
    state = path.stat()
    known = folder() / f"sha256-{_digest(str(path.resolve()), state.st_size, state.st_mtime_ns)}"
    if not known.is_file():
        with path.open("rb") as file:
            write_atomically(known, hashlib.file_digest(file, "sha256").hexdigest())
    return known.read_text(encoding="ascii")


@cache
def machine_hash() -> str:
    """Tell processors and builds of llama.cpp apart: what was measured with one says nothing of another."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    except OSError:
        processor = [platform.machine(), platform.processor()]
    build = library_file().stat()
    return _digest(*processor, available_cpus(), build.st_size, build.st_mtime_ns)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
