import csv
import json
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from llmclf.annotations import COLUMNS, read_annotations
from llmclf.backends.base import Completion, Failure
from llmclf.store import Store
from llmclf.tables import FORMATS

from .conftest import Cli


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_one_row_an_item_and_question(cli: Cli, folder: Path) -> None:
    run = cli("annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv")
    assert run.code == 3, run.err  # one text is empty
    assert "2 ok, 1 empty" in run.out
    rows = read(folder / "out.csv")
    assert tuple(rows[0]) == COLUMNS
    assert [(row["item"], row["status"]) for row in rows] == [("a", "ok"), ("b", "ok"), ("c", "empty")]
    assert {row["kind"] for row in rows} == {"model"}
    probabilities = json.loads(rows[0]["probabilities"])
    assert float(rows[0]["probability"]) == probabilities[rows[0]["label"]]
    assert sum(probabilities.values()) == pytest.approx(1)
    assert (rows[2]["label"], rows[2]["probability"], rows[2]["probabilities"]) == ("", "", "")


def test_progress_says_how_far_and_how_fast(cli: Cli, folder: Path) -> None:
    (folder / "more.csv").write_text("\n".join(["id,text", *(f"{n},Sentence {n}." for n in range(20))]))
    run = cli("annotate", "more.csv", "--codebook", "mood.toml", "--out", "out.csv")
    lines = [line for line in run.err.splitlines() if line.startswith("annotating")]
    assert len(lines) == 10
    assert re.fullmatch(r"annotating 20/20 items, \d+\.\d/s", lines[-1])


def test_a_second_run_asks_nothing_and_writes_the_same(cli: Cli, folder: Path) -> None:
    cli("annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv")
    first = (folder / "out.csv").read_bytes()
    run = cli("annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv", "--json")
    summary = json.loads(run.out)
    assert (summary["asked"], summary["found"], summary["kept"]) == (0, 0, 3)
    assert summary["statuses"] == {"ok": 2, "empty": 1}
    assert (folder / "out.csv").read_bytes() == first


def test_jsonl_and_parquet_in_and_out(cli: Cli, folder: Path) -> None:
    pl.read_csv("in.csv").write_parquet("in.parquet")
    pl.read_csv("in.csv").write_ndjson("in.jsonl")
    job = ["--job", "job.sqlite"]
    assert cli("annotate", "in.parquet", "--codebook", "mood.toml", "--out", "out.jsonl", *job).code == 3
    assert cli("annotate", "in.jsonl", "--codebook", "mood.toml", "--out", "out.parquet", *job).code == 3
    lines = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    table = pl.read_parquet("out.parquet").rows(named=True)
    assert [line["label"] for line in lines] == [row["label"] for row in table]
    assert lines[0]["probabilities"] == dict(table[0]["probabilities"])
    assert lines[2] == {**lines[2], "label": None, "probabilities": None, "status": "empty"}


def test_conversations_in_three_shapes_are_the_same_conversations(cli: Cli, folder: Path) -> None:
    (folder / "columns.csv").write_text("id,post,reply\n1,I lost my job.,So sorry!\n")
    turns = json.dumps([{"speaker": "A", "text": "I lost my job."}, {"speaker": "B", "text": "So sorry!"}])
    (folder / "turns.jsonl").write_text(json.dumps({"id": "1", "turns": turns}))
    (folder / "rows.csv").write_text("talk,speaker,text\n1,A,I lost my job.\n1,B,So sorry!\n")
    shapes = {
        "columns.csv": ["--turn", "A=post", "--turn", "B=reply"],
        "turns.jsonl": ["--turns-column", "turns"],
        "rows.csv": ["--conversation-column", "talk"],
    }
    written = []
    for name, options in shapes.items():
        run = cli("annotate", name, "--codebook", "talk.toml", "--out", "out.csv", "--job", "job.sqlite", *options)
        assert run.code == 0, run.err
        written.append((folder / "out.csv").read_bytes())
    assert written[0] == written[1] == written[2]
    warmth, topics = read(folder / "out.csv")
    assert warmth["label"] in {"0", "1"}
    assert set(json.loads(topics["label"])) <= {"work", "health"}
    assert set(json.loads(topics["probabilities"])) == {"work", "health"}


