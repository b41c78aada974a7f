from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import norm  # type: ignore[import-untyped]  # no types
from sklearn.metrics import cohen_kappa_score

from llmclf.agreement import Coefficient, Ratings, Undefined
from llmclf.agreement.cohen_kappa import (
    Weights,
    cohen_kappa,
    kappa_replicates,
    weighted_kappa_linear,
    weighted_kappa_quadratic,
)
from llmclf.agreement.intervals import wald_p
from llmclf.levels import Level
from tests.agreement import tables
from tests.agreement.reference import reference
from tests.agreement.tables import (
    coded,
    crossed,
    estimate,
    jackknife_by_definition,
    kappa_by_definition,
    quadratic_weights,
    table,
)

KAPPAS: dict[Weights, Callable[..., Coefficient]] = {
    "unweighted": cohen_kappa,
    "linear": weighted_kappa_linear,
    "quadratic": weighted_kappa_quadratic,
}


def random_pair(n: int = 80, q: int = 5, seed: int = 5) -> Ratings:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, q, n)
    second = np.where(rng.random(n) < 0.5, first, rng.integers(0, q, n))
    codes = np.stack([first, second], axis=1)
    codes[rng.random((n, 2)) < 0.1] = -1
    return coded(codes, Level.ORDINAL, q)


@pytest.mark.parametrize("weights", KAPPAS)
def test_fleiss_cohen_everitt_1969(weights: Weights) -> None:
    published = reference("fleiss_cohen_everitt_1969")
    found = estimate(KAPPAS[weights](crossed(published["counts"]), interval="closed-form"))
    assert found.value == pytest.approx(published[weights]["kappa"], abs=1e-12)
    assert found.se == pytest.approx(published[weights]["se"], abs=1e-12)
    assert found.method == "large-sample standard error of Fleiss, Cohen & Everitt 1969, normal"
    twice = crossed([[2 * count for count in row] for row in published["counts"]])
    assert estimate(KAPPAS[weights](twice)).value == pytest.approx(found.value)


def test_the_closed_form_interval_is_normal() -> None:
    published = reference("fleiss_cohen_everitt_1969")
    found = estimate(weighted_kappa_quadratic(crossed(published["counts"]), interval="closed-form"))
    assert (found.low, found.high) == pytest.approx((0.412370, 0.720963), abs=1e-6)


def test_cohen_1968() -> None:
    # his weighted kappa is no oracle: its weights were chosen by hand, and are distances on no scale
    published = reference("cohen_1968")
    counts = [[round(published["n"] * share) for share in row] for row in published["proportions"]]
    assert estimate(cohen_kappa(crossed(counts))).value == pytest.approx(published["kappa"], abs=5e-5)


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
    for of in KAPPAS.values():  # with two labels they are the same
        found = estimate(of(crossed(counts), interval="closed-form"))
        assert found.value == pytest.approx(kappa, abs=1e-12)
        assert found.se == pytest.approx(se, abs=1e-12)


