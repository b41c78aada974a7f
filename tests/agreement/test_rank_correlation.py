from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr  # type: ignore[import-untyped]  # no types

from llmclf.agreement import Coefficient, Ratings, Undefined
from llmclf.agreement.pair_table import PairTable, excess_concordance
from llmclf.agreement.rank_correlation import kendall_tau_b, spearman
from llmclf.levels import Level
from tests.agreement.tables import coded, estimate, jackknife_by_definition, table

BOTH = pytest.mark.parametrize(("ours", "scipys"), [(spearman, spearmanr), (kendall_tau_b, kendalltau)])


@BOTH
@pytest.mark.parametrize("q", [2, 5, 60])
def test_scipy(ours: Callable[[Ratings], Coefficient], scipys: Callable[..., tuple[float, float]], q: int) -> None:
    rng = np.random.default_rng(q)
    first = rng.integers(0, q, 70)
    codes = np.stack([first, np.where(rng.random(70) < 0.5, first, rng.integers(0, q, 70))], axis=1)
    codes[rng.random(codes.shape) < 0.1] = -1
    ratings = coded(codes, Level.ORDINAL, q)

    def by_scipy(of: Ratings) -> float:
        return float(scipys(*of.codes[(of.codes >= 0).all(axis=1)].T)[0])

    found = estimate(ours(ratings))
    assert found.value == pytest.approx(by_scipy(ratings))
    assert found.se == pytest.approx(jackknife_by_definition(ratings, by_scipy))
    assert found.n_items == np.count_nonzero((codes >= 0).all(axis=1))


def test_one_order_is_1_and_the_other_way_round_minus_1() -> None:
    for one in (spearman, kendall_tau_b):
        assert estimate(one(table("12 23 34 45", Level.INTERVAL))).value == pytest.approx(1)
        assert estimate(one(table("15 24 33 42", Level.INTERVAL))).value == pytest.approx(-1)


def test_labels_are_put_in_the_order_of_their_values() -> None:
    words = "11 12 23 33 31 22"
    for one in (spearman, kendall_tau_b):
        ascending, mixed, turned = (
            estimate(one(table(words, level, scale)))
            for level, scale in (
                (Level.ORDINAL, ["1", "2", "3"]),
                (Level.INTERVAL, ["2", "3", "1"]),
                (Level.ORDINAL, ["3", "2", "1"]),
            )
        )
        assert mixed == ascending
        assert turned.value == pytest.approx(ascending.value)


def test_a_million_items_have_exact_replicates() -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 5, (1_000_000, 1))
    codes = np.where(rng.random((1_000_000, 2)) < 0.6, truth, rng.integers(0, 5, (1_000_000, 2)))
    large, small = (coded(of, Level.ORDINAL, 5) for of in (codes, codes[:10_000]))
    for one in (spearman, kendall_tau_b):
        of_large, of_small = estimate(one(large)), estimate(one(small))
        assert of_large.se is not None
        assert of_small.se is not None
        assert of_large.se == pytest.approx(of_small.se / 10, rel=0.05)


cells = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(cells)
def test_excess_concordance_is_that_of_its_definition(pairs: list[tuple[int, int]]) -> None:
    crossed = PairTable.of(np.array(pairs), 7)
    expected = [
        sum(np.sign(x - i) * np.sign(y - j) for x, y in pairs)
        for i, j in zip(crossed.first, crossed.second, strict=True)
    ]
    assert excess_concordance(crossed) == pytest.approx(expected)


def test_undefined() -> None:
    for one, name in ((spearman, "Spearman's rho"), (kendall_tau_b, "Kendall's tau")):
        assert one(table("112 122", Level.ORDINAL)) == Undefined(f"3 annotators; {name} is for two")
        assert one(table("12 21", Level.NOMINAL)) == Undefined("labels of level nominal have no order")
        assert one(table("1. .2", Level.ORDINAL)) == Undefined("no item has two ratings")
        assert one(table("11 11", Level.ORDINAL, ["1", "2"])) == Undefined("only one label occurs")
        assert one(table("11 12 13", Level.ORDINAL)) == Undefined("annotator 'annotator 0' gives one label only")
        assert one(table("11 21 31 .2", Level.ORDINAL)) == Undefined("annotator 'annotator 1' gives one label only")


def test_value_without_an_interval() -> None:
    for one, words in product((spearman, kendall_tau_b), ("11 11 11 12 31", "12 21")):
        found = estimate(one(table(words, Level.ORDINAL)))
        assert found.se is None
        assert found.method == "no interval: without one of the items an annotator gives one label only"
