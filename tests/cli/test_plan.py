import json
from pathlib import Path

import numpy as np
import pytest

from .conftest import Cli

QUICK = ["--replicates", 100]


@pytest.fixture(autouse=True)
def pilot(folder: Path) -> Path:
    """A model and three experts, 40 items; and the same by the label's names of talk.toml."""
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 2, 40)
    rows = [
        (f"i{item}", who, kind, int(truth[item]) if rng.random() < 0.85 else 1 - int(truth[item]))
        for who, kind in (("m", "model"), ("a", "expert"), ("b", "expert"), ("c", "expert"))
        for item in range(40)
    ]
    table = "".join(f"{item},{who},{kind},{label}\n" for item, who, kind, label in rows)
    mean_of_crowd = "i1,crowd,crowd,0.5\n"
    (folder / "pilot.csv").write_text(f"item,annotator,kind,label\n{table}{mean_of_crowd}")
    named = "".join(f"{item},{who},{kind},warmth,{['cold', '1.0'][label]}\n" for item, who, kind, label in rows)
    (folder / "named.csv").write_text(f"conv,rater,kind,question,said\n{named}")
    return folder


def test_the_document_a_program_reads(cli: Cli) -> None:
    run = cli("plan", "--pilot", "pilot.csv", "--level", "ordinal", "--scale", "0,1", "--margin", 0.2, "--json", *QUICK)
    assert run.code == 0, run.err
    (found,) = json.loads(run.out)["questions"]
    assert (found["question"], found["model"], found["experts"]) == ("", "m", ["a", "b", "c"])
    assert (found["margin"], found["power"], found["replicates"]) == (0.2, 0.8, 100)
    assert found["difference"] == found["pilot"]["value"]
    assert [design["n_experts"] for design in found["designs"]] == [2, 3]
    assert set(found["designs"][1]["needed"]) == {"n_items", "power", "monte_carlo_se"}
    assert [power["n_items"] for power in found["table"]][:3] == [25, 50, 100]


def test_a_codebook_says_level_and_scale_and_columns_have_other_names(cli: Cli) -> None:
    columns = ["--item-column", "conv", "--annotator-column", "rater", "--label-column", "said"]
    run = cli("plan", "--pilot", "named.csv", "--codebook", "talk.toml", "--json", *columns, *QUICK)
    assert run.code == 0, run.err
    by_codebook = json.loads(run.out)["questions"][0]
    plain = cli("plan", "--pilot", "pilot.csv", "--level", "ordinal", "--scale", "0,1", "--json", *QUICK)
    by_options = json.loads(plain.out)["questions"][0]
    assert by_codebook == {**by_options, "question": "warmth"}


def test_each_question_of_several_tables_has_its_plan(cli: Cli, pilot: Path) -> None:
    header, *rows = (pilot / "pilot.csv").read_text().splitlines()
    for name, kind in (("people.csv", "expert"), ("model.csv", "model")):
        asked = [f"{row},{question}\n" for row in rows if kind in row for question in ("p", "q")]
        (pilot / name).write_text(f"{header},question\n" + "".join(asked))
    both = ["--pilot", "people.csv", "--pilot", "model.csv", "--level", "nominal", "--scale", "0,1", *QUICK]
    run = cli("plan", *both, "--json")
    assert run.code == 0, run.err
    assert [found["question"] for found in json.loads(run.out)["questions"]] == ["p", "q"]
    one = cli("plan", *both, "--json", "--question", "q")
    assert json.loads(one.out)["questions"] == json.loads(run.out)["questions"][1:]


def test_what_a_person_reads_fits_80_columns(cli: Cli) -> None:
    run = cli("plan", "--pilot", "pilot.csv", "--level", "nominal", "--difference", 0, "--margin", 0.2, *QUICK)
    assert run.code == 0, run.err
    assert max(map(len, run.out.splitlines())) <= 80
    for said in (
        "m and 3 experts",
        "a true difference of 0.00 with margin 0.20 and power 80%",
        "items needed",
        "Monte Carlo error",
        "more than 3 experts would bring",
    ):
        assert said in run.out
    assert "simulated 3/3 designs" in run.err
    beyond = cli("plan", "--pilot", "pilot.csv", "--level", "nominal", "--difference", -0.5, *QUICK)
    assert "none do" in beyond.out
    assert "no number of items shows it" in beyond.out