def test_a_pipe_gives_a_repeated_row_its_status(cli: Cli, folder: Path) -> None:
    table = b'{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n{"id": "b", "text": "z"}\n'
    run = cli("annotate", "-", "--format", "jsonl", "--codebook", "mood.toml", "--out", "out.csv", stdin=table)
    assert run.code == 3, run.err
    assert [row["status"] for row in read(folder / "out.csv")] == ["ok", "duplicate_id", "ok"]


def test_a_row_that_is_not_utf8_or_too_long_spoils_only_itself(cli: Cli, folder: Path) -> None:
    (folder / "in.csv").write_bytes(b"id,text\na,caf\xe9\nb," + b"word " * 600 + b"\nc,fine\n")
    run = cli("annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv", "--setting", "context=512")
    assert run.code == 3
    assert [row["status"] for row in read(folder / "out.csv")] == ["bad_encoding", "too_long", "ok"]


def test_a_hosted_model_labels_without_probabilities(cli: Cli, folder: Path, llama_server: str) -> None:
    run = cli(
        "annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv", "--backend", f"{llama_server}#smollm2"
    )
    assert run.code == 3, run.err
    rows = read(folder / "out.csv")
    assert [row["status"] for row in rows] == ["ok", "ok", "empty"]
    assert {row["label"] for row in rows[:2]} <= {"glad", "sad"}
    assert rows[0]["probabilities"] == ""


def test_a_hosted_model_says_why_before_its_label(cli: Cli, folder: Path, llama_server: str) -> None:
    (folder / "why.toml").write_text((folder / "why.toml").read_text().replace("evidence = true", ""))
    uri = f"{llama_server}#smollm2"
    run = cli("annotate", "in.csv", "--codebook", "why.toml", "--out", "out.csv", "--backend", uri)
    assert run.code == 3, run.err
    rows = read(folder / "out.csv")
    assert tuple(rows[0]) == (*COLUMNS, "rationale")
    assert [row["status"] for row in rows] == ["ok", "ok", "empty"]
    store = Store(folder / "out.csv.job.sqlite")
    said = [json.loads(record.reply.text) for record in store.records() if isinstance(record.reply, Completion)]
    store.close()
    assert [list(reply) for reply in said] == [["rationale", "label"]] * 2  # in the order in which it was written
    assert sorted(row["rationale"] for row in rows[:2]) == sorted(reply["rationale"] for reply in said)
    assert all(row["rationale"].strip() for row in rows[:2])


def test_evidence_on_a_real_server_is_kept_or_cut_and_counted(cli: Cli, folder: Path, llama_server: str) -> None:
    defaults = ["--codebook", "why.toml", "--out", "out.jsonl", "--backend", f"{llama_server}#smollm2"]
    run = cli("annotate", "in.csv", *defaults, "--setting", "max_tokens=48", "--json")
    assert run.code == 3, run.err
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert all(
        row["status"] in ("ok", "cut") and (row["label"] is None) == (row["status"] == "cut") for row in rows[:2]
    )
    store = Store(folder / "out.jsonl.job.sqlite")
    replies = [record.reply for record in store.records()]
    store.close()
    assert len(replies) == 2
    for reply in replies:
        assert isinstance(reply, Completion | Failure)
        assert re.match(r'\s*\{\s*"evidence"\s*:\s*\[', reply.text)
    assert json.loads(run.out)["evidence"]["quotes"] == sum(len(row["evidence"] or ()) for row in rows)


def test_a_hosted_model_gives_probabilities_by_its_likely_tokens(cli: Cli, folder: Path, llama_server: str) -> None:
    arguments = ["annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv", "--backend"]
    arguments += [f"{llama_server}#smollm2"]
    assert cli(*arguments, "--setting", "top_logprobs=20").code == 3
    store = Store(folder / "out.csv.job.sqlite")
    replies = [record.reply for record in store.records()]
    store.close()
    assert {getattr(reply, "origin", "") for reply in replies} == {"logprobs"}
    rows = read(folder / "out.csv")
    for row in rows:
        assert row["origin"] == ("logprobs" if row["probabilities"] else "")
        assert bool(row["probabilities"]) <= (row["status"] == "ok")
        assert sum(json.loads(row["probabilities"] or "{}").values()) <= 1 + 1e-9
    cli("job", "export", "out.csv.job.sqlite", "--out", "again.csv")
    assert (folder / "again.csv").read_text() == (folder / "out.csv").read_text()
    again = cli(*arguments, "--json")  # a job keeps what it was begun with
    assert (json.loads(again.out)["asked"], read(folder / "out.csv")) == (0, rows)


