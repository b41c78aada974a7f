import gzip
import random
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from evals.datasets import ROOT_VARIABLE
from evals.distil import FILES, Compared, compare, main, report, write_headlines
from llmclf.agreement.estimate import Estimate
from llmclf.tables import read_rows

from ..lessons import texts

HEADLINES = [(text, "clickbait" if label == "sport" else "news") for text, label in texts(300)]


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to write to, with the dataset where it is looked for."""
    (tmp_path / "clickbait").mkdir()
    for label, name in FILES.items():
        with gzip.open(tmp_path / "clickbait" / name, "wt") as file:
            file.write("".join(f"{text}\n\n" for text, its_label in HEADLINES if its_label == label))
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    return tmp_path / "out"


def test_a_student_of_recorded_labels_is_held_against_people(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out.mkdir()
    people = write_headlines(out / "headlines.csv")
    drawn = random.Random(0)
    other = {"news": "clickbait", "clickbait": "news"}
    said = {item: other[label] if drawn.random() < 0.2 else label for item, label in list(people.items())[:200]}
    rows = "".join(f"{item},clickbait,m,model,{label}\n" for item, label in said.items())
    (out / "teacher.csv").write_text("item,question,annotator,kind,label\n" + rows)
    assert main(["--teacher", str(out / "teacher.csv"), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "student(m) learned from 200 texts" in printed
    assert "target within 0.03: 200 taught within, 100 others within" in printed
    assert "target 10,000 rows/s: " in printed


def test_headlines_come_in_an_order_drawn_once_with_the_labels_of_people(out: Path) -> None:
    out.mkdir()
    people = write_headlines(out / "headlines.csv")
    rows = list(read_rows(out / "headlines.csv"))
    assert {(row["text"], people[row["id"]]) for row in rows} == set(HEADLINES)
    assert {people[row["id"]] for row in rows[:20]} == set(FILES)
    assert write_headlines(out / "again.csv") == people


def test_without_the_dataset_it_is_said_where_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    assert main(["--out", str(tmp_path)]) == 2
    assert "bhargaviparanjape/clickbait" in capsys.readouterr().err


def test_teacher_and_student_are_compared_text_by_text() -> None:
    people = dict.fromkeys("abcdefgh", "news")
    teacher = dict(zip("abcd", ["news", "news", "news", "clickbait"], strict=True))
    student = people | {"a": "clickbait", "b": "clickbait", "h": "clickbait"}
    held_out, others = compare(people, teacher, student)
    assert (held_out.teacher.value, held_out.student.value, held_out.difference.value) == (0.75, 0.5, -0.25)
    assert others.student.value == 0.75
    assert others.difference.value == 0
    assert (held_out.what, others.what) == ("4 taught", "4 others")
    console = Console(width=80, record=True, file=StringIO())
    console.print(report([held_out, others]))
    assert "-0.250 [" in console.export_text()


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.02, 0.1, "within"), (-0.04, 0.1, "not shown"), (-0.2, -0.04, "below"), (None, None, "not shown")],
)
def test_the_interval_decides(low: float | None, high: float | None, verdict: str) -> None:
    some = Estimate(0.5, 0.1, 0.4, 0.6, 9, "")
    assert Compared("", some, some, Estimate(0.0, None, low, high, 9, "")).verdict == verdict
