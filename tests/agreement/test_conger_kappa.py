import numpy as np
import pytest

from llmclf.agreement import Undefined
from llmclf.agreement.cohen_kappa import cohen_kappa
from llmclf.agreement.conger_kappa import MOST_ANNOTATORS, conger_kappa
from llmclf.levels import Level
from tests.agreement.reference import reference
from tests.agreement.tables import coded, estimate, jackknife_by_definition, table

IRRCAC = reference("irrcac_conger")
EXCLUDED = {
    "linear": "Conger's kappa has no weights here",
    "quadratic": "the same",
    "ordinal": "the same; Gwet's ordinal weights are not Krippendorff's metric either",
    "radical": "the same",
}


@pytest.mark.parametrize("one", [one for one in IRRCAC["conger"] if one["weights"] not in EXCLUDED])
def test_irrcac(one: dict[str, str | float]) -> None:
    words = IRRCAC["ratings"][one["data"]]
    found = estimate(conger_kappa(table(words, Level.NOMINAL), interval="closed-form"))
    assert found.value == pytest.approx(one["est"], abs=1e-5)
    assert found.se == pytest.approx(one["se"], abs=1e-5)
    low, high = map(float, str(one["ci"]).strip("()").split(","))
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-4)


def test_four_tables_of_irrcac_are_compared() -> None:
    compared = {one["data"] for one in IRRCAC["conger"] if one["weights"] not in EXCLUDED}
    # of cac.raw5obser there are weighted values only
    assert compared == IRRCAC["ratings"].keys() - {"cac.raw5obser"}


def test_diagnoses() -> None:
    published = reference("irr_raters")["diagnoses"]
    found = estimate(conger_kappa(table(published["ratings"], Level.NOMINAL)))
    assert found.value == pytest.approx(published["conger_kappa"], abs=1e-12)


def test_two_annotators_have_cohens_kappa() -> None:
    pair = table("11 12 22 21 11 13 33 31 33 11", Level.NOMINAL)
    assert estimate(conger_kappa(pair)).value == pytest.approx(estimate(cohen_kappa(pair)).value)
    large_sample = estimate(cohen_kappa(pair, interval="closed-form")).se
    assert large_sample is not None
    # the large-sample standard error divides by n, this by n - 1
    assert estimate(conger_kappa(pair)).se == pytest.approx(large_sample * np.sqrt(10 / 9))


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_the_infinitesimal_jackknife_is_nearly_that_of_the_definition(missing: float) -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, (400, 1))
    codes = np.where(rng.random((400, 5)) < 0.6, truth, rng.integers(0, 3, (400, 5)))
    codes[rng.random(codes.shape) < missing] = -1
    ratings = coded(codes, Level.NOMINAL, 3)
    exact = jackknife_by_definition(ratings, lambda left: estimate(conger_kappa(left)).value)
    assert estimate(conger_kappa(ratings)).se == pytest.approx(exact, rel=0.02)


def test_gwets_standard_error_is_larger_where_items_have_one_rating() -> None:
    words = table("11. 22. 121 1.. 2.. 222 112 .1.", Level.NOMINAL)
    ours, gwets = (estimate(conger_kappa(words, how)) for how in ("jackknife", "closed-form"))
    assert ours.se is not None
    assert gwets.se is not None
    assert ours.se < gwets.se
    assert (ours.value, ours.n_items) == (gwets.value, 5)
    assert ours.method == "infinitesimal jackknife over items, t with 7 df"
    assert gwets.method == "standard error of Gwet 2014, t with 7 df"


def test_annotators_and_items_without_ratings_do_not_count() -> None:
    assert conger_kappa(table("12.1 21.2 ....", Level.NOMINAL)) == conger_kappa(table("121 212", Level.NOMINAL))


def test_undefined() -> None:
    assert conger_kappa(table("1. .2", Level.NOMINAL)) == Undefined("no item has two ratings")
    assert conger_kappa(table("1 2", Level.NOMINAL)) == Undefined("no item has two ratings")
    assert conger_kappa(table("11 1. 11 2.", Level.NOMINAL)) == Undefined("only one label occurs")
    many = coded(np.zeros((2, MOST_ANNOTATORS + 1), dtype=np.int8), Level.NOMINAL, 2)
    assert conger_kappa(many) == Undefined("more than 200 annotators; Conger's kappa tells each from the others")


def test_value_without_an_interval() -> None:
    one = estimate(conger_kappa(table("112", Level.NOMINAL)))
    assert one.value == pytest.approx(0)
    assert (one.se, one.method) == (None, "no interval: there is one item only")
    same = estimate(conger_kappa(table("111 222", Level.NOMINAL)))
    assert (same.value, same.se) == (1.0, None)
    assert same.method == "no interval: its standard error is zero, so its spread is unknown"
