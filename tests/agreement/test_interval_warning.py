import pytest

from llmclf.agreement.interval_warning import commonest_share, interval_warning
from llmclf.levels import Level
from tests.agreement.tables import table


@pytest.mark.parametrize(("n", "prevalence"), [(30, 0.5), (100, 0.9), (1000, 0.9), (200, 0.95)])
def test_where_intervals_hold_the_truth_often_enough_nothing_is_said(n: int, prevalence: float) -> None:
    assert interval_warning(n, prevalence) is None


@pytest.mark.parametrize(
    ("n", "prevalence", "few"),
    [
        (29, 0.5, "29 items are few: "),
        (50, 0.9, "about 5 of 50 items have another label than the commonest, which is few: "),
        (99, 0.9, "about 10 of 99 items"),
        (1000, 0.995, "about 5 of 1,000 items"),
    ],
)
def test_few_items_or_few_of_the_rarer_labels_are_warned_of(n: int, prevalence: float, few: str) -> None:
    said = interval_warning(n, prevalence)
    assert said is not None
    assert said.startswith(few)


def test_the_commonest_label_is_that_of_items_that_count() -> None:
    assert commonest_share(table("11 12 1. 1. .2", Level.NOMINAL)) == 0.75
    assert commonest_share(table("1. .2", Level.NOMINAL)) is None
