import numpy as np
import pytest

from llmclf.agreement import Rating, Ratings
from llmclf.agreement.ratings import most_annotators, pairable
from llmclf.errors import InputError, ScaleError, TableError
from llmclf.levels import Level

NOMINAL, ORDINAL, INTERVAL, RATIO, SET = Level


def rows(*labels: str) -> list[Rating]:
    """One annotator, one item each."""
    return [Rating(f"item {i}", "anna", label, f"row {i + 2}") for i, label in enumerate(labels)]


def test_codes() -> None:
    ratings = Ratings.from_rows(
        [
            Rating("x", "anna", "no"),
            Rating("y", "anna", "yes"),
            Rating("y", "ben", "no"),
            Rating("x", "ben", ""),
            Rating("z", "carl", "  "),
        ],
        NOMINAL,
        ["yes", "no"],
    )
    assert ratings.items == ("x", "y", "z")
    assert ratings.annotators == ("anna", "ben", "carl")
    assert ratings.codes.tolist() == [[1, -1, -1], [0, 1, -1], [-1, -1, -1]]
    assert pairable(ratings.codes).tolist() == [[0, 1, -1]]
    assert ratings.scale_declared


@pytest.mark.parametrize(("n", "kind"), [(2, np.int8), (128, np.int8), (129, np.int16), (40_000, np.int32)])
def test_smallest_type_that_holds_the_scale(n: int, kind: type) -> None:
    scale = [f"label {i}" for i in range(n)]
    ratings = Ratings.from_rows(rows(scale[-1]), NOMINAL, scale)
    assert ratings.codes.dtype == kind
    assert ratings.codes.tolist() == [[n - 1]]


@pytest.mark.parametrize(
    ("level", "labels", "scale", "values"),
    [
        (NOMINAL, ["b", "a", "B"], ("B", "a", "b"), [0, 1, 2]),
        (NOMINAL, ["10", "9", "9.0"], ("9", "9.0", "10"), [0, 1, 2]),
        (NOMINAL, ["10", "9", "x"], ("10", "9", "x"), [0, 1, 2]),
        (NOMINAL, ["2", "nan"], ("2", "nan"), [0, 1]),
        (SET, ["{}", "a|b", "a"], ("a", "a|b", "{}"), [0, 1, 2]),
        (ORDINAL, ["10", "9.0", "9", "-1"], ("-1", "9", "10"), [-1, 9, 10]),
        (INTERVAL, ["2.50", "2.5", "1e1"], ("2.5", "10"), [2.5, 10]),
        (RATIO, ["10", "0", "10.0"], ("0", "10"), [0, 10]),
    ],
)
def test_scale_of_the_labels_that_occur(
    level: Level, labels: list[str], scale: tuple[str, ...], values: list[float]
) -> None:
    ratings = Ratings.from_rows(rows(*labels), level)
    assert ratings.scale == scale
    assert ratings.values.tolist() == values
    assert not ratings.scale_declared


@pytest.mark.parametrize(
    ("level", "declared", "scale", "values"),
    [
        (ORDINAL, ["low", "mid", "high"], ("low", "mid", "high"), [0, 1, 2]),
        (ORDINAL, ["1", "2", "high"], ("1", "2", "high"), [0, 1, 2]),
        (ORDINAL, ["1.0", "2", "5"], ("1", "2", "5"), [1, 2, 5]),
        (ORDINAL, ["3", "2", "1"], ("3", "2", "1"), [3, 2, 1]),
        (INTERVAL, ["5", "1.50"], ("5", "1.5"), [5, 1.5]),
        (NOMINAL, ["1.0", "1"], ("1.0", "1"), [0, 1]),
    ],
)
def test_declared_scale(level: Level, declared: list[str], scale: tuple[str, ...], values: list[float]) -> None:
    ratings = Ratings.from_rows(rows(declared[1]), level, declared)
    assert (ratings.scale, ratings.values.tolist()) == (scale, values)
    assert ratings.codes.tolist() == [[1]]


def test_equal_numbers_are_one_label_where_labels_are_measured() -> None:
    for level in (ORDINAL, INTERVAL, RATIO):
        assert Ratings.from_rows(rows("4", "4.0", " 4"), level, ["3", "4"]).codes.tolist() == [[1], [1], [1]]
    with pytest.raises(ScaleError):
        Ratings.from_rows(rows("4.0"), NOMINAL, ["3", "4"])


@pytest.mark.parametrize(
    ("level", "labels", "scale", "says"),
    [
        (
            NOMINAL,
            ["yes", "Yes"],
            ["yes", "no"],
            "row 3: item 'item 1', annotator 'anna': unknown label 'Yes': did you mean 'yes'? ",
        ),
        (
            ORDINAL,
            ["1", "6"],
            ["1", "2"],
            "row 3: item 'item 1', annotator 'anna': unknown label '6': known are '1', '2'",
        ),
        (
            ORDINAL,
            ["1", "low"],
            None,
            "row 3: item 'item 1', annotator 'anna': the label 'low' is no number, so its rank is unknown",
        ),
        (INTERVAL, ["1", "nan"], None, "row 3: item 'item 1', annotator 'anna': the label 'nan' is no number"),
        (INTERVAL, ["1"], ["1", "low"], "the interval scale has the label 'low', which is no number"),
        (ORDINAL, ["1"], ["1", "3", "2"], "the ordinal scale 1, 3, 2 is neither ascending nor descending"),
        (NOMINAL, ["a"], ["a", "b", "a"], "the scale has the label 'a' more than once"),
        (ORDINAL, ["4"], ["4", "4.0"], "the scale has the label '4' more than once"),
        (NOMINAL, ["a"], ["a"], "the scale has 1 label(s)"),
        (NOMINAL, ["a"], [], "the scale has 0 label(s)"),
        (NOMINAL, ["a"], ["a", " "], "the scale has a blank label"),
        (RATIO, ["0", "low"], None, "row 3: item 'item 1', annotator 'anna': the label 'low' is no number"),
        (RATIO, ["0", "-1"], None, "row 3: item 'item 1', annotator 'anna': the label '-1' is negative"),
        (RATIO, ["1"], ["-1", "1"], "the ratio scale has the negative label -1"),
        (
            ORDINAL,
            ["1", "2.33"],
            ["1", "2", "3"],
            "row 3: item 'item 1', annotator 'anna': the label '2.33' lies between the labels of the scale, 1, 2, 3",
        ),
    ],
)
def test_refused_scales(level: Level, labels: list[str], scale: list[str] | None, says: str) -> None:
    with pytest.raises(ScaleError) as caught:
        Ratings.from_rows(rows(*labels), level, scale)
    assert caught.value.message.startswith(says)
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_hint_asks_for_the_order() -> None:
    with pytest.raises(ScaleError, match="Give --scale with the labels in order, lowest first"):
        Ratings.from_rows(rows("low", "high"), ORDINAL)


