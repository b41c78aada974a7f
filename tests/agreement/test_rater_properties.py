"""What must hold, for any table, of the statistics that tell annotators from each other."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmclf.agreement import Coefficient, Estimate, Ratings, Undefined
from llmclf.agreement.classification import class_agreement, confusion_table, macro_f1, mcc
from llmclf.agreement.conger_kappa import conger_kappa
from llmclf.agreement.icc import icc_1_1, icc_1_k, icc_2_1, icc_2_k, icc_3_1, icc_3_k
from llmclf.agreement.kendall_w import kendall_w
from llmclf.agreement.marginal_homogeneity import bhapkar, mcnemar, mcnemar_exact, stuart_maxwell
from llmclf.agreement.prevalence_bias import prevalence_bias
from llmclf.agreement.rank_correlation import kendall_tau_b, spearman
from llmclf.agreement.rater_intervals import over_items_and_raters
from llmclf.levels import Level
from tests.agreement.tables import coded
from tests.agreement.test_properties import same

Q = 4
Codes = npt.NDArray[np.int8]
One = Callable[[Ratings], Coefficient]

ICCS = [icc_1_1, icc_2_1, icc_3_1, icc_1_k, icc_2_k, icc_3_k]
OF_ANY = [conger_kappa, kendall_w, *ICCS]
OF_TWO = [spearman, kendall_tau_b, mcc, macro_f1]
LOWEST = dict.fromkeys((kendall_w, macro_f1), 0.0) | dict.fromkeys((icc_2_1, icc_1_k, icc_2_k, icc_3_k), -np.inf)
TESTS = [mcnemar, mcnemar_exact, stuart_maxwell, bhapkar]

tables = st.tuples(st.integers(1, 8), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.int8, shape, elements=st.integers(-1, Q - 1))
)
pairs = st.integers(1, 9).flatmap(lambda n: arrays(np.int8, (n, 2), elements=st.integers(-1, Q - 1)))
quick = settings(max_examples=50, deadline=None)


@quick
@given(tables, pairs, st.randoms(use_true_random=False))
def test_order_of_items_and_annotators_does_not_matter(codes: Codes, pair: Codes, random: Random) -> None:
    for some, ones in ((codes, OF_ANY), (pair, OF_TWO)):
        items, annotators = list(range(some.shape[0])), list(range(some.shape[1]))
        random.shuffle(items)
        random.shuffle(annotators)
        shuffled = coded(some[items][:, annotators], Level.ORDINAL, Q)
        for one in ones:
            found, other = one(coded(some, Level.ORDINAL, Q)), one(shuffled)
            # who gives one label only is named by name
            assert same(found, other) or "gives one label only" in str(found)


@quick
@given(pairs)
def test_marginal_tests_are_the_same_with_annotators_exchanged(pair: Codes) -> None:
    for test in TESTS:
        found, other = (test(coded(some, Level.NOMINAL, Q)) for some in (pair, pair[:, ::-1]))
        if isinstance(found, Undefined):
            assert found == other
        else:
            assert not isinstance(other, Undefined)
            assert found.p == pytest.approx(other.p)
            assert 0 <= found.p <= 1


@quick
@given(tables, pairs, st.permutations(range(Q)))
def test_names_of_nominal_labels_do_not_matter(codes: Codes, pair: Codes, names: list[int]) -> None:
    def renamed(some: Codes) -> Ratings:
        return coded(np.where(some < 0, -1, np.array(names)[some]).astype(np.int8), Level.NOMINAL, Q)

    assert same(conger_kappa(coded(codes, Level.NOMINAL, Q)), conger_kappa(renamed(codes)))
    for one in (mcc, macro_f1):
        assert same(one(coded(pair, Level.NOMINAL, Q)), one(renamed(pair)))


@quick
@given(tables, pairs)
def test_a_scale_may_be_turned_round(codes: Codes, pair: Codes) -> None:
    for some, ones in ((codes, OF_ANY), (pair, OF_TWO)):
        turned = coded(np.where(some < 0, -1, Q - 1 - some).astype(np.int8), Level.ORDINAL, Q)
        for one in ones:
            assert same(one(coded(some, Level.ORDINAL, Q)), one(turned))


@quick
@given(tables, pairs)
def test_bounds(codes: Codes, pair: Codes) -> None:
    found = [(one, one(coded(codes, Level.ORDINAL, Q))) for one in OF_ANY]
    found += [(one, one(coded(pair, Level.ORDINAL, Q))) for one in OF_TWO]
    for one, coefficient in found:
        if isinstance(coefficient, Undefined):
            assert coefficient.undefined
            continue
        lowest = LOWEST.get(one, -1.0)
        assert lowest - 1e-9 <= coefficient.value <= 1 + 1e-9
        if coefficient.low is None or coefficient.high is None or coefficient.se is None:
            assert (coefficient.se, coefficient.low, coefficient.high) == (None, None, None)
            assert coefficient.method.startswith("no interval: ")
        else:
            assert coefficient.se > 0
            assert lowest <= coefficient.low <= coefficient.value + 1e-9
            assert coefficient.value - 1e-9 <= coefficient.high <= 1


@quick
@given(arrays(np.int8, (6, 1), elements=st.integers(0, Q - 1)), st.integers(2, 4))
def test_annotators_agree_with_copies(codes: Codes, m: int) -> None:
    assume(len(np.unique(codes)) > 1)
    for one in OF_ANY:
        found = one(coded(np.repeat(codes, m, axis=1), Level.ORDINAL, Q))
        assert isinstance(found, Estimate)
        assert found.value == pytest.approx(1)
    copy = coded(np.repeat(codes, 2, axis=1), Level.ORDINAL, Q)
    for one in OF_TWO:
        found = one(copy)
        assert isinstance(found, Estimate)
        assert found.value == pytest.approx(1)
    for test in TESTS:
        assert isinstance(test(copy), Undefined)


@quick
@given(pairs)
def test_items_with_one_rating_change_nothing_for_pairs(pair: Codes) -> None:
    longer = np.vstack([pair, np.array([[2, -1], [-1, 0]], dtype=np.int8)])
    for one in OF_TWO:
        assert same(one(coded(pair, Level.ORDINAL, Q)), one(coded(longer, Level.ORDINAL, Q)))
    for test in TESTS:
        assert test(coded(pair, Level.NOMINAL, Q)) == test(coded(longer, Level.NOMINAL, Q))


@quick
@given(tables)
def test_conger_is_that_of_its_definition(codes: Codes) -> None:
    found = conger_kappa(coded(codes, Level.NOMINAL, Q))
    if isinstance(found, Undefined):
        used = codes[(codes >= 0).sum(axis=1) >= 2]
        assert len(np.unique(used[used >= 0])) < 2
        return
    shares = []
    for row in codes:
        agreeing = [a == b for a, b in combinations(row[row >= 0], 2)]
        if agreeing:
            shares.append(np.mean(agreeing))
    p = [np.bincount(column[column >= 0], minlength=Q) / (column >= 0).sum() for column in codes.T if column.max() >= 0]
    by_chance = np.mean([g @ h for g, h in combinations(p, 2)])
    assert found.value == pytest.approx((np.mean(shares) - by_chance) / (1 - by_chance))


@quick
@given(tables)
def test_every_table_is_answered_or_explained(codes: Codes) -> None:
    for level in Level:
        ratings = coded(codes, level, Q)
        for one in (*OF_ANY, *OF_TWO):
            for found in (one(ratings), over_items_and_raters(ratings, one)):
                assert isinstance(found, Undefined) or np.isfinite(found.value)
        for other in (*TESTS, class_agreement, confusion_table, prevalence_bias):
            other(ratings)


def test_a_huge_scale() -> None:
    n = 20_000
    rng = np.random.default_rng(6)
    first = rng.permutation(n)
    codes = np.stack([first, np.where(rng.random(n) < 0.7, first, rng.permutation(n))], axis=1).astype(np.int16)
    scale = tuple(map(str, range(n)))
    ratings = Ratings(codes, scale, ("a", "b"), scale, Level.INTERVAL, scale_declared=True)
    for one in (*OF_ANY, *OF_TWO):
        found = one(ratings)
        assert isinstance(found, Estimate)
        assert found.value > 0.5
        assert found.se is not None
    nothing = replace(ratings, codes=np.full_like(codes, -1))
    for one in (*OF_ANY, *OF_TWO):
        assert isinstance(one(nothing), Undefined)
