from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm  # type: ignore[import-untyped]  # no types
from sklearn.metrics import cohen_kappa_score

from llmclf.agreement import Ratings, Undefined
from llmclf.agreement.cohen_kappa import cohen_kappa, weighted_kappa_quadratic
from llmclf.agreement.intervals import wald_p
from llmclf.levels import Level
from tests.agreement import tables
from tests.agreement.tables import (
    coded,
    crossed,
    estimate,
    jackknife_by_definition,
    kappa_by_definition,
    quadratic_weights,
    table,
)

# Fleiss, Cohen & Everitt 1969, table 1: 100 patients
FCE_1969 = [[53, 5, 2], [11, 14, 5], [1, 6, 3]]


def random_pair(n: int = 80, q: int = 5, seed: int = 5) -> Ratings:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, q, n)
    second = np.where(rng.random(n) < 0.5, first, rng.integers(0, q, n))
    codes = np.stack([first, second], axis=1)
    codes[rng.random((n, 2)) < 0.1] = -1
    return coded(codes, Level.ORDINAL, q)


def test_fleiss_cohen_everitt_1969() -> None:
    unweighted = estimate(cohen_kappa(crossed(FCE_1969), interval="closed-form"))
    assert unweighted.value == pytest.approx(0.4285714285714286)
    assert unweighted.se == pytest.approx(0.0759588315346638, abs=1e-12)  # R vcd 1.4.11
    quadratic = estimate(weighted_kappa_quadratic(crossed(FCE_1969), interval="closed-form"))
    assert quadratic.value == pytest.approx(0.5666666666666667)
    assert quadratic.se == pytest.approx(0.0787240932194433, abs=1e-12)  # R vcd 1.4.11
    assert (quadratic.low, quadratic.high) == pytest.approx((0.412370, 0.720963), abs=1e-6)
    assert quadratic.method == "large-sample standard error of Fleiss, Cohen & Everitt 1969, normal"


def test_cohen_1968() -> None:
    # the proportions of Cohen 1968, table 1, x 200
    assert estimate(cohen_kappa(crossed([[88, 14, 18], [10, 40, 10], [2, 6, 12]]))).value == pytest.approx(
        0.4915, abs=5e-5
    )


@pytest.mark.parametrize(
    ("counts", "kappa", "se"),
    [
        # tables of Feinstein & Cicchetti 1990, and Gwet's paradox; standard errors from R vcd 1.4.11
        ([[40, 9], [6, 45]], 0.6995192307692, 0.07139360269999),
        ([[80, 10], [5, 5]], 0.3181818181818, 0.1334565212238),
        ([[45, 15], [25, 15]], 0.1304347826087, 0.09866153762344),
        ([[25, 35], [5, 35]], 0.2592592592593, 0.07715973174445),
        ([[118, 5], [2, 0]], -0.0233918128655, 0.01228675667285),
        ([[98, 1], [1, 0]], -0.01010101010101, 0.007142128354427),
    ],
)
def test_two_by_two(counts: list[list[int]], kappa: float, se: float) -> None:
    for of in (cohen_kappa, weighted_kappa_quadratic):  # with two labels they are the same
        found = estimate(of(crossed(counts), interval="closed-form"))
        assert found.value == pytest.approx(kappa, abs=1e-12)
        assert found.se == pytest.approx(se, abs=1e-12)


def test_vision() -> None:
    # R irr 0.84.1: unaided vision of 7,477 women, right and left eye
    counts = [[1520, 266, 124, 66], [234, 1512, 432, 78], [117, 362, 1772, 205], [36, 82, 179, 492]]
    assert estimate(cohen_kappa(crossed(counts))).value == pytest.approx(0.595388828089434, abs=1e-12)
    assert estimate(weighted_kappa_quadratic(crossed(counts))).value == pytest.approx(0.702334252490098, abs=1e-12)


