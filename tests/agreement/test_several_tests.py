import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control  # type: ignore[import-untyped]  # no types

from llmclf.agreement.benjamini_yekutieli import benjamini_yekutieli
from llmclf.agreement.holm import holm

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def rejected_by_holm(p: list[float], alpha: float) -> list[bool]:
    """Step down as Holm 1979 says it: test the smallest at alpha / m, the next at alpha / (m - 1), until one fails."""
    rejected = [False] * len(p)
    for step, place in enumerate(np.argsort(p, kind="stable")):
        if p[place] > alpha / (len(p) - step):
            break
        rejected[place] = True
    return rejected


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]).tolist() == []


@given(p_values, st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_what_stepping_down_does(p: list[float], alpha: float) -> None:
    adjusted = holm(p)
    decided = abs(adjusted - alpha) > 1e-12
    assert (adjusted <= alpha)[decided].tolist() == np.array(rejected_by_holm(p, alpha))[decided].tolist()
    assert (adjusted >= np.array(p)).all()
    assert (adjusted <= 1).all()


@given(p_values)
def test_benjamini_yekutieli_is_scipys(p: list[float]) -> None:
    assert benjamini_yekutieli(p) == pytest.approx(false_discovery_control(p, method="by"))
