import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from llmclf.agreement import Ratings
from llmclf.errors import InputError, LlmclfError
from llmclf.levels import Level
from llmclf.rating_tables import RatingColumns, read_answers
from llmclf.table_columns import BULK_BYTES

N_ITEMS = 8000
LONG_LABEL = "yes, as far as anybody can tell"
NOMINAL, ORDINAL, SET = Level.NOMINAL, Level.ORDINAL, Level.SET
LONG, WIDE = RatingColumns(), RatingColumns(wide=True)


def cells(ratings: Ratings) -> dict[tuple[str, str], str]:
    """Say who gave what which label."""
    assert ratings.raters is None
    return {
        (item, who): ratings.scale[code]
        for item, row in zip(ratings.items, ratings.codes, strict=True)
        for who, code in zip(ratings.annotators, row, strict=True)
        if code >= 0
    }


def read(path: Path, content: str, level: Level = NOMINAL, columns: RatingColumns = LONG) -> Ratings:
    path.write_text(content)
    (answers,) = read_answers(path, columns).values()
    return answers.ratings(level)


def test_long_wide_and_forms_hold_the_same(tmp_path: Path) -> None:
    long = read(tmp_path / "a.csv", "item,annotator,label\nx,anna,1\nx,ben,2\ny,ben,1\n")
    wide = read(tmp_path / "b.csv", "item,anna,ben\nx,1,2\ny,,1\n", columns=WIDE)
    named = RatingColumns(item="id", raters=("ben", "anna"))
    some = read(tmp_path / "c.csv", "text,id,ben,anna,date\nhm,x,2,1,may\nhm,y,1,,may\n", columns=named)
    forms = RatingColumns(item="id", annotator="who", questions=(("stars", "stars"),))
    form = read(tmp_path / "d.csv", "who,id,stars\nanna,x,1\nben,x,2\nben,y,1\n", columns=forms)
    assert cells(long) == {("x", "anna"): "1", ("x", "ben"): "2", ("y", "ben"): "1"}
    assert cells(long) == cells(wide) == cells(some) == cells(form)


