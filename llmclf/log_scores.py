"""Replies -> log-scores: one number a label, however a model was asked and wherever probabilities come from."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmclf.backends.base import Failure, Reply, Scores
from llmclf.decisions import NO, YES, decide, whole
from llmclf.status import Status
from llmclf.variants import Asked

Floats: TypeAlias = NDArray[np.float64]
_LEAST = 1e-12
"""Of a probability that a service gives as 0."""


def log_scores(asked: Asked, replies: Sequence[Reply], reading: Literal["sum", "mean"]) -> Floats | Status | None:
    """Give each label's log-score, in the codebook's order, up to a constant.

    Shape (q,); of a set (q, 2), for each label that it does not apply and that it does. A status where there is no
    answer, None where a label was said without probabilities. Likelihoods are read as the sum or mean of their tokens;
    shares of n samples are (count + 1/2) / (n + q/2); of labels that a server's tables do not tell apart, each has an
    equal part of what the others leave.
    """
    scores = [reply for reply in replies if isinstance(reply, Scores)]
    if len(scores) == len(replies) > 0 and all(one.origin == "likelihoods" for one in scores):
        return _likelihoods(asked, scores, reading)
    if asked.variant.kind == "channel":
        return next(reply.status for reply in replies if isinstance(reply, Failure))
    decision = decide(asked.question, replies)
    if decision.status is not Status.OK:
        return decision.status
    if not decision.probabilities:
        return None
    known = dict(zip(asked.question.codes, asked.codes, strict=True))
    by_code = {known[code]: p for code, p in decision.probabilities.items()}
    told = np.array([by_code.get(code, np.nan) for code in asked.base.codes])
    if asked.base.kind == "set":
        told = np.stack([1 - told, told], axis=-1)
    if decision.samples:
        told = (told * decision.samples + 0.5) / (decision.samples + 0.5 * told.shape[-1])
    missing = np.isnan(told)
    told[missing] = max(0.0, 1 - float(np.nansum(told))) / max(1, int(missing.sum()))
    return np.asarray(np.log(np.maximum(told, _LEAST)), dtype=np.float64)


def answer_status(asked: Asked, replies: Sequence[Reply]) -> Status:
    """Say whether the replies to a question are an answer, or why they are none."""
    if asked.variant.kind == "channel":
        return next((reply.status for reply in replies if isinstance(reply, Failure)), Status.OK)
    return decide(asked.question, replies).status


def _likelihoods(asked: Asked, scores: Sequence[Scores], reading: Literal["sum", "mean"]) -> Floats | Status:
    if asked.variant.kind == "channel":
        read = [[_read(one, next(iter(one.log_likelihoods)), reading) for one in scores]]
    elif asked.base.kind == "set":
        read = [[_read(one, name, reading) for name in (NO, YES)] for one in scores]
    else:
        read = [[_read(scores[0], label.name, reading) for label in asked.question.label]]
    found = np.array(read)
    if not np.isfinite(found).any() or np.isnan(found).any():
        return Status.FAILED
    if asked.base.kind == "set":
        return _in_order(asked, found)
    return _in_order(asked, found[0])


def _in_order(asked: Asked, found: Floats) -> Floats:
    if asked.codes == asked.base.codes:
        return found
    places = {code: place for place, code in enumerate(asked.codes)}
    return found[[places[code] for code in asked.base.codes]]


def _read(scores: Scores, label: str, reading: Literal["sum", "mean"]) -> float:
    value = whole(scores)[label]
    return value / scores.tokens[label] if reading == "mean" else value


def log_softmax(values: Floats) -> Floats:
    """Give log-probabilities over the last axis."""
    shifted = values - values.max(axis=-1, keepdims=True)
    normalized: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return normalized


def log_mean_exp(values: Floats) -> Floats:
    """Give the logarithms of means over the first axis."""
    top = values.max(axis=0)
    means: Floats = top + np.log(np.exp(values - top).mean(axis=0))
    return means
