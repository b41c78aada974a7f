"""What must hold for any table."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmclf.agreement import Coefficient, Estimate, Ratings, Undefined
from llmclf.agreement.bootstrap import Bootstrap
from llmclf.agreement.brennan_prediger import brennan_prediger
from llmclf.agreement.cohen_kappa import cohen_kappa, weighted_kappa_quadratic
from llmclf.agreement.exchangeable import Interval
from llmclf.agreement.fleiss_kappa import fleiss_kappa
from llmclf.agreement.gwet_ac import gwet_ac1, gwet_ac2_linear, gwet_ac2_quadratic
from llmclf.agreement.krippendorff_alpha import krippendorff_alpha, krippendorff_alpha_jaccard, krippendorff_alpha_masi
from llmclf.agreement.percent_agreement import percent_agreement
from llmclf.agreement.scott_pi import scott_pi
from llmclf.levels import Level
from tests.agreement.tables import (
    alpha_by_definition,
    beyond_chance,
    coded,
    jackknife_by_definition,
    kappa_by_definition,
    quadratic_weights,
)

EXCHANGEABLE: dict[str, Callable[[Ratings, Interval], Coefficient]] = {
    "percent_agreement": percent_agreement,
    "scott_pi": scott_pi,
    "fleiss_kappa": fleiss_kappa,
    "krippendorff_alpha": krippendorff_alpha,
    "krippendorff_alpha_masi": krippendorff_alpha_masi,
    "krippendorff_alpha_jaccard": krippendorff_alpha_jaccard,
    "gwet_ac1": gwet_ac1,
    "gwet_ac2_linear": gwet_ac2_linear,
    "gwet_ac2_quadratic": gwet_ac2_quadratic,
    "brennan_prediger": brennan_prediger,
}
LOWEST = {
    "percent_agreement": 0.0,
    "fleiss_kappa": -np.inf,
    "gwet_ac1": -1 / 3,
    "gwet_ac2_linear": -1.4,
    "gwet_ac2_quadratic": -2.6,
    "brennan_prediger": -1 / 3,
}
"""With four labels, where it is not -1; Fleiss' kappa is bounded only where each item has two ratings."""
SETS = ("[]", '["a"]', '["a","b"]', '["b","c"]')
Q = 4
Codes = npt.NDArray[np.int8]

tables = st.tuples(st.integers(2, 8), st.integers(2, 4)).flatmap(
    lambda shape: arrays(np.int8, shape, elements=st.integers(-1, Q - 1))
)
pairs = st.integers(2, 8).flatmap(lambda n: arrays(np.int8, (n, 2), elements=st.integers(-1, Q - 1)))
levels = st.sampled_from(Level)
quick = settings(max_examples=40, deadline=None)


def same(one: Coefficient, other: Coefficient) -> bool:
    if isinstance(one, Undefined) or isinstance(other, Undefined):
        return one == other
    numbers = [[x.value, x.se, x.low, x.high] for x in (one, other)]
    if (numbers[0][1] is None) != (numbers[1][1] is None) or one.method != other.method:
        return False
    return all(a == b or a == pytest.approx(b, abs=1e-9) for a, b in zip(*numbers, strict=True))


def found_in(codes: Codes, level: Level) -> dict[str, Coefficient]:
    ratings = coded(codes, level, Q)
    if level is Level.SET:
        ratings = replace(ratings, scale=SETS)
    exchangeable = {name: of(ratings, "jackknife") for name, of in EXCHANGEABLE.items()}
    return exchangeable | {"cohen": cohen_kappa(ratings), "quadratic": weighted_kappa_quadratic(ratings)}


def all_same(codes: Codes, other: Codes, level: Level) -> bool:
    one, two = (found_in(of, level) for of in (codes, other))
    return all(same(one[name], two[name]) for name in one)


@quick
@given(tables, levels, st.randoms(use_true_random=False))
def test_order_of_items_and_annotators_does_not_matter(codes: Codes, level: Level, random: Random) -> None:
    items, annotators = list(range(codes.shape[0])), list(range(codes.shape[1]))
    random.shuffle(items)
    random.shuffle(annotators)
    assert all_same(codes, codes[items][:, annotators], level)


