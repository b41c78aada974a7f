"""outlines: llama-cpp-python's sampling, masked by an automaton.

It lets go of what the model has read after each answer, so what prompts share comes from llama-cpp-python's cache,
held to the head and the latest prompt: with an entry a text it is slower than without.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import outlines  # type: ignore[import-not-found]  # lives in an environment of its own
from llama_cpp.llama_cache import LlamaRAMCache  # type: ignore[import-untyped, unused-ignore]  # the same
from outlines.types import JsonSchema  # type: ignore[import-not-found]  # the same

from evals.peers.measure import Peer, Question, Task, Tokens, main, open_llama


class _ShortCache(LlamaRAMCache):  # type: ignore[misc, unused-ignore]  # of a class without types
    """Keeps its first entry and its latest."""

    def __setitem__(self, key: Sequence[int], value: Any) -> None:  # noqa: ANN401 - llama-cpp-python's own
        first = min(self.cache_state, key=len, default=None)  # the head alone is the shortest
        for other in [entry for entry in self.cache_state if entry != first]:
            del self.cache_state[other]
        super().__setitem__(key, value)


def open_peer(task: Task) -> Iterator[Peer]:
    """Open the model and compile an automaton for each question's labels, or for the schema."""
    llama, counted = open_llama(task)
    model = outlines.from_llamacpp(llama, chat_mode=False)

    def generator(question: Question) -> Any:  # noqa: ANN401 - outlines has no types
        if task.mode == "generate":
            return outlines.Generator(model, JsonSchema(task.schema, whitespace_pattern=" ?"))
        return outlines.Generator(model, Literal[tuple(f" {label}" for label in question.labels)])

    generators = {question: generator(question) for question in task.questions}

    def ask(text: str, question: Question) -> str:
        prompt = task.before(text) + task.after(question)
        return str(generators[question](prompt, max_tokens=task.max_tokens, temperature=0.0)).strip()

    llama.set_cache(_ShortCache())
    ask("", task.questions[0])

    def answer(texts: Sequence[str]) -> list[str | None]:
        return [ask(text, question) for text in texts for question in task.questions]

    yield Peer(answer, lambda: Tokens(counted.read, counted.written))


if __name__ == "__main__":
    main(open_peer)
