import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from llmclf.annotations import (
    COLUMNS,
    Annotation,
    AnnotationColumns,
    Kind,
    LabelValue,
    label_text,
    read_annotations,
    write_annotations,
)
from llmclf.backends.base import Origin
from llmclf.errors import TableError
from llmclf.status import Status
from llmclf.tables import FORMATS, read_rows

from .test_tables import write_table

NAMES = st.text(min_size=1, max_size=8).filter(str.strip)
BRACKETS = ["[", "[]x", "[other]", "[1]", "['a']"]
"""Labels that begin as a set does; the text of a JSON array of texts is a set, whoever wrote it."""
LABELS = st.text(min_size=1, max_size=8).filter(lambda label: label[0] != "[") | st.sampled_from(BRACKETS)
PROBABILITIES = st.floats(0, 1)
ANNOTATIONS = st.builds(
    Annotation,
    item=NAMES,
    question=st.text(max_size=8),
    annotator=NAMES,
    kind=st.sampled_from(Kind),
    label=st.none() | LABELS | st.lists(LABELS, max_size=3).map(tuple),
    probability=st.none() | PROBABILITIES,
    probabilities=st.dictionaries(st.text(max_size=8), PROBABILITIES, max_size=4),
    origin=st.none() | st.sampled_from(get_args(Origin)),
    samples=st.none() | st.integers(1, 10**6),
    status=st.sampled_from(Status),
)
QUOTES = st.lists(st.text(max_size=8) | st.sampled_from(["", "[]", '["a"]', 'a,\r\n"b']), max_size=3).map(tuple)
REASONED = st.builds(
    Annotation,
    item=NAMES,
    question=st.text(max_size=8),
    annotator=NAMES,
    kind=st.sampled_from(Kind),
    label=LABELS,
    rationale=st.text(max_size=20) | st.sampled_from(["NaN", "null", "=1+1", "[]", 'He said: "no",\r\nand left.\x00']),
    evidence=QUOTES,
    misquoted=QUOTES,
)
PEOPLE = AnnotationColumns(kind=Kind.CROWD)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("annotations")


def read(path: Path, columns: AnnotationColumns = AnnotationColumns()) -> list[Annotation]:  # noqa: B008 - a value
    numbered = list(read_annotations(path, columns))
    assert [number for number, _ in numbered] == list(range(1, len(numbered) + 1))
    return [annotation for _, annotation in numbered]


def labels(path: Path) -> list[LabelValue | None]:
    return [annotation.label for annotation in read(path, PEOPLE)]


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=100, deadline=None)
@given(annotations=st.lists(ANNOTATIONS, min_size=1, max_size=3))
def test_annotations_come_back_as_they_were_written(folder: Path, form: str, annotations: list[Annotation]) -> None:
    path = folder / f"round.{form}"
    write_annotations(path, iter(annotations))
    assert tuple(next(read_rows(path))) == COLUMNS
    assert read(path) == annotations


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=100, deadline=None)
@given(annotations=st.lists(REASONED, min_size=1, max_size=3))
def test_reasons_come_back_as_they_were_written(folder: Path, form: str, annotations: list[Annotation]) -> None:
    path = folder / f"reasons.{form}"
    write_annotations(path, iter(annotations), ("evidence", "rationale"))
    assert tuple(next(read_rows(path))) == (*COLUMNS, "rationale", "evidence", "misquoted")
    assert read(path) == annotations


