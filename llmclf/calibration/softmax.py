"""Probabilities from log-scores, and what it takes to fit them to labels."""

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.errors import InputError


def softmax(log_scores: Floats) -> Floats:
    """Give exp(x) / sum exp(x) of each row; a row with a NaN, or without a score above -inf, is NaN throughout."""
    with np.errstate(invalid="ignore"):  # -inf less -inf
        weights = np.exp(log_scores - log_scores.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def below_highest(log_scores: Floats, labels: Ints) -> Floats:
    """Subtract from each row its highest log-score, which changes no probability.

    Raises:
        InputError: a label has the log-score -inf, so that nothing makes it likely.

    """
    impossible = int((log_scores[np.arange(len(labels)), labels] == -np.inf).sum())
    if impossible:
        raise InputError(
            f"{impossible} of {len(labels)} labelled items have a label of probability 0, so no calibration fits",
            "Give every label some probability: where it is a share of samples, add one half to every count",
        )
    return np.asarray(log_scores - log_scores.max(axis=1, keepdims=True))


def expected(probabilities: Floats, x: Floats) -> Floats:
    """Average x over the labels of each row, where what has probability 0 may be -inf."""
    return np.asarray((probabilities * np.where(probabilities > 0, x, 0)).sum(axis=1))
