import csv
import io
import json
import os
import resource
import signal
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from llmclf.errors import MissingPackage, TableError
from llmclf.table_writing import write_rows
from llmclf.tables import FORMATS, is_stream, json_text, read_placed_rows, read_rows, require_columns, table_format

NOBODY = 65534


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write a table as others do: by the standard library, or by pyarrow."""
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        parquet.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


@contextmanager
def read_only_folder(*files: Path) -> Iterator[Path]:
    """Give a folder of copies in which nothing can be written; root, who always can, is nobody in the meantime."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in files:
            (folder / file.name).write_bytes(file.read_bytes())
        folder.chmod(0o555)
        try:
            if user == 0:
                os.seteuid(NOBODY)
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o755)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("path", "given_format", "form"),
    [
        ("a.csv", None, "csv"),
        ("a.b.CSV", None, "csv"),
        ("a.jsonl", None, "jsonl"),
        ("a.ndjson", None, "jsonl"),
        ("a.json", None, "jsonl"),
        ("a.parquet", None, "parquet"),
        ("a.pq", None, "parquet"),
        ("a.csv", "jsonl", "jsonl"),
        ("-", "csv", "csv"),
    ],
)
def test_the_format_is_what_was_said_or_the_suffix(path: str, given_format: str | None, form: str) -> None:
    assert table_format(path, given_format) == form


@pytest.mark.parametrize(("path", "given_format"), [("a.xlsx", None), ("a", None), ("-", None), ("a.csv", "tsv")])
def test_an_unknown_format_is_an_error_that_says_what_to_do(path: str, given_format: str | None) -> None:
    with pytest.raises(TableError, match=rf"^{path}: cannot tell the format\. Name the file \*\.csv, .* --format csv"):
        next(read_rows(path, given_format))


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.tuples(st.text(), st.none() | st.text(min_size=1)), min_size=1, max_size=5))
def test_rows_come_back_as_they_were_written(folder: Path, form: str, rows: list[tuple[str, str | None]]) -> None:
    path = folder / f"round.{form}"
    with write_rows(path, ("a", "b")) as write:
        for a, b in rows:
            write({"b": b, "a": a, "not a column": 1})
    want = [{"a": a, "b": b or "" if form == "csv" else b} for a, b in rows]
    assert list(read_rows(path)) == want


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.fixed_dictionaries({"id": st.text(), "text": st.text()}), min_size=1, max_size=5))
def test_tables_that_others_wrote_are_read(folder: Path, form: str, rows: list[dict[str, str]]) -> None:
    assert list(read_rows(write_table(folder / f"others.{form}", rows))) == rows


def test_nested_cells_keep_what_their_format_can_hold(tmp_path: Path) -> None:
    row = {"n": 0.5, "map": {"é": 0.25, "b": 0.75}, "list": ["é", "b"], "none": None}
    text = {"map": '{"é": 0.25, "b": 0.75}', "list": '["é", "b"]'}
    want = {
        "csv": {"n": "0.5", **text, "none": ""},
        "jsonl": row,
        "parquet": {"n": 0.5, "map": row["map"], "list": text["list"], "none": None},
    }
    for form in FORMATS:
        path = tmp_path / f"nested.{form}"
        with write_rows(path, list(row), number_columns=["n"], map_columns=["map"]) as write:
            write(row)
        assert next(read_rows(path)) == want[form]


def test_what_is_no_number_is_no_json() -> None:
    assert json_text({"é": [1, None]}) == '{"é": [1, null]}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text(float("nan"))


def test_more_rows_than_a_batch_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "many.parquet"
    with write_rows(path, ("a",)) as write:
        for number in range(10_000):
            write({"a": str(number)})
    assert [row["a"] for row in read_rows(path)] == [str(number) for number in range(10_000)]
    assert parquet.ParquetFile(path).num_row_groups == 3  # written as it comes, not at the end


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_interrupted_leaves_no_file_and_the_old_one_as_it_was(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"out.{form}"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), write_rows(path, ("a",)) as write:  # noqa: PT012 - it must come midway
        write({"a": "new"})
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert listing(tmp_path) == [path.name]


def test_a_written_table_is_a_file_as_any_other(tmp_path: Path) -> None:
    def next_file() -> tuple[int, int]:
        with (tmp_path / "plain").open("w") as file:
            return file.fileno(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)

    before = next_file()
    (tmp_path / "plain").unlink()
    path = tmp_path / "out.csv"
    with write_rows(str(path), ("a",)):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == before[1]
    assert next_file() == before  # nothing is left open, and the process's mask is as it was


def test_what_cannot_be_written_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"cannot write .*out\.csv: No such file.*folder that exists"):
        write_rows(tmp_path / "nowhere" / "out.csv", ("a",)).__enter__()
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(TableError, match=r"cannot write .*out\.csv: it is a folder\. Give a file's path"):
        write_rows(tmp_path / "out.csv", ("a",)).__enter__()
    with read_only_folder() as folder, pytest.raises(TableError, match=r"Permission denied.*may be written"):
        write_rows(folder / "out.csv", ("a",)).__enter__()


