"""A key-value cache of many sequences, and the decoding of batches that mix them."""

import ctypes
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from llmclf.backends.llama import LlamaModel, Tokens, llama_cpp
from llmclf.errors import BackendError

MAX_SEQUENCES = 256
"""llama.cpp's own limit; of a context's sequences the last one is kept for filler."""

_LEAST_TOKENS = 64
"""Of a batch: below it llama.cpp's flash attention sums in F16, which after 1,200 tokens was wrong by 0.2 nats."""
_LOGIT_BYTES = 64 * 2**20
"""Memory for the logits of one batch; a row is 0.2 MB for a vocabulary of 49,152."""
_LEAST_ROWS = 4
"""Of logits in a batch: below it llama.cpp takes other kernels, whose results differ by 0.02 nats."""


class LlamaContext:
    """A key-value cache of many sequences that share cells, and the decoding into it.

    `packed` takes flash attention, which passes over the cells of other sequences, and sums in another order for each
    shape of a batch. Without it a sequence gives the same bits however it is cut into batches.
    """

    def __init__(
        self,
        model: LlamaModel,
        *,
        cells: int,
        batch: int,
        threads: int,
        sequences: int = MAX_SEQUENCES,
        packed: bool = True,
    ) -> None:
        self._lib = llama_cpp()
        self._least_tokens = _LEAST_TOKENS if packed else 0
        self.sequences = sequences
        self.cells = max(cells, MAX_SEQUENCES)
        self.batch = min(max(batch, MAX_SEQUENCES), self.cells)  # llama.cpp aborts below one output a sequence
        self._vocabulary_size = model.vocabulary_size
        self.rows = max(_LEAST_ROWS, _LOGIT_BYTES // (4 * model.vocabulary_size))
        """Tokens whose logits are wanted, at most, in a batch."""
        params = self._lib.llama_context_default_params()
        params.n_ctx = self.cells
        params.n_batch = params.n_ubatch = self.batch
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True  # so that a sequence copy shares cells instead of copying them
        params.swa_full = True  # so that sliding-window layers keep what other sequences still need
        params.flash_attn_type = int(packed)
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

    def slices(self, size: int) -> list[int]:
        """Cut so many tokens whose logits are all wanted into equal slices, and give where each ends.

        A slice fits in any batch: what it is hangs on the model and on the number of tokens alone.
        """
        pieces = -(-size // min(self.rows, MAX_SEQUENCES))
        return [size * piece // pieces for piece in range(1, pieces + 1)]

    def share(self, source: int, target: int) -> None:
        """Let sequence `target` begin as all that sequence `source` holds."""
        self._lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def forget(self, sequence: int, start: int = 0) -> None:
        """Drop a sequence from a position on; cells that no sequence holds are free."""
        self._lib.llama_memory_seq_rm(self._memory, sequence, start, -1)

    def clear(self) -> None:
        """Drop all sequences."""
        self._lib.llama_memory_clear(self._memory, True)

    def decode(
        self, segments: Sequence[tuple[int, int, Tokens, int]], *, exact: bool = True
    ) -> Iterator[NDArray[np.float32]]:
        """Read segments of sequences in one batch, and give the logits of the last tokens of each.

        A segment is (sequence, first position, tokens, number of last tokens whose logits are wanted).
        Without `exact` a small batch is not filled up: faster, and wrong by some hundredths of a nat.

        Yields:
            One array a segment (wanted, vocabulary), valid until the next decode.

        """
        filler = max(0, self._least_tokens - sum(len(tokens) for _, _, tokens, _ in segments)) if exact else 0
        padding = [(self.sequences - 1, 0, np.zeros(filler, dtype=np.int32), 0)] if filler else []
        wanted = self._wanted([*segments, *padding])
        marked = wanted.copy()
        if wanted.any():
            marked[np.flatnonzero(~wanted)[: max(0, _LEAST_ROWS - int(wanted.sum()))]] = True
        self._decode([*segments, *padding], marked)
        if filler:
            self.forget(self.sequences - 1)
        logits = np.empty((0, self._vocabulary_size), dtype=np.float32)
        if wanted.any():
            pointer = self._lib.llama_get_logits(self._context)
            logits = np.ctypeslib.as_array(pointer, (int(marked.sum()), self._vocabulary_size))
        if not np.array_equal(marked, wanted):
            logits = logits[wanted[marked]]
        ends = np.cumsum([rows for _, _, _, rows in segments])
        for end, (_, _, _, rows) in zip(ends, segments, strict=True):
            yield logits[end - rows : end]

    def read(self, sequence: int, start: int, tokens: Tokens, *, rows: int = 0) -> NDArray[np.float32]:
        """Read tokens into one sequence, a batch after the other, and give the logits of the last `rows` of them."""
        logits = np.empty((rows, self._vocabulary_size), dtype=np.float32)
        size = len(tokens)
        for end in range((size - 1) % self.batch + 1, size + 1, self.batch):  # the first piece is the short one
            begin = max(0, end - self.batch)
            segment = (sequence, start + begin, tokens[begin:end], rows if end == size else 0)
            (logits,) = self.decode([segment])
        return logits

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
