import json
import threading
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from .conftest import Cli


def test_one_json_object_a_text_in_order(cli: Cli) -> None:
    run = cli("classify", "I love it", "It broke", "--labels", "positive,negative", "--json")
    assert run.code == 0, run.err
    rows = [json.loads(line) for line in run.out.splitlines()]
    assert [row["text"] for row in rows] == ["I love it", "It broke"]
    for row in rows:
        assert list(row) == ["text", "question", "label", "probabilities", "origin", "samples", "status", "policy"]
        assert set(row["probabilities"]) == {"positive", "negative"}
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert row["label"] == max(row["probabilities"], key=row["probabilities"].__getitem__)
        assert (row["origin"], row["samples"], row["status"]) == ("likelihoods", None, "ok")


def test_a_line_each_on_standard_input(cli: Cli) -> None:
    run = cli("classify", "--labels", "a,b", "--json", stdin=b"one\n\nbad \xff\ntwo")
    rows = [json.loads(line) for line in run.out.splitlines()]
    assert [(row["text"], row["status"]) for row in rows] == [
        ("one", "ok"),
        ("", "empty"),
        ("bad \\xff", "bad_encoding"),
        ("two", "ok"),
    ]
    assert [row["label"] is None for row in rows] == [False, True, True, False]
    assert run.code == 3


def test_without_json_a_line_a_text(cli: Cli) -> None:
    run = cli("classify", "[b]not markup[/b]", "--labels", "a,b")
    assert run.code == 0
    assert "[b]not markup[/b]" in run.out


def test_settings_reach_the_backend(cli: Cli) -> None:
    run = cli(
        "classify",
        "a longer text than the context takes " * 60,
        "--labels",
        "a,b",
        "--setting",
        "context=256",
        "--json",
    )
    assert json.loads(run.out)["status"] == "too_long"
    alone, packed = (
        cli("classify", "It broke", "--labels", "a,b", "--setting", f"reproducible={value}", "--json")
        for value in ("true", "false")
    )
    assert packed.code == alone.code == 0, alone.err


def test_samples_of_a_server_give_shares(cli: Cli, httpserver: HTTPServer) -> None:
    said = iter(["a", "b", "b"])
    lock = threading.Lock()

    def answer(received: Request) -> Response:
        assert received.get_json()["temperature"] == 1.0
        with lock:
            message = {"role": "assistant", "content": json.dumps({"label": next(said)})}
        return Response(json.dumps({"choices": [{"message": message}]}), content_type="application/json")

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(answer)
    backend = ["--backend", f"{httpserver.url_for('/v1')}#m"]
    run = cli("classify", "x", "--labels", "a,b", "--json", "--samples", "3", *backend)
    assert run.code == 0, run.err
    row = json.loads(run.out)
    assert (row["label"], row["origin"], row["samples"]) == ("b", "samples", 3)
    assert row["probabilities"] == pytest.approx({"a": 1 / 3, "b": 2 / 3})


def test_a_server_reads_placeholders_for_personal_data(cli: Cli, httpserver: HTTPServer) -> None:
    seen: list[str] = []

    def answer(received: Request) -> Response:
        seen.append(received.get_data(as_text=True))
        message = {"role": "assistant", "content": json.dumps({"label": "b"})}
        return Response(json.dumps({"choices": [{"message": message}]}), content_type="application/json")

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(answer)
    backend = ["--backend", f"{httpserver.url_for('/v1')}#m"]
    run = cli("classify", "Write to jane@example.org", "--labels", "a,b", "--json", "--redact", *backend)
    assert run.code == 0, run.err
    assert json.loads(run.out)["text"] == "Write to jane@example.org"
    assert "[EMAIL_1]" in seen[0]
    assert "jane" not in seen[0]


def test_a_label_with_a_comma_is_quoted(cli: Cli) -> None:
    run = cli("classify", "x", "--labels", '"yes, fully",no', "--json")
    assert set(json.loads(run.out)["probabilities"]) == {"yes, fully", "no"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x", "--labels", "only"], "at least 2"),
        (["x"], "at least 2"),
        (["x", "--labels", "a,a"], "'a' occurs more than once"),
        (["--labels", "a,b"], "no texts. Give them as arguments"),
        (["x", "--labels", "a,b", "--backend", "nonsense"], "unknown backend 'nonsense'. Known forms are local"),
        (["x", "--labels", "a,b", "--backend", "http://127.0.0.1:1/v1"], "Write http://HOST:PORT/v1#MODEL"),
        (["x", "--labels", "a,b", "--backend", "openai:gpt"], "Set OPENAI_API_KEY"),
        (["x", "--labels", "a,b", "--backend", "local:missing.gguf"], "no model file at missing.gguf"),
        (["x", "--labels", "a,b", "--backend", "http://127.0.0.1:9/v1#m"], "127.0.0.1:9"),
        (["x", "--labels", "a,b", "--setting", "speed=9"], "unknown setting 'speed': known are 'layout', 'context'"),
        (["x", "--labels", "a,b", "--samples", "3"], "Ask once, without --samples"),
        (["x", "--labels", "a,b", "--setting", "context=none"], "the setting context is None. Give int"),
        (["x", "--labels", "a,b", "--setting", "speed"], "Write NAME=VALUE"),
        (["x", "--labels", "a,b", "--setting", "contxt=9"], "did you mean 'context'?"),
        (["x", "--labels", "a,b", "--setting", "context=abc"], "the setting context is 'abc'. Give int"),
        (["x", "--labels", "a,b", "--setting", "context=true"], "the setting context is True. Give int"),
        (
            ["x", "--labels", "a,b", "--setting", "reproducible=no"],
            "the setting reproducible is 'no'. Give true or false",
        ),
        (
            ["x", "--labels", "a,b", "--backend", "http://127.0.0.1:9/v1#m", "--setting", "key=s"],
            "unknown setting 'key'",
        ),
    ],
)
def test_bad_input_is_one_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run = cli("classify", *arguments)
    assert run.code == 2
    assert said in run.err
    assert len(run.err.splitlines()) == 1
    assert not run.out