ONE_LINERS = {
    "empty.csv": (b"", r"has no rows\. Give a table with at least one"),
    "header.csv": (b"a,b\n", "has no rows"),
    "repeated.csv": (b"a,b,a\n1,2,3\n", "the column 'a' occurs more than once. Rename one"),
    "long.csv": (b"a,b\n1,2\n\n1,2,3\n", "row 2 has 3 cells and the header 2. Quote cells that hold commas"),
    "short.csv": (b"a,b\n1\n", "row 1 has 1 cells and the header 2"),
    "quote.csv": (b'a,b\n1,"2"x\n', "line 2 is not CSV: .* expected after"),
    "open.csv": (b'a,b\n1,2\n1,"2\n', "is not CSV: unexpected end of data"),
    "empty.jsonl": (b"\n \n", "has no rows"),
    "cut.jsonl": (b'{"a": 1}\n\n{"a": \n', "line 3 is not JSON: Expecting value. Give one JSON object a line"),
    "array.json": (b'[{"a": 1}]', "line 1 is not a JSON object. Give one JSON object a line"),
    "digits.jsonl": (b'{"a": ' + b"1" * 5000 + b"}", "line 1 is not JSON: Exceeds the limit"),
    "deep.jsonl": (b'{"a": ' + b"[" * 100_000 + b"}", "line 1 is not JSON: maximum recursion"),
    "empty.parquet": (b"", "cannot be read as Parquet: .*size is 0 bytes"),
    "text.parquet": (b"id,text\n1,some words and more\n", "cannot be read as Parquet: .*magic bytes"),
}


@pytest.mark.parametrize("name", ONE_LINERS)
def test_a_bad_file_is_one_line(tmp_path: Path, name: str) -> None:
    content, message = ONE_LINERS[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TableError, match=message) as error:
        list(read_rows(path))
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_no_file_and_a_folder_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"no file at .*nowhere\.csv\. Check the path"):
        next(read_rows(tmp_path / "nowhere.csv"))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TableError, match=r"folder\.csv is a folder\. Give a file"):
        next(read_rows(tmp_path / "folder.csv"))


def test_rows_before_a_fault_are_given(tmp_path: Path) -> None:
    path = tmp_path / "late.csv"
    path.write_text("a,b\n1,2\n1,2,3\n")
    rows = read_rows(path)
    assert next(rows) == {"a": "1", "b": "2"}
    with pytest.raises(TableError, match="row 2 has 3 cells"):
        next(rows)


def test_cut_and_damaged_parquet_is_one_line(tmp_path: Path) -> None:
    rows = [{"a": str(number) * 20} for number in range(2000)]
    whole = write_table(tmp_path / "whole.parquet", rows).read_bytes()
    cut, damaged = tmp_path / "cut.parquet", tmp_path / "damaged.parquet"
    cut.write_bytes(whole[: len(whole) // 2])
    damaged.write_bytes(whole[:100] + bytes(1000) + whole[1100:])
    for path in (cut, damaged):
        with pytest.raises(TableError, match=f"{path.name} cannot be read as Parquet: .*Write the file again") as error:
            list(read_rows(path))
        assert "\n" not in str(error.value)


def test_a_column_that_occurs_twice_in_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.parquet"
    parquet.write_table(pa.table([["1"], ["2"]], names=["a", "a"]), path)
    with pytest.raises(TableError, match="the column 'a' occurs more than once"):
        next(read_rows(path))


def test_an_unknown_column_is_an_error_that_lists_the_columns() -> None:
    row = {"item": "1", "text": "x", "note": ""}
    require_columns("t.csv", row, ["item", "note"])
    with pytest.raises(
        TableError, match=r"^t\.csv: unknown column 'txt': did you mean 'text'\? known are 'item', 'text'"
    ):
        require_columns("t.csv", row, ["item", "txt"])


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path, name: str) -> None:
    rows = [{"id": "1", "text": "x"}]
    path = write_table(tmp_path / name, rows)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert list(read_rows(path)) == rows


def test_empty_lines_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\r\n\r\n1,2\r\n\r\n\r\n3,4")
    assert list(read_rows(path)) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_twenty_digits_stay_as_they_are(tmp_path: Path) -> None:
    number = 12345678901234567890
    for form in FORMATS:
        row = next(read_rows(write_table(tmp_path / f"text.{form}", [{"id": str(number)}])))
        assert row["id"] == str(number)
    path = tmp_path / "number.jsonl"
    path.write_text(f'{{"id": {number}}}')
    assert next(read_rows(path))["id"] == number
    parquet.write_table(pa.table({"id": pa.array([number], pa.uint64())}), tmp_path / "number.parquet")
    assert next(read_rows(tmp_path / "number.parquet"))["id"] == number


def test_a_cell_may_be_longer_than_the_csv_module_allows(tmp_path: Path) -> None:
    long = "word " * 100_000
    assert next(read_rows(write_table(tmp_path / "t.csv", [{"text": long}])))["text"] == long


BAD = b"caf\xe9 \xff!"


def test_what_is_not_utf8_spoils_its_own_cell_alone(tmp_path: Path) -> None:
    kept = BAD.decode(errors="surrogateescape")
    (tmp_path / "t.csv").write_bytes(b"id,text\n1,fine\n2," + BAD + b"\n3,\xc3\xa9\n")
    (tmp_path / "t.jsonl").write_bytes(
        b'{"id": "1", "text": "fine"}\n{"id": "2", "text": "' + BAD + b'"}\n{"id": "3", "text": "\xc3\xa9"}\n'
    )
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        cells = pa.array([b"fine", BAD, "é".encode()])
        if pa.types.is_dictionary(kind):
            text = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int32()), cells.view(pa.string()))
        else:
            binary = pa.large_binary() if kind == pa.large_string() else pa.binary()
            text = cells.cast(binary).view(kind)
        parquet.write_table(pa.table({"id": ["1", "2", "3"], "text": text}), tmp_path / f"{kind.id}.parquet")
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 5
    for path in paths:
        assert [row["text"] for row in read_rows(path)] == ["fine", kept, "é"], path