def test_questions_are_kept_apart(tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text("item,question,annotator,label\nx,p,a,1\nx,q,a,2\ny,q,b,bad\n")
    long = read_answers(tmp_path / "long.csv")
    assert list(long) == ["p", "q"]
    assert cells(long["q"].ratings(NOMINAL)) == {("x", "a"): "2", ("y", "b"): "bad"}
    assert long["p"].ratings(NOMINAL).items == ("x",)
    with pytest.raises(InputError, match=r"long.csv: row 3, column 'label': item 'y', annotator 'b': the label 'bad'"):
        long["q"].ratings(ORDINAL)
    (tmp_path / "anna.csv").write_text("item,warm,clear\nx,1,2\n")
    forms = read_answers(tmp_path / "anna.csv", RatingColumns(questions=(("warm", "warmth"), ("clear", "clear"))))
    assert cells(forms["warmth"].ratings(NOMINAL)) == {("x", "anna"): "1"}, "the file's name is the annotator's"
    assert list(forms) == ["warmth", "clear"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("r.csv", "item,annotator,label\nx,a,1\n,b,1\n", "r.csv: row 2, column 'item': it is blank"),
        ("r.csv", "item,annotator,label\nx,a,1\nx,  ,1\n", "r.csv: row 2, column 'annotator': it is blank"),
        ("r.csv", "item,annotator,label\nx,a,1\nx,b\n", "r.csv: row 2 has 2 cells and the header 3"),
        (
            "r.csv",
            "item,annotator,label\nx,a,1\nx,a,2\n",
            "row 2, column 'label': item 'x', annotator 'a': rated twice",
        ),
        ("r.csv", "item,rater,label\nx,a,1\n", "unknown column 'annotator'"),
        ("r.csv", 'item,annotator,label\nx,a,"[""p""]"\n', "r.csv: row 1, column 'label': the label is a set"),
        ("r.jsonl", '{"item": 2.5, "annotator": "a", "label": 1}', "row 1, column 'item': 2.5 is no name"),
        ("r.jsonl", '{"item": 1, "annotator": "a", "label": true}', "row 1, column 'label': True is no label"),
        ("r.jsonl", '{"item": 1, "annotator": "a", "label": 1e999}', "row 1, column 'label': inf is no label"),
        (
            "r.jsonl",
            '{"item": 1, "annotator": "a", "label": 1}\n{"item": 2, "annotator": "a", "label": "1"}',
            "row 2, column 'label': '1' is text, and row 1 has a number",
        ),
        (
            "r.jsonl",
            '{"item": "1", "annotator": "a", "label": 1}\n{"item": 1, "annotator": "b", "label": 1}',
            "row 2, column 'item': 1 is a number, and row 1 has text",
        ),
    ],
)
def test_bad_cells_are_named_by_row_and_column(tmp_path: Path, name: str, content: str, says: str) -> None:
    with pytest.raises(LlmclfError) as caught:
        read(tmp_path / name, content)
    assert says in caught.value.message
    assert caught.value.hint or "unknown" in says
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("item,a,b\nx,1,2\ny,1\n", "row 2 has 2 cells and the header 3"),
        ("item,a,b\nx,1,2\nx,2,1\n", "row 2, column 'a': item 'x', annotator 'a': rated twice by the same annotator"),
        ("item,a,b\nx,1,2\ny,1,high\n", "row 2, column 'b': item 'y', annotator 'b': the label 'high' is no number"),
        ("item\nx\n", "has no column but 'item'"),
        ("item,a,a\nx,1,2\n", "the column 'a' occurs more than once"),
    ],
)
def test_bad_wide_tables(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path / "r.csv", content, ORDINAL, WIDE)
    assert says in caught.value.message


def test_a_table_is_wide_or_has_forms() -> None:
    with pytest.raises(InputError, match="wide or has forms, not both"):
        RatingColumns(wide=True, questions=(("a", "a"),))


def test_ids_of_twenty_digits_stay_as_they_are(tmp_path: Path) -> None:
    ids = ["20241031144237228364", "20241031144237228365", "00020241031144237228"]
    table = read(tmp_path / "r.csv", "item,annotator,label\n" + "".join(f"{one},a,1\n" for one in ids))
    assert table.items == tuple(ids)
    rows = [json.dumps({"item": int(one), "annotator": "a", "label": 1}) for one in ids]
    assert read(tmp_path / "r.jsonl", "\n".join(rows)).items == (*ids[:2], "20241031144237228")


def test_numbers_of_a_typed_table_are_written_as_people_write_them(tmp_path: Path) -> None:
    columns = {"item": [1, 2, 3], "annotator": ["a"] * 3, "label": [1.0, None, 2.5]}
    parquet.write_table(pa.table(columns), tmp_path / "r.parquet")
    (answers,) = read_answers(tmp_path / "r.parquet").values()
    assert cells(answers.ratings(NOMINAL)) == {("1", "a"): "1", ("3", "a"): "2.5"}