@pytest.mark.parametrize("weights", KAPPAS)
def test_irr(weights: Weights) -> None:
    # irr's test statistics are no oracle: they are of the null hypothesis
    published = reference("irr_kappa2")
    vision = estimate(KAPPAS[weights](crossed(published["vision_counts"])))
    assert vision.value == pytest.approx(published["vision"][weights], abs=1e-12)
    pair = table(tables.ANXIETY, Level.ORDINAL, list("123456")).select(["annotator 0", "annotator 1"])
    assert estimate(KAPPAS[weights](pair)).value == pytest.approx(published["anxiety"][weights], abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn(seed: int) -> None:
    pair = random_pair(seed=seed)
    first, second = pair.codes[(pair.codes >= 0).all(axis=1)].T
    labels = list(range(5))
    assert estimate(cohen_kappa(pair)).value == pytest.approx(cohen_kappa_score(first, second, labels=labels))
    quadratic = cohen_kappa_score(first, second, labels=labels, weights="quadratic")
    assert estimate(weighted_kappa_quadratic(pair)).value == pytest.approx(quadratic)
    linear = cohen_kappa_score(first, second, labels=labels, weights="linear")
    assert estimate(weighted_kappa_linear(pair)).value == pytest.approx(linear)


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
    assert weighted_kappa_linear(far) == weighted_kappa_linear(near)


def test_observed_index_knows_only_the_labels_of_items_that_both_rated() -> None:
    with_one_alone = table("11 12 22 25 55 55 11 52 3.", Level.ORDINAL, list("12345"))
    found = estimate(weighted_kappa_quadratic(with_one_alone, distance="observed-index"))
    assert found.value == pytest.approx(0.7272727272727273)
    assert found.n_items == 8


def agreement_weights(weights: Weights, pair: Ratings) -> npt.NDArray[np.float64]:
    distance = abs(pair.values[:, np.newaxis] - pair.values)
    if weights == "linear":
        return np.asarray(1 - distance / distance.max())
    return np.eye(len(pair.scale)) if weights == "unweighted" else quadratic_weights(pair.values)


UNEVEN = ("10", "0.5", "-3", "7", "2")  # neither ascending nor whole


@pytest.mark.parametrize("weights", KAPPAS)
@pytest.mark.parametrize("seed", range(5))
def test_values_and_standard_errors_equal_the_definition(seed: int, weights: Weights) -> None:
    for pair in (
        random_pair(seed=seed),
        random_pair(seed=seed, n=20),  # more cells than items
        replace(random_pair(seed=seed), level=Level.INTERVAL, scale=UNEVEN),
    ):
        of = agreement_weights(weights, pair)
        kappa, se = kappa_by_definition(pair, of)
        found = estimate(KAPPAS[weights](pair, interval="closed-form"))
        assert found.value == pytest.approx(kappa)
        assert found.se == pytest.approx(se)
        jackknifed = estimate(KAPPAS[weights](pair))
        se = jackknife_by_definition(pair, lambda left, of=of: kappa_by_definition(left, of)[0])  # type: ignore[misc]  # bound here
        assert jackknifed.se == pytest.approx(se, rel=1e-9)


@pytest.mark.parametrize("weights", KAPPAS)
def test_replicates_stand_at_their_items(weights: Weights) -> None:
    pair = random_pair(n=30)
    found = kappa_replicates(pair, weights)
    assert not isinstance(found, Undefined)
    assert found.estimate().se == pytest.approx(estimate(KAPPAS[weights](pair)).se)
    of = agreement_weights(weights, pair)
    for i, rated in enumerate(pair.codes):
        left = kappa_by_definition(replace(pair, codes=np.delete(pair.codes, i, axis=0)), of)[0]
        assert found.without[i] == pytest.approx(left, abs=1e-12)
        assert found.counted[i] == (rated >= 0).all()
        assert found.counted[i] or found.without[i] == found.value


@pytest.mark.parametrize(
    ("words", "undefined"),
    [
        ("11 11 12", [0, 0, 1]),
        ("11 22", [1, 1]),
        ("11 12", [0, 1]),
        ("12", [1]),
        ("12 12", [0, 0]),
        ("11 11 22 22", [0] * 4),
    ],
)
def test_a_replicate_is_missing_where_one_label_or_nothing_is_left(words: str, undefined: list[int]) -> None:
    for weights in KAPPAS:
        found = kappa_replicates(table(words, Level.INTERVAL), weights)
        assert not isinstance(found, Undefined)
        assert np.isnan(found.without).tolist() == [bool(one) for one in undefined]


def test_undefined_kappas_have_no_replicates() -> None:
    assert kappa_replicates(table("11 11", Level.ORDINAL), "linear") == Undefined("only one label occurs")


def test_jackknife_and_closed_form_meet_in_large_samples() -> None:
    pair = random_pair(n=5000)
    for of in KAPPAS.values():
        assert estimate(of(pair)).se == pytest.approx(estimate(of(pair, interval="closed-form")).se, rel=0.01)


def test_wald_p() -> None:
    found = estimate(cohen_kappa(crossed([[45, 15], [25, 15]]), interval="closed-form"))
    assert wald_p(found) == pytest.approx(2 * norm.sf(0.1304347826087 / 0.09866153762344))
    assert wald_p(estimate(cohen_kappa(table("12 1.", Level.NOMINAL)))) is None


@pytest.mark.parametrize(("words", "n"), [("1", 1), ("123 123", 3), ("1234 1234", 4)])
def test_undefined_unless_there_are_two_annotators(words: str, n: int) -> None:
    undefined = Undefined(f"{n} annotator{'s' * (n > 1)}; Cohen's kappa is for two")
    ratings = table(words, Level.ORDINAL)
    assert {of(ratings) for of in KAPPAS.values()} == {undefined}


def test_undefined() -> None:
    for of in KAPPAS.values():
        assert of(table("1. .2 2.", Level.ORDINAL)) == Undefined("no item has two ratings")
        assert of(table("11 11 2.", Level.ORDINAL)) == Undefined("only one label occurs")
    for of in (weighted_kappa_linear, weighted_kappa_quadratic):
        for level in (Level.NOMINAL, Level.SET):
            assert of(table("11 12", level)) == Undefined(f"labels of level {level} have no distance")


def test_two_constant_annotators_who_never_agree_agree_as_chance_has_it() -> None:
    for of in KAPPAS.values():
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
    for of in KAPPAS.values():
        found = estimate(of(table(words, Level.ORDINAL)))
        assert found.se is None
        assert found.method == "no interval: without one of the items only one label occurs"
