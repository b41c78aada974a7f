import io
import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from llmclf.errors import InputError, TableError
from llmclf.items import (
    Item,
    ItemColumns,
    Turn,
    check_items,
    items_of,
    items_of_rows,
    items_with_rows,
    read_items,
    stream_items,
)
from llmclf.status import Status
from llmclf.tables import FORMATS

from .test_tables import write_table

pd = pytest.importorskip("pandas")

WORDS = st.text(max_size=12)
TURNS = st.lists(st.builds(Turn, WORDS, WORDS), max_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("items")


def texts(path: Path) -> list[tuple[str, str, Status | None]]:
    return [(item.id, item.text, item.problem) for item in read_items(path)]


@settings(max_examples=40, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=6))
def test_texts_are_the_same_items_from_every_format(folder: Path, words: list[str]) -> None:
    rows = [{"note": "x", "id": f"é,{number}", "text": text} for number, text in enumerate(words)]
    want = [Item(f"é,{number}", text=text) for number, text in enumerate(words)]
    for form in FORMATS:
        assert list(read_items(write_table(folder / f"texts.{form}", rows))) == want
    assert check_items(folder / "texts.csv", ItemColumns()) == len(words)


@settings(max_examples=40, deadline=None)
@given(st.lists(TURNS, min_size=1, max_size=4))
def test_conversations_as_json_are_the_same_items_from_every_format(
    folder: Path, conversations: list[list[Turn]]
) -> None:
    want = [Item(str(number), turns=tuple(turns)) for number, turns in enumerate(conversations)]
    lists = [[{"speaker": turn.speaker, "text": turn.text} for turn in turns] for turns in conversations]
    as_json = [{"id": str(number), "talk": json.dumps(turns)} for number, turns in enumerate(lists)]
    nested = [{"id": number, "talk": turns} for number, turns in enumerate(lists)]
    columns = ItemColumns(turns="talk")
    for form in FORMATS:
        assert list(read_items(write_table(folder / f"json.{form}", as_json), columns)) == want
    assert list(read_items(write_table(folder / "nested.jsonl", nested), columns)) == want
    if any(conversations):  # of empty lists alone, nobody knows the type
        assert list(read_items(write_table(folder / "nested.parquet", nested), columns)) == want


@settings(max_examples=25, deadline=None)
@given(st.lists(TURNS.filter(bool), min_size=1, max_size=4))
def test_conversations_of_a_row_a_turn_are_the_same_items_from_every_format(
    folder: Path, conversations: list[list[Turn]]
) -> None:
    want = [Item(str(number), turns=tuple(turns)) for number, turns in enumerate(conversations)]
    rows = [
        {"talk": str(number), "who": turn.speaker, "says": turn.text}
        for number, turns in enumerate(conversations)
        for turn in turns
    ]
    columns = ItemColumns(conversation="talk", speaker="who", text="says")
    for form in FORMATS:
        path = write_table(folder / f"turns.{form}", rows)
        assert list(read_items(path, columns)) == want
        assert check_items(path, columns) == len(conversations)


@pytest.mark.parametrize("form", FORMATS)
def test_conversations_of_a_column_a_turn(tmp_path: Path, form: str) -> None:
    rows = [{"id": "1", "q": "Why?", "a": "So."}, {"id": "2", "q": "Why?", "a": " "}, {"id": "3", "q": "", "a": ""}]
    columns = ItemColumns(speakers=(("Seeker", "q"), ("Helper", "a")))
    assert list(read_items(write_table(tmp_path / f"t.{form}", rows), columns)) == [
        Item("1", turns=(Turn("Seeker", "Why?"), Turn("Helper", "So."))),
        Item("2", turns=(Turn("Seeker", "Why?"),)),
        Item("3", problem=Status.EMPTY),
    ]


def test_a_cell_without_turns_is_an_empty_conversation(tmp_path: Path) -> None:
    cells: list[Any] = ["", None, [], "[]", [{"speaker": "A", "text": "", "more": 1}]]
    path = write_table(tmp_path / "t.jsonl", [{"id": str(number), "talk": cell} for number, cell in enumerate(cells)])
    items = list(read_items(path, ItemColumns(turns="talk")))
    assert [item.problem for item in items] == [Status.EMPTY] * 5
    assert items[4].turns == (Turn("A", ""),)


def test_rows_from_anywhere_are_items() -> None:
    rows: list[dict[str, Any]] = [{"key": 1, "text": "a"}, {"key": 2, "text": None}]
    assert [item.id for item in items_of_rows("the frame", iter(rows), ItemColumns(id="key"))] == ["1", "2"]
    with pytest.raises(TableError, match="the frame has no rows"):
        next(items_of_rows("the frame", iter([]), ItemColumns()))


