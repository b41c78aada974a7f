import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmclf.agreement import Undefined
from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.survey_equivalence import SurveyEquivalence, Workers, survey_equivalence
from llmclf.agreement.survey_scores import Score, distinct_rows, survey_scores
from llmclf.errors import InputError
from llmclf.levels import Level
from tests.agreement.crowds import crowd, erring_crowd

PLACES = np.array([1.0, 2.0, 4.0, 5.0])
SCORES: list[Score] = ["agreement", "absolute-error", "squared-error"]


def found(equivalence: SurveyEquivalence | Undefined) -> SurveyEquivalence:
    assert isinstance(equivalence, SurveyEquivalence), equivalence
    return equivalence


def curve(equivalence: SurveyEquivalence) -> list[float]:
    return [point.score.value for point in equivalence.curve]


def score_by_definition(score: Score, pool: list[int], answer: int, k: int) -> float:
    """Average over every survey of k that can be drawn."""
    scores = []
    for survey in combinations(np.repeat(np.arange(4), pool), k):
        votes = np.bincount(survey, minlength=4)
        places = sorted(PLACES[list(survey)])
        distances = [abs(places[middle] - PLACES[answer]) for middle in ((k - 1) // 2, k // 2)]
        scores.append(
            {
                "agreement": (votes[answer] == votes.max()) / (votes == votes.max()).sum(),
                "absolute-error": -np.mean(distances),
                "squared-error": -((np.mean(places) - PLACES[answer]) ** 2),
            }[score]
        )
    return float(np.mean(scores))


pools = st.lists(st.integers(0, 3), min_size=4, max_size=4).filter(lambda pool: sum(pool) > 0)


@settings(max_examples=60, deadline=None)
@given(pools, st.integers(0, 3), st.sampled_from(SCORES))
def test_scores_are_means_over_all_surveys(pool: list[int], answer: int, score: Score) -> None:
    largest = min(sum(pool), 6)
    scores = survey_scores(score, np.array([pool]), np.array([answer]), PLACES, largest)
    expected = [score_by_definition(score, pool, answer, k) for k in range(1, largest + 1)]
    assert scores[0].tolist() == pytest.approx(expected, abs=1e-9)


@given(arrays(np.int64, st.tuples(st.integers(1, 30), st.integers(1, 6)), elements=st.integers(-1, 10**12)))
def test_distinct_rows_are_those_of_numpy(rows: Ints) -> None:
    rows = np.concatenate([rows, rows % 3])
    first, which = distinct_rows(rows)
    assert rows[first][which].tolist() == rows.tolist()
    assert len(first) == len(np.unique(rows, axis=0))


def test_one_worker_is_worth_one_worker() -> None:
    """A model that answers as one more worker would, on many items."""
    truth = np.random.default_rng(0).integers(0, 3, 20_000)
    workers = erring_crowd(truth, 50, per_item=8, accuracy=0.6, n_labels=3)
    model = erring_crowd(truth, 1, per_item=1, accuracy=0.6, n_labels=3, seed=9).label
    equivalence = found(survey_equivalence(workers, model, replicates=200))
    one, two = curve(equivalence)[:2]
    assert one == pytest.approx(two), "of two workers who differ, one is drawn"
    assert equivalence.model.value == pytest.approx(one, abs=0.02)


@pytest.mark.parametrize("against_experts", [False, True])
def test_a_model_that_takes_the_majority_of_five_is_worth_five(against_experts: bool) -> None:
    truth = np.random.default_rng(0).integers(0, 2, 40_000)
    workers = erring_crowd(truth, 50, per_item=10, accuracy=0.4, n_labels=2)
    hidden = erring_crowd(truth, 50, per_item=5, accuracy=0.4, n_labels=2, seed=5)
    experts = erring_crowd(truth, 3, per_item=2, accuracy=0.9, n_labels=2, seed=6) if against_experts else None
    equivalence = found(survey_equivalence(workers, hidden.counts().argmax(axis=1), experts, replicates=200))
    assert 4.7 < equivalence.workers.number < 6.3, "with two labels, six workers say no more than five"
    assert equivalence.low.number <= equivalence.workers.number <= equivalence.high.number
    assert equivalence.answer == ("reference" if against_experts else "another worker")
    assert [point.survey_size for point in equivalence.curve] == list(range(1, 11 if against_experts else 10))


def test_squared_errors_of_means_fall_as_one_over_k() -> None:
    """Of k + 1 workers, the mean of k misses the other by S^2 (1 + 1/k), S^2 the variance among the item's workers."""
    workers = crowd("1234 1144 2234 3341", Level.INTERVAL, PLACES.tolist())
    s2 = np.mean([np.var(PLACES[workers.label[workers.item == i]], ddof=1) for i in range(4)])
    equivalence = found(survey_equivalence(workers, np.zeros(4, dtype=np.int64), largest=3))
    assert curve(equivalence) == pytest.approx([-s2 * (1 + 1 / k) for k in (1, 2, 3)])
    assert equivalence.score == "squared-error"


def test_the_score_follows_the_level() -> None:
    scores = [found(survey_equivalence(crowd("112 334", level), np.array([0, 2]))).score for level in Level]
    assert scores == ["agreement", "absolute-error", "squared-error", "squared-error", "agreement"]


def test_a_number_of_workers_lies_between_two_sizes_by_interpolation() -> None:
    workers = crowd("1234 1144 2234 3341", Level.INTERVAL, [1, 2, 3, 4])
    equivalence = found(survey_equivalence(workers, np.array([0, 1, 0, 1]), largest=3))
    one, two = curve(equivalence)[:2]
    assert one < equivalence.model.value < two
    assert equivalence.workers.number == pytest.approx(1 + (equivalence.model.value - one) / (two - one))
    assert equivalence.workers.bound is None


@pytest.mark.parametrize(
    ("model", "says"), [([0, 1, 2], "at least 2"), ([1, 2, 0], "fewer than 1")], ids=["right", "wrong"]
)
def test_outside_the_curve_there_is_a_bound(model: list[int], says: str) -> None:
    equivalence = found(survey_equivalence(crowd("1112 2223 3331"), np.array(model), largest=2))
    assert [str(number) for number in (equivalence.workers, equivalence.low, equivalence.high)] == [says] * 3


def test_as_good_as_one_worker_is_one_and_no_bound() -> None:
    equal = found(survey_equivalence(crowd("12 12"), np.array([0, 0]), crowd("1 2"), largest=1))
    assert equal.workers == Workers(1.0)
    assert str(equal.workers) == "1.0"


def test_items_that_cannot_take_part_are_counted() -> None:
    workers = crowd("1122 1112 11 2221 . 2211")
    model = np.array([0, 0, 0, 1, 1, -1])
    equivalence = found(survey_equivalence(workers, model, largest=3))
    assert (equivalence.n_items, equivalence.n_left_out) == (3, 3)
    assert equivalence.model.n_items == 3


def test_the_largest_survey_is_one_that_half_of_the_items_allow() -> None:
    workers = crowd("11 112 1122 11222 111111111111111")
    equivalence = found(survey_equivalence(workers, np.zeros(5, dtype=np.int64)))
    assert len(equivalence.curve) == 3
    assert equivalence.n_items == 3
    assert len(found(survey_equivalence(crowd("11 112 1122 11222"), np.zeros(4, dtype=np.int64))).curve) == 3
    many = crowd(" ".join(["12" * 20] * 3))
    assert len(found(survey_equivalence(many, np.zeros(3, dtype=np.int64))).curve) == 10


@pytest.mark.parametrize(
    ("words", "experts", "model", "largest", "reason"),
    [
        ("1 2", None, [0, 1], None, "no item has two workers' ratings and the model's label"),
        ("11 22", None, [-1, -1], None, "no item has two workers' ratings and the model's label"),
        ("11 22", "1 .", [-1, 1], None, "no item has a worker's rating, a reference and the model's label"),
        ("112 221", None, [0, 1], 3, "no item has workers enough for surveys of 3"),
    ],
)
def test_undefined(words: str, experts: str | None, model: list[int], largest: int | None, reason: str) -> None:
    by_experts = None if experts is None else crowd(experts)
    equivalence = survey_equivalence(crowd(words), np.array(model), by_experts, largest=largest)
    assert equivalence == Undefined(reason)


@pytest.mark.parametrize("largest", [0, 51])
def test_sizes_of_surveys_are_limited(largest: int) -> None:
    with pytest.raises(InputError, match=f"the largest survey is {largest}. Give a number from 1 to 50"):
        survey_equivalence(crowd("11"), np.array([0]), largest=largest)


def test_it_is_written_as_json() -> None:
    written = found(survey_equivalence(crowd("1112 2223 3331"), np.array([0, 1, 2]), largest=2)).to_dict()
    assert json.loads(json.dumps(written, allow_nan=False)) == json.loads(json.dumps(written))
    assert written["workers"] == {"number": 2, "bound": "at least"}


def test_a_great_crowd_on_one_item_counts_without_overflow() -> None:
    pool: Ints = np.array([[60_000, 40_000]])
    scores: Floats = survey_scores("agreement", pool, np.array([0]), np.arange(2.0), 50)
    assert np.isfinite(scores).all()
    assert scores[0, 0] == pytest.approx(0.6)
    assert (np.diff(scores[0]) > -1e-9).all()