@quick
@given(tables, st.permutations(range(Q)))
def test_names_of_nominal_labels_do_not_matter(codes: Codes, names: list[int]) -> None:
    assert all_same(codes, np.where(codes < 0, -1, np.array(names)[codes]).astype(np.int8), Level.NOMINAL)


@quick
@given(tables, st.sampled_from([Level.NOMINAL, Level.ORDINAL, Level.INTERVAL]))
def test_a_scale_may_be_turned_round(codes: Codes, level: Level) -> None:
    assert all_same(codes, np.where(codes < 0, -1, Q - 1 - codes).astype(np.int8), level)


@quick
@given(arrays(np.int8, (6, 1), elements=st.integers(-1, Q - 1)), levels)
def test_an_annotator_agrees_with_a_copy(codes: Codes, level: Level) -> None:
    assume(len(np.unique(codes[codes >= 0])) > 1)
    found = found_in(np.repeat(codes, 2, axis=1), level)
    assert {one.value for one in found.values() if isinstance(one, Estimate)} == {1.0}
    no_order, no_sets = (Undefined(f"labels of level {level} {what}") for what in ("have no distance", "are no sets"))
    for name, one in found.items():
        if isinstance(one, Undefined):
            assert one == (no_sets if name.startswith("krippendorff") else no_order)


@quick
@given(tables, levels)
def test_bounds(codes: Codes, level: Level) -> None:
    for name, one in found_in(codes, level).items():
        if isinstance(one, Undefined):
            continue
        lowest = LOWEST.get(name, -1.0)
        assert lowest - 1e-9 <= one.value <= 1 + 1e-9
        if one.se is None or one.low is None or one.high is None:
            assert "no interval: " in one.method
            assert (one.se, one.low, one.high) == (None, None, None)
        else:
            assert one.se > 0
            assert lowest - 1e-9 <= one.low <= one.value + 1e-9
            assert one.value - 1e-9 <= one.high <= 1


@quick
@given(tables, levels)
def test_alpha_and_its_jackknife_are_those_of_the_definition(codes: Codes, level: Level) -> None:
    ratings = coded(codes, level, Q)
    found = krippendorff_alpha(ratings)
    if isinstance(found, Undefined):
        used = codes[(codes >= 0).sum(axis=1) >= 2]
        assert len(np.unique(used[used >= 0])) < 2
        return
    assert found.value == pytest.approx(alpha_by_definition(ratings), abs=1e-9)
    if found.se is not None:
        assert found.se == pytest.approx(jackknife_by_definition(ratings, alpha_by_definition), rel=1e-6, abs=1e-9)


@quick
@given(pairs)
def test_kappas_and_their_jackknife_are_those_of_the_definition(codes: Codes) -> None:
    ratings = coded(codes, Level.ORDINAL, Q)
    both = ((cohen_kappa, np.eye(Q)), (weighted_kappa_quadratic, quadratic_weights(ratings.values)))
    for of, weights in both:
        one = of(ratings)
        if isinstance(one, Undefined):
            used = codes[(codes >= 0).all(axis=1)]
            assert len(np.unique(used)) < 2
            continue
        assert one.value == pytest.approx(kappa_by_definition(ratings, weights)[0], abs=1e-9)
        if one.se is not None:
            se = jackknife_by_definition(ratings, lambda left, weights=weights: kappa_by_definition(left, weights)[0])  # type: ignore[misc]  # bound here
            assert one.se == pytest.approx(se, rel=1e-6, abs=1e-9)


@quick
@given(tables, levels)
def test_items_with_one_rating_change_nothing_but_the_marginals_of_fleiss_and_gwet(codes: Codes, level: Level) -> None:
    alone = np.full((1, codes.shape[1]), -1, dtype=np.int8)
    alone[0, 0] = 2
    without, with_one = (found_in(of, level) for of in (codes, np.vstack([codes, alone])))
    for name, one in without.items():
        assert name.startswith(("fleiss", "gwet")) or same(one, with_one[name])
    unrated = np.full((1, codes.shape[1]), -1, dtype=np.int8)
    assert all_same(codes, np.vstack([codes, unrated]), level)


NAMES = {
    "fleiss": fleiss_kappa,
    "ac1": gwet_ac1,
    "ac2_linear": gwet_ac2_linear,
    "ac2_quadratic": gwet_ac2_quadratic,
    "brennan_prediger": brennan_prediger,
}


