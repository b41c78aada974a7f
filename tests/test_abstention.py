import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom  # type: ignore[import-untyped]  # scipy has no types

from llmclf.abstention import METHODS, Bools, SelectiveThreshold, select_threshold, thresholds_before
from llmclf.agreement import Undefined
from llmclf.agreement.counts import Floats
from llmclf.errors import InputError

OTHERS = np.linspace(0.5, 1, 1001)


def found(threshold: SelectiveThreshold | Undefined) -> SelectiveThreshold:
    assert isinstance(threshold, SelectiveThreshold), threshold
    return threshold


def sample(seed: int, n: int, decimals: int = 9) -> tuple[Floats, Bools]:
    """Draw confidences that are right as often as they say."""
    random = np.random.default_rng(seed)
    confidence = np.round(1 - 0.5 * random.random(n) ** 3, decimals)
    return confidence, random.random(n) < confidence


def by_definition(
    confidence: Floats, correct: Bools, alpha: float, delta: float, method: str
) -> tuple[float, float] | None:
    """Test one threshold after the other by a binomial p-value; give the last to pass, and the level of its test."""
    thresholds = thresholds_before(OTHERS, len(confidence), alpha, delta)
    assert not isinstance(thresholds, Undefined)
    m, budget, chosen = len(thresholds), 0.0, None
    for place, threshold in enumerate(thresholds.tolist()):
        if method == "bonferroni":
            budget = delta / m
        elif m == 1:
            budget = delta
        elif place in {0, m // 2}:
            budget += delta / 2
        right = [bool(y) for c, y in zip(confidence, correct, strict=True) if c >= threshold]
        if right and binom.cdf(right.count(False), len(right), alpha) <= budget:
            chosen = threshold, budget
        else:
            budget = 0.0
    return chosen


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([60, 300]),
    st.sampled_from([1, 9]),
    st.sampled_from([0.1, 0.2, 0.3]),
    st.sampled_from(METHODS),
)
def test_the_threshold_is_the_last_that_passes_its_test(
    seed: int, n: int, decimals: int, alpha: float, method: str
) -> None:
    confidence, correct = sample(seed, n, decimals)
    chosen = select_threshold(confidence, correct, OTHERS, alpha, 0.1, method)
    expected = by_definition(confidence, correct, alpha, 0.1, method)
    assert isinstance(chosen, Undefined) == (expected is None)
    if isinstance(chosen, SelectiveThreshold) and expected:
        threshold, level = expected
        assert chosen.threshold == threshold
        answered = chosen.apply(confidence)
        wrong = int((~correct[answered]).sum())
        assert (chosen.n_answered, chosen.risk) == (answered.sum(), wrong / answered.sum())
        as_few = float(binom.cdf(wrong, chosen.n_answered, chosen.upper_bound))
        assert as_few == pytest.approx(level)
        assert chosen.risk < chosen.upper_bound <= alpha
        assert chosen.coverage == pytest.approx((answered.sum() + (chosen.threshold <= OTHERS).sum()) / (n + 1001))
        order = np.random.default_rng(seed).permutation(n)
        assert select_threshold(confidence[order], correct[order], OTHERS, alpha, 0.1, method) == chosen


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("decimals", [1, 9])
def test_where_every_threshold_is_too_risky_one_is_found_in_a_share_of_delta_at_most(
    method: str, decimals: int
) -> None:
    """The hardest case for a promise: the risk is all but the wanted one throughout."""
    random = np.random.default_rng(1)
    runs, broken = 600, 0
    for _ in range(runs):
        confidence = np.round(random.choice(OTHERS, 200), decimals)
        correct = random.random(200) >= 0.2001
        chosen = select_threshold(confidence, correct, np.round(OTHERS, decimals), 0.2, 0.1, method)
        broken += isinstance(chosen, SelectiveThreshold)
    assert 0 < broken / runs <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / runs)


def test_the_strictest_threshold_answers_enough_to_pass() -> None:
    """With 2 errors of 52 the risk is at most .1, and so many or fewer occur with probability .86 at .025."""
    thresholds = np.asarray(thresholds_before(OTHERS, 520, 0.1))
    assert (thresholds[0] <= OTHERS).mean() == pytest.approx(0.1, abs=1e-3)
    assert thresholds[-1] == OTHERS.min()
    assert len(thresholds) == 20
    assert (np.diff(thresholds) < 0).all()
    passing, failing = binom.cdf(2, [52, 51], 0.1) <= 0.1
    assert passing
    assert not failing
    often, rarely = binom.cdf([2, 1], [52, 38], 0.025) >= 0.8
    assert often
    assert not rarely


def test_a_few_labels_are_tested_once_on_all_items() -> None:
    confidence = np.linspace(0.6, 0.9, 22)
    right = np.ones(22, dtype=bool)
    chosen = found(select_threshold(confidence, right, OTHERS, 0.1))
    assert (chosen.threshold, chosen.coverage, chosen.n_answered, chosen.risk) == (0.5, 1, 22, 0)
    assert chosen.upper_bound == pytest.approx(1 - 0.1 ** (1 / 22))
    few = select_threshold(confidence[1:], right[1:], OTHERS, 0.1)
    assert few == Undefined(
        "no threshold found: 21 labelled items with an answer are too few for a risk of 10.0%,"
        " which takes 22 without an error"
    )