def test_anxiety() -> None:
    # R irr 0.84.1: the first two raters
    pair = table(tables.ANXIETY, Level.ORDINAL, list("123456")).select(["annotator 0", "annotator 1"])
    assert estimate(cohen_kappa(pair)).value == pytest.approx(0.119496855345912, abs=1e-12)
    assert estimate(weighted_kappa_quadratic(pair)).value == pytest.approx(0.29676511954993, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn(seed: int) -> None:
    pair = random_pair(seed=seed)
    first, second = pair.codes[(pair.codes >= 0).all(axis=1)].T
    labels = list(range(5))
    assert estimate(cohen_kappa(pair)).value == pytest.approx(cohen_kappa_score(first, second, labels=labels))
    quadratic = cohen_kappa_score(first, second, labels=labels, weights="quadratic")
    assert estimate(weighted_kappa_quadratic(pair)).value == pytest.approx(quadratic)


def test_distance_is_that_of_the_declared_scale() -> None:
    # nobody says 3 or 4: the distance of 2 and 5 is still three
    words = "11 12 22 25 55 55 11 52"
    pair = table(words, Level.ORDINAL, list("12345"))
    assert estimate(weighted_kappa_quadratic(pair)).value == pytest.approx(0.6082474226804124)
    by_index = estimate(weighted_kappa_quadratic(pair, distance="observed-index"))
    assert by_index.value == pytest.approx(0.7272727272727273)
    named = table(words.translate(str.maketrans("12345", "vwxyz")), Level.ORDINAL, list("vwxyz"))
    assert weighted_kappa_quadratic(named) == weighted_kappa_quadratic(pair)
    apart = table(words, Level.INTERVAL, list("125"))
    assert weighted_kappa_quadratic(apart) == weighted_kappa_quadratic(pair)


def test_a_far_origin_costs_no_digits() -> None:
    near, far = (
        replace(random_pair(), level=Level.INTERVAL, scale=tuple(str(origin + x) for x in range(5)))
        for origin in (0, 10**9)
    )
    assert weighted_kappa_quadratic(far) == weighted_kappa_quadratic(near)


def test_observed_index_knows_only_the_labels_of_items_that_both_rated() -> None:
    with_one_alone = table("11 12 22 25 55 55 11 52 3.", Level.ORDINAL, list("12345"))
    found = estimate(weighted_kappa_quadratic(with_one_alone, distance="observed-index"))
    assert found.value == pytest.approx(0.7272727272727273)
    assert found.n_items == 8


def test_weights_and_standard_errors_equal_the_definition() -> None:
    for seed in range(5):
        pair = random_pair(seed=seed)
        kappa, se = kappa_by_definition(pair, quadratic_weights(pair.values))
        found = estimate(weighted_kappa_quadratic(pair, interval="closed-form"))
        assert found.value == pytest.approx(kappa)
        assert found.se == pytest.approx(se)
        kappa, se = kappa_by_definition(pair, np.eye(5))
        found = estimate(cohen_kappa(pair, interval="closed-form"))
        assert found.value == pytest.approx(kappa)
        assert found.se == pytest.approx(se)


def test_jackknife_equals_a_loop() -> None:
    pair = random_pair()
    found = estimate(weighted_kappa_quadratic(pair))
    of = quadratic_weights(pair.values)
    assert found.se == pytest.approx(jackknife_by_definition(pair, lambda r: kappa_by_definition(r, of)[0]), rel=1e-9)
    found = estimate(cohen_kappa(pair))
    assert found.se == pytest.approx(
        jackknife_by_definition(pair, lambda r: kappa_by_definition(r, np.eye(5))[0]), rel=1e-9
    )


def test_jackknife_and_closed_form_meet_in_large_samples() -> None:
    pair = random_pair(n=5000)
    for of in (cohen_kappa, weighted_kappa_quadratic):
        assert estimate(of(pair)).se == pytest.approx(estimate(of(pair, interval="closed-form")).se, rel=0.01)


def test_wald_p() -> None:
    found = estimate(cohen_kappa(crossed([[45, 15], [25, 15]]), interval="closed-form"))
    assert wald_p(found) == pytest.approx(2 * norm.sf(0.1304347826087 / 0.09866153762344))
    assert wald_p(estimate(cohen_kappa(table("12 1.", Level.NOMINAL)))) is None


@pytest.mark.parametrize(("words", "n"), [("1", 1), ("123 123", 3), ("1234 1234", 4)])
def test_undefined_unless_there_are_two_annotators(words: str, n: int) -> None:
    undefined = Undefined(f"{n} annotator{'s' * (n > 1)}; Cohen's kappa is for two")
    ratings = table(words, Level.ORDINAL)
    assert cohen_kappa(ratings) == undefined
    assert weighted_kappa_quadratic(ratings) == undefined


def test_undefined() -> None:
    for of in (cohen_kappa, weighted_kappa_quadratic):
        assert of(table("1. .2 2.", Level.ORDINAL)) == Undefined("no item has two ratings")
        assert of(table("11 11 2.", Level.ORDINAL)) == Undefined("only one label occurs")
    assert weighted_kappa_quadratic(table("11 12", Level.NOMINAL)) == Undefined(
        "labels of level nominal have no distance"
    )
    assert weighted_kappa_quadratic(table("11 12", Level.SET)) == Undefined("labels of level set have no distance")


def test_two_constant_annotators_who_never_agree_agree_as_chance_has_it() -> None:
    for of in (cohen_kappa, weighted_kappa_quadratic):
        found = estimate(of(table("12 12 12", Level.ORDINAL)))
        assert (found.value, found.se) == (0.0, None)
        assert found.method == "no interval: no single item left out changes the value, so its spread is unknown"
        closed = estimate(of(table("12 12 12", Level.ORDINAL), interval="closed-form"))
        assert (closed.se, closed.method) == (None, "no interval: its standard error is zero, so its spread is unknown")


def test_one_item_has_a_value_and_no_interval() -> None:
    for interval in ("jackknife", "closed-form"):
        found = estimate(cohen_kappa(table("12", Level.NOMINAL), interval=interval))
        assert (found.value, found.se, found.method) == (0.0, None, "no interval: there is one item only")


@pytest.mark.parametrize("words", ["11 11 11 12", "11 11 22", "11 12"])
def test_no_interval_where_one_item_holds_the_only_other_label(words: str) -> None:
    for of in (cohen_kappa, weighted_kappa_quadratic):
        found = estimate(of(table(words, Level.ORDINAL)))
        assert found.se is None
        assert found.method == "no interval: without one of the items only one label occurs"
