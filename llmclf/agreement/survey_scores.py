"""How well a survey of k workers tells what another person says: exact means over all surveys that could be drawn.

Each function takes C cases. A case is one answer to be told, and the pool of ratings from which its survey is drawn
without replacement. The pool must hold as many ratings as the largest survey; the answer itself is not in it.

Shapes: `pool` (C, q), how often each label stands in the pool; `answer` (C,), positions on the scale; the result is
(C, largest), for surveys of 1 .. largest workers. Scores are better the higher they are.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from llmclf.agreement.counts import Floats, Ints

Score = Literal["agreement", "absolute-error", "squared-error"]
"""Of one prediction with one answer: 1 if they are the same, else 0; or minus their distance; or minus its square.

A survey predicts what does best by the score: its most frequent label, its median, its mean. Two workers who differ
have no majority, so that by agreement or absolute error a survey of two scores as one worker does.
"""


def survey_scores(score: Score, pool: Ints, answer: Ints, values: Floats, largest: int) -> Floats:
    """Average each case's score over all surveys of each size; ties between labels are broken at random."""
    first, which = distinct_rows(np.column_stack([pool, answer]))
    return np.asarray(_OF_SURVEYS[score](pool[first], answer[first], values, largest)[which])


def distinct_rows(rows: Ints) -> tuple[Ints, Ints]:
    """Find where each distinct row of counts or codes first stands, and which of these each row is.

    A row is packed into one number, which sorts many times faster than `np.unique` compares rows.
    """
    key, n_keys = np.zeros(len(rows), dtype=np.int64), 1
    for column in rows.T - rows.min(axis=0, initial=0)[:, np.newaxis]:
        radix = int(column.max(initial=0)) + 1
        if n_keys * radix > np.iinfo(np.int64).max:
            _, key = np.unique(key, return_inverse=True)
            n_keys = len(rows)
        key, n_keys = key * radix + column, n_keys * radix
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    return first, which


def score_of(score: Score, prediction: Floats, answer: Floats) -> Floats:
    """Score predictions, as places on the scale, by answers."""
    match score:
        case "agreement":
            return np.equal(prediction, answer).astype(np.float64)
        case "absolute-error":
            return -np.abs(prediction - answer)
        case "squared-error":
            return -((prediction - answer) ** 2)


def _agreement_of_pluralities(pool: Ints, answer: Ints, _values: Floats, largest: int) -> Floats:
    """Count surveys in which the answer has t votes and j others have as many, each worth 1 / (1 + j).

    The others' votes have the generating function prod_s (sum_{u<t} C(b_s, u) x^u + y C(b_s, t) x^t),
    where y marks a tie, and 1 / (1 + j) is the integral of y^j from 0 to 1.
    """
    from scipy.special import comb  # type: ignore[import-untyped]  # scipy has no types

    rows = np.arange(len(pool))
    own = pool[rows, answer]
    others = pool.copy()
    others[rows, answer] = 0
    others = -np.sort(-others, axis=1)  # their names do not matter, so that most columns are empty
    others = others[:, others.any(axis=0)]
    ways = comb(others[:, :, np.newaxis], np.arange(largest + 1))
    y, dy = np.polynomial.legendre.leggauss(largest // 2 + 1)  # exact: the degree in y is below `largest`
    y, dy = (y + 1) / 2, dy / 2
    won = np.zeros((len(pool), largest + 1))
    for t in range(1, largest + 1):
        votes = np.zeros((len(pool), len(y), largest + 1 - t))
        votes[:, :, 0] = 1
        for way in np.moveaxis(ways, 1, 0):
            longer = np.zeros_like(votes)
            for u in range(min(t + 1, votes.shape[2])):
                factor = way[:, u, np.newaxis] * (y if u == t else np.ones_like(y))
                longer[:, :, u:] += factor[:, :, np.newaxis] * votes[:, :, : votes.shape[2] - u]
            votes = longer
        won[:, t:] += comb(own, t)[:, np.newaxis] * np.einsum("cyk,y->ck", votes, dy)
    sizes = np.arange(1, largest + 1)
    return np.asarray(won[:, 1:] / comb(pool.sum(axis=1)[:, np.newaxis], sizes))


def _absolute_error_of_medians(pool: Ints, answer: Ints, values: Floats, largest: int) -> Floats:
    """Sum the gaps of the scale between the answer and the median X: E|X - a| = sum_v gap_v P(X beyond gap v).

    X <= v where at least half of the k votes are, which are hypergeometric. Of an even number of votes
    each of the two middle ones is the median half of the time.
    """
    from scipy.special import comb

    size = pool.sum(axis=1)[:, np.newaxis]
    below = np.cumsum(pool, axis=1)[:, :-1]
    answer_is_below = answer[:, np.newaxis] <= np.arange(pool.shape[1] - 1)
    gaps = np.abs(np.diff(values))
    scores = []
    for k in range(1, largest + 1):
        votes_below = np.stack([comb(below, u) * comb(size - below, k - u) for u in range(k + 1)])
        at_least = np.cumsum(votes_below[::-1], axis=0)[::-1] / comb(size, k)
        median_is_below = (at_least[(k + 1) // 2] + at_least[k // 2 + 1]) / 2
        beyond = np.where(answer_is_below, 1 - median_is_below, median_is_below)
        scores.append(-(beyond @ gaps))
    return np.stack(scores, axis=1)


def _squared_error_of_means(pool: Ints, answer: Ints, values: Floats, largest: int) -> Floats:
    """Add bias and variance of a mean drawn without replacement: (mu - a)^2 + sigma^2 / k (N - k) / (N - 1)."""
    size = pool.sum(axis=1)
    mean = pool @ values / size
    variance = (pool * (values - mean[:, np.newaxis]) ** 2).sum(axis=1) / size
    k = np.arange(1, largest + 1)
    left = (size[:, np.newaxis] - k) / np.maximum(size - 1, 1)[:, np.newaxis]
    return np.asarray(-(((mean - values[answer]) ** 2)[:, np.newaxis] + variance[:, np.newaxis] / k * left))


_OF_SURVEYS: dict[Score, Callable[[Ints, Ints, Floats, int], Floats]] = {
    "agreement": _agreement_of_pluralities,
    "absolute-error": _absolute_error_of_medians,
    "squared-error": _squared_error_of_means,
}
