from typing import Any

from dataclasses import replace

import numpy as np
import pytest

from llmclf.agreement import Rating, Ratings, Undefined
from llmclf.agreement.krippendorff_alpha import krippendorff_alpha
from llmclf.levels import Level
from tests.agreement import tables
from tests.agreement.reference import reference
from tests.agreement.tables import alpha_by_definition, coded, estimate, jackknife_by_definition, table

NOMINAL, ORDINAL, INTERVAL = Level.NOMINAL, Level.ORDINAL, Level.INTERVAL


PUBLISHED = reference("krippendorff_alpha")


@pytest.mark.parametrize("row", PUBLISHED["alpha"], ids=lambda row: f"{row['data']}-{row['level']}")
def test_published_tables(row: dict[str, Any]) -> None:
    ratings = table(PUBLISHED["ratings"][row["data"]], Level(row["level"]))
    assert estimate(krippendorff_alpha(ratings)).value == pytest.approx(row["alpha"], abs=1e-12)


@pytest.mark.parametrize(
    ("level", "alpha"), [(NOMINAL, 0.743), (ORDINAL, 0.815), (INTERVAL, 0.849), (Level.RATIO, 0.797)]
)
def test_krippendorff_2011(level: Level, alpha: float) -> None:
    assert estimate(krippendorff_alpha(table(tables.KRIPPENDORFF_2011, level))).value == pytest.approx(alpha, abs=5e-4)


def test_only_items_with_two_ratings_count() -> None:
    assert estimate(krippendorff_alpha(table(tables.KRIPPENDORFF_2011, NOMINAL))).n_items == 11


@pytest.mark.parametrize("level", list(Level))
def test_large_tables_equal_the_definition(level: Level) -> None:
    rng = np.random.default_rng(11)
    truth = rng.integers(0, 5, (60, 1))
    codes = np.where(rng.random((60, 4)) < 0.5, truth, rng.integers(0, 5, (60, 4)))
    codes[rng.random((60, 4)) < 0.3] = -1
    ratings = coded(codes, level, 5)
    found = estimate(krippendorff_alpha(ratings))
    assert found.value == pytest.approx(alpha_by_definition(ratings), abs=1e-12)
    assert found.se == pytest.approx(jackknife_by_definition(ratings, alpha_by_definition), rel=1e-9)


def test_interval_scale_uses_the_distance_of_its_numbers() -> None:
    near, far = (table("11 12 23 33 3.", INTERVAL, scale) for scale in (["1", "2", "3"], ["1", "2", "3", "9"]))
    assert krippendorff_alpha(near) == krippendorff_alpha(far), "labels that nobody used do not matter"
    stretched = table("11 12 29 99 9.", INTERVAL)
    assert estimate(krippendorff_alpha(stretched)).value == pytest.approx(alpha_by_definition(stretched))
    assert estimate(krippendorff_alpha(stretched)).value != pytest.approx(alpha_by_definition(near))


def test_a_far_origin_costs_no_digits() -> None:
    near = estimate(krippendorff_alpha(coded(np.array([[0, 0], [1, 1], [2, 1], [0, 2]]), INTERVAL, 3)))
    rows = [[f"{1e9 + x:.0f}" for x in pair] for pair in ((0, 0), (1, 1), (2, 1), (0, 2))]
    far = Ratings.from_rows(
        [Rating(str(i), str(j), x) for i, row in enumerate(rows) for j, x in enumerate(row)], INTERVAL
    )
    assert estimate(krippendorff_alpha(far)).value == pytest.approx(near.value, abs=1e-9)
    assert estimate(krippendorff_alpha(far)).se == pytest.approx(near.se, abs=1e-9)


def test_a_ratio_scale_has_no_negative_labels() -> None:
    negative = Undefined("a label is negative, which a ratio scale does not have")
    rows = [Rating("x", "anna", "-1"), Rating("x", "ben", "2")]
    assert krippendorff_alpha(replace(Ratings.from_rows(rows, Level.INTERVAL), level=Level.RATIO)) == negative


def test_closed_form_and_jackknife_meet_in_large_samples() -> None:
    rng = np.random.default_rng(8)
    codes = np.where(rng.random((4000, 4)) < 0.5, rng.integers(0, 5, (4000, 1)), rng.integers(0, 5, (4000, 4)))
    codes[rng.random(codes.shape) < 0.3] = -1
    for level in (NOMINAL, INTERVAL, Level.RATIO):
        ratings = coded(codes, level, 5)
        closed_form = estimate(krippendorff_alpha(ratings, "closed-form"))
        assert closed_form.se == pytest.approx(estimate(krippendorff_alpha(ratings)).se, rel=0.01)


def test_the_ordinal_metric_has_no_closed_form() -> None:
    found = estimate(krippendorff_alpha(table("11 12 22 33", ORDINAL), "closed-form"))
    reason = "no interval: the ordinal metric follows the marginals, so there is no closed form"
    assert (found.se, found.method) == (None, reason)


@pytest.mark.parametrize("level", list(Level))
def test_full_agreement_is_one_without_an_interval(level: Level) -> None:
    found = estimate(krippendorff_alpha(table("111 22. 333 1.1", level, ["1", "2", "3"])))
    assert found.value == 1.0
    assert (found.se, found.low, found.high) == (None, None, None)
    assert found.method == "no interval: no single item left out changes the value, so its spread is unknown"


@pytest.mark.parametrize("level", list(Level))
def test_one_label_is_undefined_even_on_a_declared_scale(level: Level) -> None:
    assert krippendorff_alpha(table("11 11 1. .2", level, ["1", "2"])) == Undefined("only one label occurs")


def test_no_pairs_is_undefined() -> None:
    assert krippendorff_alpha(table("1. .2 1.", NOMINAL)) == Undefined("no item has two ratings")


def test_one_item_has_a_value_and_no_interval() -> None:
    found = estimate(krippendorff_alpha(table("12 1.", NOMINAL)))
    assert (found.value, found.se, found.n_items) == (0.0, None, 1)
    assert found.method == "no interval: there is one item only"


@pytest.mark.parametrize("words", ["11 11 11 12", "11 11 22", "11 12", "1.1 111 112"])
def test_no_interval_where_one_item_holds_the_only_other_label(words: str) -> None:
    for level in Level:
        found = estimate(krippendorff_alpha(table(words, level, ["1", "2"])))
        if words == "11 11 22":
            assert found.value == 1.0
        assert found.se is None
        assert found.method == "no interval: without one of the items only one label occurs"
