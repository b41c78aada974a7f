import numpy as np
import pytest

from llmclf.agreement.expert_sample import ExpertSample, check_probability_sample
from llmclf.errors import InputError

NAN = np.nan


@pytest.mark.parametrize(
    ("outcome", "probability", "said"),
    [
        ([NAN, NAN], [0.5, 0.5], "no item has expert labels. A corrected estimate needs items with"),
        ([1, 0], [0.5, 0.5], "all items have expert labels"),
        ([1, NAN], [0.5, 0.0], "item '1': 0 is no sampling probability, above 0"),
        ([1, NAN], [1.5, 0.5], "item '0': 1.5 is no sampling probability"),
        ([1, NAN], [0.5, NAN], "item '1': no sampling probability, above 0"),
        ([1, NAN], [0.5, 1.0], "item '1': no expert label, and a sampling probability of 1"),
        (
            [1] * 10 + [NAN] * 90,
            [0.9] * 100,
            "10 items have expert labels, but the sampling probabilities add up to 90.0",
        ),
        ([1, NAN], [0.5], "differ in length"),
    ],
)
def test_what_is_no_probability_sample_is_refused(outcome: list[float], probability: list[float], said: str) -> None:
    with pytest.raises(InputError) as refused:
        ExpertSample(np.array(outcome, dtype=float), np.zeros(len(outcome)), np.array(probability))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_prediction_is_refused() -> None:
    with pytest.raises(InputError, match="have no prediction"):
        ExpertSample(np.array([1, NAN]), np.array([1, NAN]), np.full(2, 0.5))


def test_the_refusal_names_the_item() -> None:
    with pytest.raises(InputError, match="item 'c7'"):
        check_probability_sample(np.array([True, False]), np.array([0.5, 2]), ["c6", "c7"])


def test_all_of_a_stratum_may_be_sampled() -> None:
    sample = ExpertSample(np.array([1, 0, 1, NAN]), np.zeros(4), np.array([1, 1, 0.5, 0.5]))
    assert list(sample.is_sampled) == [True, True, True, False]
