import pytest

from llmclf.agreement import Undefined
from llmclf.agreement.percent_agreement import percent_agreement
from llmclf.levels import Level
from tests.agreement import tables
from tests.agreement.tables import crossed, estimate, table


@pytest.mark.parametrize(
    ("words", "share", "se"),
    [
        # R irrCAC 1.0; the standard errors where no item has a single rating, for irrCAC counts those in n
        (tables.RAW_5_OBSERVERS, 0.615555555555556, 0.09067),
        (tables.RAW_GENDER, 0.455555555555556, 0.06798),
        (tables.DISTRIB_6_RATERS, 0.551111111111111, 0.0664971389500041),
        (tables.KRIPPENDORFF_2011, 0.818181818181818, None),
        (tables.RAW_G1_G2, 0.743589743589744, None),
        (tables.BEN_GERRY, 0.727272727272727, None),
    ],
)
def test_published_tables(words: str, share: float, se: float | None) -> None:
    found = estimate(percent_agreement(table(words, Level.NOMINAL)))
    assert found.value == pytest.approx(share, abs=1e-12)
    if se is not None:
        assert found.se == pytest.approx(se, abs=5e-6)


def test_interval_is_t_with_n_minus_one_df() -> None:
    # R irrCAC 1.0: (.408, .694) for 15 items
    found = estimate(percent_agreement(table(tables.DISTRIB_6_RATERS, Level.NOMINAL)))
    assert (found.low, found.high) == pytest.approx((0.408, 0.694), abs=5e-4)
    assert (found.n_items, found.method) == (15, "delete-one jackknife over items, t with n - 1 df")


def test_interval_stays_between_0_and_1() -> None:
    assert estimate(percent_agreement(table("11 22 33 12", Level.NOMINAL))).high == 1.0
    assert estimate(percent_agreement(table("12 23 31 11", Level.NOMINAL))).low == 0.0


def test_two_annotators() -> None:
    assert estimate(percent_agreement(crossed([[40, 9], [6, 45]]))).value == pytest.approx(0.85)


def test_undefined() -> None:
    assert percent_agreement(table("1. .2", Level.NOMINAL)) == Undefined("no item has two ratings")
    assert percent_agreement(table("11 11", Level.NOMINAL, ["1", "2"])) == Undefined("only one label occurs")


def test_value_without_an_interval() -> None:
    one = estimate(percent_agreement(table("112 1..", Level.NOMINAL)))
    assert one.value == pytest.approx(1 / 3)
    assert (one.se, one.n_items, one.method) == (None, 1, "no interval: there is one item only")
    same = estimate(percent_agreement(table("11 22 33", Level.NOMINAL)))
    assert (same.value, same.se, same.low, same.high) == (1.0, None, None, None)
