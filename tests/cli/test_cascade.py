import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_httpserver import HTTPServer

from llmclf.annotations import read_annotations
from llmclf.tables import read_rows

from .conftest import Cli
from .models import HEADER, chat, table, without_probabilities

N = 400
RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 2, N)
SURE = RNG.random(N)
"""How sure the cheap model is: the better one agrees with it as often."""
CHEAP = np.where(RNG.random(N) < 0.55 + 0.45 * SURE, TRUTH, 1 - TRUTH)


def cheap_table() -> str:
    p = {str(i): round(float(0.5 + (CHEAP[i] - 0.5) * (0.02 + 0.98 * SURE[i])), 6) for i in range(N)}
    return table("cheap", p | {"cut": None}) + "blank,mood,cheap,model,,,,,,empty\n"


def better_table(items: list[int]) -> str:
    return table("better", {str(i): [0.1, 0.9][TRUTH[i]] for i in items})


@pytest.fixture(autouse=True)
def tables(folder: Path) -> Path:
    (folder / "cheap.csv").write_text(cheap_table())
    (folder / "sample.csv").write_text(better_table(list(range(200))))
    (folder / "all.csv").write_text(better_table(list(range(N))))
    people = "".join(f"{i},anna,{['glad', 'sad'][TRUTH[i]]}\n" for i in range(150))
    (folder / "people.csv").write_text("item,annotator,label\n" + people)
    items = [str(i) for i in range(N)] + ["cut", "blank"]
    (folder / "items.csv").write_text("id,text,more\n" + "".join(f'{i},"text, {i}",m{i}\n' for i in items))
    return folder


MOOD = ["cascade", "cheap.csv", "--codebook", "mood.toml", "--out", "out.csv"]


def document(cli: Cli, *arguments: object, code: int = 3) -> dict[str, Any]:
    run = cli(*MOOD, *arguments, "--json")
    assert run.code == code, run.err
    found: dict[str, Any] = json.loads(run.out)
    return found


def test_the_whole_way_to_a_complete_table(cli: Cli, folder: Path) -> None:
    chosen = ["--better", "sample.csv", "--agreement", "0.8"]
    run = cli(*MOOD, *chosen, "--route", "rest.csv", "--table", "items.csv")
    assert (run.code, run.err) == (3, "")
    assert max(map(len, run.out.splitlines())) <= 80
    rest = list(read_rows(folder / "rest.csv"))
    first = {row["item"]: row for row in read_rows(folder / "out.csv")}
    assert [row["id"] for row in rest] == [item for item, row in first.items() if row["status"] == "routed"]
    assert rest[0] == {"id": rest[0]["id"], "text": f"text, {rest[0]['id']}", "more": f"m{rest[0]['id']}"}
    assert f"{len(rest)} rows wait; wrote rest.csv: ask better about it" in run.out
    asked = {row["id"]: [0.1, 0.9][TRUTH[int(row["id"])]] for row in rest if row["id"] != "cut"}
    (folder / "routed.csv").write_text(table("better", asked | {"cut": 0.9}))
    again = cli(*MOOD, *chosen, "--routed", "routed.csv", "--route", "rest.csv")
    assert again.code == 3
    assert "wait" not in again.out
    assert (folder / "rest.csv").read_text() == "id\n"
    rows = {row["item"]: row for row in read_rows(folder / "out.csv")}
    assert {row["status"] for row in rows.values()} == {"ok", "empty"}
    assert {row["annotator"] for row in rows.values()} == {"cascade(cheap, better)"}
    assert rows["blank"]["answered_by"] == ""
    assert rows["cut"]["answered_by"] == "better"
    assert rows[rest[0]["id"]]["answered_by"] == "better"
    by_cheap = [row for row in rows.values() if row["answered_by"] == "cheap"]
    assert (
        min(float(row["probability"]) for row in by_cheap) >= json.loads(cli(*MOOD, *chosen, "--json").out)["threshold"]
    )
    assert len(list(read_annotations(folder / "out.csv"))) == N + 2
    audited = cli("audit", "out.csv", "--expert", "people.csv", "--codebook", "mood.toml", "--json")
    assert audited.code == 0, audited.err


