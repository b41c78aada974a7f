"""Replies -> labels: pure functions of what the model said."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmclf.annotations import LabelValue
from llmclf.backends.base import Completion, Failure, Reply, Scores
from llmclf.codebook import Question
from llmclf.schemas import read_reply
from llmclf.status import Status

YES, NO = "yes", "no"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the replies to one question about one item come to."""

    status: Status
    label: LabelValue | None = None
    probability: float | None = None
    probabilities: Mapping[str, float] | None = None


def decide(question: Question, replies: Sequence[Reply]) -> Decision:
    """Decide on the most likely label.

    One reply, or, for a set whose labels were asked about one by one, one yes-or-no reply for each label:
    a label applies where yes is likelier than no; the set's probability is the product, labels taken as independent.
    """
    failure = next((reply for reply in replies if isinstance(reply, Failure)), None)
    if failure is not None:
        return Decision(failure.status)
    if isinstance(replies[0], Completion):
        said = read_reply(question, replies[0].text)
        return Decision(said) if isinstance(said, Status) else Decision(Status.OK, said)
    scores = [reply for reply in replies if isinstance(reply, Scores)]
    if question.kind == "set":
        return _decide_set(question, scores)
    by_name = normalize(scores[0].log_likelihoods)
    probabilities = {label.code: by_name[label.name] for label in question.labels}
    if any(map(math.isnan, probabilities.values())):
        return Decision(Status.FAILED)
    best = max(probabilities, key=probabilities.__getitem__)
    return Decision(Status.OK, best, probabilities[best], probabilities)


def _decide_set(question: Question, scores: Sequence[Scores]) -> Decision:
    applies = {
        label.code: normalize(score.log_likelihoods)[YES] for label, score in zip(question.labels, scores, strict=True)
    }
    if any(map(math.isnan, applies.values())):
        return Decision(Status.FAILED)
    chosen = tuple(code for code, probability in applies.items() if probability > 0.5)
    joint = math.prod(p if code in chosen else 1 - p for code, p in applies.items())
    return Decision(Status.OK, chosen, joint, applies)


def normalize(log_likelihoods: Mapping[str, float]) -> dict[str, float]:
    """Turn log-likelihoods into probabilities that sum to 1 over the labels."""
    top = max(log_likelihoods.values())
    weights = {label: math.exp(value - top) for label, value in log_likelihoods.items()}
    total = math.fsum(weights.values())
    return {label: weight / total for label, weight in weights.items()}