class Sampled:
    """A chat server that says `glad`, and every third time `sad`; keeps what it was asked."""

    def __init__(self, httpserver: HTTPServer) -> None:
        self.asked: list[dict[str, Any]] = []
        self.refuses_temperature = False
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        httpserver.expect_request("/v1/chat/completions").respond_with_handler(self)
        self.uri = f"{httpserver.url_for('/v1')}#m"

    def __call__(self, received: Request) -> Response:
        body = received.get_json()
        if self.refuses_temperature and "temperature" in body:
            said = {"message": "does not support 0.0", "param": "temperature", "code": "unsupported_value"}
            return Response(json.dumps({"error": said}), 400, content_type="application/json")
        with self._lock:
            self.asked.append(body)
            self._counts[body["messages"][-1]["content"]] += 1
            is_third = self._counts[body["messages"][-1]["content"]] % 3 == 0
        message = {"role": "assistant", "content": json.dumps({"label": "sad" if is_third else "glad"})}
        chat = {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        return Response(json.dumps(chat), content_type="application/json")


@pytest.fixture
def sampled(httpserver: HTTPServer) -> Sampled:
    return Sampled(httpserver)


def test_samples_give_shares_and_are_asked_at_temperature_1(cli: Cli, folder: Path, sampled: Sampled) -> None:
    arguments = ["annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv", "--backend", sampled.uri]
    run = cli(*arguments, "--samples", "3")
    assert run.code == 3, run.err
    assert {body["temperature"] for body in sampled.asked} == {1.0}
    assert len(sampled.asked) == 6
    rows = read(folder / "out.csv")
    assert [(row["label"], row["origin"], row["samples"]) for row in rows] == [
        ("glad", "samples", "3"),
        ("glad", "samples", "3"),
        ("", "", ""),
    ]
    assert json.loads(rows[0]["probabilities"]) == pytest.approx({"glad": 2 / 3, "sad": 1 / 3})
    cli("job", "export", "out.csv.job.sqlite", "--out", "again.csv")
    assert (folder / "again.csv").read_text() == (folder / "out.csv").read_text()
    assert json.loads(cli(*arguments, "--json").out)["asked"] == 0, "a job keeps what it was begun with"
    assert json.loads(cli("job", "status", "out.csv.job.sqlite", "--json").out)[0]["samples"] == 3
    assert "begun with the samples 3, and now it is 5" in cli(*arguments, "--samples", "5").err


def test_a_temperature_that_is_given_is_kept_for_samples(cli: Cli, folder: Path, sampled: Sampled) -> None:
    arguments = ["annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv", "--backend", sampled.uri]
    assert cli(*arguments, "--samples", "2", "--setting", "temperature=0.5").code == 3
    assert (folder / "out.csv").exists()
    assert {body["temperature"] for body in sampled.asked} == {0.5}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--setting", "temperature=0"], "at temperature 0 all samples of m would be the same. Give the setting"),
        (["--setting", "top_logprobs=20"], "m gives those of all labels a probability. Ask once, without --samples"),
        (["--backend", "local"], "a probability. Ask once, without --samples"),
    ],
)
def test_samples_that_would_tell_nothing_are_refused(
    cli: Cli, folder: Path, sampled: Sampled, options: list[str], said: str
) -> None:
    before = sorted(folder.iterdir())
    arguments = ["annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv", "--backend", sampled.uri]
    run = cli(*arguments, "--samples", "2", *options)
    assert run.code == 2
    assert said in run.err.splitlines()[-1]
    assert not sampled.asked
    assert sorted(folder.iterdir()) == before


