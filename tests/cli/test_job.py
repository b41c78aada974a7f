import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZipFile

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from llmclf.codebook import Codebook

from .conftest import Cli

TALK = "id,a,b\nx,I lost my job.,That must hurt.\ny,I won!,\nz,,\n"


def chat(text: str, finish: str = "stop", model: str = "m") -> Response:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    said = {"id": "1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice]}
    return Response(json.dumps(said), content_type="application/json")


class Server:
    """A chat server that fails in ways that can be mended."""

    def __init__(self, httpserver: HTTPServer) -> None:
        self.is_well = False
        httpserver.expect_request("/v1/chat/completions").respond_with_handler(self.answer)
        self.uri = f"{httpserver.url_for('/v1')}#m"

    def answer(self, received: Request) -> Response:
        said = received.get_json()["messages"][-1]["content"]
        if "lost" in said and not self.is_well:
            return Response('{"error": {"message": "overloaded"}}', status=500, content_type="application/json")
        if "won" in said and not self.is_well:
            return chat('{"label": "gl', "length")
        return chat('{"label": "glad"}')


@pytest.fixture
def server(httpserver: HTTPServer) -> Server:
    return Server(httpserver)


@pytest.fixture
def failed(cli: Cli, folder: Path, server: Server) -> Path:
    """A job file in which one answer failed for the moment, one was cut, one text was empty and one has a label."""
    (folder / "four.csv").write_text("id,text\na,I lost.\nb,I won.\nc,\nd,Fine.\n")
    arguments = ["--codebook", "mood.toml", "--out", "out.csv", "--job", "job.sqlite", "--backend", server.uri]
    assert cli("annotate", "four.csv", *arguments, "--setting", "attempts=1").code == 3
    return folder / "job.sqlite"


def test_status_says_what_has_no_label_and_what_may_be_mended(cli: Cli, failed: Path) -> None:
    run = cli("job", "status", failed.name)
    assert (run.code, run.err) == (0, "")
    assert "plan 1: mood, by m (http://" in run.out.replace("\n", " ")
    assert "4 items" in run.out
    for part in ("1 ok", "1 failed", "1 cut", "1 empty", "llmclf job retry job.sqlite"):
        assert part in run.out
    (told,) = json.loads(cli("job", "status", failed.name, "--json").out)
    assert told["statuses"] == {"ok": 1, "failed": 1, "cut": 1, "empty": 1}
    assert (told["plan"], told["items"], told["can_retry"]) == (1, 4, 1)


def test_failures_are_listed_with_their_reasons(cli: Cli, failed: Path) -> None:
    lines = [json.loads(line) for line in cli("job", "failures", failed.name, "--json").out.splitlines()]
    assert [(one["item"], one["status"], one["can_retry"]) for one in lines] == [
        ("a", "failed", True),
        ("b", "cut", False),
        ("c", "empty", False),
    ]
    assert "overloaded" in lines[0]["detail"]
    shown = cli("job", "failures", failed.name).out
    assert "overloaded" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80


def test_retry_asks_again_what_may_be_mended_and_with_all_the_rest(
    cli: Cli, folder: Path, failed: Path, server: Server
) -> None:
    server.is_well = True
    assert "1 requests asked again, 0 failed again" in cli("job", "retry", failed.name).out
    assert json.loads(cli("job", "status", failed.name, "--json").out)[0]["statuses"]["ok"] == 2
    assert json.loads(cli("job", "retry", failed.name, "--json").out) == {"asked": 0, "failed": 0}
    assert json.loads(cli("job", "retry", failed.name, "--all", "--json").out) == {"asked": 1, "failed": 0}
    assert cli("job", "export", failed.name, "--out", "again.csv").code == 0
    rows = (folder / "again.csv").read_text().splitlines()
    assert [row.split(",")[0::9] for row in rows[1:]] == [["a", "ok"], ["b", "ok"], ["c", "empty"], ["d", "ok"]]
    assert "all questions" not in cli("job", "failures", failed.name).out


def test_a_model_that_changed_within_a_job_is_told_by_status_and_audit(
    cli: Cli, folder: Path, httpserver: HTTPServer
) -> None:
    arguments = ["--codebook", "mood.toml", "--job", "job.sqlite", "--backend", f"{httpserver.url_for('/v1')}#m"]
    tables = ["job.sqlite", "--expert", "people.csv", "--codebook", "mood.toml"]
    (folder / "people.csv").write_text("item,annotator,label\na,x,glad\nb,x,sad\n")

    def annotate(table: str, model: str) -> None:
        httpserver.clear()
        httpserver.expect_request("/v1/chat/completions").respond_with_handler(
            lambda _: chat('{"label": "glad"}', model=model)
        )
        assert cli("annotate", table, "--out", "model.csv", *arguments).code in (0, 3)

    (folder / "first.csv").write_text("id,text\na,I won.\n")
    annotate("first.csv", "m-1")
    (told,) = json.loads(cli("job", "status", "job.sqlite", "--json").out)
    assert [(one["model"], one["fingerprint"], one["answers"]) for one in told["served"]] == [("m-1", "", 1)]
    for command in (["job", "status", "job.sqlite"], ["audit", *tables]):
        assert "changed" not in cli(*command).out
    (folder / "second.csv").write_text("id,text\na,I won.\nb,My cat died.\n")
    annotate("second.csv", "m-2")
    for command in (["job", "status", "job.sqlite"], ["audit", *tables]):
        shown = " ".join(cli(*command).out.split())
        assert "the model changed within the job: m-1, 1 answers" in shown
        assert "m-2, 1 answers" in shown
    (plan,) = json.loads(cli("audit", *tables, "--json").out)["plans"]
    assert (plan["job"], plan["number"], plan["annotator"]) == ("job.sqlite", 1, "m")
    assert [(one["model"], one["answers"]) for one in plan["served"]] == [("m-1", 1), ("m-2", 1)]
    assert plan["served"][0]["last"] <= plan["served"][1]["first"]
    assert "no file at missing" in cli("audit", "missing", *tables).err


def test_retry_asks_for_samples_as_they_were_asked_for(cli: Cli, folder: Path, httpserver: HTTPServer) -> None:
    asked: list[float] = []
    is_well = False

    def answer(received: Request) -> Response:
        asked.append(received.get_json()["temperature"])
        if not is_well and len(asked) > 1:
            return Response("{}", 500)
        return chat('{"label": "glad"}')

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(answer)
    (folder / "one.csv").write_text("id,text\na,I won.\n")
    arguments = [
        "one.csv",
        "--codebook",
        "mood.toml",
        "--out",
        "out.csv",
        "--backend",
        f"{httpserver.url_for('/v1')}#m",
    ]
    settings = ["--setting", "attempts=1", "--setting", "concurrency=1", "--setting", "temperature=0.7"]
    cli("annotate", *arguments, "--samples", "3", *settings)
    is_well = True
    assert json.loads(cli("job", "retry", "out.csv.job.sqlite", "--json").out) == {"asked": 2, "failed": 0}
    assert set(asked) == {0.7}
    cli("job", "export", "out.csv.job.sqlite", "--out", "again.jsonl")
    assert json.loads((folder / "again.jsonl").read_text())["samples"] == 3


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_export_writes_the_same_table_without_input_and_model(cli: Cli, folder: Path, form: str) -> None:
    (folder / "talk.csv").write_text(TALK)
    shape = ["--turn", "Seeker=a", "--turn", "Supporter=b"]
    cli("annotate", "talk.csv", "--codebook", "talk.toml", "--out", f"out.{form}", "--job", "job.sqlite", *shape)
    (folder / "talk.csv").unlink()
    (folder / "talk.toml").unlink()
    assert cli("job", "export", "job.sqlite", "--out", f"again.{form}").code == 0
    assert (folder / f"again.{form}").read_bytes() == (folder / f"out.{form}").read_bytes()


def test_quotes_are_checked_again_from_the_record(cli: Cli, folder: Path, httpserver: HTTPServer) -> None:
    said = {"evidence": ["I won", "we won"], "rationale": "So.", "label": "glad"}
    httpserver.expect_request("/v1/chat/completions").respond_with_handler(lambda _: chat(json.dumps(said)))
    uri = f"{httpserver.url_for('/v1')}#m"
    arguments = ["--codebook", "why.toml", "--out", "out.csv", "--job", "job.sqlite", "--backend", uri]
    cli("annotate", "in.csv", *arguments)
    cli("job", "export", "job.sqlite", "--out", "again.csv")
    assert (folder / "again.csv").read_text() == (folder / "out.csv").read_text()
    assert "we won" in (folder / "again.csv").read_text()


def test_several_codebooks_share_a_job_file(cli: Cli, folder: Path) -> None:
    (folder / "other.toml").write_text((folder / "mood.toml").read_text().replace("sad", "cross"))
    for book in ("mood", "other"):
        cli("annotate", "in.csv", "--codebook", f"{book}.toml", "--out", f"{book}.csv", "--job", "job.sqlite")
    run = cli("job", "export", "job.sqlite", "--out", "again.csv")
    assert run.code == 2
    assert "holds 2 plans" in run.err
    assert "llmclf job status job.sqlite" in run.err
    assert cli("job", "export", "job.sqlite", "--out", "again.csv", "--plan", "3").code == 0
    assert (folder / "again.csv").read_text() == (folder / "other.csv").read_text()
    assert "unknown plan '2': known are '1', '3'" in cli("job", "failures", "job.sqlite", "--plan", "2").err


def test_an_input_that_has_become_shorter_leaves_no_rows_behind(cli: Cli, folder: Path) -> None:
    arguments = ["--codebook", "mood.toml", "--out", "out.csv", "--job", "job.sqlite"]
    cli("annotate", "in.csv", *arguments)
    (folder / "in.csv").write_text("id,text\nb,My cat died.\n")
    cli("annotate", "in.csv", *arguments)
    cli("job", "export", "job.sqlite", "--out", "again.csv")
    assert (folder / "again.csv").read_text() == (folder / "out.csv").read_text()


def test_a_second_process_is_told_who_works_on_the_file(cli: Cli, folder: Path, httpserver: HTTPServer) -> None:
    def stall(_: Request) -> Response:
        time.sleep(3)
        return chat("{}")

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(stall)
    arguments = ["annotate", "in.csv", "--codebook", "mood.toml", "--job", "job.sqlite"]
    arguments += ["--backend", f"{httpserver.url_for('/v1')}#m", "--out"]
    first = subprocess.Popen([sys.executable, "-m", "llmclf", *arguments, "one.csv"], cwd=folder)
    while not (folder / "job.sqlite").exists():
        time.sleep(0.01)
    second = cli(*arguments, "two.csv")
    assert second.code == 2
    assert f"process {first.pid} since" in second.err
    assert "works on job.sqlite" in second.err
    assert len(second.err.splitlines()) == 1
    first.send_signal(signal.SIGKILL)
    first.wait()
    httpserver.clear()
    httpserver.expect_request("/v1/chat/completions").respond_with_handler(lambda _: chat('{"label": "sad"}'))
    assert cli(*arguments, "two.csv").code == 3
    assert not (folder / "job.sqlite.lock").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "missing.sqlite"], "no job file at missing.sqlite"),
        (["status", "in.csv"], "in.csv"),
        (["export", "missing.sqlite", "--out", "x.csv"], "Give the --job of an earlier"),
        (["retry", "missing.sqlite"], "no job file"),
    ],
)
def test_bad_input_is_one_line(cli: Cli, folder: Path, arguments: list[str], said: str) -> None:
    before = sorted(folder.iterdir())
    run = cli("job", *arguments)
    assert run.code == 2
    assert said in run.err
    assert len(run.err.splitlines()) == 1
    assert sorted(folder.iterdir()) == before


