"""What must hold of comparisons for any table."""

import math
from random import Random
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmclf.agreement import Ratings, Undefined
from llmclf.agreement.alternative_annotator import alternative_annotator_test
from llmclf.agreement.non_inferiority import Verdict, holm_adjusted, non_inferiority
from llmclf.agreement.paired_difference import difference_from_annotator, difference_from_experts
from llmclf.levels import Level

EXPERTS, MODEL, OTHER = ["0", "1", "2"], "3", "4"
SETS = ("[]", '["a"]', '["a", "b"]', '["b", "c"]')
Codes = npt.NDArray[np.int8]

tables = st.integers(1, 9).flatmap(lambda n: arrays(np.int8, (n, 5), elements=st.integers(-1, 3)))
levels = st.sampled_from(Level)
quick = settings(max_examples=60, deadline=None)


def rated(codes: Codes, level: Level) -> Ratings:
    items, annotators = (tuple(map(str, range(size))) for size in codes.shape)
    scale = SETS if level is Level.SET else ("0", "1", "2", "3")
    return Ratings(codes, items, annotators, scale, level, scale_declared=True)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, float) and isinstance(other, float):
        return one == other or one == pytest.approx(other, abs=1e-9)
    return bool(one == other)


@quick
@given(tables, levels, st.randoms(use_true_random=False))
def test_the_order_of_items_and_experts_does_not_matter(codes: Codes, level: Level, random: Random) -> None:
    items, experts = list(range(len(codes))), list(EXPERTS)
    random.shuffle(items)
    random.shuffle(experts)
    for compare in (difference_from_experts, lambda *args: difference_from_annotator(args[0], args[1], OTHER, args[2])):
        one, other = (
            compare(rated(codes[order], level), MODEL, names)
            for order, names in ((slice(None), EXPERTS), (items, experts))
        )
        for name in ("agreement", "reference", "difference", "experts_like_these"):
            found = [getattr(each, name) for each in (one, other)]
            if not isinstance(found[0], Undefined):  # its reason names the first pair that is undefined
                assert same(*(each.to_dict() for each in found))


@quick
@given(tables, levels)
def test_two_annotators_change_places(codes: Codes, level: Level) -> None:
    ratings = rated(codes, level)
    there, back = (
        difference_from_annotator(ratings, *names, EXPERTS).difference for names in ((MODEL, OTHER), (OTHER, MODEL))
    )
    if isinstance(there, Undefined) or isinstance(back, Undefined):
        assert isinstance(there, Undefined)
        assert isinstance(back, Undefined)
        return
    assert there.value == pytest.approx(-back.value)
    assert there.n_items == back.n_items
    if there.low is not None and back.high is not None:
        assert (there.se, there.low) == pytest.approx((back.se, -back.high))


@quick
@given(tables, levels, st.sampled_from([0.05, 0.2, 1.0]))
def test_every_table_has_a_verdict(codes: Codes, level: Level, margin: float) -> None:
    found = non_inferiority(rated(codes, level), MODEL, EXPERTS, margin)
    assert found.verdict in get_args(Verdict)
    assert found.reason
    adjusted = holm_adjusted({"a": found, "b": found})["a"]
    assert adjusted.verdict in (found.verdict, "inconclusive")
    test = found.these_experts
    if isinstance(test, Undefined):
        assert found.verdict in ("undefined", "humans too unreliable")
        return
    assert math.isfinite(test.lower)
    assert test.lower <= test.upper
    wider = found.experts_like_these
    if not isinstance(wider, Undefined):
        assert wider.lower <= test.lower + 1e-9 or wider.df > test.df


@quick
@given(st.integers(30, 40).flatmap(lambda n: arrays(np.int8, (n, 5), elements=st.integers(0, 3))), levels)
def test_winning_is_never_harder_with_a_larger_epsilon(codes: Codes, level: Level) -> None:
    result = alternative_annotator_test(rated(codes, level), MODEL, EXPERTS)
    assert not isinstance(result, Undefined)
    rates = [rate for _, rate in result.curve()]
    assert rates == sorted(rates)
    assert all(annotator.model + annotator.human >= 1 - 1e-9 for annotator in result.annotators)
    assert 0 <= result.advantage_probability <= 1
