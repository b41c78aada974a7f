"""What must hold for any table."""

import math
import re
from collections.abc import Iterable
from dataclasses import replace
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmclf.agreement import Coefficient, Estimate, Undefined, coefficients
from llmclf.agreement.coefficients import NAMES
from llmclf.agreement.krippendorff_alpha import krippendorff_alpha
from llmclf.agreement.percent_agreement import percent_agreement
from llmclf.levels import Level
from tests.agreement.tables import (
    alpha_by_definition,
    coded,
    estimate,
    jackknife_by_definition,
    kappa_by_definition,
    quadratic_weights,
)

Q = 4
OF_MEMBERS = ("krippendorff_alpha_masi", "krippendorff_alpha_jaccard")
"""Undefined here, where a set is a number."""
Codes = npt.NDArray[np.int8]

tables = st.tuples(st.integers(2, 8), st.integers(2, 4)).flatmap(
    lambda shape: arrays(np.int8, shape, elements=st.integers(-1, Q - 1))
)
LOWEST = {"percent_agreement": 0.0, "macro_f1": 0.0, "kendall_w": 0.0} | {
    name: -math.inf for name in NAMES if name.startswith(("fleiss", "conger", "gwet", "brennan", "icc"))
}
OF_PAIRABLE = {
    Level.NOMINAL: ("percent_agreement", "cohen_kappa", "krippendorff_alpha", "mcc", "macro_f1"),
    Level.ORDINAL: ("weighted_kappa_linear", "weighted_kappa_quadratic", "krippendorff_alpha", "spearman"),
    Level.INTERVAL: ("krippendorff_alpha", "kendall_tau_b"),
    Level.RATIO: ("krippendorff_alpha",),
    Level.SET: ("krippendorff_alpha",),
}
"""What leaves items with one rating out; the others take them for what annotators are wont to say."""

pairs = st.integers(2, 8).flatmap(lambda n: arrays(np.int8, (n, 2), elements=st.integers(-1, Q - 1)))
levels = st.sampled_from(Level)
quick = settings(max_examples=60, deadline=None)


def same(one: Coefficient, other: Coefficient) -> bool:
    if isinstance(one, Undefined) or isinstance(other, Undefined):
        reasons = [re.sub("'.*?'", "", x.reason) for x in (one, other) if isinstance(x, Undefined)]
        return len(reasons) == 2 and reasons[0] == reasons[1]  # but for the names in them
    numbers = [[x.value, x.se, x.low, x.high] for x in (one, other)]
    if (numbers[0][1] is None) != (numbers[1][1] is None) or one.method != other.method:
        return False
    return all(a == b or a == pytest.approx(b, abs=1e-9) for a, b in zip(*numbers, strict=True))


def all_same(codes: Codes, other: Codes, level: Level, names: Iterable[str] | None = None) -> bool:
    one, two = (found(of, level, names) for of in (codes, other))
    return one.keys() == two.keys() and all(same(one[name], two[name]) for name in one)


def found(codes: Codes, level: Level, names: Iterable[str] | None = None) -> dict[str, Coefficient]:
    by_name = coefficients(coded(codes, level, Q), names)
    return {name: one for name, one in by_name.items() if name not in OF_MEMBERS}


@quick
@given(tables, levels, st.randoms(use_true_random=False))
def test_order_of_items_and_annotators_does_not_matter(codes: Codes, level: Level, random: Random) -> None:
    items, annotators = list(range(codes.shape[0])), list(range(codes.shape[1]))
    random.shuffle(items)
    random.shuffle(annotators)
    assert all_same(codes, codes[items][:, annotators], level)


@quick
@given(tables, st.permutations(range(Q)), st.sampled_from([Level.NOMINAL, Level.SET]))
def test_names_of_nominal_labels_do_not_matter(codes: Codes, names: list[int], level: Level) -> None:
    assert all_same(codes, np.where(codes < 0, -1, np.array(names)[codes]).astype(np.int8), level)


@quick
@given(tables, levels.filter(lambda level: level is not Level.RATIO))
def test_a_scale_may_be_turned_round(codes: Codes, level: Level) -> None:
    assert all_same(codes, np.where(codes < 0, -1, Q - 1 - codes).astype(np.int8), level)


