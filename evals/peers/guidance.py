"""guidance: a grammar in the loop, and what a prompt shares with the one before it is read once.

The chat template is written out in the prompt, because guidance's own roles read every prompt's head again:
2.2 instead of 12.5 headlines/s.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import guidance  # type: ignore[import-not-found]  # lives in an environment of its own

from evals.peers.measure import Peer, Question, Task, Tokens, main, open_llama


def open_peer(task: Task) -> Iterator[Peer]:
    """Open the model, and choose the likeliest label token by token, or write what the schema allows."""
    llama, counted = open_llama(task)
    model = guidance.models.LlamaCpp(llama, echo=False, enable_monitoring=False)

    def reply(question: Question) -> Any:  # noqa: ANN401 - guidance has no types
        if task.mode == "generate":
            return guidance.json("answer", schema=task.schema, temperature=0.0, max_tokens=task.max_tokens)
        return " " + guidance.with_temperature(guidance.select(question.labels, name="answer"), 0.0)

    replies = {question: reply(question) for question in task.questions}

    def ask(text: str, question: Question) -> str:
        return str((model + (task.before(text) + task.after(question) + replies[question]))["answer"])

    def answer(texts: Sequence[str]) -> list[str | None]:
        return [ask(text, question) for text in texts for question in task.questions]

    yield Peer(answer, lambda: Tokens(counted.read, counted.written))


if __name__ == "__main__":
    main(open_peer)
