import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Cli

PRICES = '["m"]\ninput = 2.0\noutput = 10.0\n'


def estimate(cli: Cli, *arguments: object) -> dict[str, float]:
    run = cli("estimate", *arguments, "--json")
    assert run.code == 0, run.err
    found: dict[str, float] = json.loads(run.out)
    return found


def test_what_is_estimated_for_a_local_model_is_what_annotating_then_takes(cli: Cli, folder: Path) -> None:
    rows = [f"{n},Sentence {n % 7} is long." for n in range(9)]
    (folder / "more.csv").write_text("\n".join(["id,text", *rows, "z,"]))
    arguments = ["more.csv", "--codebook", "mood.toml", "--out", "out.csv"]
    found = estimate(cli, *arguments)
    assert (found["items"], found["without_question"], found["distinct"], found["requests"]) == (10, 1, 7, 7 + 3)
    assert found["tokens_out"] == 0
    assert 10 * 6 <= found["tokens_in"] <= 10 * 40
    assert found["seconds"] is not None
    assert not (folder / "out.csv.job.sqlite").exists()
    asked = json.loads(cli("annotate", *arguments, "--json").out)["asked"]
    assert asked == found["requests"]


def test_a_set_question_takes_a_request_a_label_where_labels_are_scored(cli: Cli, folder: Path) -> None:
    (folder / "talk.csv").write_text("id,a\nx,I lost my job.\n")
    shape = ["talk.csv", "--codebook", "talk.toml", "--turn", "Seeker=a"]
    assert estimate(cli, *shape)["requests"] == 4 * (1 + 2)
    assert estimate(cli, *shape, "--backend", "http://localhost:9/v1#m")["requests"] == 1 + 1


def test_a_server_is_estimated_by_characters_and_a_price_table(cli: Cli, folder: Path) -> None:
    (folder / "prices.toml").write_text(PRICES)
    arguments = ["in.csv", "--codebook", "mood.toml", "--backend", "http://localhost:9/v1#m"]
    found = estimate(cli, *arguments, "--prices", "prices.toml", "--requests-per-minute", "4")
    assert found["requests"] == 2
    assert found["seconds"] == 30
    assert found["money"] == pytest.approx((2 * found["tokens_in"] + 10 * found["tokens_out"]) / 1e6)
    assert 2 * 3 <= found["tokens_out"] <= 2 * 10
    several = estimate(cli, *arguments, "--samples", "3")
    assert [several[key] for key in ("requests", "tokens_in", "tokens_out")] == [
        3 * found[key] for key in ("requests", "tokens_in", "tokens_out")
    ]
    run = cli("estimate", *arguments)
    assert "counted by 4 characters a token" in run.out
    assert "not known: give --prices" in run.out
    assert max(map(len, run.out.splitlines())) <= 80
    reasons = estimate(cli, "in.csv", "--codebook", "why.toml", "--backend", "http://localhost:9/v1#m")
    assert reasons["tokens_out"] > 10 * found["tokens_out"]


def test_of_many_items_the_first_are_taken_for_all(cli: Cli, folder: Path) -> None:
    (folder / "many.csv").write_text("\n".join(["id,text", *(f"{n},Text number {n:06}." for n in range(3000))]))
    arguments = ["many.csv", "--codebook", "mood.toml", "--backend", "http://localhost:9/v1#m"]
    found = estimate(cli, *arguments)
    assert (found["items"], found["requests"], found["sampled"]) == (3000, 3000, 1000)
    assert "from the first 1,000 items" in cli("estimate", *arguments).out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no price table at prices.toml"),
        ("m = 1", "prices.toml: m"),
        ('["m"]\ninput = 1\n', "prices.toml: m output"),
        ('["m"]\ninput = -1\noutput = 1\n', "greater than or equal to 0"),
        ('["mm"]\ninput = 1\noutput = 1\n', "unknown model 'm': did you mean 'mm'?"),
    ],
)
def test_a_bad_price_table_is_one_line(cli: Cli, folder: Path, content: str | None, said: str) -> None:
    if content:
        (folder / "prices.toml").write_text(content)
    arguments = ["--codebook", "mood.toml", "--backend", "http://localhost:9/v1#m", "--prices", "prices.toml"]
    run = cli("estimate", "in.csv", *arguments)
    assert run.code == 2
    assert said in run.err
    assert len(run.err.splitlines()) == 1


