"""A key stays in the environment, whatever a server does with it: what is written is searched for a planted one."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from llmclf.backends.keys import cover_key
from llmclf.backends.registry import open_backend
from llmclf.errors import InputError

KEY = "sk-planted/Zq7Xw9Lm2Kt5Rv8Yb3Nc6Pd1+Hg4="
OTHER_KEY = "sk-stays-Aa0Ss9Dd8Ff7Gg6Hh5Jj4Kk3Ll2"
PATIENCE = 60.0
PARTS = {key[start : start + 8].encode() for key in (KEY, OTHER_KEY) for start in range(len(key) - 7)}

CODEBOOK = """
name = "mood"
[[question]]
name = "mood"
kind = "choice"
ask = "How does the writer feel?"
rationale = true
evidence = true
[[question.label]]
name = "glad"
[[question.label]]
name = "sad"
"""


def chat(content: str | None, finish: str = "stop", model: str = "m", **message: str) -> Response:
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    said = {"choices": [choice], "model": model, "system_fingerprint": model}
    return Response(json.dumps(said), content_type="application/json")


def fault(status: int, said: str) -> Response:
    return Response(json.dumps({"error": {"message": said}}), status, content_type="application/json")


def label(said: str, reason: str = "So it is.") -> str:
    return json.dumps({"evidence": [reason], "rationale": reason, "label": said})


REPEATS: dict[str, Callable[[str], Response]] = {
    "error": lambda said: fault(500, said),
    "bad": lambda said: fault(400, f"{'x' * 150} {said}"),
    "limit": lambda said: fault(429, said),
    "plain": lambda said: Response(said, 502),
    "page": lambda said: Response(f"<html>{said}</html>", content_type="text/html"),
    "other": lambda said: Response(json.dumps({"error": said}), content_type="application/json"),
    "half": lambda said: Response(f'{{"choices": "{said}', content_type="application/json"),
    "refusal": lambda said: chat(None, refusal=said),
    "filter": lambda said: chat(said, "content_filter"),
    "cut": lambda said: chat(said, "length"),
    "malformed": lambda said: chat(f"I saw {said}"),
    "wrong": lambda said: chat(label(said)),
    "reason": lambda said: chat(label("glad", said)),
    "model": lambda said: chat(label("glad"), model=said),
}
"""What a server may do with the key that a request came with, by the text that it is asked about."""

REFUSES: dict[str, Callable[[str], Response]] = {
    "401": lambda said: fault(401, said),
    "403": lambda said: fault(403, said),
    "307": lambda said: Response("", 307, {"Location": f"https://example.org/{quote(said, safe='')}?key={said}"}),
}


def echo(received: Request) -> str:
    sent = received.headers["Authorization"]
    return f"{sent}, begins {KEY[:12]}***, ends {KEY[-12:]}, {quote(KEY, safe='')}"


class Run(NamedTuple):
    code: int
    said: str


class Desk:
    """A folder to work in, with the key in the environment of every command."""

    def __init__(self, folder: Path, server: HTTPServer) -> None:
        self.folder = folder
        self.keys_sent: set[str] = set()
        self.stalled, self.released = threading.Event(), threading.Event()
        server.expect_request("/v1/chat/completions").respond_with_handler(self.repeat)
        for name in REFUSES:
            server.expect_request(f"/{name}/chat/completions").respond_with_handler(self.refuse)
        self.uri = f"{server.url_for('/v1')}#m"
        texts = [*(f"case:{name}" for name in REPEATS), "Fine.", "Well."]
        (folder / "mood.toml").write_text(CODEBOOK)
        (folder / "in.csv").write_text("id,text\n" + "".join(f"{n},{text}\n" for n, text in enumerate(texts)))
        (folder / "crowd.csv").write_text(
            "item,annotator,label\n" + "".join(f"{n},a,glad\n" for n in range(len(texts)))
        )
        self.said = ""
        self.is_final = False

    def repeat(self, received: Request) -> Response:
        self.keys_sent.add(received.headers["Authorization"])
        text = "".join(message["content"] for message in received.get_json()["messages"])
        if "case:stall" in text:
            self.stalled.set()
            self.released.wait(PATIENCE)
        if self.is_final:
            return fault(400, echo(received))
        names = [name for name in REPEATS if f"case:{name}" in text]
        return REPEATS[names[0]](echo(received)) if names else chat(label("glad"))

    def refuse(self, received: Request) -> Response:
        return REFUSES[received.path.split("/")[1]](echo(received))

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        environment = os.environ | {"LLMCLF_API_KEY": KEY, "OPENAI_API_KEY": OTHER_KEY, "OPENAI_LOG": "debug"}
        return subprocess.Popen(
            [sys.executable, "-m", "llmclf", *map(str, arguments)],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self, process: subprocess.Popen[str]) -> Run:
        said, _ = process.communicate(timeout=PATIENCE)
        self.said += said
        return Run(process.returncode, said)

    def run(self, *arguments: object) -> Run:
        return self.end(self.start(*arguments))

    def leaks(self) -> set[str]:
        """Give the parts of keys that were said or written anywhere."""
        written = {file.name: file.read_bytes() for file in self.folder.rglob("*") if file.is_file()}
        written["output"] = self.said.encode()
        return {f"{name}: {part.decode()}" for name, content in written.items() for part in PARTS if part in content}


@pytest.fixture
def desk(tmp_path: Path, httpserver: HTTPServer) -> Iterator[Desk]:
    desk = Desk(tmp_path, httpserver)
    yield desk
    desk.released.set()


def annotate(desk: Desk, table: str, out: str, *more: object) -> tuple[object, ...]:
    begun = ("annotate", table, "--codebook", "mood.toml", "--out", out, "--job", "job.sqlite", "--backend", desk.uri)
    return (*begun, "--setting", "attempts=1", *more)


def test_a_key_that_the_server_repeats_reaches_no_record_no_table_and_no_screen(desk: Desk) -> None:
    run = desk.run(*annotate(desk, "in.csv", "out.csv", "--setting", "concurrency=1"))
    assert run.code == 3, run.said
    reading = [
        ("job", "status", "job.sqlite"),
        ("job", "failures", "job.sqlite"),
        ("job", "failures", "job.sqlite", "--json"),
        ("audit", "out.csv", "crowd.csv", "--codebook", "mood.toml", "--kind", "crowd", "--question", "mood"),
        ("estimate", "in.csv", "--codebook", "mood.toml", "--backend", desk.uri),
    ]
    for process in [desk.start(*command) for command in reading]:
        run = desk.end(process)
        assert run.code == 0, run.said
    desk.is_final = True  # what is asked again is refused at once, and nothing waits to ask a third time
    for command in (("job", "retry", "job.sqlite", "--all"), ("job", "export", "job.sqlite", "--out", "again.jsonl")):
        run = desk.run(*command)
        assert run.code == 0, run.said
    assert desk.leaks() == set()
    assert "***" in desk.said
    assert desk.keys_sent == {f"Bearer {KEY}"}, "the key for OpenAI stays at home"
    rows = [json.loads(line) for line in (desk.folder / "again.jsonl").read_text().splitlines()]
    found = dict(zip(REPEATS, rows, strict=False))
    assert {name for name, row in found.items() if row["label"]} == {"reason", "model"}
    assert found["reason"]["rationale"].startswith("Bearer ***, begins ******, ends ***")


def test_a_key_that_a_refusal_repeats_reaches_no_screen(desk: Desk) -> None:
    address = desk.uri.removesuffix("/v1#m")
    begun = [desk.start("classify", "x", "--labels", "a,b", "--backend", f"{address}/{name}#m") for name in REFUSES]
    for process in begun:
        run = desk.end(process)
        assert run.code == 2
        assert "***" in run.said.splitlines()[-1]
    assert desk.leaks() == set()


def test_what_a_killed_process_leaves_holds_no_key(desk: Desk) -> None:
    with (desk.folder / "in.csv").open("a") as table:
        table.write("s,case:stall\n")
    process = desk.start(*annotate(desk, "in.csv", "out.csv", "--setting", "concurrency=1"))
    assert desk.stalled.wait(PATIENCE)
    process.send_signal(signal.SIGKILL)
    desk.end(process)
    assert (desk.folder / "job.sqlite-wal").stat().st_size
    assert desk.leaks() == set()


@pytest.mark.parametrize(
    "uri",
    ["http://me:{}@127.0.0.1:9/v1", "http://me:{}@127.0.0.1:9/v1#m", "http://127.0.0.1:9/v1?key={}#m", "htp://{}@x"],
)
@pytest.mark.parametrize("local_only", [True, False])
def test_a_key_in_an_address_is_refused_and_not_repeated(uri: str, local_only: bool) -> None:
    with pytest.raises(InputError) as raised:
        open_backend(uri.format(KEY), local_only=local_only)
    assert not [part for part in PARTS if part.decode() in str(raised.value)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"Bearer {KEY}", "Bearer ***"),
        (f"{KEY}{KEY}", "******"),
        (KEY[:7], KEY[:7]),
        (f"<{KEY[3:11]}>", "<***>"),
        (f"{KEY[:20]}...{KEY[-4:]}", f"***...{KEY[-4:]}"),
        ("", ""),
    ],
)
def test_the_parts_of_a_key_that_give_something_away_are_covered(text: str, said: str) -> None:
    assert cover_key(text, KEY) == said


@given(st.text("ab", max_size=30), st.text("ab", max_size=12))
def test_no_such_part_is_left(text: str, key: str) -> None:
    said = cover_key(text, key, 4)
    assert not any(key[start : start + 4] in said for start in range(len(key) - 3))
    assert (said == text) == ("***" not in said)


def test_a_word_that_stands_in_for_a_key_stays_in_replies() -> None:
    assert cover_key("ollama is none of your concern", "ollama") == "ollama is none of your concern"
    assert cover_key("ollama", None) == "ollama"
