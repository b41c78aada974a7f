import json
from pathlib import Path

import pytest

from .conftest import Cli

NAMES = (
    *("percent_agreement", "cohen_kappa", "weighted_kappa_linear", "weighted_kappa_quadratic", "scott_pi"),
    *("fleiss_kappa", "conger_kappa", "krippendorff_alpha", "krippendorff_alpha_masi", "krippendorff_alpha_jaccard"),
    *("gwet_ac1", "gwet_ac2_linear", "gwet_ac2_quadratic", "brennan_prediger"),
    *("icc_1_1", "icc_2_1", "icc_3_1", "icc_1_k", "icc_2_k", "icc_3_k"),
    *("spearman", "kendall_tau_b", "kendall_w", "mcc", "macro_f1"),
)

RATINGS = "item,annotator,label\n1,a,1\n1,b,2\n2,a,3\n2,b,3\n3,a,5\n3,b,4\n4,a,2\n4,b,1\n5,a,\n5,b,5\n"


def test_the_document_a_program_reads(cli: Cli, folder: Path) -> None:
    (folder / "r.csv").write_text(RATINGS)
    run = cli("agreement", "r.csv", "--level", "ordinal", "--scale", "1,2,3,4,5", "--json")
    assert run.code == 0, run.err
    found = json.loads(run.out)
    assert (found["n_items"], found["n_annotators"]) == (5, 2)
    assert tuple(found["coefficients"]) == NAMES
    assert found["coefficients"]["krippendorff_alpha_masi"] == {"undefined": "labels of level ordinal are no sets"}
    kappa = found["coefficients"]["weighted_kappa_quadratic"]
    assert list(kappa) == ["value", "se", "low", "high", "n_items", "method"]
    assert kappa["value"] == pytest.approx(11 / 14)  # 1 - 3/14 by hand: squared distances 3, expected 14
    assert kappa["n_items"] == 4


def test_without_a_scale_the_labels_that_occur_are_the_scale_and_it_is_said(cli: Cli, folder: Path) -> None:
    (folder / "r.csv").write_text(RATINGS)
    run = cli("agreement", "r.csv", "--level", "nominal")
    assert run.code == 0
    assert "labels 1, 2, 3, 4, 5 (that occur; declare all with --scale)" in run.out
    assert max(map(len, run.out.splitlines())) <= 80


def test_what_annotate_wrote_is_read_with_no_editing(cli: Cli, folder: Path) -> None:
    cli("annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv")
    labels = {"a": "glad", "b": "sad", "c": "sad"}
    people = "".join(f"{item},mood,anna,expert,{label},,,,,ok,,,\n" for item, label in labels.items())
    with (folder / "out.csv").open("a") as file:
        file.write(people)
    run = cli("agreement", "out.csv", "--level", "nominal", "--scale", "glad,sad", "--json")
    assert run.code == 0, run.err
    assert json.loads(run.out)["n_annotators"] == 2
    assert json.loads(run.out)["coefficients"]["percent_agreement"]["n_items"] == 2


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("id,a,b\n1,1,2\n2,3,3\n3,5,4\n4,2,1\n5,,5\n", ["--wide", "--item-column", "id"]),
        ("id,a,b,age\n1,1,2,9\n2,3,3,9\n3,5,4,9\n4,2,1,9\n5,,5,9\n", ["--rater-columns", "a,b", "--item-column", "id"]),
        (RATINGS.replace("label", "stars").replace("item", "id"), ["--label-column", "stars", "--item-column", "id"]),
        (RATINGS.replace("label", "stars"), ["--question-columns", "stars"]),
        (
            RATINGS.replace("annotator", "who").replace("label", "stars,age").replace("\n", ",1\n")[:-2],
            ["--annotator-column", "who", "--question-columns", "age=how old,stars=how good", "-q", "how good"],
        ),
    ],
)
def test_tables_of_other_shapes_and_names_say_the_same(
    cli: Cli, folder: Path, content: str, options: list[str]
) -> None:
    (folder / "r.csv").write_text(RATINGS)
    (folder / "other.csv").write_text(content.replace("age,1", "age"))
    wanted = ["--level", "ordinal", "--json"]
    usual, other = cli("agreement", "r.csv", *wanted), cli("agreement", "other.csv", *options, *wanted)
    assert other.code == 0, other.err
    assert json.loads(usual.out)["coefficients"] == json.loads(other.out)["coefficients"]
    assert json.loads(usual.out)["n_ratings"] == json.loads(other.out)["n_ratings"] == 9


