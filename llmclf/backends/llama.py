"""A GGUF model through llama.cpp: its tokens, its metadata, and a context that decodes many sequences."""

import contextlib
import ctypes
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmclf.errors import BackendError, InputError, MissingPackage, ModelFileError

Tokens = NDArray[np.int32]

MAX_SEQUENCES = 256
"""llama.cpp's own limit; the last one is kept for filler."""

_FILLER_SEQUENCE = MAX_SEQUENCES - 1

_LEAST_TOKENS = 64
"""Of a batch: below it llama.cpp's flash attention sums in F16, which after 1,200 tokens was wrong by 0.2 nats."""
_LEAST_ROWS = 4
"""Of logits in a batch: below it llama.cpp takes other kernels, whose results differ by 0.02 nats."""

_M_ROPE_TYPES = (8, 24, 40)


@cache
def llama_cpp() -> ModuleType:
    """Load llama.cpp once, quiet, and waiting passively for its threads.

    Raises:
        MissingPackage: llama-cpp-python is not installed.

    """
    # Spinning threads collapse on a busy machine: 0.46 against 3.7 requests/s with two threads on two cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import llama_cpp.llama_cpp as library
    except ImportError:
        raise MissingPackage("local models need llama-cpp-python", "Run: pip install 'llmclf[local]'") from None
    library.llama_log_set(_log, None)
    library.llama_backend_init()
    return library


_log_lines: list[str] = []


def _keep_errors(level: int, text: bytes, _user_data: object) -> None:
    if level == _LOG_ERROR:
        _log_lines.append(text.decode(errors="replace").strip())
        del _log_lines[:-5]


# At module level, so that llama.cpp never calls a function that is gone.
_log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(_keep_errors)


_LOG_ERROR = 4


