from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmclf.agreement.counts import Floats
from llmclf.calibration.thresholds import METRICS, Bools, Thresholds, tune_thresholds
from llmclf.errors import InputError


def f1(said: Bools, truth: Bools) -> float:
    return float(2 * (said & truth).sum() / max(said.sum() + truth.sum(), 1))


def worth(metric: str, said: Bools, truth: Bools) -> float:
    if metric == "micro-f1":
        return f1(said, truth)
    if metric == "macro-f1":
        return float(np.mean([f1(*columns) for columns in zip(said.T, truth.T, strict=True)]))
    return float((said == truth).mean())


def sample(seed: int, q: int, n_values: int) -> tuple[Floats, Bools]:
    random = np.random.default_rng(seed)
    p = random.integers(0, n_values + 1, (20, q)) / n_values
    return p, random.random((20, q)) < 0.2 + 0.6 * p**2


def all_cuts(p: Floats) -> list[float]:
    values = np.unique(p)
    return [-1.0, *((values[1:] + values[:-1]) / 2).tolist(), 2.0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([4, 12]), st.sampled_from(METRICS))
def test_no_other_thresholds_are_better(seed: int, n_values: int, metric: str) -> None:
    p, truth = sample(seed, 2, n_values)
    tuned = tune_thresholds(metric, p, truth)
    rare = np.minimum(truth.sum(axis=0), 20 - truth.sum(axis=0)) < 5
    assert (np.array(tuned.thresholds)[rare] == 0.5).all()
    candidates = [[0.5] if rare[label] else all_cuts(p[:, label]) for label in range(2)]
    best = max(worth(metric, p >= np.array(cuts), truth) for cuts in product(*candidates))
    assert worth(metric, tuned.apply(p), truth) == pytest.approx(best)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(METRICS))
def test_the_order_of_the_rows_does_not_matter(seed: int, metric: str) -> None:
    p, truth = sample(seed, 3, 8)
    order = np.random.default_rng(seed).permutation(20)
    assert tune_thresholds(metric, p[order], truth[order]) == tune_thresholds(metric, p, truth)


def one_label(*rows: tuple[float, int, int]) -> tuple[Floats, Bools]:
    """Give for each probability how many items have it, and of these how many the label."""
    p = np.concatenate([np.full(n, value) for value, n, _ in rows])
    truth = np.concatenate([np.arange(n) < hits for _, n, hits in rows])
    return p[:, np.newaxis], truth[:, np.newaxis]


def test_a_threshold_lies_midway_between_probabilities_that_occur() -> None:
    p, truth = one_label((0.1, 12, 0), (0.2, 4, 4), (0.9, 4, 4))
    for metric in METRICS:
        assert tune_thresholds(metric, p, truth).thresholds == pytest.approx((0.15,))


def test_of_equally_good_thresholds_that_nearest_to_one_half_is_chosen() -> None:
    p, truth = one_label((0.1, 10, 0), (0.3, 2, 1), (0.5, 8, 8))
    assert tune_thresholds("accuracy", p, truth).thresholds == pytest.approx((0.4,))
    p, truth = one_label((0.1, 10, 0), (0.4, 2, 1), (0.8, 8, 8))  # .25 or .6
    assert tune_thresholds("accuracy", p, truth).thresholds == pytest.approx((0.6,))
    p, truth = one_label((0.0, 10, 0), (0.5, 2, 1), (1.0, 8, 8))  # .25 or .75
    assert tune_thresholds("accuracy", p, truth).thresholds == (0.75,)


def test_all_and_none_are_possible() -> None:
    p, truth = one_label((0.2, 10, 9), (0.4, 10, 6))
    assert tune_thresholds("accuracy", p, truth).thresholds == pytest.approx((0.1,))
    p, truth = one_label((0.6, 10, 4), (1.0, 10, 1))
    none = tune_thresholds("accuracy", p, truth)
    assert not none.apply(p).any()


def test_neighbouring_numbers_are_told_apart() -> None:
    low = 0.3
    p, truth = one_label((low, 10, 0), (np.nextafter(low, 1), 10, 10))
    assert (tune_thresholds("accuracy", p, truth).apply(p) == truth).all()


def test_micro_f1_sets_the_threshold_of_a_common_label_against_that_of_a_rare_one() -> None:
    """A hopeless label is left out for the sake of all, which macro-F1 would not do."""
    good = one_label((0.1, 20, 0), (0.9, 20, 20))
    hopeless = one_label((0.4, 40, 6))
    p, truth = np.hstack([good[0], hopeless[0]]), np.hstack([good[1], hopeless[1]])
    assert tune_thresholds("macro-f1", p, truth).apply(p)[:, 1].all()
    assert not tune_thresholds("micro-f1", p, truth).apply(p)[:, 1].any()


def test_labels_too_rare_for_a_threshold_count_for_that_of_others() -> None:
    """Their hits raise the F1 that can be had, and with it what a further label has to bring."""
    doubtful = one_label((0.2, 40, 0), (0.4, 20, 9), (0.9, 20, 20))
    rare = np.zeros((80, 20)), np.zeros((80, 20), dtype=bool)
    rare[0][:4] = 1
    rare[1][:4] = True
    alone = tune_thresholds("micro-f1", *doubtful)
    among = tune_thresholds("micro-f1", np.hstack([doubtful[0], rare[0]]), np.hstack([doubtful[1], rare[1]]))
    assert alone.thresholds == pytest.approx((0.3,))
    assert among.thresholds == pytest.approx((0.65, *[0.5] * 20))


def test_thresholds_can_be_saved() -> None:
    p, truth = sample(1, 2, 10)
    tuned = tune_thresholds("macro-f1", p, truth)
    assert tuned.to_dict() == {"metric": "macro-f1", "thresholds": list(tuned.thresholds)}


def test_refusals_say_what_to_do() -> None:
    p, truth = sample(1, 2, 10)
    with pytest.raises(InputError, match=r"unknown metric 'f1'.* known are 'macro-f1', 'accuracy', 'micro-f1'"):
        tune_thresholds("f1", p, truth)
    with pytest.raises(InputError, match=r"19 labelled items are too few for thresholds, which take 20"):
        tune_thresholds("accuracy", p[1:], truth[1:])
    with pytest.raises(InputError, match="there are thresholds for 3 labels, and probabilities of 2"):
        Thresholds("accuracy", (0.5, 0.5, 0.5)).apply(p)
    p[4, 1] = np.nan
    with pytest.raises(InputError, match=r"item 5 has no probabilities. Leave out the items without an answer"):
        tune_thresholds("accuracy", p, truth)