def test_frames_that_pandas_and_polars_wrote(tmp_path: Path) -> None:
    cells = {"id": [7, 8, 9], "text": ["fine", None, "é"], "when": pd.date_range("2026-01-01", periods=3, freq="7ns")}
    frame = pd.DataFrame(cells)
    frame.to_csv(tmp_path / "pandas.csv")
    frame.to_parquet(tmp_path / "pandas.parquet")
    frame.assign(when="").to_json(tmp_path / "pandas.jsonl", orient="records", lines=True)
    frame.assign(text=frame.text.astype("category")).to_parquet(tmp_path / "category.parquet")
    polars = pl.DataFrame({"id": cells["id"], "text": cells["text"], "list": [["a"], [], None]})
    polars.write_parquet(tmp_path / "polars.parquet")
    polars.write_ndjson(tmp_path / "polars.jsonl")
    want = [("7", "fine", None), ("8", "", Status.EMPTY), ("9", "é", None)]
    for path in tmp_path.iterdir():
        assert texts(path) == want, path


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (Item("1", text="x"), None),
        (Item("1", text=" \n\t"), Status.EMPTY),
        (Item("1"), Status.EMPTY),
        (Item("1", turns=(Turn("A", ""), Turn("B", " "))), Status.EMPTY),
        (Item("1", turns=(Turn("A", ""), Turn("B", "x"))), None),
        (Item("1", text="caf\udce9"), Status.BAD_ENCODING),
        (Item("1", text="half an emoji: \ud83d"), Status.BAD_ENCODING),
        (Item("1", turns=(Turn("A\udcff", "x"),)), Status.BAD_ENCODING),
        (Item("1", text="x", problem=Status.DUPLICATE_ID), Status.DUPLICATE_ID),
    ],
)
def test_an_item_knows_why_it_cannot_be_asked_about(item: Item, problem: Status | None) -> None:
    assert item.problem is problem


def test_a_bad_byte_spoils_its_own_row_alone(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"id,text\n1,a\n2,caf\xe9\n3,c\n")
    (tmp_path / "t.jsonl").write_bytes(
        b'{"id": 1, "text": "a"}\n{"id": 2, "text": "caf\xe9"}\n{"id": 3, "text": "c"}\n'
    )
    cells = pa.array([b"a", b"caf\xe9", b"c"]).view(pa.string())
    parquet.write_table(pa.table({"id": [1, 2, 3], "text": cells}), tmp_path / "t.parquet")
    for form in FORMATS:
        assert [(key, problem) for key, _, problem in texts(tmp_path / f"t.{form}")] == [
            ("1", None),
            ("2", Status.BAD_ENCODING),
            ("3", None),
        ]


@pytest.mark.parametrize("line", [b'"caf\xe9"', b'"half: \\ud83d"'])
def test_an_id_that_is_no_utf8_is_written_with_escapes(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"id": ' + line + b', "text": "a"}\n')
    (item,) = read_items(path)
    assert item.problem is None
    assert item.id in (r"caf\udce9", r"half: \ud83d")


@pytest.mark.parametrize("form", FORMATS)
def test_twenty_digits_stay_as_they_are(tmp_path: Path, form: str) -> None:
    ids = ["12345678901234567890", "12345678901234567891", "007", "1e3", "1.0"]
    rows = [{"id": key, "text": "x"} for key in ids]
    assert [key for key, *_ in texts(write_table(tmp_path / f"t.{form}", rows))] == ids


def test_whole_numbers_are_ids_too(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"id": 12345678901234567890, "text": "x"}\n{"id": -1, "text": "x"}\n')
    assert [key for key, *_ in texts(path)] == ["12345678901234567890", "-1"]
    ids = pa.array([12345678901234567890, 1], pa.uint64())
    parquet.write_table(pa.table({"id": ids, "text": ["x", "x"]}), tmp_path / "t.parquet")
    assert [key for key, *_ in texts(tmp_path / "t.parquet")] == ["12345678901234567890", "1"]


