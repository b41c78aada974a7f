import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmclf.backends.base import Likelihoods, Reply, Request, Scores
from llmclf.backends.recorded import ScriptedBackend
from llmclf.codebook import Codebook
from llmclf.items import ItemTable
from llmclf.job import Job

from ..lessons import texts
from .conftest import Cli

HEADER = "item,question,annotator,kind,label,probability,probabilities,origin,samples,status\n"
TOLD = list(texts(200))
NEWS = [
    (f"redtown bigroad no{n} farday", label) if n % 5 == 0 else (text, label) for n, (text, label) in enumerate(TOLD)
]
"""Of which each fifth tells nothing."""
TAUGHT = 80
DISTIL = ("distil", "news.csv", "--labels", "labels.csv", "--out", "student.csv")


def labels_table(annotator: str = "m", question: str = "about", items: Iterable[int] = range(TAUGHT)) -> str:
    return "".join(f"{n},{question},{annotator},model,{NEWS[n][1]},,,,,ok\n" for n in items)


def read(path: str) -> list[dict[str, str]]:
    with Path(path).open() as file:
        return list(csv.DictReader(file))


def found(cli: Cli, *arguments: object, code: int = 0) -> dict[str, Any]:
    run = cli(*arguments, "--json")
    assert run.code == code, run.err
    document: dict[str, Any] = json.loads(run.out)
    return document


@pytest.fixture(autouse=True)
def tables(folder: Path) -> Path:
    rows = [f"{n},{text},from {n}" for n, (text, _) in enumerate(NEWS)]
    (folder / "news.csv").write_text("\n".join(["id,text,origin", *rows, ""]))
    (folder / "labels.csv").write_text(HEADER + labels_table() + "80,about,m,model,,,,,,refused\n")
    return folder


def test_every_row_is_labelled_in_its_order_by_one_annotator(cli: Cli) -> None:
    summary = found(cli, *DISTIL)
    rows = read("student.csv")
    assert [row["item"] for row in rows] == [str(n) for n in range(200)]
    assert {(row["question"], row["annotator"], row["kind"], row["origin"]) for row in rows} == {
        ("about", "student(m)", "model", "student")
    }
    right = [row["label"] == label for row, (_, label) in zip(rows, NEWS, strict=True)]
    assert np.mean([right[n] for n in range(200) if n % 5]) > 0.95
    assert (summary["taught"], summary["statuses"], summary["too_rare"]) == (TAUGHT, {"ok": 200}, {})
    assert summary["agreement"]["percent_agreement"]["value"] > 0.8
    assert summary["agreement"]["cohen_kappa"]["low"] > 0.5
    assert summary["shares"]["sport"]["student"] == np.mean([row["label"] == "sport" for row in rows])
    assert summary["shares"]["sport"]["teacher"] == np.mean([label == "sport" for _, label in NEWS[:TAUGHT]])


def test_what_a_person_reads_fits_a_terminal(cli: Cli) -> None:
    run = cli(*DISTIL, "--route", "unsure.csv", "--unsure-share", "0.2")
    assert run.code == 0, run.err
    assert "student(m) learned from 80 texts what it says to 'about'" in run.out
    assert "Cohen's kappa" in run.out
    assert "rows/s: 200 ok" in run.out
    assert run.out.endswith("wrote student.csv, unsure.csv\n")
    assert max(map(len, run.out.splitlines())) <= 80


def test_unsure_rows_are_written_as_they_are_for_the_model(cli: Cli) -> None:
    summary = found(cli, *DISTIL, "--route", "unsure.csv", "--below", "0.9")
    probabilities = {row["item"]: float(row["probability"]) for row in read("student.csv")}
    unsure = read("unsure.csv")
    assert [row["id"] for row in unsure] == [str(n) for n in range(TAUGHT, 200) if probabilities[str(n)] < 0.9]
    assert all(
        row == {"id": row["id"], "text": NEWS[int(row["id"])][0], "origin": f"from {row['id']}"} for row in unsure
    )
    assert (summary["routed"]["rows"], summary["routed"]["of"]) == (len(unsure), 200 - TAUGHT)
    assert 0 < len(unsure) < 200 - TAUGHT
    share = found(cli, *DISTIL, "--route", "unsure.csv", "--unsure-share", "0.1")["routed"]
    assert 0 < share["rows"] < len(unsure)
    assert share["below"] < 0.9


