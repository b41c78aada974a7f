"""Sums of kappas of several pairs of annotators, with jackknife errors, of many resamples of the same items at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.intervals import NO_SPREAD
from llmclf.agreement.ratings import MISSING, Codes, Ratings, pairable
from llmclf.agreement.scale import MEASURED

Pair = tuple[int, int]
_CELLS = 1 << 22
"""Numbers held at a time, about: of a pair, a resample and a pattern."""
_NO_DISAGREEMENT = 1e-9


@dataclass(frozen=True, eq=False)
class Patterns:
    """The P ways in which items are rated by k annotators; a resample is how often each of them occurs."""

    codes: Codes
    """Shape (P, k); -1 is missing."""
    pattern: Ints
    """Of each pairable item."""
    distance: Floats
    """Disagreement of two labels, at most 1: shape (q, q)."""

    @classmethod
    def of(cls, ratings: Ratings) -> "Patterns":
        """Find the patterns of the items with two or more ratings."""
        codes, pattern = np.unique(pairable(ratings.codes), axis=0, return_inverse=True)
        distance = 1 - np.eye(len(ratings.scale))
        if ratings.level in MEASURED:
            distance = (ratings.values[:, np.newaxis] - ratings.values) ** 2
        return cls(codes, pattern.reshape(-1), distance / distance.max())

    @property
    def times(self) -> Ints:
        """How often each pattern occurs in the ratings themselves: shape (P,)."""
        return np.bincount(self.pattern, minlength=len(self.codes))


Weights = dict[Pair, float]
"""Of the kappa of each pair of annotators, in a sum."""


def resampled(patterns: Patterns, sums: Sequence[Weights], times: Ints) -> tuple[Floats, Floats]:
    """Compute sums of kappas and their standard errors, by the delete-one jackknife over items.

    Args:
        patterns: how items are rated.
        sums: S sums, each by the weights of its pairs.
        times: how often each pattern occurs in each of B resamples: shape (B, P).

    Returns:
        The sums and their standard errors, both of shape (B, S); NaN where a kappa is undefined, or is without an item.

    """
    pairs = sorted({pair for weights in sums for pair in weights})
    of_chunks = [_of_chunk(patterns, pairs, sums, chunk) for chunk in _chunks(times, len(pairs))]
    values, errors = zip(*of_chunks, strict=True)
    return np.concatenate(values), np.concatenate(errors)


def _chunks(times: Ints, n_pairs: int) -> Iterator[Ints]:
    size = max(1, _CELLS // (n_pairs * times.shape[1]))
    for start in range(0, len(times), size):
        yield times[start : start + size]


def _of_chunk(patterns: Patterns, pairs: Sequence[Pair], sums: Sequence[Weights], times: Ints) -> tuple[Floats, Floats]:
    kappas = {pair: _kappas(patterns, pair, times) for pair in pairs}
    n = times.sum(axis=1)
    values, errors = [], []
    for weights in sums:
        values.append(np.asarray(sum(weight * kappas[pair][0] for pair, weight in weights.items())))
        without = np.asarray(sum(weight * kappas[pair][1] for pair, weight in weights.items()))
        mean = (times * without).sum(axis=1) / n
        se = np.sqrt((n - 1) / n * (times * (without - mean[:, np.newaxis]) ** 2).sum(axis=1))
        errors.append(np.where(se < NO_SPREAD, np.nan, se))
    return np.stack(values, axis=1), np.stack(errors, axis=1)


def _kappas(patterns: Patterns, pair: Pair, times: Ints) -> tuple[Floats, Floats]:
    """Give kappa = 1 - n O / E of each resample, shape (B,), and without one item of each pattern, shape (B, P).

    O sums the disagreements of the n items, E those of every label of the one with every label of the other.
    """
    first, second = patterns.codes[:, pair[0]], patterns.codes[:, pair[1]]
    both = (first != MISSING) & (second != MISSING)
    labels = np.eye(len(patterns.distance))
    w = (times * both).astype(np.float64)
    v = np.where(both, patterns.distance[first, second], 0)
    row = (w @ labels[second] @ patterns.distance)[:, first]  # of one label of the first with all of the second
    column = (w @ labels[first] @ patterns.distance)[:, second]
    n, observed, expected = w.sum(axis=1), w @ v, (w * row).sum(axis=1)
    kappa = 1 - n * observed / _positive(expected)
    left = _positive(expected[:, np.newaxis] - row - column + v)
    without = 1 - (n - 1)[:, np.newaxis] * (observed[:, np.newaxis] - v) / left
    # an item that the pair did not rate changes nothing; one that is not there cannot be left out
    without = np.where(both, without, kappa[:, np.newaxis])
    return kappa, np.where(times > 0, without, 0)


def _positive(expected: Floats) -> Floats:
    """Give what is expected, NaN where only one label occurs and nothing can be."""
    return np.where(expected < _NO_DISAGREEMENT, np.nan, expected)
