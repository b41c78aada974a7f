"""The bootstrap over items, from patterns of ratings and how many items have each."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import NormalDist
from weakref import WeakKeyDictionary

import numpy as np

from llmclf.agreement.counts import CHUNK, Counts, Floats, Ints
from llmclf.agreement.estimate import Estimate
from llmclf.agreement.intervals import CONFIDENCE, NO_SPREAD, without_interval

CROWDED = 0.1
"""Patterns an item, above which drawing items is quicker than drawing how often each pattern comes."""

THREADS = 2


@dataclass(frozen=True)
class Bootstrap:
    """The bias-corrected and accelerated bootstrap over items (Efron & Tibshirani 1993, chapter 14)."""

    seed: int = 0
    replicates: int = 1000

    def __str__(self) -> str:
        return f"BCa bootstrap over items, {self.replicates:,} replicates, seed {self.seed}"


def resamples(counts: Counts, bootstrap: Bootstrap) -> Iterator[Floats]:
    """Draw as many items as there are, with replacement, and count those of each pattern.

    The same for every coefficient of the same counts, so that their replicates are paired.

    Yields:
        Shape (b, P), until there are `bootstrap.replicates` rows.

    """
    if counts not in _drawn or _drawn[counts][0] != bootstrap:
        per_chunk = max(CHUNK // 4 // len(counts.times), 1)
        sizes = [min(per_chunk, bootstrap.replicates - begin) for begin in range(0, bootstrap.replicates, per_chunk)]
        chunks = _chunks(counts.times, bootstrap.seed, sizes)
        if len(counts.times) * bootstrap.replicates > 8 * CHUNK:
            yield from chunks
            return
        _drawn[counts] = bootstrap, list(chunks)
    yield from _drawn[counts][1]


_drawn: WeakKeyDictionary[Counts, tuple[Bootstrap, list[Floats]]] = WeakKeyDictionary()


def _chunks(times: Ints, seed: int, sizes: list[int]) -> Iterator[Floats]:
    streams = np.random.SeedSequence(seed).spawn(len(sizes))  # one a chunk: the same on any number of threads
    draw = _items if len(times) > CROWDED * times.sum() else _multinomial
    with ThreadPoolExecutor(THREADS) as pool:
        for begin in range(0, len(sizes), THREADS):  # no more at once, for all of them can be too much to hold
            batch = slice(begin, begin + THREADS)
            generators = map(np.random.default_rng, streams[batch])
            yield from pool.map(lambda rng, size: draw(rng, times, size), generators, sizes[batch])


def _multinomial(rng: np.random.Generator, times: Ints, size: int) -> Floats:
    n = times.sum()
    return rng.multinomial(n, times / n, size).astype(np.float64)


def _items(rng: np.random.Generator, times: Ints, size: int) -> Floats:
    pattern_of_item = np.repeat(np.arange(len(times)), times)
    n = len(pattern_of_item)
    drawn = (pattern_of_item[rng.integers(0, n, n)] for _ in range(size))
    return np.stack([np.bincount(patterns, minlength=len(times)) for patterns in drawn]).astype(np.float64)


def bca(value: float, replicates: Floats, without_one: Floats, times: Ints, bootstrap: Bootstrap) -> Estimate:
    """Give a value its interval from its bootstrap replicates, with the acceleration of its jackknife.

    Args:
        value: the coefficient of all items.
        replicates: the coefficient of each resample; not a number where it is undefined.
        without_one: the coefficient without one item of each pattern.
        times: how many items have each pattern.
        bootstrap: where the replicates come from.

    """
    n = int(times.sum())
    defined = replicates[np.isfinite(replicates)]
    if len(defined) < 2 or np.ptp(defined) < NO_SPREAD:
        return without_interval(value, n, "no resample changes the value, so its spread is unknown")
    method = str(bootstrap)
    if left_out := len(replicates) - len(defined):
        method = f"{method}, {left_out:,} of them undefined and left out"
    below = (np.count_nonzero(defined < value - NO_SPREAD) + np.count_nonzero(defined <= value + NO_SPREAD)) / 2
    normal = NormalDist()
    bias = normal.inv_cdf((below + 0.5) / (len(defined) + 1))
    pull = times @ without_one / n - without_one
    squares = float(times @ pull**2)
    acceleration = float(times @ pull**3) / (6 * squares**1.5) if squares > NO_SPREAD**2 else 0.0
    low, high = np.quantile(
        defined, [_level(normal, bias, acceleration, p) for p in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)]
    )
    return Estimate(value, math.sqrt(float(defined.var(ddof=1))), float(low), float(high), n, method)


def _level(normal: NormalDist, bias: float, acceleration: float, p: float) -> float:
    """Efron & Tibshirani 1993, equation 14.10."""
    z = bias + normal.inv_cdf(p)
    return normal.cdf(bias + z / (1 - acceleration * z))
