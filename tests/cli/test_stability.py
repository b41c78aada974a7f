import csv
import json
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from .conftest import Cli


@pytest.fixture
def server(httpserver: HTTPServer) -> str:
    """A chat server that says "sad" wherever that is listed first, and otherwise "glad"."""

    def answer(received: Request) -> Response:
        said = " ".join(str(message["content"]) for message in received.get_json()["messages"])
        first = "sad" if said.index("sad") < said.index("glad") else "glad"
        choice = {"index": 0, "message": {"role": "assistant", "content": json.dumps({"label": first})}}
        reply = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
        content = json.dumps(reply | {"choices": [choice | {"finish_reason": "stop"}]})
        return Response(content, content_type="application/json")

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(answer)
    return f"{httpserver.url_for('/v1')}#m"


def test_it_says_how_often_labels_change_and_the_audit_says_it_again(cli: Cli, folder: Path, server: str) -> None:
    common = ["--codebook", "mood.toml", "--backend", server]
    assert cli("annotate", "in.csv", *common, "--policy", "raw", "--out", "labels.csv").code == 3  # one text is empty
    arguments = ["stability", "in.csv", *common, "--job", "labels.csv.job.sqlite", "--sample", "2"]
    run = cli(*arguments, "--out", "stability.csv")
    assert run.code == 0, run.err
    assert max(map(len, run.out.splitlines())) <= 80
    said = " ".join(run.out.split())
    for part in (
        "mood: 2 items, asked in 4 ways",
        "2 repeats 0.00 0 of 2 undefined",
        "label order 1.00 2 of 2",
        "unstable: a: glad; order 1: sad",
        "repeats: at temperature 0 a repeat shows what changes in the server",
        "6 requests asked, 2 answered from the record labels.csv.job.sqlite",
    ):
        assert part in said, run.out
    with (folder / "stability.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["item"], row["question"], row["label"]) for row in rows] == [
        ("a", "mood", "glad"),
        ("b", "mood", "glad"),
    ]
    names = ("flip_rate", "flip_rate_repeat", "flip_rate_order", "flip_rate_codes", "spread")
    assert [rows[0][name] for name in names] == [str(1 / 3), "0.0", "1.0", "", ""]
    again = json.loads(cli(*arguments, "--json").out)
    assert (again["asked"], [one["kind"] for one in again["questions"][0]["changes"]]) == (0, ["repeat", "order"])
    (folder / "people.csv").write_text("item,annotator,label\na,anna,glad\nb,anna,sad\na,ben,glad\nb,ben,sad\n")
    run = cli("audit", "labels.csv.job.sqlite", "--expert", "people.csv", "--codebook", "mood.toml")
    assert run.code == 0, run.err
    assert "asked again or otherwise: repeat 0.00, label order 1.00" in " ".join(run.out.split())
    assert cli("job", "export", "labels.csv.job.sqlite", "--out", "again.csv").code == 0
    assert (folder / "again.csv").read_bytes() == (folder / "labels.csv").read_bytes()


def test_the_embedded_model_is_asked_by_letters_and_in_other_words(cli: Cli, folder: Path) -> None:
    (folder / "words.toml").write_text('mood = ["Is the writer glad or sad?"]')
    arguments = ["--codebook", "mood.toml", "--job", "job.sqlite", "--repeats", "2", "--orders", "1"]
    settings = ["--setting", "layout=shipped", "--setting", "context=512", "--codes", "--paraphrases", "words.toml"]
    run = cli("stability", "in.csv", *arguments, *settings, "--json")
    assert run.code == 0, run.err
    told = json.loads(run.out)
    (question,) = told["questions"]
    assert question["ways"] == ["plain", "repeat 1", "paraphrase 1", "codes"]
    assert {one["kind"]: one["n_items"] for one in question["changes"]} == {"repeat": 2, "paraphrase": 2, "codes": 2}
    repeat, paraphrase, codes = (one["spread"]["value"] for one in question["changes"])
    assert repeat < 1e-3 < min(paraphrase, codes)
    assert told["repeats"].startswith("repeats: scores are computed, not drawn")


@pytest.mark.usefixtures("folder")
def test_a_limit_stops_it_and_the_same_command_goes_on(cli: Cli, server: str) -> None:
    arguments = ["stability", "in.csv", "--codebook", "mood.toml", "--backend", server, "--job", "job.sqlite", "--json"]
    assert cli(*arguments, "--max-requests", "3").code == 6
    run = cli(*arguments)
    assert run.code == 0, run.err
    assert json.loads(run.out)["asked"] == 8 - 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--repeats", "1", "--orders", "1"], "one way to ask cannot be compared"),
        (["--paraphrases", "none.toml"], "no paraphrases at none.toml"),
        (["--paraphrases", "words.toml"], "unknown question 'mod': did you mean 'mood'?"),
        (["--max-cost", "1"], "Give --prices"),
        (["--out", "x.txt"], "x.txt"),
    ],
)
def test_a_wrong_option_is_one_line(cli: Cli, folder: Path, server: str, options: list[str], said: str) -> None:
    (folder / "words.toml").write_text('mod = ["Is the writer glad or sad?"]')
    run = cli("stability", "in.csv", "--codebook", "mood.toml", "--backend", server, "--job", "job.sqlite", *options)
    assert run.code == 2
    assert said in run.err
    assert len(run.err.splitlines()) == 1