@pytest.mark.usefixtures("folder")
def test_a_service_is_estimated_without_its_key(cli: Cli) -> None:
    for uri in ("openai:m", "batch:m"):
        assert estimate(cli, "in.csv", "--codebook", "mood.toml", "--backend", uri)["requests"] == 2


def planned(cli: Cli, *arguments: object) -> dict[str, Any]:
    run = cli("estimate", *arguments, "--json")
    assert run.code == 0, run.err
    plan: dict[str, Any] = json.loads(run.out)
    return plan


def test_a_plan_sets_a_student_and_batches_beside_the_model(cli: Cli, folder: Path) -> None:
    (folder / "many.csv").write_text("\n".join(["id,text", *(f"{n},Text number {n:06}." for n in range(1000))]))
    (folder / "prices.toml").write_text(PRICES)
    server = ["--backend", "http://localhost:9/v1#m", "--requests-per-minute", "60"]
    arguments = ["many.csv", "--codebook", "mood.toml", "--prices", "prices.toml", *server]
    whole = estimate(cli, *arguments)
    plan = planned(cli, *arguments, "--distil", "500", "--rows", "1000000", "--unsure-share", "0.1")
    assert (plan["rows"], plan["taught"], plan["unsure_share"]) == (1_000_000, 500, 0.1)
    ways = {way["name"]: way for way in plan["ways"]}
    assert list(ways) == ["m", "batch:m", "student(m)", "student(batch:m)"]
    assert ways["m"]["seconds"] == pytest.approx(1000 * whole["seconds"])
    assert ways["m"]["money"] == pytest.approx(1000 * whole["money"])
    assert ways["batch:m"]["money"] == pytest.approx(ways["m"]["money"] / 2)
    assert (ways["m"]["batches"], ways["batch:m"]["batches"]) == (0, 20)
    asked = 500 + round(0.1 * 999_500)
    by_student = 1_000_000 / plan["student_rows_per_second"]
    assert ways["student(m)"]["rows_asked"] == ways["student(batch:m)"]["rows_asked"] == asked
    assert ways["student(m)"]["seconds"] == pytest.approx(asked + by_student)
    assert ways["student(batch:m)"]["seconds"] == pytest.approx(by_student)
    assert ways["student(batch:m)"]["batches"] == 3
    assert ways["student(batch:m)"]["money"] == pytest.approx(whole["money"] * asked / 2000)


@pytest.mark.usefixtures("folder")
def test_a_plan_of_a_local_model_costs_hours_and_no_money(cli: Cli) -> None:
    arguments = ["in.csv", "--codebook", "talk.toml", "--distil", "1000", "--rows", "57000000"]
    plan = planned(cli, *arguments, "--turn", "Seeker=text")
    alone, with_student = plan["ways"]
    assert alone["money"] is None
    assert 0 < with_student["seconds"] < alone["seconds"]
    assert plan["student_rows_per_second"] > 0


def test_a_plan_fits_a_terminal(cli: Cli, folder: Path) -> None:
    (folder / "prices.toml").write_text(PRICES)
    arguments = ["--codebook", "mood.toml", "--distil", "20000", "--rows", "57000000", "--prices", "prices.toml"]
    run = cli("estimate", "in.csv", *arguments)
    assert run.code == 0, run.err
    assert "57,000,000 rows labelled by" in run.out
    assert "learns from 20,000 rows and leaves 5% of the others" in run.out
    assert " batches" in run.out
    assert max(map(len, run.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["in.csv", "--rows", "9"], "Give it with --distil N"),
        (["in.csv", "--distil", "9"], "a student cannot learn from 9 of 3 rows"),
        (["-", "--format", "csv", "--distil", "9"], "can be read once only"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_plan_that_cannot_be_made_is_one_line(cli: Cli, arguments: list[str], said: str) -> None:
    run = cli("estimate", *arguments, "--codebook", "mood.toml", "--backend", "http://localhost:9/v1#m")
    assert run.code == 2
    assert said in run.err
    assert len(run.err.splitlines()) == 1