def test_a_saved_student_labels_another_table_and_a_pipe_alike(cli: Cli, folder: Path) -> None:
    assert cli(*DISTIL, "--save", "s.npz").code == 0
    content = (folder / "news.csv").read_bytes()
    run = cli("distil", "-", "--format", "csv", "--student", "s.npz", "--out", "again.csv", stdin=content)
    assert run.code == 0, run.err
    assert (folder / "again.csv").read_bytes() == (folder / "student.csv").read_bytes()
    arguments = ["--student", "s.npz", "--out", "-", "--out-format", "csv", "--route", "unsure.jsonl", "--below", "1"]
    run = cli("distil", "-", "--format", "csv", *arguments, stdin=b"id,text\nx,the team\nx,twice\n,\n"[:-2])
    assert run.code == 3
    first, second = csv.DictReader(run.out.splitlines())
    assert (first["label"], second["label"], second["status"]) == ("sport", "", "duplicate_id")
    assert json.loads((folder / "unsure.jsonl").read_text()) == {"id": "x", "text": "the team"}
    assert "rows/s" in run.err


def test_a_student_is_audited_like_any_annotator(cli: Cli, folder: Path) -> None:
    (folder / "about.toml").write_text(
        (folder / "mood.toml").read_text().replace("mood", "about").replace("glad", "sport").replace("sad", "money")
    )
    people = [f"{n},about,anna,expert,{label},,,,,ok\n" for n, (_, label) in enumerate(NEWS)]
    (folder / "people.csv").write_text(HEADER + "".join(people))
    assert cli(*DISTIL).code == 0
    run = cli("audit", "student.csv", "labels.csv", "people.csv", "--codebook", "about.toml", "--json")
    assert run.code == 0, run.err
    models = {model["annotator"]: model for model in json.loads(run.out)["questions"][0]["models"]}
    assert set(models) == {"student(m)", "m"}
    (against,) = models["student(m)"]["against"]
    assert against["n_items"] == 200
    assert against["coefficients"]["percent_agreement"]["value"] > 0.85
    assert models["student(m)"]["calibration"]["origins"] == ["student"]


def test_labels_are_read_from_a_job_with_the_probabilities_that_it_holds(cli: Cli, folder: Path) -> None:
    by_text = dict(NEWS)

    def script(request: Request) -> Reply:
        assert isinstance(request.form, Likelihoods)
        label = next(label for text, label in by_text.items() if text in request.messages[-1].content)
        scores = {name: 3.0 * (name == label) for name in request.form.labels}
        return Scores(request.id, scores, dict.fromkeys(scores, 1))

    book = Codebook.from_labels(["sport", "money"], name="about")
    job = Job(folder / "job.sqlite", book, ScriptedBackend(script, name="m"))
    for _ in job.run_table(ItemTable(folder / "news.csv"), count=200):
        pass
    job.close()
    summary = found(cli, "distil", "news.csv", "--labels", "job.sqlite", "--out", "student.csv")
    assert (summary["teacher"], summary["question"], summary["taught"]) == ("m", "about", 200)
    assert list(summary["shares"]) == ["sport", "money"]
    assert summary["agreement"]["percent_agreement"]["value"] > 0.85


def test_of_several_questions_and_annotators_one_is_chosen(cli: Cli, folder: Path) -> None:
    both = labels_table("m") + labels_table("n", items=range(60)) + labels_table("m", "other")
    (folder / "labels.csv").write_text(HEADER + both)
    run = cli(*DISTIL)
    assert (run.code, run.err) == (
        2,
        "llmclf: labels.csv has several questions: about, other. Choose one with --question\n",
    )
    run = cli(*DISTIL, "--question", "about")
    assert "labels.csv has several annotators: m, n. Choose one with --annotator" in run.err
    assert "did you mean 'about'" in cli(*DISTIL, "-q", "abut").err
    summary = found(cli, *DISTIL, "--question", "about", "--annotator", "n")
    assert (summary["annotator"], summary["taught"]) == ("student(n)", 60)


def test_a_table_of_people_may_teach_too(cli: Cli, folder: Path) -> None:
    rows = "".join(f"{n},{label}\n" for n, (_, label) in enumerate(NEWS[:TAUGHT]))
    (folder / "labels.csv").write_text("item,annotator,label\n" + rows.replace(",", ",anna,"))
    summary = found(cli, *DISTIL, "--question", "about")
    assert (summary["annotator"], summary["question"]) == ("student(anna)", "about")


