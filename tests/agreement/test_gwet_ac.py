from collections.abc import Callable

import numpy as np
import pytest

from llmclf.agreement import Coefficient, Rating, Ratings, Undefined
from llmclf.agreement.brennan_prediger import brennan_prediger
from llmclf.agreement.gwet_ac import gwet_ac1, gwet_ac2_linear, gwet_ac2_quadratic
from llmclf.levels import Level
from tests.agreement.tables import beyond_chance, coded, crossed, estimate, jackknife_by_definition, table

BY_NAME: dict[str, Callable[[Ratings], Coefficient]] = {
    "ac1": gwet_ac1,
    "ac2_linear": gwet_ac2_linear,
    "ac2_quadratic": gwet_ac2_quadratic,
    "brennan_prediger": brennan_prediger,
}
LEAST = {"brennan_prediger": 2}
"""Ratings of an item that counts, where it is not one: chance has no marginals."""


def test_a_skewed_prevalence_lowers_kappa_and_not_ac1() -> None:
    paradox = crossed([[118, 5], [2, 0]])
    assert estimate(gwet_ac1(paradox)).value == pytest.approx(0.9408, abs=5e-5)
    assert estimate(brennan_prediger(paradox)).value == pytest.approx(0.888)


@pytest.mark.parametrize("name", BY_NAME)
def test_values_and_jackknife_equal_the_definition(name: str) -> None:
    rng = np.random.default_rng(4)
    codes = np.where(rng.random((40, 4)) < 0.5, rng.integers(0, 3, (40, 1)), rng.integers(0, 3, (40, 4)))
    codes[rng.random((40, 4)) < 0.4] = -1
    ratings = coded(codes, Level.ORDINAL, 5)
    found = estimate(BY_NAME[name](ratings))
    assert found.value == pytest.approx(beyond_chance(ratings, name), abs=1e-12)
    se = jackknife_by_definition(ratings, lambda left: beyond_chance(left, name), least=LEAST.get(name, 1))
    assert found.se == pytest.approx(se, rel=1e-9)


@pytest.mark.parametrize("name", BY_NAME)
def test_labels_that_nobody_used_count(name: str) -> None:
    few, many = (table("11 12 22 33 3.", Level.ORDINAL, list(scale)) for scale in ("123", "12345"))
    assert estimate(BY_NAME[name](few)).value < estimate(BY_NAME[name](many)).value
    assert estimate(BY_NAME[name](many)).value == pytest.approx(beyond_chance(many, name))


def test_weights_follow_the_numbers_of_the_scale_in_any_order() -> None:
    rows = [Rating(str(i), str(j), x) for i, pair in enumerate(("12", "29", "99", "11")) for j, x in enumerate(pair)]
    for name in ("ac2_linear", "ac2_quadratic"):
        ascending, mixed = (Ratings.from_rows(rows, Level.INTERVAL, scale) for scale in (list("129"), list("291")))
        assert estimate(BY_NAME[name](ascending)).value == pytest.approx(beyond_chance(ascending, name))
        assert estimate(BY_NAME[name](mixed)).value == pytest.approx(estimate(BY_NAME[name](ascending)).value)


@pytest.mark.parametrize("name", BY_NAME)
def test_undefined(name: str) -> None:
    of = BY_NAME[name]
    assert of(table("1. .2", Level.ORDINAL)) == Undefined("no item has two ratings")
    assert of(table("11 11", Level.ORDINAL, ["1", "2"])) == Undefined("only one label occurs")
    assert of(table("12 22", Level.SET)) == Undefined("the number of possible sets is not declared")


def test_sets_on_a_declared_scale_have_ac1_and_no_ac2() -> None:
    sets = table("12 22 11 33", Level.SET, ["1", "2", "3"])
    assert estimate(gwet_ac1(sets)) == estimate(gwet_ac1(table("12 22 11 33", Level.NOMINAL, ["1", "2", "3"])))
    for of in (gwet_ac2_linear, gwet_ac2_quadratic):
        assert of(sets) == Undefined("labels of level set have no distance")
        assert of(table("12 22", Level.NOMINAL)) == Undefined("labels of level nominal have no distance")


def test_one_label_left_is_full_agreement_and_leaves_an_interval() -> None:
    for of in (gwet_ac1, brennan_prediger):
        assert estimate(of(table("11 11 11 12", Level.NOMINAL))).se is not None
