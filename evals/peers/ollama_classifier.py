"""ollama-classifier: one constrained completion a text, its probabilities read from the tokens' alternatives."""

import asyncio
from collections.abc import Iterator, Sequence

from ollama_classifier import LLMClassifier  # type: ignore[import-not-found]  # lives in an environment of its own
from ollama_classifier.backends import LlamaCppBackend  # type: ignore[import-not-found]  # the same

from evals.peers.measure import Peer, Task, main
from evals.peers.server import SLOTS, head_of, served_tokens, serving


def open_peer(task: Task) -> Iterator[Peer]:
    """Open a classifier on llama.cpp's server. It writes the user's message itself, the text near its end."""
    with serving(task) as address, asyncio.Runner() as runner:
        classifier = LLMClassifier(LlamaCppBackend("local", f"{address}/v1"))

        async def ask(text: str, slots: asyncio.Semaphore) -> list[str | None]:
            async with slots:
                found = [
                    await classifier.agenerate(text + question.tail, list(question.labels), head_of(task))
                    for question in task.questions
                ]
            return [str(one.prediction) for one in found]

        async def ask_all(texts: Sequence[str]) -> list[str | None]:
            slots = asyncio.Semaphore(SLOTS)
            found = await asyncio.gather(*(ask(text, slots) for text in texts))
            return [label for labels in found for label in labels]

        yield Peer(lambda texts: runner.run(ask_all(texts)), lambda: served_tokens(address))


if __name__ == "__main__":
    main(open_peer)
