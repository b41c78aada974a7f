import numpy as np
import pytest
from scipy.stats import friedmanchisquare, rankdata  # type: ignore[import-untyped]  # no types

from llmclf.agreement import Ratings, Undefined
from llmclf.agreement import kendall_w as module
from llmclf.agreement.kendall_w import kendall_w
from llmclf.levels import Level
from tests.agreement.reference import reference
from tests.agreement.tables import coded, estimate, jackknife_by_definition, table

IRR = reference("irr_raters")
EXCLUDED = {
    "kendall_w_without_ties": "ties are always corrected for",
    "mean_rho": "a mean over pairs; Spearman's rho is for two annotators here",
    "mean_r": "Pearson's r is no coefficient here",
    "robinson_a": "no coefficient here",
    "maxwell_re": "null: irr has no value, for the ratings are not binary",
}


def made(n: int, m: int, q: int) -> Ratings:
    rng = np.random.default_rng(n)
    truth = rng.integers(0, q, (n, 1))
    return coded(np.where(rng.random((n, m)) < 0.5, truth, rng.integers(0, q, (n, m))), Level.ORDINAL, q)


def by_definition(ratings: Ratings) -> float:
    ranks = rankdata(ratings.codes, axis=0)
    n, m = ranks.shape
    ties = sum((t**3 - t) for column in ratings.codes.T for t in np.unique(column, return_counts=True)[1])
    sums = ranks.sum(axis=1)
    return float(12 * ((sums - sums.mean()) ** 2).sum() / (m**2 * (n**3 - n) - m * ties))


def test_anxiety() -> None:
    published = IRR["anxiety"]
    found = estimate(kendall_w(table(published["ratings"], Level.ORDINAL)))
    assert found.value == pytest.approx(published["kendall_w"], abs=1e-12)
    assert published.keys() - EXCLUDED.keys() == {"ratings", "icc", "kendall_w"}


def test_friedmans_test_is_a_multiple() -> None:
    ratings = made(40, 5, 6)
    # Friedman's chi-squared of annotators as blocks is m (n - 1) W
    as_blocks = friedmanchisquare(*ratings.codes)[0]
    assert estimate(kendall_w(ratings)).value == pytest.approx(as_blocks / (5 * 39))


@pytest.mark.parametrize(("n", "m", "q"), [(12, 3, 4), (40, 5, 6), (30, 2, 30)])
def test_the_jackknife_is_that_of_the_definition(n: int, m: int, q: int) -> None:
    ratings = made(n, m, q)
    found = estimate(kendall_w(ratings))
    assert found.value == pytest.approx(by_definition(ratings))
    assert found.se == pytest.approx(jackknife_by_definition(ratings, by_definition))


def test_above_a_thousand_items_the_jackknife_is_of_first_order(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = estimate(kendall_w(made(800, 5, 6)))
    monkeypatch.setattr(module, "EXACT_UP_TO", 799)
    first_order = estimate(kendall_w(made(800, 5, 6)))
    assert first_order.value == exact.value
    assert first_order.se != exact.se
    assert first_order.se == pytest.approx(exact.se, rel=0.01)
    assert first_order.method == f"{exact.method}, to first order"


def test_incomplete_items_are_left_out_and_counted() -> None:
    whole, partly = (estimate(kendall_w(table(f"113 212 333 {more}321 231", Level.ORDINAL))) for more in ("", "1.. "))
    assert partly.value == whole.value
    assert partly.method == f"{whole.method}; 1 incomplete item left out"


def test_the_same_order_is_1() -> None:
    found = estimate(kendall_w(table("112 223 334", Level.ORDINAL)))
    assert found.value == pytest.approx(1)
    assert found.se is None


def test_undefined() -> None:
    assert kendall_w(table("12 21", Level.SET)) == Undefined("labels of level set have no order")
    assert kendall_w(table("12 12", Level.ORDINAL)) == Undefined("each annotator gives one label only")
    assert kendall_w(table("11 11", Level.ORDINAL, ["1", "2"])) == Undefined("only one label occurs")
    assert kendall_w(table("1.2 .12", Level.ORDINAL)) == Undefined(
        "no item was rated by all 3 annotators; Kendall's W takes complete items only"
    )


def test_value_without_an_interval() -> None:
    found = estimate(kendall_w(table("11 11 12", Level.ORDINAL)))
    assert found.method == "no interval: without one of the items each annotator gives one label only"
