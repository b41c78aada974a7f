import json

import numpy as np
import pytest

from llmclf.agreement import Undefined
from llmclf.agreement.conformal import ConformalSets, conformal_sets
from llmclf.agreement.counts import Floats, Ints
from llmclf.errors import InputError
from tests.agreement.crowds import reference

REFERENCE = reference("calibration_400")
PROBABILITIES = np.array(REFERENCE["probabilities"])
LABELS = np.array(REFERENCE["labels"])


def part(start: int, end: int) -> tuple[Floats, Ints]:
    return PROBABILITIES[start:end], LABELS[start:end]


def found(sets: ConformalSets | Undefined) -> ConformalSets:
    assert isinstance(sets, ConformalSets), sets
    return sets


def test_sets_of_crepes() -> None:
    sets = found(conformal_sets(part(0, 200), part(200, 400)))
    published = REFERENCE["conformal_lac_90"]
    assert sets.threshold == pytest.approx(published["threshold"], abs=1e-9)
    assert sets.coverage.value == published["coverage"]
    assert sets.mean_size.value == pytest.approx(published["mean_size"])
    assert np.average(range(4), weights=sets.sizes) == pytest.approx(published["mean_size"])
    assert sets.sets.tolist() == (PROBABILITIES[200:] >= 1 - published["threshold"]).tolist()
    assert json.loads(json.dumps(sets.to_dict(), allow_nan=False))["sizes"] == list(sets.sizes)


def test_coverage_is_at_least_what_was_asked_for_on_average() -> None:
    random = np.random.default_rng(0)
    coverages = []
    for _ in range(300):
        order = random.permutation(400)
        calibration, test = order[:40], order[40:]
        sets = conformal_sets(
            (PROBABILITIES[calibration], LABELS[calibration]), (PROBABILITIES[test], LABELS[test]), 0.8
        )
        coverages.append(found(sets).coverage.value)
    error = np.std(coverages) / np.sqrt(len(coverages))
    assert 0.8 - 3 * error <= np.mean(coverages) <= 0.8 + 1 / 41 + 3 * error


@pytest.mark.parametrize(("level", "fewest"), [(0.9, 9), (0.8, 4), (0.95, 19), (0.5, 1)])
def test_few_calibration_items_are_too_few(level: float, fewest: int) -> None:
    found(conformal_sets(part(0, fewest), part(200, 400), level))
    few = conformal_sets(part(0, fewest - 1), part(200, 400), level)
    assert few == Undefined(f"{fewest - 1} calibration items are too few for sets at {level:g}: it takes {fewest}")


def test_with_the_fewest_items_the_threshold_is_the_worst_score() -> None:
    sets = found(conformal_sets(part(0, 9), part(200, 400)))
    assert sets.threshold == pytest.approx(1 - PROBABILITIES[np.arange(9), LABELS[:9]].min())


def test_a_rank_that_is_a_whole_number_is_not_rounded_up() -> None:
    """100 x 0.55 is a little more than 55 in floating point."""
    scores = np.sort(1 - PROBABILITIES[np.arange(99), LABELS[:99]])
    assert found(conformal_sets(part(0, 99), part(200, 400), 0.55)).threshold == scores[54]


def test_items_without_a_reference_take_no_part() -> None:
    labels = LABELS.copy()
    labels[150:200] = labels[300:] = -1
    sets = found(conformal_sets((PROBABILITIES[:200], labels[:200]), (PROBABILITIES[200:], labels[200:])))
    assert (sets.n_calibration, sets.coverage.n_items) == (150, 100)
    nothing = conformal_sets(part(0, 200), (PROBABILITIES[300:], labels[300:]))
    assert nothing == Undefined("no item has both probabilities and a reference label")


@pytest.mark.parametrize("level", [0, 1, 90])
def test_a_level_is_between_0_and_1(level: float) -> None:
    with pytest.raises(InputError, match=f"the level is {level}. Give a number between 0 and 1"):
        conformal_sets(part(0, 200), part(200, 400), level)
