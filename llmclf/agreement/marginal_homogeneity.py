"""Whether two annotators give each label equally often, which agreement does not tell."""

import math
from dataclasses import asdict, dataclass

import numpy as np

from llmclf.agreement.estimate import Undefined
from llmclf.agreement.pair_table import pair_table
from llmclf.agreement.ratings import Ratings

MOST_LABELS = 1000
"""So many labels in disagreement make a matrix that can still be inverted."""


@dataclass(frozen=True)
class HomogeneityTest:
    """A test of the hypothesis that two annotators give each label equally often."""

    statistic: float | None
    """Chi-squared with `df` degrees of freedom; None, as `df`, where p is exact."""
    df: int | None
    p: float
    n_items: int
    method: str

    def to_dict(self) -> dict[str, float | int | str | None]:
        """Give the fields by name."""
        return asdict(self)


def mcnemar(ratings: Ratings) -> HomogeneityTest | Undefined:
    """Test with two labels in use: (b - c)^2 / (b + c), without continuity correction (McNemar 1947).

    b and c count the items with the one disagreement and with the other. With less than about 25 of them, prefer
    `mcnemar_exact`.
    """
    counted = _discordant(ratings)
    if isinstance(counted, Undefined):
        return counted
    n, b, c = counted
    return _chi_squared((b - c) ** 2 / (b + c), 1, n, "McNemar's test without continuity correction")


def mcnemar_exact(ratings: Ratings) -> HomogeneityTest | Undefined:
    """Test with two labels in use: b of b + c disagreements are binomial with 1/2; two-sided."""
    from scipy.special import bdtr  # type: ignore[import-untyped]  # scipy has no types

    counted = _discordant(ratings)
    if isinstance(counted, Undefined):
        return counted
    n, b, c = counted
    p = min(1.0, 2 * float(bdtr(min(b, c), b + c, 0.5)))
    return HomogeneityTest(None, None, p, n, "McNemar's test, exact and two-sided")


def stuart_maxwell(ratings: Ratings) -> HomogeneityTest | Undefined:
    """Test with any number of labels: d' S^-1 d (Stuart 1955, Maxwell 1970).

    d holds the differences of the labels' marginals and S is their covariance if those are equal: on the diagonal how
    many items got the label from one annotator only, beside it less how many got these two labels. The inverse is
    generalised and df the rank of S: less than the number of labels by one, unless labels fall into groups that are
    never taken for each other.
    """
    found = _quadratic_form(ratings)
    if isinstance(found, Undefined):
        return found
    x, df, n = found
    return _chi_squared(x, df, n, "Stuart-Maxwell test")


def bhapkar(ratings: Ratings) -> HomogeneityTest | Undefined:
    """Test with any number of labels, by a covariance that does not suppose them equal (Bhapkar 1966).

    d' (S - d d' / n)^-1 d is X / (1 - X / n), with X the statistic of Stuart and Maxwell (Keefe 1982); it is
    the larger. Undefined where X is n: where all items differ, and in one direction.
    """
    found = _quadratic_form(ratings)
    if isinstance(found, Undefined):
        return found
    x, df, n = found
    if math.isclose(x, n):
        return Undefined("all items differ, and in one direction: there is no spread to compare with")
    return _chi_squared(x / (1 - x / n), df, n, "Bhapkar's test")


def _quadratic_form(ratings: Ratings) -> tuple[float, int, int] | Undefined:
    """Give d' S^-1 d, the rank of S, and the number of items; labels without a disagreement change none of them."""
    table = pair_table(ratings, "a test of marginal homogeneity")
    if isinstance(table, Undefined):
        return table
    apart = table.first != table.second
    labels, place = np.unique(np.stack([table.first[apart], table.second[apart]]), return_inverse=True)
    q = len(labels)
    if q == 0:
        return Undefined("the annotators never differ")
    if q > MOST_LABELS:
        return Undefined(f"the annotators differ in more than {MOST_LABELS:,} labels")
    counts = np.zeros((q, q))
    counts[tuple(place.reshape(2, -1))] = table.count[apart]
    d = counts.sum(axis=1) - counts.sum(axis=0)
    either = counts + counts.T
    s = np.diag(either.sum(axis=1)) - either
    return float(d @ np.linalg.pinv(s, hermitian=True) @ d), int(np.linalg.matrix_rank(s, hermitian=True)), table.n


def _discordant(ratings: Ratings) -> tuple[int, int, int] | Undefined:
    """Count all items, those with the lesser label first, and those with it second."""
    table = pair_table(ratings, "McNemar's test")
    if isinstance(table, Undefined):
        return table
    in_use = np.count_nonzero(table.rows + table.columns)
    if in_use > 2:
        return Undefined(f"{in_use} labels occur; McNemar's test is for two, Stuart and Maxwell's for more")
    b, c = (int(table.count[order].sum()) for order in (table.first < table.second, table.first > table.second))
    return (table.n, b, c) if b + c else Undefined("the annotators never differ")


def _chi_squared(statistic: float, df: int, n: int, method: str) -> HomogeneityTest:
    from scipy.special import chdtrc

    return HomogeneityTest(float(statistic), df, float(chdtrc(df, statistic)), n, method)