def test_what_a_program_reads(cli: Cli) -> None:
    prices = ["--price-cheap", "0.001", "--price-better", "0.1"]
    found = document(cli, "--better", "all.csv", "--expert", "people.csv", "--calls", "0.5", *prices)
    assert (found["n_items"], found["n_askable"], found["n_kept"]) == (N + 2, N + 1, 201)
    assert found["saved_calls"] == pytest.approx(201 / 401)
    assert found["cost"] == pytest.approx(0.401 + 20)
    assert found["cost_of_better"] == pytest.approx(40.1)
    assert found["n_people"] == 150
    assert found["accuracy"]["better"]["value"] == 1
    assert found["accuracy"]["cheap"]["value"] == pytest.approx(np.mean(CHEAP[:150] == TRUTH[:150]))
    assert found["accuracy"]["cheap"]["value"] < found["accuracy"]["cascade"]["value"] < 1
    assert found["macro_f1"]["difference"]["low"] < found["macro_f1"]["difference"]["value"] < 0
    assert found["statuses"] == {"ok": 400, "routed": 1, "empty": 1}
    assert len(found["curve"]) == 10
    assert found["curve"][0]["agreement"]["value"] > found["curve"][-1]["agreement"]["value"]


def test_what_a_person_reads(cli: Cli) -> None:
    prices = ["--price-cheap", "0.001", "--price-better", "0.1"]
    run = cli(*MOOD, "--better", "all.csv", "--expert", "people.csv", "--cost", "20.401", *prices)
    assert (run.code, run.err) == (3, "")
    assert max(map(len, run.out.splitlines())) <= 80
    for part in (
        "(by --cost 20.401)",
        "402 items: 201 by cheap, 200 by better; 50% of its calls are saved",
        "cost: 20.4 in place of 40.1 for better alone, 49% less",
        "on the 150 items that they and better labelled",
        "macro-F1 beside better, margin 0.02: ",
        "1 rows wait; write them by --route",
    ):
        assert part in run.out


def test_no_threshold_is_no_success(cli: Cli, folder: Path) -> None:
    run = cli(*MOOD, "--better", "sample.csv", "--agreement", "0.99")
    assert run.code == 4
    assert "no threshold found: 200 labelled items cannot show an agreement of 0.99" in run.out
    assert not (folder / "out.csv").exists()
    found = document(cli, "--better", "all.csv", "--agreement", "0.99", code=4)
    assert found["threshold"] is None
    assert found["undefined"].startswith("no threshold found: the surest answers do not show")
    assert len(found["curve"]) == 10


def test_people_may_choose_the_threshold(cli: Cli) -> None:
    chosen = ["--better", "sample.csv", "--agreement", "0.85"]
    with_better = document(cli, *chosen)["threshold"]
    with_people = document(cli, *chosen, "--expert", "people.csv", "--agreement-with", "people")["threshold"]
    assert 0.5 < with_better < 1
    assert 0.5 < with_people < 1
    assert with_better != with_people, "they labelled fewer"


def test_without_the_table_the_rest_is_ids(cli: Cli, folder: Path) -> None:
    assert cli(*MOOD, "--better", "all.csv", "--threshold", "0.7", "--route", "rest.csv").code == 3
    assert (folder / "rest.csv").read_text() == "id\ncut\n"


