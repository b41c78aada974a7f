import pytest

from llmclf.agreement import Undefined
from llmclf.agreement.fleiss_kappa import fleiss_kappa
from llmclf.agreement.scott_pi import scott_pi
from llmclf.levels import Level
from tests.agreement import tables
from tests.agreement.tables import crossed, estimate, table


def test_two_annotators_are_fleiss_kappa_of_two() -> None:
    pair = crossed([[45, 15, 3], [25, 15, 2], [4, 1, 7]])
    assert scott_pi(pair) == fleiss_kappa(pair)


def test_only_items_count_that_both_annotators_rated() -> None:
    both = estimate(scott_pi(table("ab aa bb bb db cc cc cc ee dd ad", Level.NOMINAL)))
    assert estimate(scott_pi(table(tables.BEN_GERRY, Level.NOMINAL))) == both
    assert both.n_items == 11
    assert estimate(fleiss_kappa(table(tables.BEN_GERRY, Level.NOMINAL))).value != pytest.approx(both.value)


def test_undefined() -> None:
    assert scott_pi(table("1 2", Level.NOMINAL)) == Undefined("1 annotator; Scott's pi is for two")
    assert scott_pi(table("123 122", Level.NOMINAL)) == Undefined("3 annotators; Scott's pi is for two")
    assert scott_pi(table("1. .2", Level.NOMINAL)) == Undefined("no item has two ratings")
    assert scott_pi(table("11 11 2.", Level.NOMINAL)) == Undefined("only one label occurs")