def test_a_pilot_that_defines_nothing_says_why(cli: Cli, pilot: Path) -> None:
    rows = "".join(f"{item},{who},{kind},1\n" for item in "xyz" for who, kind in (("m", "model"), *EXPERTS))
    (pilot / "same.csv").write_text("item,annotator,kind,label\n" + rows)
    run = cli("plan", "--pilot", "same.csv", "--level", "ordinal", "--scale", "0,1")
    assert run.code == 0
    assert "pilot: undefined: " in run.out
    assert "only one label occurs" in run.out


EXPERTS = (("a", "expert"), ("b", "expert"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "the level of the labels is not known. Give --codebook, or --level and --scale"),
        (["--level", "ordinal", "--codebook", "mood.toml"], "a codebook says the level and the scale"),
        (["--level", "ordinal", "--scale", "1,2"], "unknown label '0'"),
        (["--level", "ordinal", "--margin", "-1"], "The margin is above 0"),
        (["--level", "ordinal", "--margin", "inf"], "The margin is above 0"),
        (["--level", "ordinal", "--difference", "nan"], "Give a number, or leave it to the pilot"),
        (["--level", "ordinal", "--scale", ""], "the scale has 0 label(s)"),
        (["--level", "ordinal", "--model", "n"], "unknown model 'n'"),
        (["--level", "ordinal", "--question", "p"], "unknown question 'p'"),
        (["--level", "ordinal", "--label-column", "said"], "unknown column 'said'"),
        (["--codebook", "mood.toml"], "pilot.csv: row 1: question 'mood': unknown label"),
        (["--level", "ordinal", "--pilot", "twice.csv"], "has the models m, n. Choose one with --model"),
        (["--level", "ordinal", "--pilot", "pilot.csv"], "rated twice by the same annotator"),
    ],
)
def test_bad_input_is_one_line(cli: Cli, pilot: Path, options: list[str], said: str) -> None:
    (pilot / "twice.csv").write_text("item,annotator,kind,label\ni1,n,model,1\n")
    run = cli("plan", "--pilot", "pilot.csv", *options, *QUICK)
    assert run.code == 2
    assert said in run.err
    assert len(run.err.splitlines()) == 1


def test_a_pilot_needs_a_model_and_experts(cli: Cli, pilot: Path) -> None:
    (pilot / "alone.csv").write_text("item,annotator,label\n1,a,0\n1,b,1\n2,a,1\n2,b,1\n")
    for kind, said in (("expert", "the pilot has no annotations of a model"), ("model", "has the models a, b")):
        run = cli("plan", "--pilot", "alone.csv", "--level", "nominal", "--kind", kind)
        assert run.code == 2
        assert said in run.err
    few = cli("plan", "--pilot", "alone.csv", "--level", "nominal", "--kind", "model", "--model", "a")
    assert "the pilot has 0 expert(s)" in few.err


def test_a_table_that_names_no_question_answers_the_only_one_of_the_codebook(cli: Cli, folder: Path) -> None:
    labels = ["glad", "sad"] * 15
    model = "".join(f"i{n},mood,m,model,{label}\n" for n, label in enumerate(labels))
    experts = "".join(f"i{n},{who},{label}\n" for who in "ab" for n, label in enumerate([*labels[:-1], "glad"]))
    (folder / "m.csv").write_text(f"item,question,annotator,kind,label\n{model}")
    (folder / "e.csv").write_text(f"item,annotator,label\n{experts}")
    tables = ["--pilot", "m.csv", "--pilot", "e.csv", "--kind", "expert", "--codebook", "mood.toml"]
    run = cli("plan", *tables, "--json", *QUICK)
    assert run.code == 0, run.err
    (found,) = json.loads(run.out)["questions"]
    assert found["question"] == "mood"