@quick
@given(tables, st.sampled_from(sorted(NAMES)))
def test_agreement_beyond_chance_and_its_jackknife_are_those_of_the_definition(codes: Codes, name: str) -> None:
    ratings = coded(codes, Level.ORDINAL, Q)
    found = NAMES[name](ratings)
    if isinstance(found, Undefined):
        return
    assert found.value == pytest.approx(beyond_chance(ratings, name), abs=1e-9)
    if found.se is not None:
        least = 2 if name == "brennan_prediger" else 1
        se = jackknife_by_definition(ratings, lambda left: beyond_chance(left, name), least)
        assert found.se == pytest.approx(se, rel=1e-6, abs=1e-9)


@quick
@given(tables, levels, st.sampled_from(["closed-form", Bootstrap(replicates=50)]))
def test_every_interval_holds_its_value_or_says_why_there_is_none(
    codes: Codes, level: Level, interval: Interval
) -> None:
    ratings = coded(codes, level, Q)
    for of in EXCHANGEABLE.values():
        one, by_jackknife = of(ratings, interval), of(ratings, "jackknife")
        if isinstance(one, Undefined) or isinstance(by_jackknife, Undefined):
            assert one == by_jackknife
            continue
        assert one.value == by_jackknife.value
        if one.se is None or one.low is None or one.high is None:
            assert one.method.startswith("no interval: ")
        else:
            assert one.se > 0
            assert one.low <= one.high


@quick
@given(tables)
def test_percent_agreement_is_the_mean_share_of_pairs(codes: Codes) -> None:
    shares = []
    for row in codes:
        rated = [x for x in row if x >= 0]
        agreeing = [a == b for i, a in enumerate(rated) for b in rated[:i]]
        if agreeing:
            shares.append(np.mean(agreeing))
    found = percent_agreement(coded(codes, Level.NOMINAL, Q))
    if isinstance(found, Estimate):
        assert found.value == pytest.approx(np.mean(shares))
        if found.se is not None:
            assert found.se == pytest.approx(np.std(shares, ddof=1) / np.sqrt(len(shares)))


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        (np.full((3, 2), -1), "no item has two ratings"),
        (np.array([[0], [1], [2]]), "no item has two ratings"),
        (np.array([[0, -1], [-1, 1]]), "no item has two ratings"),
        (np.array([[1, 1], [1, 1], [1, -1]]), "only one label occurs"),
    ],
    ids=["nothing is rated", "one annotator", "no two rated the same", "one label"],
)
def test_what_defines_nothing(codes: Codes, reason: str, level: Level) -> None:
    for name, one in found_in(codes, level).items():
        assert isinstance(one, Undefined)
        only_for_two = name in ("scott_pi", "cohen", "quadratic") and codes.shape[1] == 1
        other_level = one.undefined.startswith(f"labels of level {level}")
        assert one.undefined == reason or only_for_two or other_level, name


@pytest.mark.parametrize("level", list(Level))
def test_one_item_has_values_and_no_intervals(level: Level) -> None:
    for one in found_in(np.array([[0, 1]]), level).values():
        if isinstance(one, Estimate):
            assert (one.se, one.method) == (None, "no interval: there is one item only")


@pytest.mark.parametrize("level", [level for level in Level if level is not Level.SET])
def test_a_huge_scale(level: Level) -> None:
    rng = np.random.default_rng(1)
    first = rng.integers(0, 30_000, 3000)
    codes = np.stack([first, np.where(rng.random(3000) < 0.7, first, rng.integers(0, 30_000, 3000))], axis=1)
    scale = tuple(map(str, range(30_000)))
    ratings = Ratings(codes.astype(np.int16), scale[:3000], ("a", "b"), scale, level, scale_declared=True)
    for name, of in EXCHANGEABLE.items():
        one = of(ratings, "jackknife")
        if isinstance(one, Estimate):
            assert 0.6 < one.value < 1, name
            assert one.se is not None


def test_same_can_tell_differences() -> None:
    one = Estimate(0.5, 0.1, 0.3, 0.7, 9, "how")
    assert same(one, one)
    assert not same(one, replace(one, value=0.51))
    assert not same(one, replace(one, se=None))
    assert not same(one, Undefined("why"))
