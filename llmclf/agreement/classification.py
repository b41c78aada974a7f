"""What is asked of a classifier, for two annotators: the first is the reference, the second is judged."""

from dataclasses import dataclass

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.estimate import ONE_ITEM, Coefficient, Undefined
from llmclf.agreement.intervals import jackknife, without_interval
from llmclf.agreement.pair_table import PairTable, pair_table
from llmclf.agreement.ratings import MISSING, Ratings
from llmclf.agreement.replicates import Replicates

UNDEFINED_WITHOUT_ONE = "without one of the items it is undefined"


def mcc(ratings: Ratings) -> Coefficient:
    """Compute Matthews' correlation coefficient of the n items that both annotators rated.

    Matthews 1975; R_K of Gorodkin 2004 for more than two labels. With d items that both gave the same label, and r_c
    and s_c how often the annotators gave label c: (n d - sum r_c s_c) / sqrt((n^2 - sum r_c^2) (n^2 - sum s_c^2)).
    Undefined where an annotator gives one label only. It is the same with the annotators exchanged.
    """
    table = pair_table(ratings, "MCC")
    if isinstance(table, Undefined):
        return table
    for name, marginal in zip(ratings.annotators, (table.rows, table.columns), strict=True):
        if marginal.max() == table.n:
            return Undefined(f"annotator {name!r} gives one label only")
    n, rows, columns, same = table.n, table.rows, table.columns, table.same
    agreed, by_chance = int(table.count @ same), int(rows @ columns)
    r, s = rows[table.first], columns[table.second]
    r_crossed, s_crossed = columns[table.first], rows[table.second]
    value = float(_mcc(n, agreed, by_chance, int(rows @ rows), int(columns @ columns)))
    if max(rows.max(), columns.max()) == n - 1:
        return without_interval(value, n, UNDEFINED_WITHOUT_ONE)
    without = _mcc(
        n - 1,
        agreed - same,
        by_chance - r_crossed - s_crossed + same,
        rows @ rows - 2 * r + 1,
        columns @ columns - 2 * s + 1,
    )
    return jackknife(value, without, table.count)


def macro_f1(ratings: Ratings) -> Coefficient:
    """Compute the mean F1 of the labels that either annotator gave to the n items that both rated.

    With d_c items that both gave label c, and r_c and s_c that each of them did, F1 is 2 d_c / (r_c + s_c), which is
    the specific agreement of Cicchetti & Feinstein 1990, and the same with the annotators exchanged.
    """
    table = pair_table(ratings, "macro-F1")
    if isinstance(table, Undefined):
        return table
    value, without = _macro_f1(table)
    return without_interval(value, 1, ONE_ITEM) if table.n == 1 else jackknife(value, without, table.count, (0.0, 1.0))


def macro_f1_replicates(ratings: Ratings) -> Replicates | Undefined:
    """Compute the same with its delete-one replicates, aligned to the items."""
    table = pair_table(ratings, "macro-F1")
    if isinstance(table, Undefined):
        return table
    value, of_cell = _macro_f1(table)
    counted = (ratings.codes != MISSING).all(axis=1)
    first, second = ratings.codes[counted].T.astype(np.int64)
    without = np.full(len(counted), value)
    without[counted] = of_cell[np.searchsorted(table.first * table.q + table.second, first * table.q + second)]
    return Replicates(value, without, counted)


def _macro_f1(table: PairTable) -> tuple[float, Floats]:
    """Give macro-F1, and the same without one item of each cell, NaN where it is the only one."""
    given, both = table.rows + table.columns, table.diagonal
    f1 = _share(2 * both, given)
    in_use = np.count_nonzero(given)
    i, j, same = table.first, table.second, table.same
    less = 1 + same  # how often an item of the cell was given the label i, and j, too
    one, other = (_share(2 * (both[c] - same), given[c] - less) for c in (i, j))
    vanished = (given[i] == less).astype(np.int64) + np.where(same, 0, given[j] == less)
    total = f1.sum() - f1[i] + one + np.where(same, 0.0, other - f1[j])
    left = np.where(vanished < in_use, in_use - vanished, np.nan)
    return float(f1.sum() / in_use), np.asarray(total / left)


@dataclass(frozen=True)
class ClassAgreement:
    """How far two annotators agree on one label."""

    label: str
    n_reference: int
    """Items that the first annotator, the reference, gave this label."""
    n_judged: int
    n_both: int
    precision: Coefficient
    """Of the items that the second gave it, the share that the first did, too."""
    recall: Coefficient
    """Of the items that the first gave it, the share that the second did, too."""
    f1: Coefficient
    """Also called specific agreement: 2 n_both / (n_reference + n_judged)."""


def class_agreement(ratings: Ratings) -> tuple[ClassAgreement, ...] | Undefined:
    """Compute precision, recall and F1 (specific agreement) for each label of the scale."""
    table = pair_table(ratings, "agreement on each label")
    if isinstance(table, Undefined):
        return table
    reference, judged = ratings.annotators
    return tuple(
        ClassAgreement(
            label,
            int(table.rows[code]),
            int(table.columns[code]),
            int(table.diagonal[code]),
            precision=_ratio(table, is_both, is_judged, f"annotator {judged!r} never gives {label!r}"),
            recall=_ratio(table, is_both, is_reference, f"annotator {reference!r} never gives {label!r}"),
            f1=_ratio(table, 2 * is_both, is_reference + is_judged, f"neither annotator gives {label!r}"),
        )
        for code, label in enumerate(ratings.scale)
        for is_reference, is_judged in [(_is(table.first, code), _is(table.second, code))]
        for is_both in [is_reference * is_judged]
    )


def confusion_table(ratings: Ratings) -> Ints | Undefined:
    """Count how often which labels met: shape (q, q) on the scale, the first annotator's labels as rows."""
    table = pair_table(ratings, "a confusion table")
    return table if isinstance(table, Undefined) else table.dense()


def _mcc(n: int, agreed: Ints | int, by_chance: Ints | int, rows: Ints | int, columns: Ints | int) -> Floats:
    spread = np.sqrt(np.float64(n**2 - rows)) * np.sqrt(np.float64(n**2 - columns))
    return np.asarray((n * agreed - by_chance) / spread)


def _ratio(table: PairTable, part: Ints, whole: Ints, never: str) -> Coefficient:
    """Divide sums over items of what an item of each cell counts for."""
    parts, wholes = int(table.count @ part), int(table.count @ whole)
    if wholes == 0:
        return Undefined(never)
    value = parts / wholes
    if np.any(whole == wholes):
        return without_interval(value, table.n, UNDEFINED_WITHOUT_ONE)
    return jackknife(value, (parts - part) / (wholes - whole), table.count, bounds=(0.0, 1.0))


def _is(label: Ints, code: int) -> Ints:
    return np.asarray(label == code, dtype=np.int64)


def _share(part: Ints, whole: Ints) -> Floats:
    return np.asarray(part / np.maximum(whole, 1))
