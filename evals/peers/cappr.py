"""cappr: the log-probability of every label after the prompt, whose head is read once."""

from collections.abc import Iterator, Sequence

import llama_cpp  # type: ignore[import-untyped, unused-ignore]  # has no types everywhere
from cappr.llama_cpp.classify import (  # type: ignore[import-not-found]  # lives in an environment of its own
    cache,
    predict,
)

from evals.peers.measure import Peer, Question, Task, Tokens, count_decodes, main


def open_peer(task: Task) -> Iterator[Peer]:
    """Open the model with the logits of every token, which cappr needs for labels of several."""
    counted = count_decodes(llama_cpp, llama_cpp.llama_cpp)
    llama = llama_cpp.Llama(
        task.model,
        n_ctx=task.context,
        n_threads=task.threads,
        n_threads_batch=task.threads,
        logits_all=True,
        verbose=False,
    )

    def ask(prompts: Sequence[str], question: Question) -> list[str | None]:
        labels = [f" {label}" for label in question.labels]
        found = predict(prompts, labels, llama, end_of_prompt="", show_progress_bar=False, reset_model=False)
        return [label.strip() for label in found]

    def ask_all(text: str) -> list[str | None]:
        with cache(llama, text, reset_model=False):
            return [label for question in task.questions for label in ask([task.after(question)], question)]

    def answer(texts: Sequence[str]) -> list[str | None]:
        with cache(llama, task.before("")):
            if len(task.questions) == 1:
                return ask([text + task.after(task.questions[0]) for text in texts], task.questions[0])
            return [label for text in texts for label in ask_all(text)]

    yield Peer(answer, lambda: Tokens(counted.read, counted.written))


if __name__ == "__main__":
    main(open_peer)
