"""What the machine and the prompts allow at best: a model's raw prefill speed, and the tokens that must be read.

It calls llama.cpp itself, so that no choice of llmclf's engine is in the ceiling that the engine is held to.
"""

import json
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment

from evals import throughput_works
from evals.throughput_ceiling import needs
from llmclf.backends.layouts import weights
from llmclf.backends.llama import LlamaModel, llama_cpp

PROMPT_TOKENS = 512
_REPEATS = 9


def main() -> None:
    """Measure one model in one layout: `python -m evals.peers.ceiling ASKED.json RESULT.json`."""
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    shipped = Path(asked["model"])
    chosen = weights(shipped, asked["layout"])
    lib = llama_cpp()
    model = LlamaModel(chosen.path, repacked=chosen.repacked)
    frame = chat_frame(model)

    def tokenize(text: str) -> list[int]:
        return model.tokenize(text, special=True)

    embedding = int(lib.llama_model_n_embd(model.handle)) * model.vocabulary_size
    result = {
        "path": str(chosen.path),
        "layout": chosen.layout,
        "frame": frame,
        "tokens_per_second": _prefill(model, asked["threads"], all_logits=False),
        "tokens_per_second_with_logits": _prefill(model, asked["threads"], all_logits=True),
        # The embedding is looked up, and as the output matrix multiplied with each prompt's last token only.
        "matrix_parameters": int(lib.llama_model_n_params(model.handle)) - embedding,
        "matmul_gflops": _matmul_gflops(),
        "needs": {
            work.name: asdict(needs(work.task("", frame), tokenize)) for work in throughput_works.load(asked["works"])
        },
    }
    model.close()
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")


def chat_frame(model: LlamaModel) -> tuple[str, str, str] | None:
    """Give what the model's chat template writes around a system's and a user's words."""
    if model.chat_template is None:
        return None
    messages = [{"role": "system", "content": "\ue0f0"}, {"role": "user", "content": "\ue0f0"}]
    environment = Environment(autoescape=False, trim_blocks=True, lstrip_blocks=True)  # noqa: S701 - no page, a prompt
    text = environment.from_string(model.chat_template).render(
        messages=messages, add_generation_prompt=True, bos_token=model.special_text("bos")
    )
    system, user, reply = text.split("\ue0f0")
    return system, user, reply


def _prefill(model: LlamaModel, threads: int, *, all_logits: bool) -> float:
    """Give tokens/s of reading prompts in one sequence, with the logits of all tokens or of the last one only."""
    lib = llama_cpp()
    params = lib.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = PROMPT_TOKENS
    params.n_threads = params.n_threads_batch = threads
    context: Any = lib.llama_init_from_model(model.handle, params)
    batch = lib.llama_batch_init(PROMPT_TOKENS, 0, 1)
    batch.n_tokens = PROMPT_TOKENS
    tokens = np.random.default_rng(0).integers(0, model.vocabulary_size, PROMPT_TOKENS).tolist()
    for place, token in enumerate(tokens):
        batch.token[place], batch.pos[place] = token, place
        batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
        batch.logits[place] = all_logits or place == PROMPT_TOKENS - 1
    seconds = []
    for _ in range(_REPEATS + 1):
        lib.llama_memory_clear(lib.llama_get_memory(context), True)
        began = time.perf_counter()
        lib.llama_decode(context, batch)
        lib.llama_synchronize(context)
        seconds.append(time.perf_counter() - began)
    lib.llama_batch_free(batch)
    lib.llama_free(context)
    return PROMPT_TOKENS / statistics.median(seconds[1:])  # the first one also loads the file


def _matmul_gflops() -> float:
    """Give the speed of the best of some products of two matrices in 32-bit floats, on the cores available."""
    size = 1536
    left, right = np.random.default_rng(0).random((2, size, size), dtype=np.float32)
    seconds = []
    for _ in range(8):
        began = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - began)
    return float(2 * size**3 / min(seconds) / 1e9)


if __name__ == "__main__":
    main()
