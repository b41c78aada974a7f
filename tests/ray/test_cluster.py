import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.cli.conftest import CODEBOOK

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not here: make test-ray")

ROWS = 332
MICRO_BATCH = 100
CONCURRENCY = 4
POOL = ("actors=2", "cpus=0.4", f"micro_batch={MICRO_BATCH}")
KEY = "sk-a-key-that-nobody-may-see"


class Server:
    """Says glad of even numbers; counts requests by text, and does something before it answers the one it is told."""

    def __init__(self, httpserver: HTTPServer) -> None:
        self.asked: Counter[int] = Counter()
        self.keys: set[str | None] = set()
        self.at: dict[int, Callable[[], None]] = {}
        self.refuses = False
        httpserver.expect_request("/v1/chat/completions").respond_with_handler(self.answer)
        self.uri = f"{httpserver.url_for('/v1')}#m"

    def answer(self, received: Request) -> Response:
        self.at.pop(self.asked.total(), lambda: None)()
        if self.refuses:
            return Response('{"error": {"message": "no such key"}}', status=401, content_type="application/json")
        self.keys.add(received.headers.get("Authorization"))
        found = re.search(r"Sentence (\d+)\.", received.get_json()["messages"][-1]["content"])
        assert found
        number = int(found[1])
        self.asked[number] += 1
        said = json.dumps({"label": "sad" if number % 2 else "glad"})
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        body["usage"] = {"prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000}
        return Response(json.dumps(body), content_type="application/json")


@pytest.fixture
def server(httpserver: HTTPServer) -> Server:
    return Server(httpserver)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mood.toml").write_text(CODEBOOK)
    (tmp_path / "in.csv").write_text("\n".join(["id,text", *(f"{n},Sentence {n}." for n in range(ROWS))]))
    return tmp_path


def llmclf(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.run(
        [sys.executable, "-m", "llmclf", *arguments],
        cwd=folder,
        env=environment | {"LLMCLF_API_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def annotate(folder: Path, server: Server, *more: str) -> subprocess.CompletedProcess[str]:
    settings = [part for setting in (*POOL, f"concurrency={CONCURRENCY}") for part in ("--setting", setting)]
    arguments = ["in.csv", "--codebook", "mood.toml", "--out", "labels", "--job", "job.sqlite", "--backend", server.uri]
    return llmclf(folder, "annotate", *arguments, "--engine", "ray", *settings, "--json", *more)


def check_table(folder: Path) -> None:
    table = pl.concat(pl.read_parquet(part) for part in sorted((folder / "labels").iterdir()))
    assert table["item"].to_list() == [str(n) for n in range(ROWS)]
    assert table["label"].to_list() == ["glad", "sad"] * (ROWS // 2)


def test_an_actor_that_is_killed_costs_what_it_had_under_way_and_the_run_finishes(folder: Path, server: Server) -> None:
    killed = []

    def kill_an_actor() -> None:
        lock = min((folder / "job.sqlite.micro-batches").glob("*.lock")).read_text()
        killed.append(int(lock.partition("process ")[2].split()[0]))
        os.kill(killed[0], signal.SIGKILL)

    server.at[32 + MICRO_BATCH] = kill_an_actor
    (folder / "prices.toml").write_text("[m]\ninput = 2.0\noutput = 0.0\n")
    run = annotate(folder, server, "--prices", "prices.toml")
    assert run.returncode == 0, run.stderr
    assert len(killed) == 1
    assert "llmclf: an actor was ended" in run.stderr
    summary = json.loads(run.stdout)  # of what Ray has to say, nothing is on standard output
    assert summary["statuses"] == {"ok": ROWS}
    assert summary["cost"] == 2 * ROWS
    check_table(folder)
    twice = [number for number, count in server.asked.items() if count > 1]
    assert max(server.asked.values(), default=0) <= 2
    assert len({number // MICRO_BATCH for number in twice}) <= 1
    assert len(twice) < MICRO_BATCH // 2  # and not the whole micro-batch: what was answered is on its record
    assert server.keys == {f"Bearer {KEY}"}
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in path.read_bytes() for path in files)
    assert {path.name for path in folder.iterdir()} == {
        "in.csv",
        "mood.toml",
        "prices.toml",
        "labels",
        "job.sqlite",
    }
    exported = llmclf(folder, "job", "export", "job.sqlite", "--out", "labels.csv")
    assert exported.returncode == 0, exported.stderr
    assert (folder / "labels.csv").read_text().splitlines()[-1].startswith(f"{ROWS - 1},mood,m,model,sad")


def test_a_run_that_failed_goes_on_where_it_was(folder: Path, server: Server) -> None:
    def refuse() -> None:
        server.refuses = True

    server.at[32 + MICRO_BATCH] = refuse
    run = annotate(folder, server)
    assert run.returncode == 2
    assert "LLMCLF_API_KEY" in run.stderr
    assert not re.search("Traceback|WARNING|INFO", run.stderr)
    assert not (folder / "labels").exists()
    assert server.asked.total() == 32 + MICRO_BATCH
    server.refuses = False
    run = annotate(folder, server)
    assert run.returncode == 0, run.stderr
    check_table(folder)
    # What the other actor had under way when the first told of the refusal may be asked again.
    assert server.asked.total() <= ROWS + 2 * CONCURRENCY
    asked = server.asked.total()
    run = annotate(folder, server)
    assert json.loads(run.stdout)["kept"] == ROWS
    assert server.asked.total() == asked


def test_more_than_this_machine_has_is_one_line(folder: Path, server: Server) -> None:
    run = annotate(folder, server, "--setting", "gpus=64")
    assert run.returncode == 2
    assert "2 actors need 128 GPUs, and this machine has" in run.stderr
    assert not (folder / "job.sqlite").exists()