@quick
@given(arrays(np.int8, (6, 1), elements=st.integers(-1, Q - 1)), levels)
def test_an_annotator_agrees_with_a_copy(codes: Codes, level: Level) -> None:
    assume(len(np.unique(codes[codes >= 0])) > 1)
    values = {name: estimate(one).value for name, one in found(np.repeat(codes, 2, axis=1), level).items()}
    assert values == pytest.approx(dict.fromkeys(values, 1.0))
    assert len(values) in (10, 23)


@quick
@given(tables, levels)
def test_bounds(codes: Codes, level: Level) -> None:
    for name, one in found(codes, level).items():
        if isinstance(one, Undefined):
            continue
        lowest = LOWEST.get(name, -1.0)
        assert lowest - 1e-9 <= one.value <= 1 + 1e-9
        if one.se is None or one.low is None or one.high is None:
            assert "no interval: " in one.method
            assert (one.se, one.low, one.high) == (None, None, None)
        else:
            assert one.se > 0
            assert lowest <= one.low <= one.value + 1e-9
            assert one.value - 1e-9 <= one.high <= 1


@quick
@given(tables, levels)
def test_alpha_and_its_jackknife_are_those_of_the_definition(codes: Codes, level: Level) -> None:
    ratings = coded(codes, level, Q)
    one = krippendorff_alpha(ratings)
    if isinstance(one, Undefined):
        used = codes[(codes >= 0).sum(axis=1) >= 2]
        assert len(np.unique(used[used >= 0])) < 2
        return
    assert one.value == pytest.approx(alpha_by_definition(ratings), abs=1e-9)
    if one.se is not None:
        assert one.se == pytest.approx(jackknife_by_definition(ratings, alpha_by_definition), rel=1e-6, abs=1e-9)


@quick
@given(pairs)
def test_kappas_and_their_jackknife_are_those_of_the_definition(codes: Codes) -> None:
    ratings = coded(codes, Level.ORDINAL, Q)
    by_name = coefficients(ratings)
    for name, weights in (("cohen_kappa", np.eye(Q)), ("weighted_kappa_quadratic", quadratic_weights(ratings.values))):
        one = by_name[name]
        if isinstance(one, Undefined):
            used = codes[(codes >= 0).all(axis=1)]
            assert len(np.unique(used)) < 2
            continue
        assert one.value == pytest.approx(kappa_by_definition(ratings, weights)[0], abs=1e-9)
        if one.se is not None:
            se = jackknife_by_definition(ratings, lambda left, weights=weights: kappa_by_definition(left, weights)[0])  # type: ignore[misc]  # bound here
            assert one.se == pytest.approx(se, rel=1e-6, abs=1e-9)


@quick
@given(tables)
def test_items_with_one_rating_change_nothing(codes: Codes) -> None:
    alone = np.full((1, codes.shape[1]), -1, dtype=np.int8)
    alone[0, 0] = 2
    for level, names in OF_PAIRABLE.items():
        assert all_same(codes, np.vstack([codes, alone]), level, names)


@quick
@given(tables)
def test_percent_agreement_is_the_mean_share_of_pairs(codes: Codes) -> None:
    shares = []
    for row in codes:
        rated = [x for x in row if x >= 0]
        agreeing = [a == b for i, a in enumerate(rated) for b in rated[:i]]
        if agreeing:
            shares.append(np.mean(agreeing))
    one = percent_agreement(coded(codes, Level.NOMINAL, Q))
    if isinstance(one, Estimate):
        assert one.value == pytest.approx(np.mean(shares))
        if one.se is not None:
            assert one.se == pytest.approx(np.std(shares, ddof=1) / np.sqrt(len(shares)))


def test_same_can_tell_differences() -> None:
    one = Estimate(0.5, 0.1, 0.3, 0.7, 9, "how")
    assert same(one, one)
    assert not same(one, replace(one, value=0.51))
    assert not same(one, replace(one, se=None))
    assert not same(one, Undefined("why"))
