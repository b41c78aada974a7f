import numpy as np
import pytest

from llmclf.agreement import Undefined
from llmclf.agreement.fleiss_kappa import fleiss_kappa
from llmclf.levels import Level
from tests.agreement.reference import reference
from tests.agreement.tables import beyond_chance, coded, estimate, jackknife_by_definition, table

NOMINAL = Level.NOMINAL


def test_fleiss_1971() -> None:
    # not compared: irr's z 17.65, which supposes that kappa is 0, and its kappas of single diagnoses
    published = reference("fleiss_1971")
    found = estimate(fleiss_kappa(table(published["ratings"], NOMINAL)))
    assert found.value == pytest.approx(published["kappa"], abs=1e-12)
    assert found.value == pytest.approx(0.430, abs=5e-4)
    assert (found.n_items, found.method) == (30, "delete-one jackknife over items, t with n - 1 df")


def test_unequal_annotators_and_jackknife_equal_the_definition() -> None:
    rng = np.random.default_rng(3)
    codes = np.where(rng.random((40, 5)) < 0.5, rng.integers(0, 4, (40, 1)), rng.integers(0, 4, (40, 5)))
    codes[rng.random((40, 5)) < 0.6] = -1
    ratings = coded(codes, NOMINAL, 4)
    rated = (codes >= 0).sum(axis=1)
    assert {0, 1, 2} < set(rated), "items without, with one, and with more ratings"
    found = estimate(fleiss_kappa(ratings))
    assert found.value == pytest.approx(beyond_chance(ratings, "fleiss"), abs=1e-12)
    assert found.n_items == (rated >= 1).sum()
    se = jackknife_by_definition(ratings, lambda left: beyond_chance(left, "fleiss"), least=1)
    assert found.se == pytest.approx(se, rel=1e-9)


def test_chance_counts_items_with_one_rating() -> None:
    without, with_them = (estimate(fleiss_kappa(table(f"11 12 22 {more}", NOMINAL))) for more in ("", "1. 1. 1."))
    assert without.value == pytest.approx((2 / 3 - 1 / 2) / (1 / 2))
    assert with_them.value == pytest.approx((2 / 3 - (0.75**2 + 0.25**2)) / (1 - (0.75**2 + 0.25**2)))
    assert (without.n_items, with_them.n_items) == (3, 6)
    assert estimate(fleiss_kappa(table("12 " + "1. " * 99, NOMINAL))).value < -1


def test_undefined() -> None:
    assert fleiss_kappa(table("1. .2", NOMINAL)) == Undefined("no item has two ratings")
    assert fleiss_kappa(table("11 11 1.", NOMINAL, ["1", "2"])) == Undefined("only one label occurs")


@pytest.mark.parametrize("words", ["11 11 11 12", "11 11 22", "11 12", "1.1 111 112"])
def test_no_interval_where_one_item_holds_the_only_other_label(words: str) -> None:
    found = estimate(fleiss_kappa(table(words, NOMINAL)))
    assert (found.se, found.method) == (None, "no interval: without one of the items only one label occurs")


def test_no_interval_from_one_item() -> None:
    one = estimate(fleiss_kappa(table("12", NOMINAL)))
    assert (one.value, one.se, one.method) == (-1.0, None, "no interval: there is one item only")
    pair = estimate(fleiss_kappa(table("12 1. 2.", NOMINAL)))
    assert (pair.value, pair.se, pair.method) == (-1.0, None, "no interval: one item only has two ratings")
