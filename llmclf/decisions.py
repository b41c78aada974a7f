"""Replies -> labels: pure functions of what the model said."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from llmclf.annotations import LabelValue
from llmclf.backends.base import Completion, Failure, Reading, Reply, Scores
from llmclf.codebook import Question
from llmclf.errors import InputError
from llmclf.schemas import Fault, read_reply
from llmclf.status import Status

YES, NO = "yes", "no"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the replies to one question about one item come to."""

    status: Status
    label: LabelValue | None = None
    probability: float | None = None
    probabilities: Mapping[str, float] | None = None
    rationale: str = ""
    evidence: tuple[str, ...] = ()


def decide(question: Question, replies: Sequence[Reply]) -> Decision:
    """Decide on the most likely label.

    One reply, or, for a set whose labels were asked about one by one, one yes-or-no reply for each label:
    a label applies where yes is likelier than no; the set's probability is the product, labels taken as independent.
    """
    failure = next((reply for reply in replies if isinstance(reply, Failure)), None)
    if failure is not None:
        return Decision(failure.status)
    if isinstance(replies[0], Completion):
        return _decide_written(question, replies[0])
    scores = [reply for reply in replies if isinstance(reply, Scores)]
    return _decide_set(question, scores) if question.kind == "set" else _decide_one(question, scores[0])


def _decide_written(question: Question, completion: Completion) -> Decision:
    said = read_reply(question, completion.text)
    if isinstance(said, Fault):
        return Decision(said.status)
    return Decision(Status.OK, said.label, rationale=said.rationale, evidence=said.evidence)


def _decide_one(question: Question, scores: Scores) -> Decision:
    if scores.best_by:
        return _best_of_partial(question, scores, scores.best_by)
    by_name = normalize(scores.log_likelihoods)
    probabilities = {label.code: by_name[label.name] for label in question.labels}
    if any(map(math.isnan, probabilities.values())):
        return Decision(Status.FAILED)
    best = max(probabilities, key=probabilities.__getitem__)
    return Decision(Status.OK, best, probabilities[best], probabilities)


def _best_of_partial(question: Question, scores: Scores, reading: Reading) -> Decision:
    """Give the best label alone: without the others' likelihoods it has no probability."""
    names = [label.name for label in question.labels]
    sums = np.array([scores.log_likelihoods.get(name, -np.inf) for name in names])
    values = reading.values(sums, np.array([scores.tokens.get(name, 1) for name in names]))
    best = int(values.argmax())
    if not np.isfinite(values[best]):
        return Decision(Status.FAILED)
    return Decision(Status.OK, question.labels[best].code)


def _decide_set(question: Question, scores: Sequence[Scores]) -> Decision:
    applies = {label.code: normalize(whole(score))[YES] for label, score in zip(question.labels, scores, strict=True)}
    if any(map(math.isnan, applies.values())):
        return Decision(Status.FAILED)
    chosen = tuple(code for code, probability in applies.items() if probability > 0.5)
    joint = math.prod(p if code in chosen else 1 - p for code, p in applies.items())
    return Decision(Status.OK, chosen, joint, applies)


def misquoted(quotes: Iterable[str], words: str) -> tuple[str, ...]:
    """Give the quotes that do not stand in the words, character by character; a blank one quotes nothing."""
    return tuple(quote for quote in quotes if not quote.strip() or quote not in words)


def whole(scores: Scores) -> Mapping[str, float]:
    """Give the log-likelihoods of all labels.

    Raises:
        InputError: the record is partial.

    """
    if scores.best_by:
        raise InputError(
            "these answers hold the best label and not all likelihoods", "Ask again without --best-only, in another job"
        )
    return scores.log_likelihoods


def normalize(log_likelihoods: Mapping[str, float]) -> dict[str, float]:
    """Turn log-likelihoods into probabilities that sum to 1 over the labels."""
    top = max(log_likelihoods.values())
    weights = {label: math.exp(value - top) for label, value in log_likelihoods.items()}
    total = math.fsum(weights.values())
    return {label: weight / total for label, weight in weights.items()}
