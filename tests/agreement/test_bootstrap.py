from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap  # type: ignore[import-untyped]  # no types

from llmclf.agreement import Coefficient, Ratings
from llmclf.agreement.bootstrap import Bootstrap, bca, resamples
from llmclf.agreement.brennan_prediger import brennan_prediger
from llmclf.agreement.chance_corrected import same_label
from llmclf.agreement.counts import Counts, counted
from llmclf.agreement.exchangeable import Interval, Statistic
from llmclf.agreement.fleiss_kappa import fleiss_kappa
from llmclf.agreement.gwet_ac import gwet_ac1, gwet_ac2_linear, gwet_ac2_quadratic
from llmclf.agreement.krippendorff_alpha import krippendorff_alpha
from llmclf.agreement.krippendorff_alpha import statistic as alpha_statistic
from llmclf.agreement.percent_agreement import percent_agreement
from llmclf.levels import Level
from tests.agreement.tables import alpha_by_definition, coded, estimate, table

COEFFICIENTS: list[Callable[[Ratings, Interval], Coefficient]] = [
    percent_agreement,
    fleiss_kappa,
    krippendorff_alpha,
    gwet_ac1,
    gwet_ac2_linear,
    gwet_ac2_quadratic,
    brennan_prediger,
]


def random_ratings(n: int, level: Level = Level.ORDINAL, seed: int = 1) -> Ratings:
    rng = np.random.default_rng(seed)
    codes = np.where(rng.random((n, 3)) < 0.6, rng.integers(0, 4, (n, 1)), rng.integers(0, 4, (n, 3)))
    codes[rng.random((n, 3)) < 0.1] = -1
    return coded(codes, level, 4)


@pytest.mark.parametrize("of", COEFFICIENTS)
def test_the_spread_is_that_of_the_jackknife_in_large_samples(of: Callable[[Ratings, Interval], Coefficient]) -> None:
    ratings = random_ratings(2000)
    found, jackknife = estimate(of(ratings, Bootstrap())), estimate(of(ratings, "jackknife"))
    assert (found.value, found.n_items) == (jackknife.value, jackknife.n_items)
    assert (found.low, found.high) == pytest.approx((jackknife.low, jackknife.high), abs=0.004)
    assert found.se == pytest.approx(jackknife.se, rel=0.1)
    assert found.method == "BCa bootstrap over items, 1,000 replicates, seed 0"


def test_a_seed_gives_the_same_interval_again_and_another_seed_another() -> None:
    once, again, other = (fleiss_kappa(random_ratings(200), Bootstrap(seed, replicates=200)) for seed in (7, 7, 8))
    assert once == again
    assert estimate(once).method == "BCa bootstrap over items, 200 replicates, seed 7"
    assert estimate(other).low != estimate(once).low


@pytest.mark.parametrize("level", [Level.NOMINAL, Level.ORDINAL, Level.INTERVAL, Level.RATIO])
def test_a_resample_of_patterns_is_a_resample_of_items(level: Level) -> None:
    ratings = random_ratings(60, level)
    statistic = alpha_statistic(ratings)
    assert isinstance(statistic, Statistic)
    (times,) = resamples(statistic.counts, Bootstrap(seed=3, replicates=20))
    pattern = statistic.counts.pattern_of(ratings.codes)
    first = [int(np.flatnonzero(pattern == p)[0]) for p in range(len(statistic.counts.times))]
    for row, value in zip(times, statistic.of(times), strict=True):
        assert row.sum() == statistic.counts.n_items
        drawn = replace(ratings, codes=ratings.codes[np.repeat(first, row.astype(int))])
        assert value == pytest.approx(alpha_by_definition(drawn), abs=1e-12)


@pytest.mark.parametrize(("n", "how"), [(30, "items are drawn"), (3000, "patterns are drawn")])
def test_patterns_come_as_often_as_they_are(n: int, how: str) -> None:
    counts = counted(random_ratings(n))
    assert (len(counts.times) > n / 10) == (how == "items are drawn")
    times = np.concatenate(list(resamples(counts, Bootstrap(replicates=4000))))
    share = counts.times / n
    assert times.mean(axis=0) == pytest.approx(counts.times, abs=0.1 * np.sqrt(n))
    assert times.var(axis=0) == pytest.approx(n * share * (1 - share), rel=0.12)


def test_many_patterns_are_drawn_in_parts() -> None:
    codes = np.arange(40_000).reshape(20_000, 2) % 9973
    counts = Counts.of(codes.astype(np.int16))
    parts = list(resamples(counts, Bootstrap(replicates=30)))
    assert len(parts) > 1
    assert [times.shape[1] for times in parts] == [len(counts.times)] * len(parts)
    assert np.concatenate(parts).sum(axis=1).tolist() == [20_000] * 30


def test_resamples_without_a_value_are_left_out_and_counted() -> None:
    found = estimate(fleiss_kappa(table("11 11 11 11 11 11 11 12 12", Level.NOMINAL), Bootstrap()))
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low < found.value < found.high <= 1
    assert found.method.startswith("BCa bootstrap over items, 1,000 replicates, seed 0, ")
    assert found.method.endswith(" of them undefined and left out")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("12", "there is one item only"),
        ("11 11 12", "without one of the items only one label occurs"),
        ("11 22 11 22", "no resample changes the value, so its spread is unknown"),
    ],
)
def test_no_interval(words: str, says: str) -> None:
    found = estimate(fleiss_kappa(table(words, Level.NOMINAL), Bootstrap()))
    assert (found.se, found.low, found.high, found.method) == (None, None, None, f"no interval: {says}")


def test_bca_is_scipys() -> None:
    ratings = random_ratings(60)
    counts = counted(ratings).pairable
    shares = np.repeat(same_label(counts), counts.times)
    ours = estimate(percent_agreement(ratings, Bootstrap(replicates=20_000)))
    theirs = scipy_bootstrap(
        (shares,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(0), vectorized=True
    )
    assert ours.se == pytest.approx(theirs.standard_error, rel=0.02)
    step = 1 / 3 / counts.n_items  # by which the mean of shares of three pairs can move
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=step + 1e-9)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=step + 1e-9)


def test_without_bias_and_acceleration_bca_is_the_percentile_interval() -> None:
    replicates = np.linspace(0, 1, 1001)
    even, times = np.array([0.4, 0.5, 0.6]), np.array([5, 5, 5])
    found = bca(0.5, replicates, even, times, Bootstrap())
    assert (found.low, found.high) == pytest.approx((0.025, 0.975), abs=1e-9)
    skewed = bca(0.5, replicates, np.array([0.1, 0.5, 0.6]), times, Bootstrap())
    assert skewed.low is not None
    assert skewed.low > 0.025, "items that lower the value much, when left out, pull both ends up"
    biased = bca(0.4, replicates, even, times, Bootstrap())
    assert biased.high is not None
    assert biased.high < 0.975
