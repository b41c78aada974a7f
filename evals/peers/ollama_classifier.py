"""ollama-classifier: one constrained completion a text, its probabilities read from the tokens' alternatives.

Its other method, a completion for each label, gives all labels the same probability here: a forced token has 1.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from ollama_classifier import LLMClassifier  # type: ignore[import-not-found]  # lives in an environment of its own
from ollama_classifier.backends import LlamaCppBackend  # type: ignore[import-not-found]  # the same

from evals.peers.measure import Peer, Task, main
from evals.peers.server import SLOTS, head_of, served_tokens, serving


def open_peer(task: Task) -> Iterator[Peer]:
    """Open a classifier on llama.cpp's server. It writes the user's message itself, the text near its end."""
    with serving(task) as address, asyncio.Runner() as runner:
        classifier = LLMClassifier(LlamaCppBackend("local", f"{address}/v1"))

        async def ask(text: str, slots: asyncio.Semaphore) -> list[Any]:
            async with slots:
                return [
                    await classifier.agenerate(text + question.tail, list(question.labels), head_of(task))
                    for question in task.questions
                ]

        async def ask_all(texts: Sequence[str]) -> list[Any]:
            slots = asyncio.Semaphore(SLOTS)
            found = await asyncio.gather(*(ask(text, slots) for text in texts))
            return [one for answers in found for one in answers]

        def answer(texts: Sequence[str]) -> list[str | None]:
            return [str(one.prediction) for one in runner.run(ask_all(texts))]

        def probabilities(texts: Sequence[str]) -> list[list[float]]:
            (question,) = task.questions
            found = runner.run(ask_all(texts))
            return [[float(one.probabilities[label]) for label in question.labels] for one in found]

        yield Peer(answer, lambda: served_tokens(address), probabilities)


if __name__ == "__main__":
    main(open_peer)