def test_the_table_has_what_fits_the_level_and_what_was_asked_for(cli: Cli, folder: Path) -> None:
    (folder / "r.csv").write_text(RATINGS)
    run = cli("agreement", "r.csv", "--level", "nominal")
    assert "gwet_ac1" in run.out
    assert "spearman" not in run.out
    asked = cli("agreement", "r.csv", "--level", "nominal", "--coefficients", "spearman,cohen_kappa")
    assert "undefined: spearman (labels of level nominal have no order)" in asked.out
    assert "gwet_ac1" not in asked.out
    wrong = cli("agreement", "r.csv", "--level", "nominal", "--coefficients", "cohen")
    assert (wrong.code, "unknown coefficient 'cohen'" in wrong.err) == (2, True)


def test_intervals_over_raters_too_or_none(cli: Cli, folder: Path) -> None:
    (folder / "r.csv").write_text("item,a,b,c\n1,1,2,1\n2,3,3,3\n3,5,4,5\n4,2,1,2\n5,4,5,5\n")
    wanted = ["agreement", "r.csv", "--wide", "--level", "ordinal", "--coefficients", "fleiss_kappa"]
    found = json.loads(cli(*wanted, "--intervals", "items+raters", "--json").out)
    assert found["intervals"] == "items+raters"
    assert found["coefficients"]["fleiss_kappa"]["method"].endswith("jackknife over annotators, t with 2 df")
    assert "95 % interval over items and raters" in cli(*wanted, "--intervals", "items+raters").out
    assert "interval" not in cli(*wanted, "--intervals", "none").out


def test_sets_by_their_members(cli: Cli, folder: Path) -> None:
    (folder / "r.csv").write_text("item,a,b\n1,p;q,q;p\n2,p,p;q\n3,q,q\n4,[],[]\n")
    wanted = ["agreement", "r.csv", "--wide", "--level", "set", "--set-separator", ";", "--scale", "p,q"]
    found = json.loads(cli(*wanted, "--json").out)
    assert found["scale"] == ['["p", "q"]', '["p"]', '["q"]', "[]"]
    assert found["coefficients"]["percent_agreement"]["value"] == 0.75
    assert found["coefficients"]["krippendorff_alpha_jaccard"]["value"] > 0.8
    assert "4 different sets" in cli(*wanted).out


def test_a_pipe_is_read_in_the_format_that_is_said(cli: Cli) -> None:
    run = cli("agreement", "-", "--format", "csv", "--level", "nominal", stdin=RATINGS.encode())
    assert run.code == 0, run.err
    assert "9 ratings of 5 items by 2 annotators" in run.out


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (RATINGS, ["--level", "ordinal", "--scale", "1,2,3"], "r.csv: row 5, column 'label': item '3', annotator 'a'"),
        (RATINGS, ["--level", "ordinal", "--scale", "1,2,3"], "unknown label '5'"),
        (RATINGS + "6,a,2.33\n", ["--level", "ordinal", "--scale", "1,2,3,4,5"], "give --level interval without"),
        (RATINGS + "6,a,-1\n", ["--level", "ratio"], "'-1' is negative, and a ratio scale begins at 0"),
        (RATINGS + ",a,1\n", ["--level", "nominal"], "r.csv: row 11, column 'item': it is blank"),
        (RATINGS, ["--level", "set"], "the label '1' is no set"),
        (RATINGS, ["--level", "set", "--set-separator", ""], "say by --set-separator what parts its members"),
        (RATINGS, ["--level", "nominal", "--coefficients", ""], "no coefficients. Give some of percent_agreement"),
        (RATINGS, ["--level", "nominal", "--rater-columns", "label,item"], "Leave it out of --rater-columns"),
        (RATINGS, ["--level", "nominal", "--wide", "--question-columns", "a"], "wide or has forms, not both"),
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
