import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Cli

HEADER = "item,question,annotator,kind,label,probability,probabilities,origin,samples,status\n"
MODEL = HEADER + "".join(
    f'{item},mood,m,model,{label},0.9,"{{""glad"": 0.9, ""sad"": 0.1}}",likelihoods,,ok\n'
    for item, label in [("1", "glad"), ("2", "glad"), ("3", "sad"), ("4", "glad"), ("5", "glad")]
)
CROWD = "item,annotator,label\n" + "".join(
    f"{item},{rater},{label}\n"
    for item, labels in {
        "1": ["glad", "glad", "sad"],
        "2": ["sad", "sad", "sad"],
        "3": ["sad", "sad", "sad"],
        "4": ["glad", "sad", ""],
        "5": ["glad", "glad", "glad"],
    }.items()
    for rater, label in zip("xyz", labels, strict=True)
)


@pytest.fixture(autouse=True)
def tables(folder: Path) -> Path:
    (folder / "model.csv").write_text(MODEL)
    (folder / "crowd.csv").write_text(CROWD)
    (folder / "items.csv").write_text("id,text\n" + "".join(f"{n},text {n}\n" for n in range(1, 6)))
    return folder


def audited(cli: Cli, *arguments: object) -> dict[str, Any]:
    run = cli("audit", *arguments, "--codebook", "mood.toml", "--json")
    assert run.code == 0, run.err
    (question,) = json.loads(run.out)["questions"]
    assert isinstance(question, dict)
    return question


def test_a_model_beside_a_crowd(cli: Cli) -> None:
    question = audited(cli, "model.csv", "crowd.csv", "--kind", "crowd", "--items", "items.csv")
    (crowd,) = question["people"]
    assert (crowd["kind"], crowd["n_annotators"], crowd["n_items"]) == ("crowd", 3, 5)
    (model,) = question["models"]
    assert model["statuses"] == {"ok": 5}
    assert model["label_shares"] == {"glad": 0.8, "sad": 0.2}
    (against,) = model["against"]
    assert (against["annotator"], against["n_items"], against["ties"]) == ("consensus of 3", 4, 1)
    assert against["coefficients"]["percent_agreement"]["value"] == 0.75
    assert against["coefficients"]["cohen_kappa"]["value"] == 0.5  # by hand: expected agreement is one half
    assert against["baseline"]["coefficients"]["percent_agreement"]["value"] == 0.5
    worst = model["worst_items"][0]
    assert (worst["item"], worst["label"], worst["people"], worst["text"]) == ("2", "glad", {"sad": 3}, "text 2")
    assert [item["item"] for item in model["worst_items"]] == ["2"]


def test_the_worst_items_are_those_on_which_people_are_surest(cli: Cli, tables: Path) -> None:
    answers = {"1": ["sad", "sad", "glad"], "2": ["sad", "sad", "sad"], "3": ["sad", "sad", "sad"], "5": ["sad"]}
    rows = [
        f"{item},{who},{label}" for item, labels in answers.items() for who, label in zip("xyz", labels, strict=False)
    ]
    (tables / "crowd.csv").write_text("item,annotator,label\n" + "\n".join(rows) + "\n")
    (model,) = audited(cli, "model.csv", "--crowd", "crowd.csv")["models"]
    assert [item["item"] for item in model["worst_items"]] == ["2", "5", "1"]


def test_a_model_beside_each_expert(cli: Cli, tables: Path) -> None:
    (tables / "anna.csv").write_text("item,mood\n1,glad\n2,sad\n3,sad\n")
    (tables / "ben.csv").write_text("item,mood\n1,sad\n2,sad\n3,sad\n")
    question = audited(cli, "model.csv", "anna.csv", "ben.csv", "--question-columns", "mood", "--kind", "expert")
    (experts,) = question["people"]
    assert experts["coefficients"]["percent_agreement"]["value"] == pytest.approx(2 / 3)
    (model,) = question["models"]
    agreement = {a["annotator"]: a["coefficients"]["percent_agreement"]["value"] for a in model["against"]}
    assert agreement == {"anna": pytest.approx(2 / 3), "ben": pytest.approx(1 / 3)}


def test_forms_with_other_names_and_scores(cli: Cli, folder: Path) -> None:
    rows = ["1,warmth,m,model,1,,,,,ok\n", "2,warmth,m,model,0,,,,,ok\n", '1,topics,m,model,"[""work""]",,,,,ok\n']
    (folder / "model.csv").write_text(HEADER + "".join(rows))
    (folder / "forms.csv").write_text('conv,rater,heat,about\n1,a,1.0,"[""work""]"\n2,a,warm,[]\n1,b,0,[]\n2,b,0,[]\n')
    options = ["--item-column", "conv", "--annotator-column", "rater", "--kind", "expert"]
    run = cli(
        "audit", "model.csv", "forms.csv", "--question-columns", "heat=warmth,about=topics", *options,
        "--codebook", "talk.toml", "--json",
    )  # fmt: skip
    assert run.code == 0, run.err
    warmth, topics = json.loads(run.out)["questions"]
    assert warmth["scale"] == ["0", "1"]
    assert [a["coefficients"]["percent_agreement"]["value"] for a in warmth["models"][0]["against"]] == [0.5, 0.5]
    (a, b) = topics["models"][0]["against"]
    assert (a["n_items"], b["n_items"]) == (1, 1)
    assert a["coefficients"]["percent_agreement"] == {"undefined": "only one label occurs"}
    assert b["coefficients"]["percent_agreement"]["value"] == 0.0


def test_what_a_person_reads_fits_80_columns(cli: Cli) -> None:
    run = cli("audit", "model.csv", "crowd.csv", "--codebook", "mood.toml", "--kind", "crowd", "--items", "items.csv")
    assert run.code == 0, run.err
    assert max(map(len, run.out.splitlines())) <= 80
    for said in (
        "consensus of 3",
        "if always",
        "glad 80%",
        "1 left out: the crowd has no single label",
        "worst: 2",
        "text 2",
    ):
        assert said in run.out


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        (["model.csv"], [], "no annotations of people"),
        (["crowd.csv"], ["--kind", "crowd"], "no annotations of a model"),
        (["model.csv", "crowd.csv"], [], "does not say what its annotators are. Give --kind"),
        (["model.csv", "crowd.csv"], ["--kind", "crowd", "--label-column", "lab"], "unknown column 'lab'"),
        (["model.csv", "other.csv"], ["--kind", "crowd"], "other.csv: row 1: question 'mood': unknown label 'happy'"),
        (["model.csv", "asked.csv"], ["--kind", "crowd"], "asked.csv: row 1: unknown question 'mod'"),
        (["model.csv", "same.csv"], ["--kind", "crowd"], "the annotator 'm' is crowd here and model elsewhere"),
        (["model.csv", "missing.csv"], ["--kind", "crowd"], "no file at missing.csv"),
        (["blank.csv"], [], "question 'mood' has no labels"),
    ],
)
def test_bad_input_is_one_line(cli: Cli, tables: Path, files: list[str], options: list[str], said: str) -> None:
    (tables / "other.csv").write_text("item,annotator,label\n1,a,happy\n")
    (tables / "asked.csv").write_text("item,question,annotator,label\n1,mod,a,glad\n")
    (tables / "same.csv").write_text("item,annotator,label\n1,m,glad\n")
    (tables / "blank.csv").write_text("item,annotator,kind,label\n1,m,model,\n1,a,crowd,\n")
    run = cli("audit", *files, *options, "--codebook", "mood.toml")
    assert run.code == 2
    assert said in run.err
    assert len(run.err.splitlines()) == 1