def test_one_annotator_twice_on_an_item() -> None:
    twice = [Rating("x", "anna", "1", "row 2"), Rating("x", "ben", "1", "row 3"), Rating("x", "anna", "", "row 4")]
    with pytest.raises(TableError) as caught:
        Ratings.from_rows(twice, NOMINAL)
    assert (
        caught.value.message == "row 4: item 'x', annotator 'anna': rated twice by the same annotator (first at row 2)"
    )
    with pytest.raises(TableError, match=r"^item 'x', annotator 'anna': rated twice by the same annotator\. Keep one"):
        Ratings.from_rows([Rating("x", "anna", "1"), Rating("x", "anna", "1")], NOMINAL)


@pytest.mark.parametrize("labels", [[], ["", "  "]])
def test_no_ratings(labels: list[str]) -> None:
    with pytest.raises(TableError, match="there are no ratings"):
        Ratings.from_rows(rows(*labels), NOMINAL, ["a", "b"])


def test_one_label_is_no_error() -> None:
    assert Ratings.from_rows(rows("a", "a"), NOMINAL).scale == ("a",)
    assert Ratings.from_rows(rows("3"), ORDINAL).values.tolist() == [3]


def test_select_and_drop() -> None:
    ratings = Ratings.from_rows([Rating("x", name, label) for name, label in zip("abc", "123", strict=True)], ORDINAL)
    assert ratings.values.tolist() == [1, 2, 3]
    pair = ratings.select(["c", "a"])
    assert (pair.annotators, pair.codes.tolist(), pair.scale) == (("c", "a"), [[2, 0]], ("1", "2", "3"))
    assert pair.values.tolist() == [1, 2, 3]
    rest = ratings.drop(["a"])
    assert (rest.annotators, rest.codes.tolist()) == (("b", "c"), [[1, 2]])
    for refused in (ratings.select, ratings.drop):
        with pytest.raises(InputError, match="unknown annotator 'd': known are 'a', 'b', 'c'"):
            refused(["a", "d"])
    with pytest.raises(InputError, match=r"the annotator 'a' is named twice\. Name each once"):
        ratings.select(["a", "b", "a"])


def crowd() -> Ratings:
    """Two rate all of three items, and each of 1,000 others one."""
    gold = [Rating(item, who, label) for who, label in (("x", "0"), ("y", "1")) for item in "abc"]
    others = [Rating("abc"[i % 3], f"worker {i}", str(i % 2) if i != 1 else "") for i in range(1000)]
    return Ratings.from_rows([*gold, *others], NOMINAL, ["0", "1"])


def test_a_crowd_has_no_column_each() -> None:
    ratings = crowd()
    assert ratings.raters is not None
    assert ratings.raters.shape == ratings.codes.shape == (3, 2 + 334)
    assert (ratings.raters >= 0).tolist() == (ratings.codes >= 0).tolist()
    assert (ratings.codes >= 0).sum(axis=1).tolist() == [336, 334, 335], "worker 1 left the answer out"
    assert {ratings.annotators[j] for j in ratings.raters[1][ratings.codes[1] == 0]} == {
        "x",
        *(f"worker {i}" for i in range(4, 1000, 6)),
    }


def test_those_chosen_of_a_crowd_have_columns_again() -> None:
    pair = crowd().select(["y", "worker 4"])
    assert (pair.raters, pair.annotators, pair.codes.tolist()) == (None, ("y", "worker 4"), [[1, -1], [1, 0], [1, -1]])
    rest = crowd().drop(["x", "y", "worker 1"])
    assert (rest.raters, rest.codes.shape, int((rest.codes >= 0).sum())) == (None, (3, 999), 999)
    still_many = crowd().drop(["x"])
    assert still_many.raters is not None
    assert (len(still_many.annotators), int((still_many.codes >= 0).sum())) == (1001, 1002)
    with pytest.raises(InputError, match=r"^unknown annotator 'z'$"):
        crowd().select(["z"])


def test_many_items_leave_room_for_fewer_columns() -> None:
    assert [most_annotators(n) for n in (1, 100_000, 1_000_000, 10**9)] == [1000, 1000, 100, 20]


def test_more_than_can_be_held_is_said() -> None:
    all_by_one = [Rating(f"item {i}", "x", "1") for i in range(30_000)]
    one_by_all = [Rating("item 0", f"worker {i}", "1") for i in range(20_000)]
    with pytest.raises(TableError, match="one item has 20001 ratings and there are 30000 items, more than can be held"):
        Ratings.from_rows(all_by_one + one_by_all, NOMINAL)