TEXT, TALK, ROWS = ItemColumns(), ItemColumns(turns="talk"), ItemColumns(conversation="talk")
HINT = r"\. Give JSON: \[\{\"speaker\": \"A\""
FAULTS: dict[str, tuple[Sequence[dict[str, Any]], ItemColumns, str]] = {
    "unknown id column": ([{"key": "1", "text": "x"}], TEXT, r"unknown column 'id': .*known are 'key', 'text'"),
    "unknown text column": ([{"id": "1", "txt": "x"}], TEXT, r"unknown column 'text': did you mean 'txt'\?"),
    "unknown turn column": ([{"id": "1", "a": "x"}], ItemColumns(speakers=(("A", "b"),)), "unknown column 'b'"),
    "unknown speaker column": ([{"talk": "1", "text": "x"}], ROWS, "unknown column 'speaker'"),
    "empty id": ([{"id": "1", "text": "x"}, {"id": " ", "text": "x"}], TEXT, "row 2 has no id in column 'id'. Give ev"),
    "no id": ([{"id": "1", "text": "x"}, {"id": None, "text": "x"}], TEXT, "row 2 has no id in column 'id'"),
    "id left out": ([{"id": "1", "text": "x"}, {"text": "x"}], TEXT, "row 2 has no id in column 'id'"),
    "empty conversation id": ([{"talk": "", "speaker": "A", "text": "x"}], ROWS, "row 1 has no id in column 'talk'"),
    "a number with a point": (
        [{"id": 1.5, "text": "x"}],
        TEXT,
        "row 1, column 'id': 1.5 is no id. Ids are text or who",
    ),
    "true": ([{"id": True, "text": "x"}], TEXT, "row 1, column 'id': True is no id"),
    "text that is a number": ([{"id": "1", "text": 5}], TEXT, "row 1, column 'text': 5 is not text. Put it in quotes"),
    "turn that is a number": ([{"talk": "1", "speaker": "A", "text": 5}], ROWS, "row 1, column 'text': 5 is not text"),
    "turns that are no JSON": ([{"id": "1", "talk": "A: x"}], TALK, "row 1, column 'talk' does not hold turns" + HINT),
    "turns that are no list": ([{"id": "1", "talk": '"x"'}], TALK, "row 1, column 'talk' does not hold turns"),
    "turns without speaker": ([{"id": "1", "talk": '[{"text": "x"}]'}], TALK, "row 1, column 'talk' does not hold"),
    "a turn without words": (
        [{"id": "1", "talk": [{"speaker": "A", "text": None}, {"speaker": "B", "text": "x"}]}],
        TALK,
        "row 1, column 'talk' does not hold turns",
    ),
    "an id twice": (
        [{"id": "1", "text": "x"}, {"id": "2", "text": "y"}, {"id": "1", "text": "z"}],
        TEXT,
        r"items 1 and 3 have the same id\. Give each its own id",
    ),
    "a conversation torn apart": (
        [{"talk": talk, "speaker": "A", "text": "x"} for talk in ("1", "1", "2", "1")],
        ROWS,
        "items 1 and 3 have the same id.*rows of one conversation stand together",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_a_file_is_one_line_before_any_item(tmp_path: Path, name: str) -> None:
    rows, columns, message = FAULTS[name]
    path = write_table(tmp_path / "t.jsonl", rows)
    with pytest.raises(TableError, match=message) as error:
        next(read_items(path, columns))
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_conversation_comes_in_one_shape() -> None:
    with pytest.raises(InputError, match=r"in one shape\. Give one of --turns-column, --turn, --conversation-column"):
        ItemColumns(turns="a", conversation="b")


def test_on_a_pipe_a_repeated_id_is_a_problem_of_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"id,text\n1,a\n2,b\n1,c\n1,d\n3,e\n")))
    got = list(read_items("-", given_format="csv"))
    assert [(item.id, item.problem) for item in got] == [
        ("1", None),
        ("2", None),
        ("1", Status.DUPLICATE_ID),
        ("1", Status.DUPLICATE_ID),
        ("3", None),
    ]


def test_a_pipe_is_not_read_twice(tmp_path: Path) -> None:
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_text("id,text\n1,a\n"))
    writer.start()
    assert check_items(path, ItemColumns()) is None
    assert [item.text for item in stream_items(path, ItemColumns())] == ["a"]
    writer.join()


def test_items_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,text\n1,a\n2\n")  # the second row is a fault, and not read yet
    items: Iterator[Item] = stream_items(path, ItemColumns())
    assert next(items).text == "a"
    with pytest.raises(TableError, match="row 2 has 1 cells"):
        next(items)


def test_texts_from_python_are_numbered() -> None:
    values = ["a", "", None, float("nan"), pd.NA, *pl.Series(["é", None])]
    items = items_of(values)
    assert [item.id for item in items] == [str(number) for number in range(7)]
    assert [item.text for item in items] == ["a", "", "", "", "", "é", ""]
    assert [item.problem for item in items] == [None, *[Status.EMPTY] * 4, None, Status.EMPTY]


@pytest.mark.parametrize("value", [5, 5.0, b"x", ["x"]])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=rf"value 1 is {type(value).__name__}, not text\. Give one column of texts"):
        items_of(["a", value])


def test_items_come_with_the_rows_that_hold_them(tmp_path: Path) -> None:
    path = tmp_path / "talk.csv"
    path.write_text("talk,speaker,text,more\na,A,hi,1\na,B,ho,2\nb,A,hm,3\n")
    found = list(items_with_rows(path, ItemColumns(conversation="talk")))
    assert [item for item, _ in found] == list(read_items(path, ItemColumns(conversation="talk")))
    assert [[row["more"] for row in rows] for _, rows in found] == [["1", "2"], ["3"]]
    alone = list(items_with_rows(path, ItemColumns(id="more")))
    assert [(item.id, [row["more"] for row in rows]) for item, rows in alone] == [(n, [n]) for n in "123"]
