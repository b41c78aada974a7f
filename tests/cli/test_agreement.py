import json
from pathlib import Path

import pytest

from .conftest import Cli

RATINGS = "item,annotator,label\n1,a,1\n1,b,2\n2,a,3\n2,b,3\n3,a,5\n3,b,4\n4,a,2\n4,b,1\n5,a,\n5,b,5\n"


def test_the_document_a_program_reads(cli: Cli, folder: Path) -> None:
    (folder / "r.csv").write_text(RATINGS)
    run = cli("agreement", "r.csv", "--level", "ordinal", "--scale", "1,2,3,4,5", "--json")
    assert run.code == 0, run.err
    found = json.loads(run.out)
    assert (found["n_items"], found["n_annotators"]) == (5, 2)
    assert list(found["coefficients"]) == [
        "percent_agreement",
        "cohen_kappa",
        "weighted_kappa_quadratic",
        "krippendorff_alpha",
    ]
    kappa = found["coefficients"]["weighted_kappa_quadratic"]
    assert list(kappa) == ["value", "se", "low", "high", "n_items", "method"]
    assert kappa["value"] == pytest.approx(11 / 14)  # 1 - 3/14 by hand: squared distances 3, expected 14
    assert kappa["n_items"] == 4


def test_without_a_scale_the_labels_that_occur_are_the_scale_and_it_is_said(cli: Cli, folder: Path) -> None:
    (folder / "r.csv").write_text(RATINGS)
    run = cli("agreement", "r.csv", "--level", "nominal")
    assert run.code == 0
    assert "the labels that occur" in run.out
    assert max(map(len, run.out.splitlines())) <= 80


def test_what_annotate_wrote_is_read_with_no_editing(cli: Cli, folder: Path) -> None:
    cli("annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv")
    labels = {"a": "glad", "b": "sad", "c": "sad"}
    people = "".join(f"{item},mood,anna,expert,{label},,,,,ok\n" for item, label in labels.items())
    with (folder / "out.csv").open("a") as file:
        file.write(people)
    run = cli("agreement", "out.csv", "--level", "nominal", "--scale", "glad,sad", "--json")
    assert run.code == 0, run.err
    assert json.loads(run.out)["n_annotators"] == 2
    assert json.loads(run.out)["coefficients"]["percent_agreement"]["n_items"] == 2


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (RATINGS, ["--level", "ordinal", "--scale", "1,2,3"], "unknown label '5'"),
        (RATINGS + "1,a,2\n", ["--level", "nominal"], "rated twice by the same annotator"),
        ("item,rater,label\n1,a,2\n", ["--level", "nominal"], "unknown column 'annotator'"),
        ("item,annotator,label,question\n1,a,2,p\n1,a,2,q\n", ["--level", "nominal"], "the questions p, q. Choose one"),
        (RATINGS, ["--level", "nominal", "--question", "p"], "unknown question 'p'"),
        ("item,annotator,label\n1,a,low\n", ["--level", "ordinal"], "Give --scale with the labels in order"),
        ('item,annotator,label\n1,a,"[""x""]"\n', ["--level", "nominal"], "the label is a set"),
    ],
)
def test_bad_input_is_one_line(cli: Cli, folder: Path, content: str, options: list[str], said: str) -> None:
    (folder / "r.csv").write_text(content)
    run = cli("agreement", "r.csv", *options)
    assert run.code == 2
    assert said in run.err
    assert len(run.err.splitlines()) == 1