def test_sets(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text('item,annotator,label\nx,a,"[""q"", ""p""]"\nx,b,p; q\ny,a,[]\ny,b,p\nz,a,\n')
    (answers,) = read_answers(tmp_path / "r.csv").values()
    found = cells(answers.ratings(SET, ["p", "q"], ";"))
    assert found == {("x", "a"): '["p", "q"]', ("x", "b"): '["p", "q"]', ("y", "a"): "[]", ("y", "b"): '["p"]'}
    with pytest.raises(InputError, match=r"row 2, column 'label': the label 'p; q' is no set\. Write it as \["):
        answers.ratings(SET)
    with pytest.raises(InputError, match=r"row 1, column 'label': unknown member 'q': known are 'p'"):
        answers.ratings(SET, ["p"], ";")
    with pytest.raises(InputError, match=r"""row 1, column 'label': the set \["p", "p"\] has 'p' more than once"""):
        read(tmp_path / "r.csv", 'item,annotator,label\nx,a,"[""p"", ""p""]"\n', SET)


def write_large(path: Path, spell: Callable[[int, int], tuple[str, str, str]], **options: int) -> None:
    """Write a CSV file large enough to be read in bulk, in another order than by item."""
    with path.open("w", newline="") as file:
        out = csv.writer(file, **options)  # type: ignore[arg-type]  # QUOTE_ALL is an int to mypy
        out.writerow(["item", "annotator", "label"])
        for annotator in range(3):
            out.writerows(spell(item, annotator) for item in range(N_ITEMS))
    assert path.stat().st_size > BULK_BYTES


def usual(item: int, annotator: int) -> tuple[str, str, str]:
    return f'2024103114423722{item:04} "quoted",\nü', f"rater {annotator}", str(item % 5 if item % 7 else "")


@pytest.fixture
def row_by_row(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Ratings]:
    """Read a table without pyarrow."""

    def read(path: Path) -> Ratings:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "pyarrow", None)
            return read_answers(path)[""].ratings(NOMINAL)

    return read


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_large_files_are_read_in_bulk_to_the_same(
    tmp_path: Path, row_by_row: Callable[[Path], Ratings], quoting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_large(tmp_path / "r.csv", usual, quoting=quoting)
    slow = row_by_row(tmp_path / "r.csv")
    monkeypatch.setattr("llmclf.table_columns._CHECKED_BYTES", 1001)
    monkeypatch.delattr("llmclf.table_columns._Growing.append")  # so that none is read row by row
    bulk = read_answers(tmp_path / "r.csv")[""].ratings(NOMINAL)
    assert bulk.codes.shape == (N_ITEMS, 3)
    assert bulk.codes.tolist() == slow.codes.tolist()
    assert (bulk.items, bulk.annotators, bulk.scale) == (slow.items, slow.annotators, slow.scale)
    assert bulk.items[1] == '20241031144237220001 "quoted",\nü'
    assert bulk.codes[:8, 1].tolist() == [-1, 1, 2, 3, 4, 0, 1, -1]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("7999,rater 2", "row 24001 has 2 cells and the header 3"),
        (",rater 2,1", "row 24001, column 'item': it is blank"),
        ("7,rater 2,1", "row 24001, column 'label': item '7', annotator 'rater 2': rated twice by the same annotator"),
        ("x,rater 2,", None),
        ('"x"y,rater 2,1', "line 24002 is not CSV: ',' expected after '\"'"),
        ('"x,rater 2,1', "line 24002 is not CSV: unexpected end of data"),
        ('x,"rater ""2""",1', None),
        ('x,rater "2",1', None),
    ],
)
def test_what_is_wrong_with_a_large_file_is_said_as_of_a_small_one(
    tmp_path: Path, row_by_row: Callable[[Path], Ratings], row: str, says: str | None
) -> None:
    write_large(tmp_path / "r.csv", lambda item, annotator: (str(item), f"rater {annotator}", LONG_LABEL))
    with (tmp_path / "r.csv").open("a") as file:
        file.write(row + "\n")
    if says is None:
        bulk, slow = read_answers(tmp_path / "r.csv")[""].ratings(NOMINAL), row_by_row(tmp_path / "r.csv")
        assert (bulk.items, bulk.annotators, bulk.codes.tolist()) == (slow.items, slow.annotators, slow.codes.tolist())
        return
    with pytest.raises(LlmclfError) as caught:
        read_answers(tmp_path / "r.csv")[""].ratings(NOMINAL)
    assert says in caught.value.message
    with pytest.raises(LlmclfError) as again:
        row_by_row(tmp_path / "r.csv")
    assert str(again.value) == str(caught.value)
