"""The oracle for the local engine: one text and one label at a time, a fresh cache each time, nothing shared.

Written on llama.cpp's own helpers, so that it has no line in common with the engine.
"""

import ctypes
from pathlib import Path

import llama_cpp.llama_cpp as llama
import numpy as np


def rewrite(source: Path, target: Path, file_type: int) -> Path:
    """Rewrite a model's weights in another layout."""
    params = llama.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize, params.nthread = file_type, True, 2
    assert llama.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)) == 0
    return target


class PlainDecoder:
    """Log-likelihood of a continuation, by reading prompt and continuation in one go."""

    def __init__(self, path: Path) -> None:
        params = llama.llama_model_default_params()
        params.use_extra_bufts = False
        self._model = llama.llama_model_load_from_file(str(path).encode(), params)
        self.vocab = llama.llama_model_get_vocab(self._model)
        context = llama.llama_context_default_params()
        context.n_ctx = context.n_batch = context.n_ubatch = 2048
        context.flash_attn_type = 0  # it sums in another order for each number of tokens, and few of them in F16
        self._context = llama.llama_init_from_model(self._model, context)
        self._size = llama.llama_vocab_n_tokens(self.vocab)

    def tokens(self, text: str, *, special: bool = False) -> list[int]:
        data = text.encode()
        room = (ctypes.c_int32 * (len(data) + 1))()
        return room[: llama.llama_tokenize(self.vocab, data, len(data), room, len(room), False, special)]

    def log_likelihood(self, prompt: list[int], continuation: list[int]) -> float:
        llama.llama_memory_clear(llama.llama_get_memory(self._context), True)
        sequence = prompt + continuation[:-1]
        batch = llama.llama_batch_init(len(sequence), 0, 1)
        batch.n_tokens = len(sequence)
        for place, token in enumerate(sequence):
            batch.token[place] = token
            batch.pos[place] = place
            batch.n_seq_id[place] = 1
            batch.seq_id[place][0] = 0
            batch.logits[place] = place >= len(prompt) - 1
        assert llama.llama_decode(self._context, batch) == 0
        total = 0.0
        for step, token in enumerate(continuation):
            pointer = llama.llama_get_logits_ith(self._context, len(prompt) - 1 + step)
            logits = np.ctypeslib.as_array(pointer, (self._size,)).astype(np.float64)
            total += logits[token] - np.logaddexp.reduce(logits)
        llama.llama_batch_free(batch)
        return float(total)

    def close(self) -> None:
        llama.llama_free(self._context)
        llama.llama_model_free(self._model)
