import csv
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def job(cli: Cli, folder: Path) -> Path:
    """A job of 24 texts, asked about in the plain way."""
    texts = [f"{'I won' if n % 2 else 'I lost'} game number {n}." for n in range(24)]
    (folder / "many.csv").write_text("\n".join(["id,text", *(f"{n},{text}" for n, text in enumerate(texts))]))
    run = cli("annotate", "many.csv", "--codebook", "mood.toml", "--out", "out.csv", "--policy", "raw")
    assert run.code == 0, run.err
    return folder / "out.csv.job.sqlite"


def test_what_a_policy_takes_is_listed_asked_and_then_never_asked_again(cli: Cli, folder: Path, job: Path) -> None:
    listed = cli("decide", job, "--policy", "default")
    assert listed.code == 0, listed.err
    assert "23 requests in all" in listed.out
    assert "--policy default --ask" in " ".join(listed.out.split())
    assert cli("decide", job, "--policy", "default", "--out", "later.csv").code == 2
    as_json = json.loads(cli("decide", job, "--policy", "default", "--json").out)
    assert (as_json["requests"], as_json["missing"][0]["items"]) == (23, 23)
    asked = cli("decide", job, "--policy", "default", "--ask", "--table", "many.csv", "--out", "later.csv")
    assert asked.code == 0, asked.err
    assert "policy default, which assumes no label shares" in asked.out
    again = cli("annotate", "many.csv", "--codebook", "mood.toml", "--out", "out.csv", "--json")
    assert json.loads(again.out)["asked"] == 0
    assert (folder / "out.csv").read_text() == (folder / "later.csv").read_text()
    for policy in ("raw", "mean", "content-free", "random-words"):
        assert cli("decide", job, "--policy", policy, "--out", "other.csv").code == 0
        assert {row["policy"] for row in read(folder / "other.csv")} == {policy}


def test_labels_are_exported_by_any_policy(cli: Cli, folder: Path, job: Path) -> None:
    assert cli("job", "export", job, "--out", "mean.csv", "--policy", "mean").code == 0
    assert {row["policy"] for row in read(folder / "mean.csv")} == {"mean"}
    assert cli("job", "export", job, "--out", "last.csv").code == 0
    assert (folder / "last.csv").read_text() == (folder / "out.csv").read_text()


def test_labelled_examples_calibrate_and_are_marked(cli: Cli, folder: Path, job: Path) -> None:
    rows = [f"{n},anna,expert,mood,{'glad' if n % 2 else 'sad'}" for n in range(20)]
    (folder / "people.csv").write_text("\n".join(["item,annotator,kind,question,label", *rows]))
    options = ["--policy", "mean", "--labels", "people.csv"]
    run = cli("decide", job, *options, "--calibrate", "temperature", "--save", "fitted.json", "--out", "fitted.csv")
    assert run.code == 0, run.err
    assert "mood: temperature" in run.out
    assert "by 20 examples" in run.out
    found = read(folder / "fitted.csv")
    assert [row["fitted_on"] for row in found] == ["others"] * 20 + [""] * 4
    assert {row["policy"] for row in found} == {"mean, fitted"}
    assert cli("decide", job, "--policy", "fitted.json", "--out", "again.csv").code == 0
    assert (folder / "again.csv").read_text() == (folder / "fitted.csv").read_text()
    inconclusive = cli("decide", job, *options, "--risk", "0.01")
    assert inconclusive.code == 4
    assert "no threshold found" in inconclusive.err


def test_a_channel_policy_is_asked_of_the_embedded_model(cli: Cli, folder: Path) -> None:
    run = cli("annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv", "--policy", "channel", "--json")
    assert json.loads(run.out)["asked"] == 4
    assert [row["status"] for row in read(folder / "out.csv")] == ["ok", "ok", "empty"]
    assert read(folder / "out.csv")[0]["policy"] == "channel"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--policy", "nonsense"], "unknown policy 'nonsense'"),
        (["--labels", "people.csv"], "one of --calibrate, --thresholds, --risk"),
        (["--calibrate", "temperature"], "fitting takes --labels"),
        (["--policy", "orders", "--ask"], "with --table"),
        (["--policy", "orders", "--ask", "--table", "in.csv"], "in.csv is not what the job has read"),
        (["--policy", "batch"], "24 items have an answer, not 50"),
        (["--plan", "7"], "unknown plan '7'"),
    ],
)
def test_bad_input_is_one_line(cli: Cli, folder: Path, job: Path, options: list[str], says: str) -> None:
    (folder / "people.csv").write_text("item,annotator,kind,question,label\n1,anna,expert,mood,glad\n")
    run = cli("decide", job, *options)
    assert run.code == 2
    assert says in run.err
    assert len(run.err.splitlines()) == 1