class Listening:
    """A chat server that keeps what it is told, and repeats it as evidence."""

    def __init__(self, httpserver: HTTPServer) -> None:
        self.said: list[str] = []
        self.uri = f"{httpserver.url_for('/v1')}#m"
        httpserver.expect_request("/v1/chat/completions").respond_with_handler(self._answer)

    def _answer(self, received: Request) -> Response:
        words = received.get_json()["messages"][-1]["content"].rpartition("\n")[2]
        self.said.append(words)
        reply = chat(json.dumps({"evidence": [words], "rationale": f"It says {words}", "label": "glad"}))
        content = json.loads(reply.data) | {"usage": {"prompt_tokens": 1000, "completion_tokens": 100}}
        return Response(json.dumps(content), content_type="application/json")


@pytest.fixture
def listening(httpserver: HTTPServer) -> Listening:
    return Listening(httpserver)


PERSONAL = "Write to ann@example.com or call +44 20 7946 0958"


def test_personal_data_stays_here_and_is_back_in_the_table(cli: Cli, folder: Path, listening: Listening) -> None:
    (folder / "in.csv").write_text(f"id,text\na,{PERSONAL}\n")
    arguments = ["--codebook", "why.toml", "--out", "out.jsonl", "--job", "job.sqlite", "--backend", listening.uri]
    assert cli("annotate", "in.csv", *arguments, "--redact").code == 0
    assert listening.said == ["Write to [EMAIL_1] or call [PHONE_1]"]
    row = json.loads((folder / "out.jsonl").read_text())
    assert (row["evidence"], row["misquoted"]) == ([PERSONAL], None)
    assert row["rationale"] == f"It says {PERSONAL}"
    assert "ann@" not in (folder / "job.sqlite").read_bytes().decode(errors="replace")
    assert cli("job", "export", "job.sqlite", "--out", "again.jsonl").code == 0
    assert (folder / "again.jsonl").read_text() == (folder / "out.jsonl").read_text()
    unredacted = cli("annotate", "in.csv", *arguments)
    assert unredacted.code == 2
    assert "was begun with redaction" in unredacted.err
    assert len(listening.said) == 1