def test_a_conversation_is_routed_with_all_its_rows(cli: Cli, folder: Path) -> None:
    turns = [f"{n},A,{text}\n{n},B,well\n" for n, (text, _) in enumerate(NEWS)]
    (folder / "news.csv").write_text("talk,speaker,text\n" + "".join(turns))
    shape = ["--conversation-column", "talk", "--route", "unsure.csv", "--below", "1"]
    routed = found(cli, *DISTIL, *shape)["routed"]["rows"]
    assert routed > 0
    rows = read("unsure.csv")
    assert len(rows) == 2 * routed
    assert all((a["talk"], b["text"]) == (b["talk"], "well") for a, b in zip(rows[::2], rows[1::2], strict=True))


def test_embeddings_come_from_columns_or_from_an_array(cli: Cli, folder: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 2)) + [[4.0 * (label == "sport"), 0] for _, label in NEWS]
    np.save(folder / "e.npy", vectors.astype(np.float32))
    rows = [f'{n},{text},"[{a}, {b}]",{a},{b}' for n, ((text, _), (a, b)) in enumerate(zip(NEWS, vectors, strict=True))]
    (folder / "news.csv").write_text("\n".join(["id,text,both,a,b", *rows, ""]))
    tables = []
    for where in ("e.npy", "both", "a,b"):
        summary = found(cli, *DISTIL, "--embeddings", where, "--save", "s.npz")
        assert 0.9 < summary["agreement"]["percent_agreement"]["value"] < 1
        tables.append([row["label"] for row in read("student.csv")])
    assert tables[0] == tables[1] == tables[2]
    assert "the student reads embeddings" in cli("distil", "news.csv", "--student", "s.npz", "--out", "x.csv").err


def test_a_row_without_text_has_no_label_and_the_exit_code_says_so(cli: Cli, folder: Path) -> None:
    with (folder / "news.csv").open("a") as file:
        file.write("empty,,\n")
    summary = found(cli, *DISTIL, "--route", "unsure.csv", "--below", "1", code=3)
    assert summary["statuses"] == {"ok": 200, "empty": 1}
    assert read("student.csv")[-1]["status"] == "empty"
    assert "empty" not in {row["id"] for row in read("unsure.csv")}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--student", "s.npz"], "Give one of --labels and --student"),
        (["--route", "u.csv"], "Give --route with one of --below and --unsure-share"),
        (["--below", "0.5"], "Give --route with one of"),
        (["--route", "u.csv", "--below", "0.5", "--unsure-share", "0.5"], "Give --route with one of"),
        (["--out", "news.csv"], "--out news.csv is the input"),
        (["--route", "news.csv", "--below", "0.5"], "--route news.csv is the input"),
        (["--route", "u.txt", "--below", "0.5"], "cannot tell the format"),
        (["--id-column", "origin"], "no item of labels.csv is in news.csv"),
        (["--labels", "none.csv"], "no file at none.csv"),
        (["--labels", "empty.csv"], "empty.csv has no labels"),
        (["--labels", "few.csv"], "a student needs 50 labelled texts, and there are 40"),
        (["--embeddings", "vector"], "unknown column 'vector'"),
        (["--embeddings", "origin"], "has no embedding"),
        (["--embeddings", "none.npy"], "none.npy cannot be read as an array"),
        (["--embeddings", "short.npy"], "has shape (3, 2)"),
    ],
)
def test_what_is_wrong_is_one_line(cli: Cli, folder: Path, arguments: list[str], said: str) -> None:
    (folder / "few.csv").write_text(HEADER + labels_table(items=range(40)))
    (folder / "empty.csv").write_text(HEADER + "1,about,m,model,,,,,,refused\n")
    np.save(folder / "short.npy", np.zeros((3, 2)))
    run = cli(*DISTIL, *arguments)
    assert run.code == 2
    assert said in run.err
    assert len(run.err.splitlines()) == 1
    assert not (folder / "student.csv").exists()


def test_a_student_cannot_learn_from_a_pipe(cli: Cli) -> None:
    run = cli("distil", "-", "--labels", "labels.csv", "--out", "x.csv", "--format", "csv", stdin=b"id,text\n1,a\n")
    assert "can be read once only" in run.err