def test_prices_of_tokens_are_taken_from_jobs(cli: Cli, folder: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/chat/completions").respond_with_json(chat("glad", prompt_tokens=600))
    backend = ["--backend", f"{httpserver.url_for('/v1')}#m", "--out", "job.csv"]
    assert cli("annotate", "in.csv", "--codebook", "mood.toml", *backend).code == 3
    (folder / "cheap.csv").write_text(table("cheap", {"a": 0.9, "b": 0.8, "c": 0.7}))
    (folder / "prices.toml").write_text("[m]\ninput = 1000\noutput = 0\n")
    wanted = ["--threshold", "0.8", "--prices", "prices.toml", "--price-cheap", "0.1"]
    found = document(cli, "--better", "job.csv.job.sqlite", *wanted)
    assert found["cost_of_better"] == pytest.approx(3 * 0.6)
    assert found["cost"] == pytest.approx(0.3 + 0.6)
    (folder / "other.toml").write_text("[n]\ninput = 1000\noutput = 0\n")
    other = cli(*MOOD, "--better", "job.csv.job.sqlite", *wanted, "--prices", "other.toml")
    assert (other.code, "unknown model 'm'" in other.err) == (2, True)
    no_job = cli(*MOOD, "--better", "job.csv", *wanted)
    assert (no_job.code, "job.csv does not say how many tokens its answers took" in no_job.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--better", "sample.csv"], "the threshold is chosen in one way. Give one of --agreement, --calls, --cost"),
        (["--better", "sample.csv", "--calls", "1", "--threshold", "1"], "the threshold is chosen in one way"),
        (["--better", "sample.csv", "--threshold", "nan"], "nan is no threshold"),
        (["--better", "sample.csv", "--agreement", "95"], "an agreement of 95 cannot be shown"),
        (["--better", "sample.csv", "--cost", "5"], "a limit of the cost needs prices"),
        (["--better", "sample.csv", "--calls", "1", "--price-cheap", "5"], "one price alone says nothing"),
        (["--better", "cheap.csv", "--calls", "1"], "'cheap' is both the cheap and the better model"),
        (["--better", "far.csv", "--calls", "1"], "'far' has answered none of the items of 'cheap'"),
        (["--better", "two.csv", "--calls", "1"], "two.csv has the models x, y. Give the table or the job of one"),
        (
            ["--better", "sample.csv", "--calls", "1", "--routed", "far.csv"],
            "has the answers of 'far', not of 'better'",
        ),
        (["--better", "sample.csv", "--calls", "1", "-q", "tone"], "unknown question 'tone'"),
        (["--better", "sample.csv", "--agreement", ".9", "--agreement-with", "people"], "there are no people to agree"),
        (["--better", "sample.csv", "--calls", "1", "--out", "cheap.csv"], "--out cheap.csv is an input"),
        (["--better", "sample.csv", "--calls", "1", "--route", "out.csv"], "--route out.csv is also --out"),
        (
            ["--better", "sample.csv", "--calls", "1", "--route", "rest.csv", "--table", "in.csv"],
            "in.csv has no row with the id '200' in column 'id'",
        ),
        (
            ["--better", "sample.csv", "--calls", "1", "--route", "rest.csv", "--table", "in.csv", "--id-column", "x"],
            "in.csv: unknown column 'x'",
        ),
    ],
)
def test_bad_input_is_one_line(cli: Cli, folder: Path, arguments: list[str], said: str) -> None:
    (folder / "far.csv").write_text(table("far", {"9x": 0.9}))
    (folder / "two.csv").write_text(HEADER + "1,mood,x,model,glad,,,,,ok\n1,mood,y,model,glad,,,,,ok\n")
    run = cli(*MOOD, *arguments)
    assert run.code == 2
    assert said in run.err
    assert len(run.err.splitlines()) == 1


def test_a_model_without_probabilities_cannot_say_where_it_is_sure(cli: Cli, folder: Path) -> None:
    (folder / "cheap.csv").write_text(without_probabilities("cheap", {"1": "glad", "2": "sad"}))
    run = cli(*MOOD, "--better", "sample.csv", "--calls", "0.5")
    assert (run.code, len(run.err.splitlines())) == (2, 1)
    assert "'cheap' gives no probabilities, which say where it is sure" in run.err


def test_of_several_questions_one_is_chosen(cli: Cli, folder: Path) -> None:
    rows = [f'{item},warmth,cheap,model,1,0.{item},"{{""0"": 0.1, ""1"": 0.9}}",,,ok\n' for item in range(5, 9)]
    (folder / "cheap.csv").write_text(HEADER + "".join(rows) + "5,topics,cheap,model,[],,,,,ok\n")
    (folder / "sample.csv").write_text(HEADER + "5,warmth,better,model,0,,,,,ok\n")
    wanted = ["cascade", "cheap.csv", "--codebook", "talk.toml", "--out", "out.csv", "--better", "sample.csv"]
    assert "the codebook asks warmth, topics. Choose one" in cli(*wanted, "--calls", "0.25").err
    run = cli(*wanted, "--calls", "0.25", "-q", "warmth")
    assert run.code == 0, run.err
    assert [(row["item"], row["label"], row["answered_by"]) for row in read_rows(folder / "out.csv")] == [
        ("5", "0", "better"),
        ("6", "1", "cheap"),
        ("7", "1", "cheap"),
        ("8", "1", "cheap"),
    ]
