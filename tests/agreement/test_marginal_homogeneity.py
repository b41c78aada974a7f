from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binomtest, chi2  # type: ignore[import-untyped]  # no types

from llmclf.agreement import Undefined
from llmclf.agreement.marginal_homogeneity import HomogeneityTest, bhapkar, mcnemar, mcnemar_exact, stuart_maxwell
from llmclf.levels import Level
from tests.agreement.reference import reference
from tests.agreement.tables import coded, crossed, table

VISION = reference("irr_raters")["vision"]
TWO_BY_TWO = reference("two_by_two")["tables"]
EXCLUDED = {"rater_bias": "a coefficient of irr's own, with no counterpart here"}


def outcome(found: HomogeneityTest | Undefined) -> HomogeneityTest:
    assert isinstance(found, HomogeneityTest), found
    return found


def test_vision() -> None:
    ratings = crossed(VISION["table"])
    for test, name in ((stuart_maxwell, "stuart_maxwell"), (bhapkar, "bhapkar")):
        found = outcome(test(ratings))
        assert found.statistic == pytest.approx(VISION[name]["statistic"], abs=1e-9)
        assert found.p == pytest.approx(VISION[name]["p"], abs=1e-12)
        assert (found.df, found.n_items) == (3, 7477)
    assert VISION.keys() - EXCLUDED.keys() == {"table", "stuart_maxwell", "bhapkar"}


@pytest.mark.parametrize("name", TWO_BY_TWO)
def test_two_by_two(name: str) -> None:
    (_, b), (c, _) = counts = TWO_BY_TWO[name]["table"]
    found = outcome(mcnemar(crossed(counts)))
    assert found.statistic == pytest.approx(TWO_BY_TWO[name]["mcnemar"]["statistic"], abs=1e-9)
    assert found.p == pytest.approx(TWO_BY_TWO[name]["mcnemar"]["p"], abs=1e-9)
    exact = outcome(mcnemar_exact(crossed(counts)))
    assert exact.p == pytest.approx(binomtest(b, b + c).pvalue)
    assert (exact.statistic, exact.df) == (None, None)
    if found.statistic != 0:
        stuart = outcome(stuart_maxwell(crossed(counts)))
        assert stuart.statistic == pytest.approx(found.statistic)
        assert stuart.df == 1


def by_definition(counts: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Stuart-Maxwell and Bhapkar with the last label left out, instead of a generalised inverse."""
    table = np.array(counts, dtype=float)
    d = (table.sum(axis=1) - table.sum(axis=0))[:-1]
    s = np.diag(table.sum(axis=1) + table.sum(axis=0)) - table - table.T
    s = s[:-1, :-1]
    v = s - np.outer(d, d) / table.sum()
    return float(d @ np.linalg.solve(s, d)), float(d @ np.linalg.solve(v, d))


def test_the_generalised_inverse_is_that_without_one_label() -> None:
    counts = [[20, 3, 1, 2], [7, 15, 4, 0], [5, 6, 12, 3], [1, 1, 2, 9]]
    x, y = by_definition(counts)
    assert outcome(stuart_maxwell(crossed(counts))).statistic == pytest.approx(x)
    found = outcome(bhapkar(crossed(counts)))
    assert found.statistic == pytest.approx(y)
    assert found.p == pytest.approx(chi2.sf(y, 3))


def test_labels_never_taken_for_each_other_are_tested_apart() -> None:
    # 0 and 1, 2 and 3: two tests of McNemar, with a degree of freedom each
    counts = [[9, 8, 0, 0], [2, 9, 0, 0], [0, 0, 9, 1], [0, 0, 5, 9]]
    found = outcome(stuart_maxwell(crossed(counts)))
    assert found.statistic == pytest.approx(36 / 10 + 16 / 6)
    assert found.df == 2


def test_names_of_labels_and_labels_agreed_on_do_not_matter() -> None:
    one = crossed([[5, 3, 0], [1, 6, 0], [0, 0, 4]], Level.NOMINAL)
    other = table("ss " * 5 + "sb " * 3 + "bs " + "bb " * 6 + "cc " * 4, Level.NOMINAL)
    assert outcome(stuart_maxwell(one)) == outcome(stuart_maxwell(other))


def test_undefined() -> None:
    for test in (stuart_maxwell, bhapkar, mcnemar, mcnemar_exact):
        assert test(table("11 22", Level.NOMINAL)) == Undefined("the annotators never differ")
        assert test(table("11 11", Level.NOMINAL, ["1", "2"])) == Undefined("only one label occurs")
    assert mcnemar(table("112 121", Level.NOMINAL)) == Undefined("3 annotators; McNemar's test is for two")
    assert mcnemar(table("12 23", Level.NOMINAL)) == Undefined(
        "3 labels occur; McNemar's test is for two, Stuart and Maxwell's for more"
    )
    one_way = table("12 12 12", Level.NOMINAL)
    assert outcome(stuart_maxwell(one_way)).statistic == pytest.approx(3)
    assert bhapkar(one_way) == Undefined("all items differ, and in one direction: there is no spread to compare with")
    first = np.arange(1002)
    long = np.stack([first, (first + 1) % 1002], axis=1)
    ratings = coded(np.zeros((1002, 2), dtype=np.int8), Level.NOMINAL, 1002)
    ratings = type(ratings)(
        long.astype(np.int16), ratings.items, ratings.annotators, ratings.scale, ratings.level, scale_declared=True
    )
    assert stuart_maxwell(ratings) == Undefined("the annotators differ in more than 1,000 labels")


def test_dictionary() -> None:
    found = outcome(mcnemar(crossed([[4, 3], [1, 4]]))).to_dict()
    assert found.keys() == {"statistic", "df", "p", "n_items", "method"}
    assert (found["statistic"], found["df"], found["n_items"]) == (1.0, 1, 12)