@pytest.mark.parametrize("form", FORMATS)
def test_a_table_has_columns_for_the_reasons_asked_for(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"t.{form}"
    for reasons, columns in [(["rationale"], ("rationale",)), (["evidence"], ("evidence", "misquoted"))]:
        write_annotations(path, [MODEL], reasons)
        assert tuple(next(read_rows(path))) == (*COLUMNS, *columns)
        assert read(path) == [MODEL]


@pytest.mark.parametrize("reason", ["rationale", "evidence"])
def test_a_reason_without_a_column_is_an_error_and_not_left_out(tmp_path: Path, reason: str) -> None:
    annotation = Annotation("7", "q", "m", Kind.MODEL, "x", rationale="So.", evidence=("x",))
    others = [other for other in ("rationale", "evidence") if other != reason]
    with pytest.raises(TableError, match=f"item '7' has {reason}, and the table no column for it. Give write_annot"):
        write_annotations(tmp_path / "t.csv", [annotation], others)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", FORMATS)
def test_what_people_write_as_evidence_is_one_quote(tmp_path: Path, form: str) -> None:
    cells = ["My dog died.", '["a", "b"]', "[1]", "[sic]", "", "[]"]
    rows = [ROW | {"label": "x", "evidence": cell, "rationale": cell} for cell in cells]
    got = read(write_table(tmp_path / f"t.{form}", rows))
    assert [annotation.evidence for annotation in got] == [
        ("My dog died.",),
        ("a", "b"),
        ("[1]",),
        ("[sic]",),
        (),
        (),
    ]
    assert [annotation.rationale for annotation in got] == cells
    assert {annotation.misquoted for annotation in got} == {()}


ROW = {"item": "1", "question": "q", "annotator": "a", "kind": "model", "status": "ok"}
MODEL = Annotation("1", "q", "a", Kind.MODEL, None)


def test_the_cells_are_those_of_the_issue(tmp_path: Path) -> None:
    annotations = [
        Annotation("1", "q", "m", Kind.MODEL, "yes", 0.75, {"yes": 0.75, "né": 0.25}, "samples", 4),
        Annotation("2", "q", "m", Kind.MODEL, ("b", "a"), 0.5, {"a": 0.5, "b": 0.5}, "likelihoods"),
        Annotation("3", "q", "m", Kind.CROWD, ()),
        Annotation("4", "q", "m", Kind.EXPERT, None, status=Status.EMPTY),
    ]
    for form in FORMATS:
        write_annotations(tmp_path / f"t.{form}", annotations)
    assert (tmp_path / "t.csv").read_text().splitlines() == [
        "item,question,annotator,kind,label,probability,probabilities,origin,samples,status,policy,instability,fitted_on",
        '1,q,m,model,yes,0.75,"{""yes"": 0.75, ""né"": 0.25}",samples,4,ok,,,',
        '2,q,m,model,"[""b"", ""a""]",0.5,"{""a"": 0.5, ""b"": 0.5}",likelihoods,,ok,,,',
        "3,q,m,crowd,[],,,,,ok,,,",
        "4,q,m,expert,,,,,,empty,,,",
    ]
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert {tuple(line) for line in lines} == {COLUMNS}
    assert [line["label"] for line in lines] == ["yes", ["b", "a"], [], None]
    assert [line["probabilities"] for line in lines] == [{"yes": 0.75, "né": 0.25}, {"a": 0.5, "b": 0.5}, None, None]
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table.schema.field("probabilities").type == pa.map_(pa.string(), pa.float64())
    assert table.column("label").to_pylist() == ["yes", '["b", "a"]', "[]", None]


def test_the_cells_of_reasons(tmp_path: Path) -> None:
    annotations = [
        Annotation("1", "q", "m", Kind.MODEL, "yes", rationale="It is, né?", evidence=("a b", "c"), misquoted=("c",)),
        Annotation("2", "q", "m", Kind.MODEL, None, status=Status.CUT),
    ]
    for form in FORMATS:
        write_annotations(tmp_path / f"t.{form}", annotations, ("rationale", "evidence"))
    assert (tmp_path / "t.csv").read_text().splitlines()[1:] == [
        '1,q,m,model,yes,,,,,ok,,,,"It is, né?","[""a b"", ""c""]","[""c""]"',
        "2,q,m,model,,,,,,cut,,,,,,",
    ]
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert [line["evidence"] for line in lines] == [["a b", "c"], None]
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table.column("evidence").to_pylist() == ['["a b", "c"]', None]
    assert table.column("rationale").to_pylist() == ["It is, né?", None]


def test_a_label_as_one_text() -> None:
    assert [label_text(label) for label in ("a", ("b", "a"), (), None)] == ["a", '["a", "b"]', "[]", ""]


def test_an_interrupted_stream_leaves_no_file(tmp_path: Path) -> None:
    def annotations() -> Any:
        yield MODEL
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_annotations(tmp_path / "t.csv", annotations())
    assert list(tmp_path.iterdir()) == []


def test_a_table_passed_through_polars_is_still_read(tmp_path: Path) -> None:
    annotations = [
        Annotation("1", "q", "m", Kind.MODEL, "4", 0.75, {"4": 0.75, "5": 0.25}),
        Annotation("2", "q", "m", Kind.MODEL, None, status=Status.EMPTY),
    ]
    write_annotations(tmp_path / "t.csv", annotations)
    pl.read_csv(tmp_path / "t.csv").write_csv(tmp_path / "again.csv")
    assert read(tmp_path / "again.csv") == annotations
    write_annotations(tmp_path / "t.jsonl", annotations)
    pl.read_ndjson(tmp_path / "t.jsonl").write_ndjson(tmp_path / "again.jsonl")
    assert read(tmp_path / "again.jsonl") == annotations


@pytest.mark.parametrize("form", FORMATS)
def test_peoples_tables_as_they_come(tmp_path: Path, form: str) -> None:
    rows = [{"task": "1", "worker": "w1", "answer": "yes"}, {"task": "1", "worker": "w2", "answer": ""}]
    columns = AnnotationColumns(item="task", annotator="worker", label="answer", kind=Kind.CROWD, question="q")
    assert read(write_table(tmp_path / f"t.{form}", rows), columns) == [
        Annotation("1", "q", "w1", Kind.CROWD, "yes"),
        Annotation("1", "q", "w2", Kind.CROWD, None),
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_a_row_may_be_a_raters_form(tmp_path: Path, form: str) -> None:
    rows = [
        {"item": "1", "annotator": "w", "Q1": "yes", "Q2": ""},
        {"item": "2", "annotator": "w", "Q1": "no", "Q2": "[]"},
    ]
    columns = AnnotationColumns(questions=(("Q1", "first"), ("Q2", "second")), kind=Kind.EXPERT)
    path = write_table(tmp_path / f"anna.{form}", rows)
    assert list(read_annotations(path, columns)) == [
        (1, Annotation("1", "first", "w", Kind.EXPERT, "yes")),
        (1, Annotation("1", "second", "w", Kind.EXPERT, None)),
        (2, Annotation("2", "first", "w", Kind.EXPERT, "no")),
        (2, Annotation("2", "second", "w", Kind.EXPERT, ())),
    ]
    for row in rows:
        del row["annotator"]
    named = read_annotations(write_table(path, rows), columns)
    assert {annotation.annotator for _, annotation in named} == {"anna"}


def test_the_kind_that_a_row_says_goes_before_what_was_said(tmp_path: Path) -> None:
    rows = [ROW | {"kind": kind, "label": "x"} for kind in ("expert", "")]
    path = write_table(tmp_path / "t.csv", rows)
    assert [annotation.kind for annotation in read(path, PEOPLE)] == [Kind.EXPERT, Kind.CROWD]


def test_labels_are_as_they_are_written(tmp_path: Path) -> None:
    cells = ["4", "4.0", "007", "12345678901234567890", "NA", "[other]", "['a', 'b']", '["a", "b"]', "[]", '["a', " "]
    rows = [{"item": "1", "annotator": "a", "label": cell} for cell in cells]
    for form in FORMATS:
        assert labels(write_table(tmp_path / f"t.{form}", rows)) == [
            *cells[:7],
            ("a", "b"),
            (),
            *cells[9:],
        ]


def test_cells_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    cells = ["4", "4.5", '["a"]', "[]", "null", "NaN", '""', "12345678901234567890"]
    path.write_text("".join(f'{{"item": 1, "annotator": 7, "label": {cell}, "probability": NaN}}\n' for cell in cells))
    got = read(path, PEOPLE)
    assert [annotation.label for annotation in got] == ["4", "4.5", ("a",), (), None, None, None, cells[-1]]
    assert {(annotation.item, annotation.annotator, annotation.probability) for annotation in got} == {("1", "7", None)}


def test_rows_without_what_the_first_row_has(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.jsonl", [ROW | {"label": "x"}, {"item": "2", "annotator": "b", "kind": "model"}])
    assert read(path)[1] == Annotation("2", "", "b", Kind.MODEL, None)


def test_names_that_are_no_utf8_are_written_with_escapes(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"item,annotator,label\n\xff,\xe9,\xe8\n")
    (annotation,) = read(path, PEOPLE)
    assert (annotation.item, annotation.annotator, annotation.label) == (r"\udcff", r"\udce9", r"\udce8")


FAULTS: dict[str, tuple[Sequence[dict[str, Any]], AnnotationColumns, str]] = {
    "no label column": (
        [{"item": "1", "annotator": "a"}],
        PEOPLE,
        "unknown column 'label': .*known are 'item', 'annota",
    ),
    "no form column": (
        [{"item": "1", "warmth": "x"}],
        AnnotationColumns(questions=(("warm", "q"),), kind=Kind.CROWD),
        r"unknown column 'warm': did you mean 'warmth'\?",
    ),
    "no kind": (
        [{"item": "1", "annotator": "a", "label": "x"}],
        AnnotationColumns(),
        r"row 1 does not say .*--kind exp",
    ),
    "kind left out": (
        [ROW | {"label": "x"}, {"item": "2", "annotator": "a", "label": "x"}],
        AnnotationColumns(),
        "row 2",
    ),
    "unknown kind": (
        [ROW | {"label": "x", "kind": "Crowd"}],
        PEOPLE,
        "row 1: unknown kind 'Crowd': did you mean 'crowd'",
    ),
    "unknown status": (
        [ROW | {"label": "x", "status": "okay"}],
        PEOPLE,
        "row 1: unknown status 'okay': did you mean 'ok'",
    ),
    "no item": (
        [ROW | {"label": "x"}, ROW | {"label": "x", "item": " "}],
        PEOPLE,
        "row 2 has no item: ' '. Names and ids",
    ),
    "item left out": ([ROW | {"label": "x"}, {"annotator": "a", "label": "x"}], PEOPLE, "row 2 has no item: None"),
    "an item with a point": ([ROW | {"label": "x", "item": 1.5}], PEOPLE, "row 1 has no item: 1.5"),
    "no annotator": ([ROW | {"label": "x", "annotator": ""}], PEOPLE, "row 1 has no annotator: ''"),
    "annotator left out": ([ROW | {"label": "x"}, {"item": "1", "label": "x"}], PEOPLE, "row 2 has no annotator: None"),
    "a true label": ([ROW | {"label": True}], PEOPLE, "row 1: True is no label"),
    "a label of pairs": ([ROW | {"label": {"a": 1}}], PEOPLE, r"row 1: \{'a': 1\} is no label"),
    "a set of numbers": ([ROW | {"label": [1, 2]}], PEOPLE, r"row 1: \[1, 2\] is no label"),
    "a probability in words": (
        [ROW | {"label": "x", "probability": "high"}],
        PEOPLE,
        "row 1: 'high' is no probability",
    ),
    "probabilities in words": (
        [ROW | {"label": "x", "probabilities": "high"}],
        PEOPLE,
        "row 1: 'high' are no probabilit",
    ),
    "an origin that there is not": (
        [ROW | {"label": "x", "origin": "guess"}],
        PEOPLE,
        "row 1: unknown origin 'guess': known are 'likelihoods', 'logprobs', 'samples', 'decisions'",
    ),
    "half a sample": (
        [ROW | {"label": "x", "samples": 2.5}],
        PEOPLE,
        "row 1: 2.5 are no samples",
    ),
    "a rationale that is a number": (
        [ROW | {"label": "x", "rationale": 5}],
        PEOPLE,
        "row 1: 5 is no rationale. Put it",
    ),
    "quotes that are numbers": (
        [ROW | {"label": "x", "evidence": [1]}],
        PEOPLE,
        r"row 1: \[1\] are no quotes. Write them",
    ),
    "misquotes that are none": ([ROW | {"label": "x", "misquoted": 2}], PEOPLE, "row 1: 2 are no quotes"),
    "a list of probabilities": (
        [ROW | {"label": "x", "probabilities": [1]}],
        PEOPLE,
        r"row 1: \[1\] are no probabilities",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line_with_its_row(tmp_path: Path, name: str) -> None:
    rows, columns, message = FAULTS[name]
    path = write_table(tmp_path / "t.jsonl", rows)
    with pytest.raises(TableError, match=message) as error:
        list(read_annotations(path, columns))
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
