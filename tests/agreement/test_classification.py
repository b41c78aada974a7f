from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, matthews_corrcoef, precision_recall_fscore_support

from llmclf.agreement import Ratings, Undefined
from llmclf.agreement.classification import class_agreement, confusion_table, macro_f1, macro_f1_replicates, mcc
from llmclf.levels import Level
from tests.agreement.reference import reference
from tests.agreement.tables import coded, crossed, estimate, jackknife_by_definition, table


def pair(q: int, n: int = 30) -> Ratings:
    rng = np.random.default_rng(q)
    first = rng.integers(0, q, n)
    codes = np.stack([first, np.where(rng.random(n) < 0.6, first, rng.integers(0, q, n))], axis=1)
    codes[rng.random(codes.shape) < 0.1] = -1
    return coded(codes, Level.NOMINAL, q + 1)  # the last label never occurs


def both(ratings: Ratings) -> tuple[np.ndarray, np.ndarray]:
    first, second = ratings.codes[(ratings.codes >= 0).all(axis=1)].T
    return first, second


@pytest.mark.parametrize("q", [2, 4, 25])
def test_scikit_learn(q: int) -> None:
    ratings = pair(q)
    first, second = both(ratings)
    assert estimate(mcc(ratings)).value == pytest.approx(matthews_corrcoef(first, second))
    assert estimate(macro_f1(ratings)).value == pytest.approx(f1_score(first, second, average="macro"))
    labels = list(range(q + 1))
    found = confusion_table(ratings)
    assert not isinstance(found, Undefined)
    assert np.array_equal(found, confusion_matrix(first, second, labels=labels))


@pytest.mark.parametrize("q", [2, 4, 25])
def test_the_jackknife_is_that_of_the_definition(q: int) -> None:
    ratings = pair(q)
    by_loop = jackknife_by_definition(ratings, lambda left: float(matthews_corrcoef(*both(left))))
    assert estimate(mcc(ratings)).se == pytest.approx(by_loop)
    by_loop = jackknife_by_definition(ratings, lambda left: float(f1_score(*both(left), average="macro")))
    assert estimate(macro_f1(ratings)).se == pytest.approx(by_loop)


@pytest.mark.parametrize("q", [2, 4, 25])
def test_the_replicates_of_macro_f1_stand_beside_their_items(q: int) -> None:
    ratings = pair(q)
    found = macro_f1_replicates(ratings)
    assert not isinstance(found, Undefined)
    assert found.estimate() == macro_f1(ratings)
    for item, without in enumerate(found.without):
        left = replace(ratings, codes=np.delete(ratings.codes, item, axis=0))
        assert without == pytest.approx(f1_score(*both(left), average="macro"))


def test_each_label() -> None:
    ratings = pair(4)
    precision, recall, f1, support = precision_recall_fscore_support(*both(ratings), labels=list(range(4)))
    found = class_agreement(ratings)
    assert not isinstance(found, Undefined)
    for code, one in enumerate(found[:4]):
        assert one.label == str(code)
        assert one.n_reference == support[code]
        assert estimate(one.precision).value == pytest.approx(precision[code])
        assert estimate(one.recall).value == pytest.approx(recall[code])
        assert estimate(one.f1).value == pytest.approx(f1[code])
        assert one.n_both == pytest.approx(precision[code] * one.n_judged)

        def f1_of(left: Ratings, code: int = code) -> float:
            return float(f1_score(*both(left), labels=[code], average="macro"))

        assert estimate(one.f1).se == pytest.approx(jackknife_by_definition(ratings, f1_of))
    absent = found[4]
    assert absent.precision == Undefined("annotator '1' never gives '4'")
    assert absent.recall == Undefined("annotator '0' never gives '4'")
    assert absent.f1 == Undefined("neither annotator gives '4'")


def test_specific_agreement_of_cicchetti_and_feinstein() -> None:
    # from the counts (a, b; c, d): 2 a / (2 a + b + c) and 2 d / (2 d + b + c)
    (a, b), (c, d) = reference("two_by_two")["tables"]["feinstein_cicchetti_B"]["table"]
    found = class_agreement(crossed([[a, b], [c, d]]))
    assert not isinstance(found, Undefined)
    assert [estimate(one.f1).value for one in found] == pytest.approx(
        [2 * a / (2 * a + b + c), 2 * d / (2 * d + b + c)]
    )


def test_undefined() -> None:
    for one, what in (
        (mcc, "MCC"),
        (macro_f1, "macro-F1"),
        (class_agreement, "agreement on each label"),
        (confusion_table, "a confusion table"),
    ):
        assert one(table("1 2", Level.NOMINAL)) == Undefined(f"1 annotator; {what} is for two")
        assert one(table("1. .2", Level.NOMINAL)) == Undefined("no item has two ratings")
        assert one(table("11 11", Level.NOMINAL, ["1", "2"])) == Undefined("only one label occurs")
    assert macro_f1_replicates(table("1. .2", Level.NOMINAL)) == Undefined("no item has two ratings")
    assert mcc(table("11 12", Level.NOMINAL)) == Undefined("annotator 'annotator 0' gives one label only")


def test_value_without_an_interval() -> None:
    assert estimate(mcc(table("11 11 12 21", Level.NOMINAL))).method == (
        "no interval: without one of the items it is undefined"
    )
    assert estimate(macro_f1(table("12", Level.NOMINAL))).method == "no interval: there is one item only"
    found = class_agreement(table("11 12", Level.NOMINAL))
    assert not isinstance(found, Undefined)
    assert estimate(found[0].precision).method == "no interval: without one of the items it is undefined"


def test_a_class_that_hangs_on_one_item() -> None:
    ratings = table("11 11 22 12 33", Level.NOMINAL)
    by_loop = jackknife_by_definition(ratings, lambda left: float(f1_score(*both(left), average="macro")))
    assert estimate(macro_f1(ratings)).se == pytest.approx(by_loop)