def test_a_record_without_texts_gives_the_same_labels_and_asks_nothing_again(
    cli: Cli, folder: Path, listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "in.csv").write_text(f"id,text\na,{PERSONAL}\nb,Something else\n")
    arguments = ["--codebook", "why.toml", "--out", "out.jsonl", "--job", "job.sqlite", "--backend", listening.uri]
    assert "LLMCLF_TEXT_KEY holds no key" in cli("annotate", "in.csv", *arguments, "--no-texts").err
    monkeypatch.setenv("LLMCLF_TEXT_KEY", "0123456789abcdef0123")
    for _ in range(2):
        assert cli("annotate", "in.csv", *arguments, "--no-texts").code == 0
        assert len(listening.said) == 2
        kept = b"".join(file.read_bytes() for file in folder.glob("job.sqlite*"))
        assert b"ann@" not in kept
        assert b"Something else" not in kept
    assert [json.loads(line)["label"] for line in (folder / "out.jsonl").read_text().splitlines()] == ["glad", "glad"]
    monkeypatch.setenv("LLMCLF_TEXT_KEY", "another key, another")
    assert "was begun under another key" in cli("annotate", "in.csv", *arguments, "--no-texts").err
    assert "was begun without texts" in cli("annotate", "in.csv", *arguments).err