def test_what_is_not_utf8_within_nested_parquet_spoils_its_own_cell_alone(tmp_path: Path) -> None:
    texts = pa.array([b"fine", BAD]).view(pa.string())
    turns = pa.StructArray.from_arrays([pa.array(["A", "B"]), texts], ["speaker", "text"])
    lists = pa.ListArray.from_arrays([0, 1, 2], turns)
    maps = pa.MapArray.from_arrays([0, 1, 2], texts, pa.array([0.5, 1.0]))
    path = tmp_path / "nested.parquet"
    parquet.write_table(pa.table({"turns": lists, "map": maps, "bytes": [b"raw", BAD]}), path)
    kept = BAD.decode(errors="surrogateescape")
    assert list(read_rows(path)) == [
        {"turns": [{"speaker": "A", "text": "fine"}], "map": {"fine": 0.5}, "bytes": "raw"},
        {"turns": [{"speaker": "B", "text": kept}], "map": {kept: 1.0}, "bytes": kept},
    ]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_pipe_is_read_as_it_comes(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"pipe.{form}"
    rows = [{"id": str(number), "text": "x" * 500} for number in range(1000)]
    content = write_table(tmp_path / f"whole.{form}", rows).read_bytes()
    os.mkfifo(path)
    first_was_read = threading.Event()
    seen_in_time = []

    def feed() -> None:
        with path.open("wb") as pipe:
            pipe.write(content[: len(content) // 2])
            pipe.flush()
            seen_in_time.append(first_was_read.wait(10))
            pipe.write(content[len(content) // 2 :])

    writer = threading.Thread(target=feed)
    writer.start()
    assert is_stream(path)
    stream = read_rows(path)
    got = [next(stream)]
    first_was_read.set()
    got += stream
    writer.join()
    assert seen_in_time == [True]
    assert got == rows


def test_files_are_no_streams(tmp_path: Path) -> None:
    (tmp_path / "t.csv").touch()
    assert not is_stream(tmp_path / "t.csv")
    assert not is_stream(tmp_path / "nowhere.csv")
    assert is_stream("-")


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("id,text\n1,é\n".encode())))
    assert list(read_rows("-", "csv")) == [{"id": "1", "text": "é"}]


def test_parquet_from_a_pipe_is_refused() -> None:
    with pytest.raises(TableError, match=r"Parquet cannot be read from a pipe\. Give a file, or pipe CSV or JSONL"):
        next(read_rows("-", "parquet"))


def test_without_pyarrow_the_error_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_table(tmp_path / "t.parquet", [{"a": "1"}])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackage, match=r"need pyarrow\. Run: pip install 'llmclf\[parquet\]'"):
        next(read_rows(path))
    with pytest.raises(MissingPackage, match="need pyarrow"):
        write_rows(tmp_path / "out.parquet", ("a",)).__enter__()
    assert listing(tmp_path) == ["t.parquet"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=5), min_size=1, max_size=8), st.booleans())
def test_reading_from_a_place_gives_the_rest(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str], with_mark: bool
) -> None:
    folder = tmp_path_factory.mktemp("places")
    for form in FORMATS:
        path = folder / f"t.{form}"
        with write_rows(path, ("n", "a")) as write:
            for number, cell in enumerate(cells):
                write({"n": number, "a": cell})
        if with_mark and form != "parquet":
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        placed = list(read_placed_rows(path))
        assert [row for _, row in placed] == list(read_rows(path))
        for number, (place, _) in enumerate(placed):
            assert list(read_placed_rows(path, start=place)) == placed[number:]


def test_a_row_group_is_begun_in_its_middle(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"a": list(range(10))}), path, row_group_size=4)
    for start in range(10):
        assert [row["a"] for _, row in read_placed_rows(path, start=start)] == list(range(start, 10))


def test_a_disk_without_room_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with (  # noqa: PT012 - it may come with any of them
            pytest.raises(TableError, match=r"cannot write .*t\.csv: File too large"),
            write_rows(tmp_path / "t.csv", ("a",)) as write,
        ):
            for _ in range(10_000):
                write({"a": "some words"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []
