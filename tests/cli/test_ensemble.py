import json
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from llmclf.annotations import Annotation, read_annotations

from .conftest import Cli
from .models import HEADER, chat, table, without_probabilities


def read(path: Path) -> list[Annotation]:
    return [annotation for _, annotation in read_annotations(path)]


@pytest.fixture(autouse=True)
def tables(folder: Path) -> Path:
    (folder / "a.csv").write_text(table("a", {"1": 0.9, "2": 0.2, "3": 0.6, "4": None, "5": 0.7}))
    (folder / "b.csv").write_text(table("b", {"1": 0.8, "2": 0.7, "3": 0.1, "4": None, "5": 0.7}))
    (folder / "c.csv").write_text(table("c", {"1": 0.7, "2": 0.6, "4": None, "5": 0.9}))
    return folder


MOOD = ["--codebook", "mood.toml", "--out", "out.csv"]


def test_votes_are_written_as_one_more_annotator(cli: Cli, folder: Path) -> None:
    run = cli("ensemble", "a.csv", "b.csv", "c.csv", *MOOD)
    assert (run.code, run.err) == (3, "")
    rows = read(folder / "out.csv")
    assert [(row.item, row.label, str(row.status)) for row in rows] == [
        ("1", "sad", "ok"),
        ("2", "sad", "ok"),
        ("3", "glad", "ok"),  # one vote each, and 1.3 of 2 for glad
        ("4", None, "cut"),
        ("5", "sad", "ok"),
    ]
    assert {row.annotator for row in rows} == {"ensemble(votes)"}
    for part in ("mood: votes of 3 models, 5 items: 4 ok, 1 cut", "unanimous: 50% of the 4 items", "sad 75%, glad 25%"):
        assert part in run.out
    assert [line.split() for line in run.out.splitlines() if line.startswith("a ")] == [["a", "4", "0.500"]]
    assert max(map(len, run.out.splitlines())) <= 80


def test_the_document_a_program_reads(cli: Cli, folder: Path) -> None:
    (folder / "people.csv").write_text("item,annotator,label\n1,anna,sad\n2,anna,sad\n3,anna,glad\n5,anna,sad\n")
    run = cli("ensemble", "a.csv", "b.csv", *MOOD, "--method", "weighted", "--expert", "people.csv", "--json")
    assert run.code == 3, run.err
    (found,) = json.loads(run.out)["questions"]
    assert (found["question"], found["method"], found["measured_by"]) == ("mood", "weighted", "people")
    assert found["statuses"] == {"ok": 4, "cut": 1}
    accuracies = {one["model"]: one["accuracy"] for one in found["models"]}
    assert accuracies == {"a": 3 / 6, "b": 5 / 6}  # 2 and 4 of 4, with one more of two more
    assert {one["model"]: one["agreement"] for one in found["models"]} == {"a": 0.5, "b": 1}


@pytest.mark.parametrize("method", ["mean", "log-mean", "dawid-skene", "weighted"])
def test_every_method_writes_a_table_that_an_audit_reads(cli: Cli, folder: Path, method: str) -> None:
    many = {str(item): [0.9, 0.8, 0.3, 0.1, 0.6][item % 5] for item in range(40)}
    for number, name in enumerate("abc"):
        wrong = {item: 1 - p if (int(item) + number) % 7 == 0 else p for item, p in many.items()}
        (folder / f"{name}.csv").write_text(table(name, wrong))
    people = "".join(f"{item},anna,{'sad' if p > 0.5 else 'glad'}\n" for item, p in many.items())
    (folder / "people.csv").write_text("item,annotator,label\n" + people)
    run = cli("ensemble", "a.csv", "b.csv", "c.csv", *MOOD, "-m", method)
    assert (run.code, run.err) == (0, "")
    assert max(map(len, run.out.splitlines())) <= 80
    audited = cli("audit", "out.csv", "--expert", "people.csv", "--codebook", "mood.toml", "--json")
    assert audited.code == 0, audited.err
    (model,) = json.loads(audited.out)["questions"][0]["models"]
    assert model["annotator"] == f"ensemble({method})"
    assert model["against"][0]["coefficients"]["percent_agreement"]["value"] == 1
    assert model["calibration"]["origins"] == ["ensemble"]


def test_a_job_is_a_table_too(cli: Cli, folder: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/chat/completions").respond_with_json(chat("glad"))
    backend = ["--backend", f"{httpserver.url_for('/v1')}#m"]
    assert cli("annotate", "in.csv", *MOOD, *backend).code == 3
    (folder / "tone.toml").write_text((folder / "mood.toml").read_text().replace('"mood"', '"tone"'))
    same_job = ["--codebook", "tone.toml", "--job", "out.csv.job.sqlite", "--out", "tone.csv"]
    assert cli("annotate", "in.csv", *same_job, *backend).code == 3
    (folder / "b.csv").write_text(without_probabilities("b", {"a": "glad", "b": "sad"}))
    run = cli("ensemble", "out.csv.job.sqlite", "b.csv", "--codebook", "mood.toml", "--out", "both.csv", "--json")
    assert run.code == 3, run.err
    (found,) = json.loads(run.out)["questions"]
    assert [one["model"] for one in found["models"]] == ["m", "b"]
    other = cli("ensemble", "out.csv.job.sqlite", "--codebook", "talk.toml", "--out", "both.csv")
    assert (other.code, "nothing here answers this codebook" in other.err) == (2, True)
    assert [(row.label, str(row.status)) for row in read(folder / "both.csv")] == [
        ("glad", "ok"),
        (None, "tied"),
        (None, "empty"),
    ]


def test_questions_of_other_kinds(cli: Cli, folder: Path) -> None:
    for name, warmth, topics in (("a", "1", '"[""work""]"'), ("b", "1", '"[""work"", ""health""]"'), ("c", "0", "[]")):
        rows = f"1,warmth,{name},model,{warmth},,,,,ok\n1,topics,{name},model,{topics},,,,,ok\n"
        (folder / f"{name}.csv").write_text(HEADER + rows)
    run = cli("ensemble", "a.csv", "b.csv", "c.csv", "--codebook", "talk.toml", "--out", "out.csv")
    assert run.code == 0, run.err
    assert [(row.question, row.label) for row in read(folder / "out.csv")] == [("warmth", "1"), ("topics", ("work",))]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.csv"], "question 'mood': an ensemble needs two models, not 1. Give their tables or jobs"),
        (["a.csv", "a.csv"], "a.csv: row 1: the model 'a' has answered item '1' before. Give each model once"),
        (["a.csv", "far.csv"], "the model 'a' labelled no item that another labelled. Give answers to one table"),
        (["a.csv", "other.csv"], "other.csv: row 1: unknown question 'tone': known are 'mood'. Give the codebook"),
        (["a.csv", "labels.csv"], "labels.csv: row 1: question 'mood': unknown label 'angry'"),
        (
            ["a.csv", "bare.csv", "-m", "mean"],
            "the model 'bare' gives no probabilities of all labels, which mean pools",
        ),
        (["a.csv", "b.csv", "-m", "dawid-skene"], "the errors of two models cannot be told apart by their votes alone"),
        (["a.csv", "b.csv", "-m", "vote"], "unknown method 'vote': did you mean 'votes'?"),
        (["a.csv", "b.csv", "--expert", "c.csv"], "--method votes does not use --expert"),
        (["a.csv", "b.csv", "-m", "weighted", "--expert", "c.csv"], "c.csv: row 1: 'c' is a model"),
        (["a.csv", "b.csv", "-m", "weighted", "--expert", "blank.csv"], "question 'mood' has no labels of people"),
        (["a.csv", "b.csv", "--out", "b.csv"], "--out b.csv is an input"),
        (["a.csv", "b.csv", "--out", "b.txt"], "b.txt: cannot tell the format"),
        (["a.csv", "missing.csv"], "no file at missing.csv"),
    ],
)
def test_bad_input_is_one_line(cli: Cli, folder: Path, arguments: list[str], said: str) -> None:
    (folder / "far.csv").write_text(table("far", {"9": 0.9}))
    (folder / "other.csv").write_text(table("other", {"1": 0.9}).replace(",mood,", ",tone,"))
    (folder / "labels.csv").write_text(without_probabilities("labels", {"1": "angry"}))
    (folder / "blank.csv").write_text("item,annotator,label\n1,anna,\n")
    (folder / "bare.csv").write_text(without_probabilities("bare", {"1": "glad"}))
    run = cli("ensemble", *MOOD, *arguments)
    assert run.code == 2
    assert said in run.err
    assert len(run.err.splitlines()) == 1