def test_whoever_leaves_out_what_a_server_refuses_goes_on_in_the_same_job(
    cli: Cli, folder: Path, sampled: Sampled
) -> None:
    sampled.refuses_temperature = True
    arguments = ["annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv", "--backend", sampled.uri]
    refused = cli(*arguments)
    assert refused.code == 2
    assert "does not take temperature" in refused.err
    assert "--setting temperature=none" in refused.err
    assert cli(*arguments, "--setting", "temperature=none").code == 3
    assert all("temperature" not in body for body in sampled.asked)
    assert [row["label"] for row in read(folder / "out.csv")] == ["glad", "glad", ""]
    other = cli(*arguments, "--setting", "temperature=0.5")
    assert "begun with the setting temperature None, and now it is 0.5" in other.err


def reasoned(received: Request) -> Response:
    """Answer as a model does that quotes what is there, and once what is not."""
    asked = received.get_json()
    schema = asked["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == ["evidence", "rationale", "label"]
    text = asked["messages"][-1]["content"].rpartition("\n")[2]
    quotes = ["I won", "at last!"] if "won" in text else ["My cat", "is dead"]
    said = {"evidence": quotes, "rationale": f'"{quotes[0]}",\nit says', "label": "glad" if "won" in text else "sad"}
    choice = {"index": 0, "message": {"role": "assistant", "content": json.dumps(said)}, "finish_reason": "stop"}
    chat = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return Response(json.dumps(chat), content_type="application/json")


@pytest.mark.parametrize("form", FORMATS)
def test_reasons_are_in_the_table_and_quotes_that_are_not_in_the_text_are_told_apart(
    cli: Cli, folder: Path, httpserver: HTTPServer, form: str
) -> None:
    httpserver.expect_request("/v1/chat/completions").respond_with_handler(reasoned)
    uri = f"{httpserver.url_for('/v1')}#m"
    arguments = ["annotate", "in.csv", "--codebook", "why.toml", "--out", f"out.{form}", "--backend", uri]
    run = cli(*arguments)
    httpserver.check_assertions()
    assert run.code == 3, run.err
    assert "evidence: 1 of 4 quotes are not in the text\n" in run.out
    first, second, empty = (annotation for _, annotation in read_annotations(folder / f"out.{form}"))
    assert (first.label, first.rationale) == ("glad", '"I won",\nit says')
    assert (first.evidence, first.misquoted) == (("I won", "at last!"), ())
    assert (second.label, second.evidence, second.misquoted) == ("sad", ("My cat", "is dead"), ("is dead",))
    assert (empty.label, empty.rationale, empty.evidence) == (None, "", ())
    again = json.loads(cli(*arguments, "--json").out)
    assert (again["asked"], again["found"], again["kept"]) == (0, 0, 3)
    assert again["evidence"] == {"quotes": 4, "misquoted": 1}


def test_what_was_not_asked_for_has_no_column_and_no_count(cli: Cli, folder: Path) -> None:
    run = cli("annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv", "--json")
    assert "evidence" not in json.loads(run.out)
    assert "evidence" not in cli("annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv").out
    assert tuple(read(folder / "out.csv")[0]) == COLUMNS


def test_the_openai_key_stays_at_home(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-home")
    monkeypatch.setenv("LLMCLF_API_KEY", "sk-away")
    httpserver.expect_request("/v1/chat/completions").respond_with_json({"error": {"message": "no"}}, status=401)
    uri = f"{httpserver.url_for('/v1')}#m"
    run = cli("annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv", "--backend", uri)
    assert run.code == 2
    assert "LLMCLF_API_KEY" in run.err
    assert len(run.err.splitlines()) == 1
    assert {request.headers["Authorization"] for request, _ in httpserver.log} == {"Bearer sk-away"}
    kept = b"".join(path.read_bytes() for path in folder.iterdir())
    for secret in ("sk-home", "sk-away"):
        assert secret not in run.err + run.out
        assert secret.encode() not in kept


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.csv"], "no file at missing.csv"),
        (["empty.csv"], "empty.csv has no rows"),
        (["in.csv", "--text-column", "txt"], "unknown column 'txt': did you mean 'text'? known are 'id', 'text'"),
        (["in.csv", "--id-column", "key"], "unknown column 'key'"),
        (["twice.csv"], "items 1 and 3 have the same id"),
        (["noid.csv"], "row 2 has no id in column 'id'"),
        (["in.csv", "--turn", "A"], "Write SPEAKER=COLUMN"),
        (["in.csv", "--turn", "A=text", "--turns-column", "text"], "a conversation comes in one shape"),
        (["in.csv", "--out", "in.csv"], "is the input"),
        (["in.csv", "--out", "out.xlsx"], "cannot tell the format"),
        (["in.csv", "--out", "nowhere/out.csv"], "nowhere"),
        (["in.csv", "--codebook", "missing"], "no codebook at missing"),
        (["in.csv", "--codebook", "one.toml"], "at least 2"),
        (["in.csv", "--codebook", "bad"], "'texts' is undefined"),
        (["in.csv", "--backend", "local:cut.gguf"], "cut.gguf cannot be loaded"),
        (["in.csv", "--local-only", "--backend", "http://10.0.0.1/v1#m"], "is not on this machine"),
        (["in.csv", "--local-only", "--backend", "https://localhost.example.org/v1#m"], "is not on this machine"),
        (["in.csv", "--local-only", "--backend", "openai:gpt"], "openai:gpt is not on this machine"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    cli: Cli, folder: Path, gguf: Path, arguments: list[str], said: str
) -> None:
    (folder / "empty.csv").write_text("")
    (folder / "twice.csv").write_text("id,text\na,x\nb,y\na,z\n")
    (folder / "noid.csv").write_text("id,text\na,x\n,y\n")
    (folder / "one.toml").write_text((folder / "mood.toml").read_text().rpartition("[[question.label]]")[0])
    (folder / "bad").mkdir()
    (folder / "bad" / "codebook.toml").write_text((folder / "mood.toml").read_text())
    (folder / "bad" / "prompt.jinja").write_text("{% block user %}\n{{ texts }}\n{% endblock %}")
    with (folder / "cut.gguf").open("wb") as file:
        file.write(gguf.read_bytes()[:1_000_000])
    before = sorted(folder.rglob("*"))
    defaults = ["--codebook", "mood.toml", "--out", "out.csv"]
    run = cli("annotate", *defaults, *arguments)  # of an option given twice, the last one counts
    assert run.code == 2
    assert said in run.err
    assert len(run.err.splitlines()) == 1
    assert sorted(folder.rglob("*")) == before


def test_local_only_takes_a_model_or_a_server_on_this_machine(cli: Cli, folder: Path, llama_server: str) -> None:
    for number, backend in enumerate(("local", f"{llama_server}#m")):
        arguments = ["--codebook", "mood.toml", "--out", f"{number}.csv", "--backend", backend]
        assert cli("annotate", "in.csv", *arguments, "--local-only").code == 3
    assert (folder / "1.csv").exists()


def test_a_limit_stops_before_it_is_passed_and_the_same_command_goes_on(cli: Cli, folder: Path) -> None:
    (folder / "more.csv").write_text("id,text\na,One.\nb,Two.\nc,Two.\nd,Three.\ne,Four.\n")
    arguments = ["annotate", "more.csv", "--codebook", "mood.toml", "--out", "out.csv"]
    first = cli(*arguments, "--max-requests", 6)  # of which three are about texts that say nothing
    assert first.code == 6
    assert first.err.splitlines()[-1] == "llmclf: stopped at the limit of 6 requests. The same command goes on"
    assert not (folder / "out.csv").exists()
    last = cli(*arguments, "--max-requests", 6, "--json")
    assert last.code == 0
    assert json.loads(last.out)["asked"] == 1  # of five texts two are equal
    assert len(read(folder / "out.csv")) == 5


def test_an_interrupt_says_how_to_go_on_and_leaves_no_half_file(folder: Path, httpserver: HTTPServer) -> None:
    asked, released = threading.Event(), threading.Event()

    def stall(_: Request) -> Response:
        asked.set()
        released.wait(60)
        return Response(status=500)

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(stall)
    arguments = ["annotate", "in.csv", "--codebook", "mood.toml", "--out", "out.csv", "--backend"]
    process = subprocess.Popen(
        [sys.executable, "-m", "llmclf", *arguments, f"{httpserver.url_for('/v1')}#m"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asked.wait(60)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    released.set()
    assert process.returncode == 130
    assert "the same command goes on" in err
    assert "Traceback" not in err
    assert not (folder / "out.csv").exists()
    assert not list(folder.glob(".out.csv*"))
