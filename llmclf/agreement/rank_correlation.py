"""Rank correlations of two annotators: whether they put items in the same order, not whether they agree."""

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.estimate import Coefficient, Undefined
from llmclf.agreement.intervals import jackknife, without_interval
from llmclf.agreement.pair_table import PairTable, excess_concordance, pair_table
from llmclf.agreement.ratings import Ratings
from llmclf.levels import Level

LEAVES_ONE_LABEL = "without one of the items an annotator gives one label only"


def spearman(ratings: Ratings) -> Coefficient:
    """Compute Spearman's rho of the items that both annotators rated: Pearson's r of their mid-ranks.

    Spearman 1904; ties as in Kendall 1948, "Rank Correlation Methods", chapter 3. With a and b the mid-ranks less
    their mean, sum ab / sqrt(sum a^2 sum b^2). Without an item at (x, y), the a of another at x_i is
    a_i - sign(x_i - x) / 2. Undefined where an annotator gives one label only.
    """
    table = _ordered_pair(ratings, "Spearman's rho")
    if isinstance(table, Undefined):
        return table
    n, w = table.n, table.count
    a, b = (_mid_ranks(marginal) for marginal in (table.rows, table.columns))
    in_rows = np.bincount(table.first, w * b[table.second], table.q).astype(np.float64)
    in_columns = np.bincount(table.second, w * a[table.first], table.q).astype(np.float64)
    products = a @ in_rows
    value = float(12 * products / np.sqrt(_squares(n, table.rows) * _squares(n, table.columns)))
    if _hangs_on_one_item(table):
        return without_interval(value, n, LEAVES_ONE_LABEL)
    above = _above_less_below(in_rows)[table.first] + _above_less_below(in_columns)[table.second]
    own = a[table.first] * b[table.second]
    left = products - above / 2 + excess_concordance(table) / 4 - own
    squares = _squares_without(n, table.rows)[table.first] * _squares_without(n, table.columns)[table.second]
    return jackknife(value, np.asarray(12 * left / np.sqrt(squares)), w)


def kendall_tau_b(ratings: Ratings) -> Coefficient:
    """Compute Kendall's tau-b of the items that both annotators rated.

    Kendall 1945, "The treatment of ties in ranking problems". With C concordant and D discordant pairs of items, of
    n_0 in all, n_1 tied by the first annotator and n_2 by the second: (C - D) / sqrt((n_0 - n_1) (n_0 - n_2)).
    Undefined where an annotator gives one label only.
    """
    table = _ordered_pair(ratings, "Kendall's tau")
    if isinstance(table, Undefined):
        return table
    n, excess = table.n, excess_concordance(table)
    twice = table.count @ excess
    untied = [_untied(n, marginal) for marginal in (table.rows, table.columns)]
    value = float(twice / 2 / np.sqrt(untied[0] * untied[1]))
    if _hangs_on_one_item(table):
        return without_interval(value, n, LEAVES_ONE_LABEL)
    rows = untied[0] - (n - table.rows[table.first])
    columns = untied[1] - (n - table.columns[table.second])
    return jackknife(value, np.asarray((twice / 2 - excess) / np.sqrt(rows * columns)), table.count)


def _ordered_pair(ratings: Ratings, what: str) -> PairTable | Undefined:
    if ratings.level in (Level.NOMINAL, Level.SET):
        return Undefined(f"labels of level {ratings.level} have no order")
    table = pair_table(ratings, what)
    if isinstance(table, Undefined):
        return table
    for name, marginal in zip(ratings.annotators, (table.rows, table.columns), strict=True):
        if marginal.max() == table.n:
            return Undefined(f"annotator {name!r} gives one label only")
    _, place = np.unique(ratings.values, return_inverse=True)
    first, second = place[table.first], place[table.second]
    order = np.lexsort((second, first))
    return PairTable(first[order], second[order], table.count[order], table.q)


def _mid_ranks(marginal: Ints) -> Floats:
    """Give each label's mid-rank less the mean of all ranks."""
    return np.asarray(np.cumsum(marginal) - marginal / 2 - marginal.sum() / 2)


def _above_less_below(sums: Floats) -> Floats:
    """Give, for each label, the sum over greater labels less the sum over lesser ones."""
    upto = np.cumsum(sums)
    return np.asarray(upto[-1] - 2 * upto + sums)


def _squares(n: int, marginal: Ints) -> Floats:
    """Give 12 x the sum of squared mid-ranks about their mean, n^3 - n - sum of (t^3 - t), without cancellation."""
    t = marginal.astype(np.float64)
    return np.asarray((t * (n - t) * (n + t)).sum())


def _squares_without(n: int, marginal: Ints) -> Floats:
    """Give the same without one item of each label."""
    t = marginal.astype(np.float64)
    terms = t * (n - 1 - t) * (n - 1 + t)
    return np.asarray(terms.sum() - terms + (t - 1) * (n - t) * (n + t - 2))


def _untied(n: int, marginal: Ints) -> float:
    t = marginal.astype(np.float64)
    return float((t * (n - t)).sum()) / 2


def _hangs_on_one_item(table: PairTable) -> bool:
    return bool(max(table.rows.max(), table.columns.max()) >= table.n - 1)
