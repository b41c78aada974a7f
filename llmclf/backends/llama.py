"""A GGUF model through llama.cpp: its tokens, its metadata, and a context that decodes many sequences."""

import contextlib
import ctypes
import os
import weakref
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmclf.errors import BackendError, InputError, MissingPackage, ModelFileError

Tokens = NDArray[np.int32]

_M_ROPE_TYPES = (8, 24, 40)


@cache
def llama_cpp() -> ModuleType:
    """Load llama.cpp once, quiet, and waiting passively for its threads.

    Raises:
        MissingPackage: llama-cpp-python is not installed.

    """
    # Spinning threads collapse on a busy machine: 0.46 against 3.7 requests/s with two threads on two cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # some microseconds: replies come a fifth faster
    try:
        import llama_cpp.llama_cpp as library
    except ImportError:
        raise MissingPackage("local models need llama-cpp-python", "Run: pip install 'llmclf[local]'") from None
    library.llama_log_set(_log, None)
    library.llama_backend_init()
    return library


_log_lines: list[str] = []
_repacked_buffers: list[str] = []


def _keep_some(level: int, text: bytes, _user_data: object) -> None:
    if level == _LOG_ERROR:
        _log_lines.append(text.decode(errors="replace").strip())
        del _log_lines[:-5]
    elif b"model buffer size" in text and (b"REPACK" in text or b"AMX" in text):
        _repacked_buffers.append(text.decode(errors="replace").strip())


# At module level, so that llama.cpp never calls a function that is gone.
_log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(_keep_some)


_LOG_ERROR = 4


def available_cpus() -> int:
    """Count the cores that this process may really use: its affinity, and its cgroup's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores


def library_file() -> Path:
    """Give the file of llama.cpp's processor kernels, or of all of it."""
    folder = Path(str(llama_cpp().__file__)).parent / "lib"
    return next((path for path in sorted(folder.iterdir()) if "ggml-cpu" in path.name), folder)


_FILE_TYPES = {"F32": 0, "F16": 1, "Q8_0": 7, "BF16": 32}


def rewrite(source: Path, target: Path, layout: str) -> None:
    """Write a model's weights in another layout.

    Raises:
        BackendError: they cannot be written.

    """
    lib = llama_cpp()
    params = lib.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize, params.nthread = _FILE_TYPES[layout], True, available_cpus()
    _log_lines.clear()
    if lib.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params)) != 0:
        reason = _log_lines[0] if _log_lines else "llama.cpp gave no reason"
        raise BackendError(f"{source} cannot be rewritten as {layout}: {reason}", "Give the setting layout=shipped")


def check_model_file(path: Path) -> None:
    """Look whether there is a GGUF file.

    Raises:
        ModelFileError: there is none.

    """
    if not path.is_file():
        raise ModelFileError(f"no model file at {path}", "Run `llmclf models` to see which models are known and here")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelFileError(f"{path} is not a GGUF file", "Give a llama.cpp model file (*.gguf)")


class LlamaModel:
    """One loaded GGUF file.

    `repacked` lets llama.cpp turn quantized weights into the order that the processor's matrix units want.
    """

    def __init__(self, path: Path, *, gpu_layers: int = 0, repacked: bool = False) -> None:
        self._lib = llama_cpp()
        self.path = path
        check_model_file(path)
        params = self._lib.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.use_extra_bufts = repacked
        _log_lines.clear()
        _repacked_buffers.clear()
        self._model = self._lib.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            reason = _log_lines[0] if _log_lines else "llama.cpp gave no reason"
            raise ModelFileError(f"{path} cannot be loaded: {reason}", "Fetch the file again: it may be cut short")
        self._freed = weakref.finalize(self, self._lib.llama_model_free, self._model)
        self.is_repacked = bool(_repacked_buffers)
        """Whether some weights were: not of every layout, and not on every processor."""
        self._vocab = self._lib.llama_model_get_vocab(self._model)
        is_recurrent = self._lib.llama_model_is_recurrent(self._model) or self._lib.llama_model_is_hybrid(self._model)
        self.shares_past = not is_recurrent and self._lib.llama_model_rope_type(self._model) not in _M_ROPE_TYPES
        """Whether sequences can begin with the same cells: not where the past is a running state (recurrent models),
        nor with multi-dimensional positions (M-RoPE)."""

    def close(self) -> None:
        """Free the model; its contexts must be closed before."""
        self._freed()
        self._model = None

    @property
    def handle(self) -> Any:  # noqa: ANN401 - an opaque pointer of llama.cpp
        """The pointer that llama.cpp's functions take."""
        return self._model

    @property
    def vocabulary_size(self) -> int:
        """The number of tokens in the vocabulary."""
        return int(self._lib.llama_vocab_n_tokens(self._vocab))

    @property
    def vocabulary(self) -> Any:  # noqa: ANN401 - an opaque pointer of llama.cpp
        """The pointer to the vocabulary that llama.cpp's functions take."""
        return self._vocab

    @property
    def parameters(self) -> int:
        """The number of weights."""
        return int(self._lib.llama_model_n_params(self._model))

    @property
    def trained_context(self) -> int:
        """The number of tokens in the contexts that it was trained on."""
        return int(self._lib.llama_model_n_ctx_train(self._model))

    @property
    def chat_template(self) -> str | None:
        """The chat template in the file, in jinja2, if there is one."""
        template = self._lib.llama_model_chat_template(self._model, None)
        return template.decode() if template else None

    @property
    def bos(self) -> int | None:
        """The token that a prompt must begin with, if any must."""
        return self._lib.llama_vocab_bos(self._vocab) if self._lib.llama_vocab_get_add_bos(self._vocab) else None

    @cached_property
    def control_tokens(self) -> NDArray[np.intp]:
        """The tokens that stand for no text."""
        tokens = range(self.vocabulary_size)
        return np.array([token for token in tokens if self._lib.llama_vocab_is_control(self._vocab, token)], np.intp)

    @cached_property
    def end(self) -> int:
        """A token that ends a reply."""
        token = self._lib.llama_vocab_eot(self._vocab)
        return int(token if token >= 0 else self._lib.llama_vocab_eos(self._vocab))

    def text_of(self, tokens: Sequence[int]) -> bytes:
        """Give the bytes that tokens stand for; control tokens stand for none."""
        buffer = ctypes.create_string_buffer(256)
        pieces = []
        for token in tokens:
            size = self._lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False)
            if size < 0:
                buffer = ctypes.create_string_buffer(-size)
                size = self._lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False)
            pieces.append(buffer.raw[:size])
        return b"".join(pieces)

    def special_text(self, which: str) -> str:
        """Give the text of the `bos` or `eos` token, as chat templates write it."""
        token = getattr(self._lib, f"llama_vocab_{which}")(self._vocab)
        text = self._lib.llama_vocab_get_text(self._vocab, token) if token >= 0 else None
        return text.decode(errors="replace") if text else ""

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Turn text into tokens; only with `special` may text stand for control tokens."""
        data = text.encode()
        room = len(data) + 8
        buffer = (ctypes.c_int32 * room)()
        count = self._lib.llama_tokenize(self._vocab, data, len(data), buffer, room, False, special)
        if count < 0:
            raise InputError(f"a text of {len(data)} bytes cannot be turned into tokens")
        return buffer[:count]