def test_items_of_equal_confidence_are_answered_together() -> None:
    levels = np.array([0.6, 0.8, 1.0])
    confidence = np.repeat(levels, 100)
    correct = np.tile(np.arange(100) >= 2, 3) & (confidence > 0.6)
    chosen = found(select_threshold(confidence, correct, np.repeat(levels, 50), 0.1))
    assert chosen.threshold == 0.8
    assert chosen.apply(np.array([0.6, 0.799, 0.8, 1, np.nan])).tolist() == [False, False, True, True, False]
    assert (chosen.coverage, chosen.n_answered) == (2 / 3, 200)


def test_an_error_rate_that_is_too_high_gives_no_threshold() -> None:
    confidence, _ = sample(0, 300)
    nothing = select_threshold(confidence, np.zeros(300, dtype=bool), OTHERS, 0.1)
    assert isinstance(nothing, Undefined)
    assert nothing.undefined.startswith("no threshold found: answering at a confidence of 0.9")
    assert nothing.undefined.endswith("labelled items are wrong, so the risk may be 100.0%, above 10.0%")


@pytest.mark.parametrize("method", METHODS)
def test_answering_nothing_is_no_success(method: str) -> None:
    """No labelled item is as sure as the surest of the others."""
    nothing = select_threshold(np.full(100, 0.1), np.ones(100, dtype=bool), OTHERS, 0.1, 0.1, method)
    assert isinstance(nothing, Undefined)
    assert "0 of 0 labelled items are wrong, so the risk may be 100.0%" in nothing.undefined


@pytest.mark.parametrize("method", METHODS)
def test_a_threshold_is_found_where_the_surest_items_are_not_the_best(method: str) -> None:
    random = np.random.default_rng(0)
    confidence = random.choice(OTHERS, 1000)
    correct = random.random(1000) < np.where(confidence > 0.98, 0.5, 0.99)
    assert found(select_threshold(confidence, correct, OTHERS, 0.1, 0.1, method)).coverage > 0.9


def test_what_the_first_start_has_is_taken_along_to_the_second() -> None:
    confidence = np.linspace(0.5, 1, 300)
    wrong_where_unsure = np.arange(300) >= 22
    assert 0.05 < binom.cdf(22, 300, 0.1) < 0.1
    assert found(select_threshold(confidence, wrong_where_unsure, OTHERS, 0.1)).coverage == 1
    some_where_sure = (np.arange(300) >= 17) & (np.arange(300) < 295)
    assert binom.cdf(5, 53, 0.1) > 0.1
    assert found(select_threshold(confidence, some_where_sure, OTHERS, 0.1)).coverage < 1


def test_items_without_an_answer_are_not_answered_and_count_as_not_covered() -> None:
    confidence, correct = sample(0, 300)
    chosen = found(select_threshold(confidence, correct, OTHERS, 0.2))
    missing = np.full(100, np.nan)
    other = found(
        select_threshold(
            np.concatenate([confidence, missing]),
            np.concatenate([correct, missing == 0]),
            np.concatenate([OTHERS, missing]),
            0.2,
        )
    )
    assert (other.threshold, other.risk, other.n_labelled) == (chosen.threshold, chosen.risk, 300)
    assert other.coverage == pytest.approx(chosen.coverage * 1301 / 1501)


def test_the_statement_says_what_is_promised() -> None:
    confidence = np.repeat([0.9, 0.6], [80, 20])
    correct = np.repeat([True, False], [78, 22])
    chosen = found(select_threshold(confidence, correct, np.repeat([0.9, 0.6], [70, 30]), 0.1))
    assert chosen.statement == (
        "P(true risk <= 0.1) >= 0.9 when answering at a confidence of 0.9 or more, which is 75.0% of the items:"
        " of 80 labelled items among them 2.5% were wrong, and at most 7.7% are (fixed-sequence)."
        " This holds if the labelled items were drawn at random from the items to be answered,"
        " and nothing was fitted to them."
    )
    saved = json.loads(json.dumps(chosen.to_dict(), allow_nan=False))
    assert saved["statement"] == chosen.statement
    assert (saved["threshold"], saved["n_labelled"], saved["alpha"]) == (0.9, 100, 0.1)


def test_refusals_say_what_to_do() -> None:
    confidence, correct = sample(0, 100)
    for alpha, delta, line in ((0, 0.1, "alpha is 0"), (10, 0.1, "alpha is 10"), (0.1, 1, "delta is 1")):
        with pytest.raises(InputError, match=f"{line}. Give a number between 0 and 1, such as 0.1"):
            select_threshold(confidence, correct, OTHERS, alpha, delta)
    with pytest.raises(InputError, match=r"no item without a label has a confidence.* Leave some of the items without"):
        select_threshold(confidence, correct, np.array([np.nan]), 0.1)
    with pytest.raises(
        InputError, match=r"unknown method of abstention 'fixed': known are 'fixed-sequence', 'bonferroni'"
    ):
        select_threshold(confidence, correct, OTHERS, 0.1, 0.1, "fixed")