def test_what_failed_in_a_record_without_texts_is_asked_again_from_the_table(
    cli: Cli, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMCLF_TEXT_KEY", "0123456789abcdef0123")
    (folder / "in.csv").write_text("id,text\na,Fine.\nb,I lost.\n")
    arguments = ["--codebook", "mood.toml", "--out", "out.csv", "--job", "job.sqlite", "--backend", server.uri]
    assert cli("annotate", "in.csv", *arguments, "--no-texts", "--setting", "attempts=1").code == 3
    assert "keeps no texts to ask about again" in cli("job", "retry", "job.sqlite").err
    server.is_well = True
    again = cli("annotate", "in.csv", *arguments, "--no-texts", "--json")
    assert (again.code, json.loads(again.out)["asked"]) == (0, 1)


def test_a_bundle_holds_all_that_a_reviewer_needs(cli: Cli, folder: Path, listening: Listening) -> None:
    book = folder / "book"
    book.mkdir()
    (folder / "why.toml").rename(book / "codebook.toml")
    (book / "prompt.jinja").write_text('{% extends "default.jinja" %}{% block system %}Judge.{% endblock %}')
    arguments = ["--codebook", "book", "--out", "out.jsonl", "--job", "job.sqlite", "--backend", listening.uri]
    cli("annotate", "in.csv", *arguments)
    assert cli("job", "bundle", "job.sqlite", "--out", "job.zip").code == 0
    status = cli("job", "status", "job.sqlite").out
    for file in folder.glob("job.sqlite*"):
        file.unlink()
    assert cli("job", "status", "job.zip").out.replace("job.zip", "job.sqlite") == status
    assert cli("job", "export", "job.zip", "--out", "again.jsonl").code == 0
    assert (folder / "again.jsonl").read_text() == (folder / "out.jsonl").read_text()
    with ZipFile(folder / "job.zip") as bundle:
        plan = json.loads(bundle.read("plans/1/plan.json"))
        assert plan["identity"]["model"]["model"] == "m"
        assert {"llmclf", "python", "openai"} <= set(plan["versions"])
        assert b"Judge." in bundle.read("plans/1/prompt.jinja")
        (folder / "codebook.json").write_bytes(bundle.read("plans/1/codebook.json"))
    assert Codebook.load(folder / "codebook.json").hash == Codebook.load(book).hash
    (folder / "other.zip").write_bytes(b"")
    with ZipFile(folder / "other.zip", "w") as other:
        other.writestr("x", "y")
    assert "is no bundle of a job" in cli("job", "status", "other.zip").err


@pytest.mark.usefixtures("folder")
def test_a_pipe_in_and_a_pipe_out(cli: Cli, listening: Listening) -> None:
    arguments = ["--codebook", "why.toml", "--backend", listening.uri]
    formats = ["--format", "csv", "--out-format", "jsonl"]
    unnamed = cli("annotate", "-", *formats, *arguments, "--out", "-", stdin=b"id,text\na,Fine.\n")
    assert "Give --job FILE" in unnamed.err
    run = cli("annotate", "-", *formats, *arguments, "--out", "-", "--job", "j.sqlite", stdin=b"id,text\na,Fine.\n")
    (row,) = map(json.loads, run.out.splitlines())
    assert row["item"] == "a"
    assert "1 requests asked" in run.err
    exported = cli("job", "export", "j.sqlite", "--out", "-", "--out-format", "csv")
    assert exported.out.splitlines()[1].startswith("a,mood,m,model,glad")
    refused = cli("job", "export", "j.sqlite", "--out", "-", "--out-format", "parquet")
    assert "Parquet cannot be written to a pipe" in refused.err


def test_the_cost_is_shown_and_limited(cli: Cli, folder: Path, listening: Listening) -> None:
    (folder / "prices.toml").write_text("[m]\ninput = 1000\noutput = 10_000\n")
    (folder / "in.csv").write_text("id,text\n" + "".join(f"{n},text {n}\n" for n in range(40)))
    arguments = ["--codebook", "why.toml", "--out", "out.csv", "--job", "job.sqlite", "--backend", listening.uri]
    settings = ["--prices", "prices.toml", "--setting", "concurrency=1", "--setting", "max_tokens=100"]
    stopped = cli("annotate", "in.csv", *arguments, *settings, "--max-cost", "20")
    assert stopped.code == 6
    assert "a higher --max-cost goes on" in stopped.err
    assert 5 <= len(listening.said) <= 10  # 2 each
    done = cli("annotate", "in.csv", *arguments, *settings, "--json")
    assert json.loads(done.out)["cost"] == pytest.approx(80)
    assert "cost 80" in done.err
    assert "Give --prices" in cli("annotate", "in.csv", *arguments, "--max-cost", "1").err


def test_retry_asks_by_the_prompt_and_the_settings_that_the_job_was_begun_with(
    cli: Cli, folder: Path, server: Server, httpserver: HTTPServer
) -> None:
    book = folder / "book"
    book.mkdir()
    (folder / "mood.toml").rename(book / "codebook.toml")
    (book / "prompt.jinja").write_text('{% extends "default.jinja" %}{% block system %}Judge.{% endblock %}')
    (folder / "in.csv").write_text("id,text\na,I lost.\n")
    arguments = ["--codebook", "book", "--out", "out.csv", "--job", "job.sqlite", "--backend", server.uri]
    cli("annotate", "in.csv", *arguments, "--setting", "attempts=1", "--setting", "max_tokens=77")
    server.is_well = True
    assert cli("job", "retry", "job.sqlite").out.startswith("1 requests asked again, 0 failed again")
    first, second = (received.get_json() for received, _ in httpserver.log)
    assert (second["max_tokens"], second["messages"]) == (77, first["messages"])
    assert "1 ok" in cli("job", "status", "job.sqlite").out
