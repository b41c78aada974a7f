from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from llmclf.agreement import Coefficient, Rating, Ratings, Undefined
from llmclf.agreement.icc import icc_1_1, icc_1_k, icc_2_1, icc_2_k, icc_3_1, icc_3_k, intraclass_correlations
from llmclf.levels import Level
from tests.agreement.reference import reference
from tests.agreement.tables import coded, estimate, jackknife_by_definition, table

SHROUT_FLEISS = reference("shrout_fleiss_1979")
ANXIETY = reference("irr_raters")["anxiety"]
NAMES = ["icc_1_1", "icc_2_1", "icc_3_1", "icc_1_k", "icc_2_k", "icc_3_k"]
EXCLUDED = {
    "irr_raters, video": "Finn's coefficient, which supposes a uniform distribution by chance, is no coefficient here",
    "shrout_fleiss_1979, psych_lmer": "variance components by REML, equal to the mean squares to five digits only",
    "irr_raters, bounds of icc_2_k": (
        "irr puts the ICC of the mean where McGraw & Wong 1996 have that of a single rating; "
        "psych and Spearman-Brown give -.1266 and .7451, irr -.1373 and .7463"
    ),
}


def shrout_fleiss() -> Ratings:
    rows = [
        Rating(f"target {i}", f"judge {j}", str(label))
        for i, row in enumerate(SHROUT_FLEISS["ratings"])
        for j, label in enumerate(row)
    ]
    return Ratings.from_rows(rows, Level.INTERVAL)


@pytest.mark.parametrize("name", NAMES)
def test_shrout_fleiss_1979(name: str) -> None:
    found = estimate(intraclass_correlations(shrout_fleiss())[name])
    assert round(found.value, 2) == SHROUT_FLEISS["printed"][name]
    psych = SHROUT_FLEISS["psych"][name]
    assert (found.value, found.low, found.high) == pytest.approx((psych["value"], psych["low"], psych["high"]))
    assert found.n_items == 6
    assert found.method.startswith("F interval of Shrout & Fleiss 1979")
    assert found.method.endswith("over items")


@pytest.mark.parametrize("name", NAMES)
def test_anxiety(name: str) -> None:
    found = estimate(intraclass_correlations(table(ANXIETY["ratings"], Level.INTERVAL))[name])
    irr = ANXIETY["icc"][name]
    assert found.value == pytest.approx(irr["value"])
    bounds = (-0.12658270270945982, 0.7451492885452099) if name == "icc_2_k" else (irr["low"], irr["high"])
    assert (found.low, found.high) == pytest.approx(bounds)


@pytest.mark.parametrize("one", [icc_1_1, icc_2_1, icc_3_1, icc_1_k, icc_2_k, icc_3_k])
def test_each_has_a_function_and_its_standard_error_is_the_jackknifes(one: Callable[[Ratings], Coefficient]) -> None:
    ratings = shrout_fleiss()
    found = estimate(one(ratings))
    assert found == intraclass_correlations(ratings)[one.__name__]
    assert found.se == pytest.approx(jackknife_by_definition(ratings, lambda left: estimate(one(left)).value))


def test_labels_count_as_their_values() -> None:
    near = table("11 12 23 33 31", Level.ORDINAL, ["1", "2", "3"])
    far = replace(near, scale=("1000000001", "1000000002", "1000000003"))
    wider = replace(near, scale=("1", "2", "9"))
    for name, one in intraclass_correlations(near).items():
        assert estimate(intraclass_correlations(far)[name]).value == pytest.approx(estimate(one).value)
        assert estimate(intraclass_correlations(wider)[name]).value != pytest.approx(estimate(one).value)


def test_incomplete_items_are_left_out_and_counted() -> None:
    whole = intraclass_correlations(table("113 212 333 321 231", Level.INTERVAL))
    # the scale is that of the labels that occur
    partly = intraclass_correlations(table("113 212 333 1.. 321 231 .31 ...", Level.INTERVAL))
    for name, one in partly.items():
        assert replace(estimate(one), method="") == replace(estimate(whole[name]), method="")
        assert estimate(one).method == f"{estimate(whole[name]).method}; 2 incomplete items left out"


def test_undefined() -> None:
    assert set(intraclass_correlations(table("11 12", Level.NOMINAL)).values()) == {
        Undefined("labels of level nominal have no distance")
    }
    assert icc_1_1(table("1. .2 3.", Level.INTERVAL)) == Undefined(
        "no item was rated by all 2 annotators; an ICC takes complete items only"
    )
    assert icc_2_1(table("1 2", Level.INTERVAL)) == Undefined("no item has two ratings")
    assert icc_2_1(table("11 11", Level.INTERVAL, ["1", "2"])) == Undefined("only one label occurs")
    assert icc_3_k(table("12", Level.INTERVAL)) == Undefined("one complete item; an ICC needs two")


def test_items_that_do_not_differ() -> None:
    flat = intraclass_correlations(table("12 21 12 21", Level.INTERVAL))
    assert estimate(flat["icc_1_1"]).value == pytest.approx(-1)
    assert estimate(flat["icc_1_1"]).method == "no interval: the items do not differ in their means"
    assert flat["icc_1_k"] == Undefined("the items do not differ in their means")
    shifted = intraclass_correlations(table("12 12 12", Level.INTERVAL))
    assert estimate(shifted["icc_2_1"]).value == 0
    assert shifted["icc_3_1"] == Undefined("the items do not differ in their means")


def test_a_mean_whose_variance_is_not_above_zero() -> None:
    few = intraclass_correlations(table("01 10 11", Level.INTERVAL))
    assert estimate(few["icc_2_1"]).value < -0.99
    assert few["icc_2_k"] == Undefined("its variance is not above zero")
    lower = intraclass_correlations(table("022 321 111 230", Level.INTERVAL))
    assert estimate(lower["icc_2_k"]).method == "no interval: it has no lower bound"


def test_value_without_an_interval() -> None:
    same = intraclass_correlations(table("11 22 33", Level.INTERVAL))
    assert {estimate(one).value for one in same.values()} == {1.0}
    assert {estimate(one).method for one in same.values()} == {
        "no interval: no error is left, so the F ratio is infinite"
    }
    shifted = intraclass_correlations(table("12 23 34 45", Level.INTERVAL))
    assert estimate(shifted["icc_3_1"]).value == 1
    assert estimate(shifted["icc_2_1"]).value < 1
    assert estimate(shifted["icc_2_1"]).low is not None
    two = estimate(icc_1_1(table("11 23", Level.INTERVAL)))
    assert (two.se, two.method) == (None, "no interval: there are two items only")
    one_differs = estimate(icc_1_1(table("11 11 11 12", Level.INTERVAL)))
    assert (one_differs.se, one_differs.method) == (None, "no interval: without one of the items it is undefined")


def test_agreement_without_error_is_exactly_1() -> None:
    codes = np.repeat(np.random.default_rng(3).integers(0, 7, (1000, 1)), 10, axis=1)
    assert {estimate(one).value for one in intraclass_correlations(coded(codes, Level.INTERVAL, 7)).values()} == {1.0}
