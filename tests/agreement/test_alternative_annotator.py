import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import false_discovery_control, ttest_1samp  # type: ignore[import-untyped]  # no types

from llmclf.agreement import Rating, Ratings, Undefined
from llmclf.agreement.alternative_annotator import AlternativeAnnotatorTest, alternative_annotator_test
from llmclf.errors import InputError
from llmclf.levels import Level
from tests.agreement.tables import coded, table

PEOPLE = ("0", "1", "2", "3")
MODEL = "4"


def panel(n: int = 80, missing: float = 0.2, level: Level = Level.NOMINAL, model: float = 0.6) -> Ratings:
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 4, (n, 1))
    knows = rng.random((n, 5)) < np.array([0.8, 0.6, 0.5, 0.7, model])
    codes = np.where(knows, truth, rng.integers(0, 4, (n, 5)))
    codes[rng.random(codes.shape) < missing] = -1
    return coded(codes, level, 4)


def found(ratings: Ratings, people: tuple[str, ...] = PEOPLE) -> AlternativeAnnotatorTest:
    result = alternative_annotator_test(ratings, MODEL, people)
    assert isinstance(result, AlternativeAnnotatorTest), result
    return result


def score(label: int, others: list[int], level: Level) -> float:
    if level in (Level.NOMINAL, Level.SET):
        return float(np.mean([label == other for other in others]))
    return -float(np.sqrt(np.mean([(label - other) ** 2 for other in others])))


def indicators(ratings: Ratings, annotator: int) -> list[tuple[int, int]]:
    """Whether model and annotator do at least as well as the other, item by item, as Calderon et al. 2025 say it."""
    won = []
    for row in ratings.codes:
        others = [int(label) for j, label in enumerate(row[:4]) if j != annotator and label >= 0]
        if row[annotator] < 0 or row[4] < 0 or not others:
            continue
        model, human = (score(int(row[j]), others, ratings.level) for j in (4, annotator))
        won.append((int(model >= human - 1e-12), int(human >= model - 1e-12)))
    return won


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("epsilon", [0.0, 0.15])
def test_it_is_that_of_the_definition(level: Level, epsilon: float) -> None:
    ratings = panel(level=level)
    result = found(ratings)
    p = []
    for j, annotator in enumerate(result.annotators):
        won = np.array(indicators(ratings, j))
        assert (annotator.annotator, annotator.n_items) == (PEOPLE[j], len(won))
        assert (annotator.model, annotator.human) == pytest.approx(tuple(won.mean(axis=0)))
        p.append(ttest_1samp(won[:, 1] - won[:, 0], epsilon, alternative="less").pvalue)
    outcome = result.at(epsilon)
    assert outcome.p == pytest.approx(p)
    rejected = false_discovery_control(p, method="by") <= 0.05
    assert outcome.wins == tuple(rejected)
    assert outcome.winning_rate == rejected.mean()
    assert outcome.passes == (rejected.mean() >= 0.5)
    assert result.advantage_probability == pytest.approx(np.mean([a.model for a in result.annotators]))
    assert result.score == ("accuracy" if level in (Level.NOMINAL, Level.SET) else "negative RMSE")


def test_distances_are_those_of_the_scale_and_ties_survive_rounding() -> None:
    # 0.1 and 0.3 are equally far from 0.2, but not as floats
    ratings = replace(
        table("yxz " * 20 + "yzx " * 20, Level.NOMINAL), level=Level.INTERVAL, scale=("0.1", "0.2", "0.3")
    )
    result = alternative_annotator_test(ratings, "annotator 2", ["annotator 0", "annotator 1"])
    assert isinstance(result, AlternativeAnnotatorTest)
    assert [(a.model, a.human) for a in result.annotators] == [(0.0, 1.0), (1.0, 1.0)]


def test_the_curve_rises_with_epsilon() -> None:
    result = found(panel(n=300))
    curve = result.curve()
    assert [epsilon for epsilon, _ in curve] == pytest.approx(np.arange(51) / 100)
    rates = [rate for _, rate in curve]
    assert rates == sorted(rates)
    assert rates[0] < 0.5 <= rates[-1]
    assert result.curve([0.1]) == [(0.1, result.at(0.1).winning_rate)]


def test_annotators_of_few_items_are_compared_with_and_not_tested() -> None:
    ratings = panel(n=60, missing=0)
    codes = ratings.codes.copy()
    codes[29:, 3] = -1
    few = replace(ratings, codes=codes)
    result = found(few)
    assert result.left_out == ("3",)
    assert [annotator.annotator for annotator in result.annotators] == ["0", "1", "2"]
    without = found(few, PEOPLE[:3])
    assert result.annotators != without.annotators
    codes[29, 3] = 0
    assert found(replace(ratings, codes=codes)).left_out == ()


def test_without_spread_the_mean_decides() -> None:
    ahead = table("xyx " * 30, Level.NOMINAL)  # the model says what annotator 0 says
    result = alternative_annotator_test(ahead, "annotator 2", ["annotator 0", "annotator 1"])
    assert isinstance(result, AlternativeAnnotatorTest)
    # in place of 0 a tie on all items, so a mean of 0; in place of 1 the model is always right
    assert result.at(0.0).p == (1.0, 0.0)
    assert result.at(0.01).p == (0.0, 0.0)
    assert (result.at(0.0).winning_rate, result.at(0.01).winning_rate) == (0.5, 1.0)


def test_undefined_without_items_enough() -> None:
    reason = Undefined("no annotator has 30 items that the model and another annotator labelled")
    assert alternative_annotator_test(panel(n=29), MODEL, PEOPLE) == reason
    assert alternative_annotator_test(panel(), MODEL, PEOPLE[:1]) == reason
    assert alternative_annotator_test(panel(), MODEL, []) == reason


def test_a_crowd_without_columns_is_refused() -> None:
    rows = [Rating(f"item {i}", f"worker {i} {j}", "x") for i in range(600) for j in range(2)]
    rows += [Rating(f"item {i}", "model", "y") for i in range(600)]
    ratings = Ratings.from_rows(rows, Level.NOMINAL)
    workers = [name for name in ratings.annotators if name != "model"]
    assert alternative_annotator_test(ratings, "model", workers) == Undefined("more than 1000 annotators")


def test_the_model_is_no_person() -> None:
    with pytest.raises(InputError, match="'4' is among the annotators that it is tested against"):
        alternative_annotator_test(panel(), MODEL, [*PEOPLE, MODEL])
    with pytest.raises(InputError, match="unknown annotator 'x'"):
        alternative_annotator_test(panel(), MODEL, ["x"])


def test_dictionary_is_json() -> None:
    result = found(panel())
    read = json.loads(json.dumps(result.to_dict([0.1, 0.2])))
    assert [at["epsilon"] for at in read["at"]] == [0.1, 0.2]
    assert len(read["curve"]) == 51
    assert read["annotators"][0]["annotator"] == "0"
