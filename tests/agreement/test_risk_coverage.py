import json
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmclf.agreement import Undefined
from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.risk_coverage import RiskCoverage, risk_coverage
from tests.agreement.crowds import reference

REFERENCE = reference("calibration_400")
NONE = np.zeros((0, 2)), np.zeros(0, dtype=np.int64)


def found(curve: RiskCoverage | Undefined) -> RiskCoverage:
    assert isinstance(curve, RiskCoverage), curve
    return curve


def answers(confidence: list[float], correct: list[int]) -> tuple[Floats, Ints]:
    """Two labels: the first is the top one throughout."""
    p = np.array(confidence)
    return np.column_stack([p, 1 - p]), 1 - np.array(correct)


def area_by_definition(confidence: list[float], correct: list[int]) -> float:
    """Average over all orders of items that keep to the confidence."""
    areas = []
    for order in permutations(range(len(correct))):
        if all(confidence[a] >= confidence[b] for a, b in pairwise(order)):
            errors = 1 - np.array(correct)[list(order)]
            areas.append(np.mean(np.cumsum(errors) / np.arange(1, len(errors) + 1)))
    return float(np.mean(areas))


cases = st.lists(st.tuples(st.sampled_from([0.6, 0.7, 0.9]), st.integers(0, 1)), min_size=2, max_size=6)


@settings(max_examples=60, deadline=None)
@given(cases)
def test_area_and_its_interval_are_those_of_the_definition(pairs: list[tuple[float, int]]) -> None:
    confidence, correct = map(list, zip(*pairs, strict=True))
    area = found(risk_coverage(*answers(confidence, correct))).area
    assert area.value == pytest.approx(area_by_definition(confidence, correct))
    n = len(pairs)
    without = np.array(
        [area_by_definition(confidence[:i] + confidence[i + 1 :], correct[:i] + correct[i + 1 :]) for i in range(n)]
    )
    if area.se is not None:
        assert area.se == pytest.approx(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))


def test_the_curve_goes_from_the_surest_items_to_all() -> None:
    curve = found(risk_coverage(*answers([0.9, 0.8, 0.8, 0.6], [1, 1, 0, 0]))).curve
    assert [(point.threshold, point.coverage, point.risk) for point in curve] == [
        (0.9, 0.25, 0),
        (0.8, 0.75, pytest.approx(1 / 3)),
        (0.6, 1, 0.5),
    ]
    assert all(0 <= point.low <= point.risk <= point.high <= 1 for point in curve)


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    p, y = np.array(REFERENCE["probabilities"]), np.array(REFERENCE["labels"])
    curve = found(risk_coverage(np.vstack([p, p * 0.999 + 0.001 / 3]), np.tile(y, 2))).curve
    assert 150 < len(curve) <= 201
    assert curve[0].coverage == 1 / 800
    assert curve[-1].coverage == 1
    assert curve[-1].risk == pytest.approx(1 - REFERENCE["accuracy"])
    assert [point.coverage for point in curve] == sorted(point.coverage for point in curve)


def test_nothing_to_trace() -> None:
    assert risk_coverage(*NONE) == Undefined("no item has both probabilities and a reference label")
    alone = found(risk_coverage(*answers([0.7], [0])))
    assert (alone.area.value, alone.area.se) == (1, None)
    assert json.loads(json.dumps(alone.to_dict(), allow_nan=False))["curve"][0]["risk"] == 1
