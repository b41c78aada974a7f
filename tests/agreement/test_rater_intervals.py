from functools import partial

import numpy as np
import pytest
from scipy.stats import t  # type: ignore[import-untyped]  # no types

from llmclf.agreement import Ratings, Undefined
from llmclf.agreement.conger_kappa import conger_kappa
from llmclf.agreement.intervals import without_interval
from llmclf.agreement.krippendorff_alpha import krippendorff_alpha
from llmclf.agreement.percent_agreement import percent_agreement
from llmclf.agreement.rater_intervals import over_items_and_raters, with_raters
from llmclf.levels import Level
from tests.agreement.tables import coded, estimate, table


def made(n: int = 60, r: int = 5, missing: float = 0.2) -> Ratings:
    rng = np.random.default_rng(n)
    truth = rng.integers(0, 3, (n, 1))
    codes = np.where(rng.random((n, r)) < rng.uniform(0.4, 0.9, r), truth, rng.integers(0, 3, (n, r)))
    codes[rng.random(codes.shape) < missing] = -1
    return coded(codes, Level.NOMINAL, 3)


def test_the_variances_of_items_and_of_annotators_are_added() -> None:
    ratings = made()
    over_items = estimate(krippendorff_alpha(ratings))
    left = np.array([estimate(krippendorff_alpha(ratings.drop([name]))).value for name in ratings.annotators])
    of_raters = 4 / 5 * ((left - left.mean()) ** 2).sum()
    found = estimate(over_items_and_raters(ratings, krippendorff_alpha))
    assert over_items.se is not None
    assert found.se == pytest.approx(np.sqrt(over_items.se**2 + of_raters))
    assert (found.value, found.n_items) == (over_items.value, over_items.n_items)
    half = t.ppf(0.975, 4) * found.se
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))
    assert found.method == "variance over items plus jackknife over annotators, t with 4 df"


def test_annotators_without_ratings_do_not_count() -> None:
    ratings = made()
    codes = np.hstack([ratings.codes, np.full((60, 2), -1, dtype=np.int8)])
    found = over_items_and_raters(coded(codes, Level.NOMINAL, 3), conger_kappa)
    assert found == over_items_and_raters(ratings, conger_kappa)


def test_bounds_are_the_coefficients() -> None:
    ratings = coded(np.array([[0, 1, 2], [0, 1, 1], [2, 0, 1], [1, 2, 0]]), Level.NOMINAL, 3)
    assert estimate(over_items_and_raters(ratings, percent_agreement, bounds=(0.0, 1.0))).low == 0
    assert (estimate(over_items_and_raters(ratings, percent_agreement)).low or 0) < 0


def test_a_crowd_is_left_out_in_groups() -> None:
    crowd = made(n=40, r=201, missing=0.7)
    found = estimate(over_items_and_raters(crowd, krippendorff_alpha))
    assert found.method.endswith("t with 99 df")
    few = made(n=40, r=200, missing=0.7)
    assert estimate(over_items_and_raters(few, krippendorff_alpha)).method.endswith("t with 199 df")


def test_any_estimate_is_widened_by_replicates_without_raters() -> None:
    over_items = estimate(percent_agreement(made()))
    assert over_items.se is not None
    nothing = with_raters(over_items, np.full(5, 0.4))
    assert nothing.se == pytest.approx(over_items.se)
    wider = with_raters(over_items, np.array([0.3, 0.4, 0.5]))
    assert wider.se == pytest.approx(np.sqrt(over_items.se**2 + 2 / 3 * 0.02))
    none = without_interval(0.5, 9, "why")
    assert with_raters(none, np.array([0.3, 0.4])) == none


def test_no_interval() -> None:
    two = table("11 12 22 21 11", Level.NOMINAL)
    assert estimate(over_items_and_raters(two, percent_agreement)).method == (
        "no interval: without one annotator there are no pairs"
    )
    fragile = table("112 221 112 22. 111", Level.NOMINAL)
    alone = table("11. 22. 12. ..1", Level.NOMINAL)
    assert estimate(over_items_and_raters(fragile, percent_agreement)).se is not None
    assert estimate(over_items_and_raters(alone, percent_agreement)).method == (
        "no interval: without annotator 'annotator 0': no item has two ratings"
    )
    undefined = over_items_and_raters(table("11 11", Level.NOMINAL), percent_agreement)
    assert undefined == Undefined("only one label occurs")


def test_options_of_a_coefficient_are_kept() -> None:
    ratings = made(missing=0.7)
    gwets = estimate(over_items_and_raters(ratings, partial(conger_kappa, interval="closed-form")))
    assert gwets.se != estimate(over_items_and_raters(ratings, conger_kappa)).se
