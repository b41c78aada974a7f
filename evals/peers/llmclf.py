"""llmclf's local engine: every label's log-likelihood, or the best label's only, or a written reply."""

from collections.abc import Iterator, Mapping, Sequence

from evals.peers.measure import Peer, Question, Task, Tokens, count_decodes, main
from llmclf.backends.base import (
    AnswerForm,
    Completion,
    Likelihoods,
    Message,
    Reading,
    Reply,
    Request,
    Scores,
    Structured,
)
from llmclf.backends.llama import llama_cpp
from llmclf.backends.local import LocalBackend

_SAMPLE = 100
"""Texts over which each label's mean log-likelihood is taken, for a correction."""


def open_peer(task: Task) -> Iterator[Peer]:
    """Open the engine as `open_backend` does, in the layout asked for."""
    counted = count_decodes(llama_cpp())
    backend = LocalBackend(task.model, layout=task.settings["layout"], threads=task.threads, max_tokens=task.max_tokens)

    def ask(texts: Sequence[str], forms: Mapping[Question, AnswerForm]) -> list[Reply]:
        pairs = [(text, question) for text in texts for question in task.questions]
        requests = (Request(n, messages(task, text, q), forms[q]) for n, (text, q) in enumerate(pairs))
        return sorted(backend.answer(requests), key=lambda reply: reply.request_id)

    forms: dict[Question, AnswerForm] = {question: Likelihoods(question.labels) for question in task.questions}
    readings = {question: Reading() for question in task.questions}
    if task.mode == "generate":
        forms = dict.fromkeys(task.questions, Structured("answer", task.schema))
    if best_only := task.settings.get("best_only"):
        if best_only == "corrected":
            (question,) = task.questions
            readings = {question: _correction(question, ask(task.texts[:_SAMPLE], forms))}
        forms = {question: Likelihoods(question.labels, reading) for question, reading in readings.items()}

    def answer(texts: Sequence[str]) -> list[str | None]:
        asked = [question for _ in texts for question in task.questions]
        return [_answer(reply, q, readings[q]) for q, reply in zip(asked, ask(texts, forms), strict=True)]

    yield Peer(answer, lambda: Tokens(counted.read, counted.written))
    backend.close()


def messages(task: Task, text: str, question: Question) -> tuple[Message, ...]:
    """Give the messages, in parts as a codebook's prompt gives them."""
    user = tuple(part for part in (task.head, text, question.tail) if part)
    reply = (Message("assistant", (question.cue,)),) if question.cue else ()
    return (Message("system", (task.system,)), Message("user", user), *reply)


def _correction(question: Question, replies: Sequence[Reply]) -> Reading:
    scores = [reply for reply in replies if isinstance(reply, Scores)]
    means = [sum(one.log_likelihoods[label] for one in scores) / len(scores) for label in question.labels]
    return Reading(correction=tuple(means))


def _answer(reply: Reply, question: Question, reading: Reading) -> str | None:
    if isinstance(reply, Completion):
        return reply.text
    if not isinstance(reply, Scores):
        return None
    less = dict(zip(question.labels, reading.correction or [0.0] * len(question.labels), strict=True))
    return max(reply.log_likelihoods, key=lambda label: reply.log_likelihoods[label] - less[label])


if __name__ == "__main__":
    main(open_peer)
