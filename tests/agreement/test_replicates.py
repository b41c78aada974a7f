from dataclasses import replace

import numpy as np
import pytest

from llmclf.agreement import Ratings, Undefined, krippendorff_alpha
from llmclf.agreement.cohen_kappa import kappa_replicates, weighted_kappa_quadratic
from llmclf.agreement.replicates import Replicates
from llmclf.levels import Level
from tests.agreement import tables
from tests.agreement.tables import alpha_by_definition, estimate, jackknife_by_definition, table


def replicates(value: float, without: list[float], counted: list[bool] | None = None) -> Replicates:
    return Replicates(value, np.array(without), np.array([True] * len(without) if counted is None else counted))


def kappas(ratings: Ratings, first: str, second: str) -> Replicates:
    found = kappa_replicates(ratings.select([f"annotator {first}", f"annotator {second}"]), "quadratic")
    assert not isinstance(found, Undefined)
    return found


def test_what_shares_items_is_subtracted_item_by_item() -> None:
    one, other = replicates(0.6, [0.5, 0.6, 0.7]), replicates(0.4, [0.3, 0.4, 0.5])
    assert (one - other).without == pytest.approx([0.2, 0.2, 0.2])
    assert (one - other).value == pytest.approx(0.2)
    # both move together, so their difference does not: independent standard errors would say otherwise
    assert (one - other).estimate().method == (
        "no interval: no single item left out changes the value, so its spread is unknown"
    )


def test_an_item_counts_if_it_does_for_one_of_them() -> None:
    one = replicates(0.6, [0.5, 0.6, 0.7, 0.6], [True, False, True, False])
    other = replicates(0.4, [0.4, 0.3, 0.5, 0.4], [False, True, True, False])
    together = (one + other) / 2
    assert together.counted.tolist() == [True, True, True, False]
    assert (together.n_items, together.estimate().n_items) == (3, 3)
    assert together.without == pytest.approx([0.45, 0.45, 0.6, 0.5])


def test_the_mean_of_full_agreement_is_exactly_one() -> None:
    total = replicates(1.0, [1.0, 1.0])
    for _ in range(48):
        total = total + replicates(1.0, [1.0, 1.0])
    assert (total / 49).value == 1.0


def test_a_difference_has_the_jackknife_of_its_definition() -> None:
    ratings = table(tables.ANXIETY, Level.ORDINAL, list("123456"))

    def by_definition(left: Ratings) -> float:
        first, second = (
            estimate(weighted_kappa_quadratic(left.select([f"annotator {j}" for j in pair]))).value
            for pair in ((0, 1), (0, 2))
        )
        return first - second

    found = (kappas(ratings, "0", "1") - kappas(ratings, "0", "2")).estimate((-2, 2))
    assert found.value == pytest.approx(by_definition(ratings))
    assert found.se == pytest.approx(jackknife_by_definition(ratings, by_definition), rel=1e-9)
    assert found.method == "delete-one jackknife over items, t with n - 1 df"


def test_no_interval_where_one_item_holds_it_up() -> None:
    found = (replicates(0.6, [0.5, np.nan]) - replicates(0.6, [0.5, 0.5])).estimate()
    assert (found.value, found.se, found.n_items) == (0.0, None, 2)
    assert found.method == "no interval: it is undefined without one of the items"
    one = replicates(0.6, [np.nan, 0.6], [True, False]).estimate()
    assert (one.n_items, one.method) == (1, "no interval: there is one item only")


@pytest.mark.parametrize("level", [Level.NOMINAL, Level.ORDINAL, Level.INTERVAL])
def test_replicates_of_any_number_of_annotators_stand_at_their_items(level: Level) -> None:
    ratings = table(tables.KRIPPENDORFF_2011, level, list("12345"))
    alpha = krippendorff_alpha.statistic(ratings)
    assert not isinstance(alpha, Undefined)
    found = Replicates.of(alpha, ratings)
    assert found.value == pytest.approx(alpha_by_definition(ratings))
    assert found.counted.tolist() == [True] * 11 + [False]
    for i in range(12):
        left = replace(ratings, codes=np.delete(ratings.codes, i, axis=0))
        assert found.without[i] == pytest.approx(alpha_by_definition(left))


@pytest.mark.parametrize(
    ("words", "undefined"),
    [
        ("11 11 22 1.", [0, 0, 1, 0]),
        ("12 11 11", [1, 0, 0]),
        ("11 22", [1, 1]),
        ("12", [1]),
        ("111 .12 1.1", [0, 1, 0]),
    ],
)
def test_a_replicate_is_missing_where_one_label_or_nothing_is_left(words: str, undefined: list[int]) -> None:
    ratings = table(words, Level.INTERVAL)
    alpha = krippendorff_alpha.statistic(ratings)
    assert not isinstance(alpha, Undefined)
    assert np.isnan(Replicates.of(alpha, ratings).without).tolist() == [bool(one) for one in undefined]


def test_what_rounding_leaves_does_not_pass_for_a_replicate() -> None:
    ratings = replace(table("11 11 11 12", Level.INTERVAL), scale=("0.1", "0.7"))
    alpha = krippendorff_alpha.statistic(ratings)
    assert not isinstance(alpha, Undefined)
    assert np.isnan(Replicates.of(alpha, ratings).without).tolist() == [False, False, False, True]
