"""Which value of a scale a distribution over its values stands for."""

from typing import Final

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.ratings import MISSING
from llmclf.errors import InputError, unknown

READINGS: Final = ("mode", "expected", "median")
ROUNDING: Final = 1e-12
"""Ties are told up to this: sums of probabilities such as .1 and .4 are rounded."""


def read_scores(reading: str, probabilities: Floats, values: Floats) -> Ints:
    """Give the positions of the values read from each distribution, shape (n,), -1 for a row with a NaN.

    `mode` is the likeliest value, best for the share of exact hits; `median` the least value with half of the
    probability at or below it, best for the mean absolute error; `expected` the value nearest to the expected value,
    best for the mean squared error. Of equally likely, or equally near, values the lower one is given.

    Args:
        reading: one of `READINGS`.
        probabilities: shape (n, q).
        values: shape (q,), ascending.

    Raises:
        InputError: there is no such reading.

    """
    if reading == "mode":
        positions = probabilities.argmax(axis=1)
    elif reading == "median":
        positions = (np.cumsum(probabilities, axis=1) >= 0.5 - ROUNDING).argmax(axis=1)
    elif reading == "expected":
        apart = np.abs(expected_values(probabilities, values)[:, np.newaxis] - values)
        near = apart.min(axis=1, keepdims=True) + ROUNDING * (values[-1] - values[0])
        positions = (apart <= near).argmax(axis=1)
    else:
        raise InputError(unknown("reading of scores", reading, READINGS))
    return np.where(np.isnan(probabilities).any(axis=1), MISSING, positions)


def expected_values(probabilities: Floats, values: Floats) -> Floats:
    """Give sum_k p_k value_k of each row, unrounded: shape (n,), NaN for a row with a NaN."""
    return np.asarray(probabilities @ values)
