"""cappr: the log-probability of every label after the prompt, whose head is read once."""

from collections.abc import Iterator, Sequence
from functools import partial

from cappr.llama_cpp.classify import (  # type: ignore[import-not-found]  # lives in an environment of its own
    cache,
    predict,
    predict_proba,
)

from evals.peers.measure import Peer, Question, Task, Tokens, main, open_llama


def open_peer(task: Task) -> Iterator[Peer]:
    """Open the model with the logits of every token, which cappr needs for labels of several."""
    llama, counted = open_llama(task, logits_all=True)
    llama.tokenize = partial(llama.tokenize, special=True)  # cappr itself reads the chat template as common words

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

    def probabilities(texts: Sequence[str]) -> list[list[float]]:
        (question,) = task.questions
        prompts = [text + task.after(question) for text in texts]
        labels = [f" {label}" for label in question.labels]
        with cache(llama, task.before("")):
            found = predict_proba(prompts, labels, llama, end_of_prompt="", show_progress_bar=False, reset_model=False)
        return [[float(one) for one in row] for row in found]

    yield Peer(answer, lambda: Tokens(counted.read, counted.written), probabilities)


if __name__ == "__main__":
    main(open_peer)
