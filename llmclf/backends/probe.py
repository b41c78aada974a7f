"""One model file on this machine: its speed, and its scores for the built-in texts, as JSON on standard output.

A process of its own, run by `layouts`: python -m llmclf.backends.probe FILE LAYOUT THREADS
"""

import json
import statistics
import sys
import time
from importlib.resources import files
from pathlib import Path

import numpy as np

from llmclf.backends.base import Likelihoods, Message, Request, Scores
from llmclf.backends.context import LlamaContext
from llmclf.backends.layouts import Weights
from llmclf.backends.llama import LlamaModel
from llmclf.backends.local import LocalBackend

_LABELS = ("sport", "business", "science", "politics", "a personal matter", "a complaint", "none of these")
_PROMPT_TOKENS = 512
_REPEATS = 5
_SECONDS = 5.0
"""After which a slow model's speed is not measured again."""


def main() -> None:
    """Measure one file."""
    path, layout, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    weights = Weights(path, layout, name=path.stem, sha256="")
    model = LlamaModel(path, repacked=weights.repacked)
    if weights.repacked and not model.is_repacked:
        sys.exit("nothing of it is repacked for this processor")
    speed = _tokens_per_second(model, threads)
    found = {"parameters": model.parameters, "tokens_per_second": speed}
    model.close()
    backend = LocalBackend(weights, threads=threads)
    sys.stdout.write(json.dumps(found | {"scores": _scores(backend)}))
    backend.close()


def _tokens_per_second(model: LlamaModel, threads: int) -> float:
    context = LlamaContext(model, cells=2 * _PROMPT_TOKENS, batch=_PROMPT_TOKENS, threads=threads)
    tokens = np.random.default_rng(0).integers(0, model.vocabulary_size, _PROMPT_TOKENS, dtype=np.int32)
    seconds: list[float] = []
    while len(seconds) <= _REPEATS and sum(seconds) < _SECONDS:
        began = time.perf_counter()
        list(context.decode([(0, 0, tokens, 1)]))
        seconds.append(time.perf_counter() - began)
        context.clear()
    context.close()
    return _PROMPT_TOKENS / statistics.median(seconds[1:] or seconds)  # the first one also loads the file


def _scores(backend: LocalBackend) -> list[list[float]]:
    texts = files("llmclf.backends").joinpath("probe_texts.txt").read_text(encoding="utf-8").splitlines()
    requests = [
        Request(
            number,
            (Message("user", ("What is this text about?\n\n", text)), Message("assistant", ("It is about",))),
            Likelihoods(_LABELS),
        )
        for number, text in enumerate(texts)
    ]
    replies = {reply.request_id: reply for reply in backend.answer(requests)}
    return [
        [reply.log_likelihoods[label] for label in _LABELS]
        for reply in (replies[number] for number in range(len(texts)))
        if isinstance(reply, Scores)
    ]


if __name__ == "__main__":
    main()