def available_cpus() -> int:
    """Count the cores that this process may really use: its affinity, and its cgroup's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores


class LlamaModel:
    """One loaded GGUF file."""

    def __init__(self, path: Path, *, gpu_layers: int = 0) -> None:
        self._lib = llama_cpp()
        self.path = path
        if not path.is_file():
            raise ModelFileError(
                f"no model file at {path}", "Run `llmclf models` to see which models are known and here"
            )
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ModelFileError(f"{path} is not a GGUF file", "Give a llama.cpp model file (*.gguf)")
        params = self._lib.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        # llama.cpp's AMX kernels crash when built by GCC 12: its _tile_loadconfig drops most of the configuration.
        params.use_extra_bufts = False
        _log_lines.clear()
        self._model = self._lib.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            reason = _log_lines[0] if _log_lines else "llama.cpp gave no reason"
            raise ModelFileError(f"{path} cannot be loaded: {reason}", "Fetch the file again: it may be cut short")
        self._vocab = self._lib.llama_model_get_vocab(self._model)
        if self._lib.llama_model_is_recurrent(self._model) or self._lib.llama_model_is_hybrid(self._model):
            raise ModelFileError(
                f"{path} is a recurrent model, whose past cannot be shared between texts", "Use a transformer"
            )
        if self._lib.llama_model_rope_type(self._model) in _M_ROPE_TYPES:
            raise ModelFileError(f"{path} uses multi-dimensional positions (M-RoPE)", "Use a text-only model")

    def close(self) -> None:
        """Free the model; its contexts must be closed before."""
        if self._model:
            self._lib.llama_model_free(self._model)
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


class LlamaContext:
    """A key-value cache of many sequences that share cells, and the decoding into it."""

    def __init__(self, model: LlamaModel, *, cells: int, batch: int, threads: int) -> None:
        self._lib = llama_cpp()
        self.cells = max(cells, MAX_SEQUENCES)
        self.batch = min(max(batch, MAX_SEQUENCES), self.cells)  # llama.cpp aborts below one output a sequence
        self._vocabulary_size = model.vocabulary_size
        params = self._lib.llama_context_default_params()
        params.n_ctx = self.cells
        params.n_batch = params.n_ubatch = self.batch
        params.n_seq_max = MAX_SEQUENCES
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True  # so that a sequence copy shares cells instead of copying them
        params.swa_full = True  # so that sliding-window layers keep what other sequences still need
        params.no_perf = True
        self._context = self._lib.llama_init_from_model(model.handle, params)
        if not self._context:
            raise BackendError(f"no memory for a context of {self.cells} tokens", "Give a smaller context size")
        self._memory = self._lib.llama_get_memory(self._context)

    def close(self) -> None:
        """Free the context."""
        if self._context:
            self._lib.llama_free(self._context)
            self._context = None

    def share(self, source: int, target: int) -> None:
        """Let sequence `target` begin as all that sequence `source` holds."""
        self._lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def forget(self, sequence: int, start: int = 0) -> None:
        """Drop a sequence from a position on; cells that no sequence holds are free."""
        self._lib.llama_memory_seq_rm(self._memory, sequence, start, -1)

    def decode(self, segments: Sequence[tuple[int, int, Tokens, int]]) -> Iterator[NDArray[np.float32]]:
        """Read segments of sequences in one batch, and give the logits of the last tokens of each.

        A segment is (sequence, first position, tokens, number of last tokens whose logits are wanted).

        Yields:
            One array a segment (wanted, vocabulary), valid until the next decode.

        """
        filler = max(0, _LEAST_TOKENS - sum(len(tokens) for _, _, tokens, _ in segments))
        padding = [(_FILLER_SEQUENCE, 0, np.zeros(filler, dtype=np.int32), 0)] if filler else []
        wanted = self._wanted([*segments, *padding])
        marked = wanted.copy()
        if wanted.any():
            marked[np.flatnonzero(~wanted)[: max(0, _LEAST_ROWS - int(wanted.sum()))]] = True
        self._decode([*segments, *padding], marked)
        if filler:
            self.forget(_FILLER_SEQUENCE)
        logits = np.empty((0, self._vocabulary_size), dtype=np.float32)
        if wanted.any():
            pointer = self._lib.llama_get_logits(self._context)
            logits = np.ctypeslib.as_array(pointer, (int(marked.sum()), self._vocabulary_size))
        if not np.array_equal(marked, wanted):
            logits = logits[wanted[marked]]
        ends = np.cumsum([rows for _, _, _, rows in segments])
        for end, (_, _, _, rows) in zip(ends, segments, strict=True):
            yield logits[end - rows : end]

    def _wanted(self, segments: Sequence[tuple[int, int, Tokens, int]]) -> NDArray[np.bool_]:
        ends = np.cumsum([len(tokens) for _, _, tokens, _ in segments])
        wanted = np.zeros(ends[-1], dtype=np.bool_)
        for end, (_, _, _, rows) in zip(ends, segments, strict=True):
            wanted[end - rows : end] = True
        return wanted

    def _decode(self, segments: Sequence[tuple[int, int, Tokens, int]], marked: NDArray[np.bool_]) -> None:
        total = len(marked)
        token = np.concatenate([tokens for _, _, tokens, _ in segments])
        position = np.concatenate(
            [np.arange(start, start + len(tokens), dtype=np.int32) for _, start, tokens, _ in segments]
        )
        sequence = np.repeat(
            np.array([seq for seq, _, _, _ in segments], dtype=np.int32), [len(tokens) for _, _, tokens, _ in segments]
        )
        sequence_pointers = sequence.ctypes.data + 4 * np.arange(total, dtype=np.uintp)
        count = np.ones(total, dtype=np.int32)
        output = marked.astype(np.int8)
        integers, byte = ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(ctypes.c_int8)
        code = self._lib.llama_decode(
            self._context,
            self._lib.llama_batch(
                n_tokens=total,
                token=token.ctypes.data_as(integers),
                pos=position.ctypes.data_as(integers),
                n_seq_id=count.ctypes.data_as(integers),
                seq_id=sequence_pointers.ctypes.data_as(ctypes.POINTER(integers)),
                logits=output.ctypes.data_as(byte),
            ),
        )
        if code != 0:
            raise BackendError(f"llama.cpp could not decode a batch of {total} tokens (code {code})")
