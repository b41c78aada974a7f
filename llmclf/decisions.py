"""Replies -> labels: pure functions of what the model said."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from llmclf.annotations import LabelValue
from llmclf.backends.base import Completion, Failure, Origin, Reading, Reply, Scores
from llmclf.backends.label_tokens import named_label
from llmclf.codebook import Question
from llmclf.errors import InputError
from llmclf.schemas import Said, read_reply
from llmclf.status import Status

YES, NO = "yes", "no"
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Decision:
    """What the replies to one question about one item come to."""

    status: Status
    label: LabelValue | None = None
    probability: float | None = None
    probabilities: Mapping[str, float] | None = None
    origin: Origin | None = None
    samples: int | None = None
    rationale: str = ""
    evidence: tuple[str, ...] = ()
    instability: float | None = None
    """How far the ways of asking are from their mean, in total variation: 0 alike, 1 opposed; None with one way."""


def decide(question: Question, replies: Sequence[Reply]) -> Decision:
    """Decide on the most likely label.

    One reply; or, for a set whose labels were asked about one by one, one yes-or-no reply for each label: a label
    applies where yes is likelier than no, and the set's probability is the product, labels taken as independent;
    or several written replies to the same request, samples: the answer given most often.
    """
    scores = [reply for reply in replies if isinstance(reply, Scores)]
    if not scores:
        return _decide_written(question, [reply for reply in replies if not isinstance(reply, Scores)])
    failure = next((reply for reply in replies if isinstance(reply, Failure)), None)
    if failure is not None:
        return Decision(failure.status)
    return _decide_set(question, scores) if question.kind == "set" else _decide_one(question, scores[0])


def _decide_written(question: Question, replies: Sequence[Completion | Failure]) -> Decision:
    """Give the answer that most replies give, the earliest of equals, with shares of those that give one.

    Where more give none, there is no label, and the status is the one that most of these have.
    """
    read = [reply if isinstance(reply, Failure) else read_reply(question, reply.text) for reply in replies]
    if len(read) == 1:
        (one,) = read
        if not isinstance(one, Said):
            return Decision(one.status)
        return Decision(Status.OK, one.label, rationale=one.rationale, evidence=one.evidence)
    said = [one for one in read if isinstance(one, Said)]
    if 2 * len(said) < len(read):
        return Decision(_most_common(one.status for one in read if not isinstance(one, Said)))
    label = _most_common(one.label for one in said)
    first = next(one for one in said if one.label == label)
    votes = Counter(code for one in said for code in ((one.label,) if isinstance(one.label, str) else one.label))
    return Decision(
        Status.OK,
        label,
        probability=sum(one.label == label for one in said) / len(said),
        probabilities={code: votes[code] / len(said) for code in question.codes},
        origin="samples",
        samples=len(said),
        rationale=first.rationale,
        evidence=first.evidence,
    )


def _most_common(values: Iterable[_Value]) -> _Value:
    """Give the value that occurs most often, of equals the one that comes first."""
    return Counter(values).most_common(1)[0][0]


def _decide_one(question: Question, scores: Scores) -> Decision:
    if scores.best_by:
        return _best_of_partial(question, scores, scores.best_by)
    codes = {label.name: label.code for label in question.labels}
    decision = _likeliest(list(codes), scores)
    if decision.label is None:
        return decision
    probabilities = decision.probabilities and {codes[name]: p for name, p in decision.probabilities.items()}
    return replace(decision, label=codes[str(decision.label)], probabilities=probabilities)


def _likeliest(labels: Sequence[str], scores: Scores) -> Decision:
    """Choose among labels by name; of equals the first."""
    if scores.origin == "logprobs":
        written = named_label(labels, scores.text)
        if written is None:
            return Decision(Status.WRONG_LABEL)
        told = _told_apart(scores, labels)
        if not told:
            return Decision(Status.OK, written)
    else:
        told = normalize(whole(scores))
    probabilities = {label: told[label] for label in labels if label in told}
    if any(map(math.isnan, probabilities.values())):
        return Decision(Status.FAILED)
    best = max(probabilities, key=probabilities.__getitem__)
    return Decision(Status.OK, best, probabilities[best], probabilities, scores.origin)


def _told_apart(scores: Scores, labels: Iterable[str]) -> dict[str, float]:
    """Give the probabilities that a server's tables tell; none where a label that they do not show may be likelier.

    Where labels were not seen, the remainder counts as theirs: it is the one's that is missing alone, and of several
    nobody can say whose.
    """
    missing = [label for label in labels if label not in scores.log_likelihoods]
    shown = {label: math.exp(value) for label, value in scores.log_likelihoods.items()}
    if max(shown.values(), default=0.0) <= scores.remainder:
        return {}
    total = math.fsum(shown.values()) + (scores.remainder if missing else 0.0)
    if len(missing) == 1:
        shown[missing[0]] = scores.remainder
    return {label: value / total for label, value in shown.items()}


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
    one_by_one = [_likeliest((NO, YES), score) for score in scores]
    failed = next((one for one in one_by_one if one.label is None), None)
    if failed:
        return failed
    by_code = list(zip(question.codes, one_by_one, strict=True))
    chosen = tuple(code for code, one in by_code if one.label == YES)
    applies = {code: one.probabilities[YES] for code, one in by_code if one.probabilities}
    if not applies:
        return Decision(Status.OK, chosen)
    joint = math.prod(one.probability for one in one_by_one if one.probability is not None)
    return Decision(Status.OK, chosen, joint if len(applies) == len(by_code) else None, applies, scores[0].origin)


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
