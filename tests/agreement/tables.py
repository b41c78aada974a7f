"""Published tables, and coefficients computed straight from their definitions: slow, and too plain to be wrong."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
import numpy.typing as npt

from llmclf.agreement import Coefficient, Estimate, Rating, Ratings
from llmclf.levels import Level

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability": 12 units x 4 observers, a dot is missing.
# One word per unit, one character per observer, here and below.
KRIPPENDORFF_2011 = "11.1 2232 3333 3333 2222 1234 4444 1121 2222 .555 ..11 .3.."

# Gwet's example data, as the R package irrCAC 1.0 has them.
RAW_5_OBSERVERS = "112.2 1101. 2333. .00.0 000.0 000.0 102.1 1.20. 222.2 2111. .100. 0000. 1222. 33223 111.1"
RAW_GENDER = "aaac aabc aabc aacc abaa baaa bbbb bcbb cccc aaac aabc aabc aacc abaa baaa"
RAW_G1_G2 = "aa.a bbcb cccc cccc bbbb abcd dddd aaba bbbb .eee ..aa ..c. bbcb bacb"
BEN_GERRY = "ab aa bb bb db cc cc cc ee d. dd ad"
# Fleiss 1971 in part: 15 patients x 6 raters, with how often each of five diagnoses was made.
DISTRIB_6_RATERS = (
    "dddddd bbbeee bcccce eeeeee bbbddd aacccc ccccee aacccd aadddd eeeeee addddd abdddd bbbccc addddd bbddde"
)

# R package irr 0.84.1
ANXIETY = "332 361 344 464 523 542 221 346 531 231 221 632 133 533 221 221 113 233 432 342"
VIDEO = "4434 4445 4455 4444 4324 4434 4325 4434 4334 4334 4434 4334 4444 4444 4434 4444 4444 4444 4444 4554"


def table(words: str, level: Level, scale: Sequence[str] | None = None) -> Ratings:
    """Read one item per word, one annotator per character, a dot where there is no rating."""
    rows = [
        Rating(f"item {i}", f"annotator {j}", "" if label == "." else label)
        for i, word in enumerate(words.split())
        for j, label in enumerate(word)
    ]
    return Ratings.from_rows(rows, level, scale)


def crossed(counts: Sequence[Sequence[int]], level: Level = Level.ORDINAL) -> Ratings:
    """Make two annotators' ratings of a table of counts: the first annotator's labels are its rows."""
    words = (f"{i}{j} " * count for i, row in enumerate(counts) for j, count in enumerate(row))
    return table("".join(words), level, [str(i) for i in range(len(counts))])


def coded(codes: npt.NDArray[np.integer], level: Level, n_labels: int) -> Ratings:
    """Make ratings of a matrix of codes, -1 missing, on the scale 0, 1 .. n_labels - 1."""
    items, annotators = (tuple(map(str, range(size))) for size in codes.shape)
    scale = tuple(map(str, range(n_labels)))
    return Ratings(codes.astype(np.int8), items, annotators, scale, level, scale_declared=True)


def estimate(coefficient: Coefficient) -> Estimate:
    """Give the estimate that there must be."""
    assert isinstance(coefficient, Estimate), coefficient
    return coefficient


def alpha_by_definition(ratings: Ratings) -> float:
    """Krippendorff 2011, by a double loop over the coincidence matrix."""
    q = len(ratings.scale)
    coincidences = np.zeros((q, q))
    for row in ratings.codes:
        rated = row[row >= 0]
        for c, k in permutations(rated, 2):
            coincidences[c, k] += 1 / (len(rated) - 1)
    totals = coincidences.sum(axis=0)
    n = totals.sum()
    observed = expected = 0.0
    for c in range(q):
        for k in range(q):
            delta = _metric(ratings, totals, c, k)
            observed += coincidences[c, k] * delta / n
            expected += totals[c] * totals[k] * delta / (n * (n - 1))
    return float(1 - observed / expected)


def _metric(ratings: Ratings, totals: npt.NDArray[np.float64], c: int, k: int) -> float:
    if ratings.level is Level.ORDINAL:
        low, high = min(c, k), max(c, k)
        return float((totals[low : high + 1].sum() - (totals[c] + totals[k]) / 2) ** 2)
    if ratings.level is Level.INTERVAL:
        return float((ratings.values[c] - ratings.values[k]) ** 2)
    if ratings.level is Level.RATIO:
        one, other = ratings.values[[c, k]]
        return float(((one - other) / (one + other)) ** 2) if c != k else 0.0
    return float(c != k)


def kappa_by_definition(ratings: Ratings, weights: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Cohen 1968, with the standard error of Fleiss, Cohen & Everitt 1969, from the table of proportions."""
    q = len(ratings.scale)
    p = np.zeros((q, q))
    for i, j in ratings.codes:
        if i >= 0 and j >= 0:
            p[i, j] += 1
    n = p.sum()
    p /= n
    row, column = p.sum(axis=1), p.sum(axis=0)
    observed, expected = (weights * p).sum(), row @ weights @ column
    kappa = (observed - expected) / (1 - expected)
    of_row, of_column = weights @ column, row @ weights
    total = 0.0
    for i in range(q):
        for j in range(q):
            total += p[i, j] * (weights[i, j] - (of_row[i] + of_column[j]) * (1 - kappa)) ** 2
    variance = (total - (kappa - expected * (1 - kappa)) ** 2) / (n * (1 - expected) ** 2)
    return float(kappa), float(np.sqrt(max(variance, 0.0)))  # rounding can leave less than 0


def quadratic_weights(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weights of agreement: 1 for the same value, 0 for the two ends of the scale."""
    squared = (values[:, np.newaxis] - values) ** 2
    return np.asarray(1 - squared / squared.max())


def beyond_chance(ratings: Ratings, name: str) -> float:
    """Gwet 2014, chapters 2 and 3, item by item: fleiss, ac1, ac2_linear, ac2_quadratic or brennan_prediger."""
    q = len(ratings.scale)
    distance = np.abs(ratings.values[:, np.newaxis] - ratings.values) / np.ptp(ratings.values)
    w = {"ac2_linear": 1 - distance, "ac2_quadratic": 1 - distance**2}.get(name, np.eye(q))
    agreement, shares = [], []
    for row in ratings.codes:
        rated = row[row >= 0]
        if len(rated):
            shares.append(np.bincount(rated, minlength=q) / len(rated))
        if len(rated) >= 2:
            agreement.append(np.mean([w[c, k] for c, k in permutations(rated, 2)]))
    pa, pi = np.mean(agreement), np.mean(shares, axis=0)
    if name == "fleiss":
        pe = pi @ pi
    elif name == "brennan_prediger":
        pe = 1 / q
    else:
        pe = w.sum() / (q * (q - 1)) * (pi * (1 - pi)).sum()
    return float((pa - pe) / (1 - pe))


def jackknife_by_definition(ratings: Ratings, coefficient: Callable[[Ratings], float], least: int = 2) -> float:
    """Leave out one item with `least` ratings after the other, and compute the whole coefficient anew."""
    counted = [i for i, row in enumerate(ratings.codes) if (row >= 0).sum() >= least]
    values = np.array(
        [coefficient(replace(ratings, codes=ratings.codes[[j for j in counted if j != i]])) for i in counted]
    )
    n = len(values)
    return float(np.sqrt((n - 1) / n * ((values - values.mean()) ** 2).sum()))
