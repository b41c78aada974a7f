"""The hosted backend against llama.cpp's own server, and against a server that does all that servers do wrong."""

import asyncio
import gc
import json
import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request as Received
from werkzeug import Response

from llmclf.backends.base import (
    Backend,
    Completion,
    Failure,
    Likelihoods,
    Message,
    Reply,
    Request,
    Scores,
    Structured,
    Usage,
    WrittenToken,
)
from llmclf.backends.chat_request import ANSWER_ALONE
from llmclf.backends.hosted import HostedBackend
from llmclf.backends.local import LocalBackend
from llmclf.errors import BackendError, InputError, ServerRefused, ServerUnreachable
from llmclf.status import Status

from .test_pace import Bucket

CHAT = "/v1/chat/completions"
PATIENCE = 10.0  # seconds until a test that waits for what never comes fails; no passing test waits for it
SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["sports", "politics"]}},
    "required": ["label"],
    "additionalProperties": False,
}
FORM = Structured("answer", json.dumps(SCHEMA))


class Pauses(list[float]):
    """The pauses asked for between attempts; none is taken."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)

    def clock(self) -> float:
        """Give the time as it would be had they been taken."""
        return time.monotonic() + sum(self)


class Haste:
    """Time that passes a thousand times as fast."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 1000)

    def clock(self) -> float:
        return time.monotonic() * 1000


class Opener(Protocol):
    def __call__(self, base_url: str | None = None, **options: Any) -> HostedBackend: ...


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def connect(server: HTTPServer, pauses: Pauses) -> Iterator[Opener]:
    with ExitStack() as opened:

        def open_backend(base_url: str | None = None, **options: Any) -> HostedBackend:
            settings: dict[str, Any] = {"sleep": pauses, "clock": pauses.clock, "timeout": PATIENCE, **options}
            backend = HostedBackend("m", base_url or server.url_for("/v1"), **settings)
            opened.callback(backend.close)
            return backend

        yield open_backend


def question(number: int = 0, text: str = "hello") -> Request:
    return Request(number, (Message("system", ("Say ", "a label.")), Message("user", (text,))), FORM)


def chat(content: object = '{"label": "sports"}', finish: str = "stop", **message: object) -> dict[str, Any]:
    said = {"role": "assistant", "content": content, **message}
    return {
        "choices": [{"index": 0, "message": said, "finish_reason": finish}],
        "model": "m-2026-01-01",
        "system_fingerprint": "fp_1",
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 4,
            "total_tokens": 14,
            "prompt_tokens_details": {"cached_tokens": 8},
        },
    }


def asked(received: Received) -> str:
    content: str = received.get_json()["messages"][-1]["content"]
    return content


def fault(message: str = "no", **error: object) -> dict[str, Any]:
    return {"error": {"message": message, "type": None, "param": None, "code": None, **error}}


def only(backend: Backend, request: Request | None = None) -> Reply:
    (reply,) = backend.answer([request or question()])
    return reply


def failure(backend: Backend, request: Request | None = None) -> Failure:
    reply = only(backend, request)
    assert isinstance(reply, Failure)
    return reply


# What goes out and what comes back


def test_an_answer_carries_all_that_the_server_says_about_it(server: HTTPServer, connect: Opener) -> None:
    server.expect_request(CHAT).respond_with_json(chat())
    reply = only(connect(), question(7))
    assert isinstance(reply, Completion)
    assert reply.request_id == 7
    assert reply.text == '{"label": "sports"}'
    assert (reply.served_model, reply.fingerprint) == ("m-2026-01-01", "fp_1")
    assert reply.usage == Usage(prompt_tokens=10, cached_tokens=8, completion_tokens=4)
    assert reply.seconds > 0


def test_a_server_may_count_no_tokens(server: HTTPServer, connect: Opener) -> None:
    bare = {"choices": [{"message": {"content": "{}"}}], "usage": {"prompt_tokens": None}}
    server.expect_request(CHAT).respond_with_json(bare)
    reply = only(connect())
    assert isinstance(reply, Completion)
    assert reply.usage == Usage()


def test_the_request_as_sent(server: HTTPServer, connect: Opener) -> None:
    server.expect_request(CHAT).respond_with_json(chat())
    only(connect(max_tokens=99))
    received, _ = server.log[0]
    assert received.get_json() == {
        "model": "m",
        "messages": [{"role": "system", "content": "Say a label."}, {"role": "user", "content": "hello"}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
        },
        "temperature": 0.0,
        "max_tokens": 99,
    }


def test_settings_of_none_are_left_to_the_server(server: HTTPServer, connect: Opener) -> None:
    server.expect_request(CHAT).respond_with_json(chat())
    only(connect(max_tokens=None, temperature=None))
    received, _ = server.log[0]
    assert set(received.get_json()) == {"model", "messages", "response_format"}


def test_identity_says_what_changes_answers(connect: Opener) -> None:
    backend = connect("http://127.0.0.1:9/v1/", key="sk-1", temperature=0.5)
    assert backend.identity.model == {"server": "http://127.0.0.1:9/v1", "model": "m"}
    assert backend.identity.settings == {"temperature": 0.5, "max_tokens": 512}
    assert backend.name == "m"
    assert backend.forms == {Structured}


@pytest.mark.parametrize("address", ["http://user:secret@127.0.0.1:9/v1", "http://127.0.0.1:9/v1?token=secret"])
def test_an_address_carries_no_secret(connect: Opener, address: str) -> None:
    with pytest.raises(InputError, match="LLMCLF_API_KEY") as raised:
        connect(address)
    assert "secret" not in str(raised.value)


def test_label_likelihoods_are_not_to_be_had(connect: Opener) -> None:
    request = Request(0, (Message("user", ("hello",)),), Likelihoods(("a", "b")))
    with pytest.raises(TypeError, match="Likelihoods"):
        only(connect(), request)


def test_a_concurrency_that_would_answer_nothing_is_refused(connect: Opener) -> None:
    with pytest.raises(InputError, match="concurrency is 0"):
        connect(concurrency=0)


# Answers that are none


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (chat(None, refusal="I would rather not."), Status.REFUSED, "I would rather not."),
        (chat("", "content_filter"), Status.FILTERED, ""),
        (chat('{"lab', "length"), Status.CUT, '{"lab'),
        (chat(None, "length"), Status.CUT, ""),
        (chat(""), Status.MALFORMED, ""),
        (chat(None), Status.MALFORMED, ""),
        (chat([{"type": "text"}]), Status.MALFORMED, ""),
    ],
)
def test_what_is_no_answer_says_why(
    server: HTTPServer, connect: Opener, body: object, status: Status, text: str
) -> None:
    server.expect_request(CHAT).respond_with_json(body)
    reply = failure(connect())
    assert (reply.status, reply.text, reply.retryable) == (status, text, False)
    assert reply.served_model == "m-2026-01-01"
    assert reply.usage.completion_tokens == 4
    assert len(server.log) == 1


def test_a_reply_that_reasoning_left_no_room_for_says_so(server: HTTPServer, connect: Opener) -> None:
    body = chat("", "length")
    body["usage"]["completion_tokens_details"] = {"reasoning_tokens": 4}
    server.expect_request(CHAT).respond_with_json(body)
    reply = failure(connect())
    assert reply.status == Status.CUT
    assert reply.detail == "the reply was cut at 4 tokens, 4 of them reasoning: give a larger max_tokens"
    assert reply.usage.reasoning_tokens == 4


# Log-probabilities


LABELS = Likelihoods(("sports", "politics"))
LABEL_QUESTION = Request(
    7,
    (Message("system", ("Be brief.",)), Message("user", ("Which?\n", "hello")), Message("assistant", ("It is",))),
    LABELS,
)


def entry(token: str, probability: float, *likeliest: dict[str, Any]) -> dict[str, Any]:
    table = {"top_logprobs": list(likeliest)} if likeliest else {}
    return {"token": token, "logprob": math.log(probability), "bytes": list(token.encode()), **table}


SPORTS = entry("sports", 0.6, entry("sports", 0.6), entry("polit", 0.2), entry(" Sports", 0.1))


def told(content: str, *tokens: object, finish: str = "stop") -> dict[str, Any]:
    body = chat(content, finish)
    body["choices"][0]["logprobs"] = {"content": list(tokens), "refusal": None}
    return body


def test_labels_are_asked_for_without_a_schema_and_with_log_probabilities(server: HTTPServer, connect: Opener) -> None:
    server.expect_request(CHAT).respond_with_json(told("sports", SPORTS))
    only(connect(top_logprobs=5), LABEL_QUESTION)
    received, _ = server.log[0]
    assert received.get_json() == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": f"Which?\nhello\n\n{ANSWER_ALONE}"},
        ],
        "temperature": 0.0,
        "max_tokens": len("politics") + 8,
        "logprobs": True,
        "top_logprobs": 5,
    }


def test_tables_of_likely_tokens_are_kept_as_they_came_and_read(server: HTTPServer, connect: Opener) -> None:
    server.expect_request(CHAT).respond_with_json(told("sports", SPORTS))
    reply = only(connect(top_logprobs=3), LABEL_QUESTION)
    assert isinstance(reply, Scores)
    assert reply.log_likelihoods == pytest.approx({"sports": math.log(0.7), "politics": math.log(0.2)})
    assert reply.remainder == pytest.approx(0.1)
    assert (reply.request_id, reply.origin, reply.text) == (7, "logprobs", "sports")
    likeliest = tuple((text, math.log(value)) for text, value in [("sports", 0.6), ("polit", 0.2), (" Sports", 0.1)])
    assert reply.written == (WrittenToken("sports", math.log(0.6), likeliest),)
    assert (reply.served_model, reply.fingerprint, reply.usage.completion_tokens) == ("m-2026-01-01", "fp_1", 4)


def test_tokens_are_read_by_their_bytes_where_there_are_any(server: HTTPServer, connect: Opener) -> None:
    half = {"token": "\\xf0", "logprob": 0.0, "bytes": [240], "top_logprobs": []}
    bare = {"token": "sports", "logprob": 0.0, "bytes": None}
    server.expect_request(CHAT).respond_with_json(told("sports", half, bare))
    reply = only(connect(top_logprobs=3), LABEL_QUESTION)
    assert isinstance(reply, Scores)
    assert [token.text for token in reply.written] == ["\udcf0", "sports"]


def test_a_label_with_more_words_than_were_asked_for_is_no_cut_reply(server: HTTPServer, connect: Opener) -> None:
    server.expect_request(CHAT).respond_with_json(told("sports\n\nThe", SPORTS, finish="length"))
    assert isinstance(only(connect(top_logprobs=3), LABEL_QUESTION), Scores)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (chat(None, refusal="No."), Status.REFUSED),
        (chat("spo", "content_filter"), Status.FILTERED),
        (chat("", "length"), Status.CUT),
        (chat(" "), Status.MALFORMED),
    ],
)
def test_what_names_nothing_is_a_failure_also_where_labels_are_asked_for(
    server: HTTPServer, connect: Opener, body: object, status: Status
) -> None:
    server.expect_request(CHAT).respond_with_json(body)
    assert failure(connect(top_logprobs=3), LABEL_QUESTION).status == status


def test_reasons_are_asked_for_in_json_as_ever(server: HTTPServer, connect: Opener) -> None:
    server.expect_request(CHAT).respond_with_json(chat())
    assert isinstance(only(connect(top_logprobs=20)), Completion)
    received, _ = server.log[0]
    assert "logprobs" not in received.get_json()
    assert received.get_json()["max_tokens"] == 512


def test_log_probabilities_are_another_identity(connect: Opener) -> None:
    backend = connect(top_logprobs=20)
    assert backend.forms == {Likelihoods, Structured}
    assert backend.resolved == {"temperature": 0.0, "max_tokens": 512, "top_logprobs": 20}
    assert backend.identity.settings == {**backend.resolved, "instruction": ANSWER_ALONE}
    with pytest.raises(InputError, match="top_logprobs is 0"):
        connect(top_logprobs=0)


@pytest.mark.parametrize("logprobs", [None, {"content": None}, {"content": []}, {"tokens": ["sports"]}])
def test_a_server_that_gives_no_log_probabilities_is_an_error_that_says_what_does(
    server: HTTPServer, connect: Opener, logprobs: object
) -> None:
    body = chat("sports")
    body["choices"][0]["logprobs"] = logprobs
    server.expect_request(CHAT).respond_with_json(body)
    with pytest.raises(ServerRefused, match=r"gives no log-probabilities of 'm'.*--samples"):
        only(connect(top_logprobs=20), LABEL_QUESTION)


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (400, fault("`logprobs` is not supported with this model")),
        (403, fault("You are not allowed to request logprobs from this model")),
        (400, fault("Invalid value: less than or equal to 5 is expected", param="top_logprobs")),
    ],
)
def test_a_server_that_refuses_log_probabilities_is_not_asked_on(
    server: HTTPServer, connect: Opener, code: int, body: dict[str, Any]
) -> None:
    server.expect_request(CHAT).respond_with_json(body, status=code)
    with pytest.raises(ServerRefused, match=r"Give fewer top_logprobs.*--samples") as raised:
        list(connect(top_logprobs=20).answer([LABEL_QUESTION] * 50))
    assert body["error"]["message"] in raised.value.message
    server.clear()
    server.expect_request(CHAT).respond_with_json(fault("what are logprobs"), status=400)
    assert failure(connect()).status == Status.FAILED, "who asks for none is told of none"


# Faults that pass


def hang_up(received: Received) -> Response:
    connection: socket.socket = received.environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    return Response()


def half_a_body(_: Received) -> Response:
    return Response(json.dumps(chat())[:40], content_type="application/json")


FAULTS: dict[str, Callable[[Received], Response]] = {
    "HTTP 408": lambda _: Response("later", 408),
    "HTTP 409": lambda _: Response("later", 409),
    "HTTP 429": lambda _: Response(json.dumps(fault("slow down", code="rate_limit_exceeded")), 429),
    "HTTP 500": lambda _: Response("oops", 500),
    "HTTP 503": lambda _: Response(json.dumps(fault("Loading model")), 503),
    "connection broke": hang_up,
    "not a chat completion: {": half_a_body,
    "not a chat completion: <html>": lambda _: Response("<html>Sign in</html>", content_type="text/html"),
    "not a chat completion: {'error'": lambda _: Response(json.dumps(fault()), content_type="application/json"),
}


@pytest.mark.parametrize("said", FAULTS)
def test_a_passing_fault_is_survived(server: HTTPServer, connect: Opener, pauses: Pauses, said: str) -> None:
    server.expect_ordered_request(CHAT).respond_with_handler(FAULTS[said])
    server.expect_ordered_request(CHAT).respond_with_json(chat())
    assert isinstance(only(connect()), Completion)
    assert len(pauses) == 1


@pytest.mark.parametrize("said", FAULTS)
def test_a_lasting_fault_fails_one_request_that_can_be_retried(
    server: HTTPServer, connect: Opener, pauses: Pauses, said: str
) -> None:
    arrived = []

    def handle(received: Received) -> Response:
        arrived.append(received)
        return FAULTS[said](received)

    server.expect_request(CHAT).respond_with_handler(handle)
    reply = failure(connect(attempts=3), question(5))
    assert (reply.request_id, reply.status, reply.retryable) == (5, Status.FAILED, True)
    assert said in reply.detail
    assert "\n" not in reply.detail
    assert len(arrived) == 3, "nothing else may retry beside tenacity"
    assert 2 <= pauses[0] <= 4 <= pauses[1] <= 6


def test_a_slow_server_is_a_timeout(server: HTTPServer, connect: Opener, pauses: Pauses) -> None:
    released = threading.Event()

    def wait(_: Received) -> Response:
        released.wait(PATIENCE)
        return Response()

    server.expect_request(CHAT).respond_with_handler(wait)
    reply = failure(connect(attempts=2, timeout=0.05))
    released.set()
    assert (reply.status, reply.retryable) == (Status.TIMEOUT, True)
    assert "0.05 s" in reply.detail
    assert len(pauses) == 1


def test_a_server_that_never_ends_its_body_is_a_timeout(server: HTTPServer, connect: Opener) -> None:
    released = threading.Event()

    def drip(_: Received) -> Response:
        def blanks() -> Iterator[bytes]:
            while not released.wait(0.02):
                yield b" "

        return Response(blanks(), content_type="application/json")

    server.expect_request(CHAT).respond_with_handler(drip)
    reply = failure(connect(attempts=1, timeout=0.3))
    released.set()
    assert reply.status == Status.TIMEOUT


def in_a_minute() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)


@pytest.mark.parametrize(
    ("retry_after", "bounds"),
    [
        (lambda: "7", (7, 9)),
        (lambda: "0", (0, 2)),
        (in_a_minute, (40, 62)),
        (lambda: "Wed, 21 Oct 2015 07:28:00 GMT", (0, 2)),
        (lambda: "soonish", (2, 4)),
    ],
)
def test_the_server_says_how_long_to_wait(
    server: HTTPServer, connect: Opener, pauses: Pauses, retry_after: Callable[[], str], bounds: tuple[float, float]
) -> None:
    later = Response("later", 429, {"Retry-After": retry_after()})
    server.expect_ordered_request(CHAT).respond_with_response(later)
    server.expect_ordered_request(CHAT).respond_with_json(chat())
    only(connect())
    (pause,) = pauses
    assert bounds[0] <= pause <= bounds[1]


def test_nobody_waits_an_hour_for_one_request(server: HTTPServer, connect: Opener, pauses: Pauses) -> None:
    later = Response("come back tomorrow", 429, {"Retry-After": "3600"})
    server.expect_request(CHAT).respond_with_response(later)
    assert failure(connect()).retryable
    assert not pauses
    assert len(server.log) == 1


def test_a_server_that_refuses_what_comes_too_fast_is_asked_as_fast_as_it_allows(
    server: HTTPServer, connect: Opener
) -> None:
    began, allowed, refused = time.monotonic(), Bucket(50, 5), []
    lock = threading.Lock()

    def handle(_: Received) -> Response:
        with lock:
            if allowed.serves(time.monotonic() - began):
                return Response(json.dumps(chat()), content_type="application/json")
            refused.append(1)
        return Response(json.dumps(fault("slow down", code="rate_limit_exceeded")), 429)

    server.expect_request(CHAT).respond_with_handler(handle)
    backend = connect(concurrency=8, sleep=asyncio.sleep, clock=time.monotonic)
    replies = list(backend.answer(question(n) for n in range(150)))
    assert all(isinstance(reply, Completion) for reply in replies)
    assert len(refused) < 50


def test_a_wait_in_milliseconds_goes_before_one_in_seconds(server: HTTPServer, connect: Opener, pauses: Pauses) -> None:
    later = Response("later", 503, {"Retry-After-Ms": "2500", "Retry-After": "60"})
    server.expect_ordered_request(CHAT).respond_with_response(later)
    server.expect_ordered_request(CHAT).respond_with_json(chat())
    only(connect())
    (pause,) = pauses
    assert 2.5 <= pause <= 4.5


@pytest.mark.parametrize("code", [200, 503])
def test_nothing_is_sent_while_the_server_says_that_nothing_is_left(
    server: HTTPServer, connect: Opener, pauses: Pauses, code: int
) -> None:
    empty = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s"}
    server.expect_ordered_request(CHAT).respond_with_json(chat(), status=code, headers=empty)
    server.expect_ordered_request(CHAT).respond_with_json(chat(), headers={"x-ratelimit-remaining-requests": "some"})
    server.expect_ordered_request(CHAT).respond_with_json(chat())
    backend = connect(concurrency=1)
    began = pauses.clock()
    list(backend.answer([question(1)] if code == 503 else [question(1), question(2)]))
    assert 90 <= pauses.clock() - began < 100
    only(backend)
    assert pauses.clock() - began < 100


def test_no_request_is_retried_for_longer_than_may_be(server: HTTPServer, connect: Opener, pauses: Pauses) -> None:
    server.expect_request(CHAT).respond_with_data("oops", 500)
    reply = failure(connect(attempts=100, retry_seconds=30))
    assert (reply.status, reply.retryable) == (Status.FAILED, True)
    assert 10 < sum(pauses) <= 30


def test_a_time_below_nothing_is_refused(connect: Opener) -> None:
    with pytest.raises(InputError, match="retry_seconds is -1"):
        connect(retry_seconds=-1.0)
    with pytest.raises(InputError, match="down_seconds is -1"):
        connect(down_seconds=-1.0)


def test_no_more_are_sent_than_is_said(server: HTTPServer, connect: Opener, pauses: Pauses) -> None:
    server.expect_request(CHAT).respond_with_json(chat())
    began = pauses.clock()
    list(connect(concurrency=8, requests_per_minute=60).answer(question(n) for n in range(10)))
    assert pauses.clock() - began >= 9


def test_a_limit_of_nothing_is_refused(connect: Opener) -> None:
    with pytest.raises(InputError, match="requests_per_minute is 0"):
        connect(requests_per_minute=0.0)
    with pytest.raises(InputError, match="tokens_per_minute is -1"):
        connect(tokens_per_minute=-1)


# Faults of one request


@pytest.mark.parametrize(
    ("code", "body", "status"),
    [
        (400, fault(code="context_length_exceeded"), Status.TOO_LONG),
        (400, fault(code=400, type="exceed_context_size_error"), Status.TOO_LONG),
        (400, fault("This model's maximum context length is 4096 tokens.", code=400), Status.TOO_LONG),
        (413, fault(), Status.TOO_LONG),
        (400, fault(code="content_filter"), Status.FILTERED),
        (400, fault("Invalid schema for response_format", param="response_format"), Status.FAILED),
        (422, {"detail": "unprocessable"}, Status.FAILED),
    ],
)
def test_a_request_that_cannot_succeed_is_asked_once(
    server: HTTPServer, connect: Opener, code: int, body: object, status: Status
) -> None:
    server.expect_request(CHAT).respond_with_json(body, status=code)
    reply = failure(connect())
    assert (reply.status, reply.retryable) == (status, False)
    assert f"HTTP {code}" in reply.detail
    assert len(server.log) == 1


def test_a_text_that_no_encoding_can_carry_fails_alone(server: HTTPServer, connect: Opener) -> None:
    server.expect_request(CHAT).respond_with_json(chat())
    replies = {reply.request_id: reply for reply in connect().answer([question(1, "\ud800"), question(2)])}
    broken = replies[1]
    assert isinstance(broken, Failure)
    assert (broken.status, broken.retryable) == (Status.BAD_ENCODING, False)
    assert isinstance(replies[2], Completion)


def test_one_text_forbidden_does_not_end_the_job(server: HTTPServer, connect: Opener) -> None:
    def moderate(received: Received) -> Response:
        if asked(received) == "rude":
            return Response(json.dumps(fault("flagged")), 403)
        return Response(json.dumps(chat()), content_type="application/json")

    server.expect_request(CHAT).respond_with_handler(moderate)
    backend = connect(concurrency=1)
    replies = list(backend.answer([question(1), question(2, "rude"), question(3)]))
    assert [type(reply) for reply in replies] == [Completion, Failure, Completion]


# Faults that end it all


@pytest.mark.parametrize(
    ("code", "body", "hint"),
    [
        (401, fault("Incorrect API key provided"), "MY_KEY"),
        (403, fault("Country not supported"), "MY_KEY"),
        (404, fault("The model does not exist", code="model_not_found"), "model's name"),
        (429, fault("You exceeded your current quota", code="insufficient_quota"), "billing"),
        (402, fault("Insufficient Balance"), "billing"),
        (400, fault("'temperature' does not support 0.0", code="unsupported_value"), "--setting temperature=none"),
        (400, fault("Not 0.0", param="temperature", code="unsupported_value"), "--setting temperature=none"),
        (400, fault("'max_tokens' is not supported", code="unsupported_parameter"), "--setting max_tokens=none"),
        (400, fault("No", param="max_completion_tokens", code="unsupported_parameter"), "--setting max_tokens=none"),
        (400, fault("No", param="response_format", code="unsupported_parameter"), "a model that takes it"),
    ],
)
def test_what_every_request_would_hear_is_raised(
    server: HTTPServer, connect: Opener, code: int, body: dict[str, Any], hint: str
) -> None:
    server.expect_request(CHAT).respond_with_json(body, status=code)
    backend = connect(key="sk-1", key_variable="MY_KEY", concurrency=4)
    with pytest.raises(ServerRefused) as raised:
        list(backend.answer(question(number) for number in range(100)))
    assert body["error"]["message"] in raised.value.message
    assert backend.address in raised.value.message
    assert hint in raised.value.hint
    assert (body["error"]["param"] or "") in raised.value.message
    assert "\n" not in str(raised.value)
    assert len(server.log) <= 4, "after a refusal nothing more is asked"


def test_the_texts_and_the_key_follow_no_redirect(server: HTTPServer, connect: Opener) -> None:
    moved = Response("", 307, {"Location": server.url_for("/elsewhere")})
    server.expect_request(CHAT).respond_with_response(moved)
    with pytest.raises(ServerRefused, match="/elsewhere"):
        only(connect(key="sk-1"))
    assert len(server.log) == 1


def test_answers_in_flight_are_not_lost_to_a_refusal(server: HTTPServer, connect: Opener) -> None:
    refused = threading.Event()

    def handle(received: Received) -> Response:
        if asked(received) == "refuse":
            refused.set()
            return Response(json.dumps(fault(code="insufficient_quota")), 429)
        refused.wait(PATIENCE)
        time.sleep(0.2)  # the refusal shall arrive first; where it does not, this test passes all the same
        return Response(json.dumps(chat()), content_type="application/json")

    server.expect_request(CHAT).respond_with_handler(handle)
    replies = connect().answer([question(1), question(2), question(3, "refuse")])
    assert {next(replies).request_id, next(replies).request_id} == {1, 2}
    with pytest.raises(ServerRefused):
        next(replies)


@pytest.fixture
def closed_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def test_a_server_that_is_down_is_told_at_once(connect: Opener, pauses: Pauses, closed_port: str) -> None:
    with pytest.raises(ServerUnreachable, match=r"nobody answers at http://127\.0\.0\.1:\d+/v1.*Start the server"):
        list(connect(closed_port).answer(question(number) for number in range(100)))
    assert not pauses


def test_an_address_without_a_scheme_is_told_at_once(connect: Opener, pauses: Pauses) -> None:
    with pytest.raises(ServerUnreachable, match="protocol"):
        only(connect("localhost:9/v1"))
    assert not pauses


def test_a_server_that_goes_down_is_waited_for_and_no_request_fails(connect: Opener, pauses: Pauses) -> None:
    with HTTPServer(host="127.0.0.1") as mortal:
        mortal.expect_request(CHAT).respond_with_data(
            json.dumps(chat()), content_type="application/json", headers={"Connection": "close"}
        )
        backend = connect(mortal.url_for("/v1"), concurrency=1, attempts=3)
        replies = backend.answer(question(number) for number in range(100))
        assert isinstance(next(replies), Completion)
    went_down = pauses.clock()
    with pytest.raises(ServerUnreachable, match=r"has not answered for 15 min: .*goes on later"):
        next(replies)
    assert pauses.clock() - went_down == pytest.approx(900, abs=1)


def test_while_a_server_is_down_its_requests_wait_and_one_at_a_time_looks(server: HTTPServer, connect: Opener) -> None:
    lock = threading.Lock()
    arrived = 0

    def go_down(_: Received) -> Response:
        nonlocal arrived
        with lock:
            arrived += 1
            is_down = 10 < arrived <= 30
        return Response("oops", 502) if is_down else Response(json.dumps(chat()), content_type="application/json")

    server.expect_request(CHAT).respond_with_handler(go_down)
    haste = Haste()
    backend = connect(concurrency=8, attempts=2, down_seconds=1e9, sleep=haste.sleep, clock=haste.clock)
    began = haste.clock()
    replies = list(backend.answer(question(number) for number in range(100)))
    assert all(isinstance(reply, Completion) for reply in replies)
    assert arrived == 120
    # At most 12 of the 20 faults, 8 in flight and 4 once more, came before it counted as down; the others were looks.
    assert haste.clock() - began >= 1 + 2 + 4 + 8 + 16 + 32 + 60 + 60


def test_a_server_that_sends_all_away_for_an_hour_is_not_asked_by_all(
    server: HTTPServer, connect: Opener, pauses: Pauses
) -> None:
    server.expect_ordered_request(CHAT).respond_with_json(chat())
    for _ in range(30):
        later = Response("come back tomorrow", 429, {"Retry-After": "3600"})
        server.expect_ordered_request(CHAT).respond_with_response(later)
    failed: list[Reply] = []
    with pytest.raises(ServerUnreachable, match="come back tomorrow"):
        failed.extend(connect(concurrency=1).answer(question(number) for number in range(100)))
    assert pauses.clock() - time.monotonic() >= 900
    assert len(server.log) < 30


def test_what_waits_is_called_off_by_what_ends_it_all(server: HTTPServer, connect: Opener) -> None:
    waiting = threading.Event()

    async def wait(_: float) -> None:
        waiting.set()
        await asyncio.sleep(PATIENCE)

    def handle(received: Received) -> Response:
        if asked(received) == "refuse":
            waiting.wait(PATIENCE)
            return Response(json.dumps(fault(code="insufficient_quota")), 429)
        return Response("later", 503)

    server.expect_request(CHAT).respond_with_handler(handle)
    began = time.monotonic()
    with pytest.raises(ServerRefused):
        list(connect(sleep=wait).answer([question(1), question(2, "refuse")]))
    assert time.monotonic() - began < PATIENCE, "nobody waited for the wait to end"
    assert len(server.log) == 2


# Keys


@pytest.mark.parametrize("key", [None, "sk-of-this-host"])
def test_no_other_key_reaches_a_host(
    server: HTTPServer, connect: Opener, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    elsewhere = {
        "OPENAI_API_KEY": "leak-1",
        "LLMCLF_API_KEY": "leak-2",
        "OPENAI_ADMIN_KEY": "leak-3",
        "OPENAI_ORG_ID": "leak-4",
        "OPENAI_PROJECT_ID": "leak-5",
        "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer leak-6\nX-Secret: leak-7",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/leak-8",
    }
    for name, value in elsewhere.items():
        monkeypatch.setenv(name, value)
    server.expect_request(CHAT).respond_with_json(chat())
    assert isinstance(only(connect(key=key)), Completion)
    received, _ = server.log[0]
    assert received.headers.get("Authorization") == (key and f"Bearer {key}")
    assert "leak" not in f"{received.headers} {received.url}"


def test_openai_is_openai_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    backend = HostedBackend("m", key="sk-1")
    try:
        assert backend.identity.model["server"] == "https://api.openai.com/v1"
        with pytest.raises(RuntimeError, match=r"tried to reach api\.openai\.com"):
            only(backend)
    finally:
        backend.close()


def test_openai_is_asked_in_its_own_words(server: HTTPServer, connect: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", server.url_for(""))
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    server.expect_request(CHAT).respond_with_json(chat())
    assert isinstance(only(connect("http://api.openai.com/v1")), Completion)
    received, _ = server.log[0]
    assert received.host == "api.openai.com"
    assert received.headers["OpenAI-Organization"] == "org-1"
    assert received.get_json()["max_completion_tokens"] == 512
    assert "max_tokens" not in received.get_json()


def test_a_key_is_never_shown(server: HTTPServer, connect: Opener, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = "sk-do-not-show-me"

    def tell_tale(received: Received) -> Response:
        return Response(json.dumps(fault(f"wrong: {received.headers['Authorization']}")), 401 if refusing else 400)

    server.expect_request(CHAT).respond_with_handler(tell_tale)
    backend = connect(key=key)
    refusing = False
    reply = failure(backend)
    refusing = True
    with pytest.raises(ServerRefused) as raised:
        only(backend)
    assert "***" in raised.value.message
    assert server.log[0][0].headers["Authorization"] == f"Bearer {key}"
    seen = [repr(reply), repr(raised.value), str(raised.value), repr(backend), repr(backend.identity), caplog.text]
    assert caplog.text
    assert not [text for text in seen if key in text]


@pytest.mark.parametrize("key", ["", "sk-1\n", "sk-\xe9", "sk 1"])
def test_a_key_that_cannot_be_one_is_not_sent(connect: Opener, key: str) -> None:
    with pytest.raises(InputError, match="MY_KEY") as raised:
        connect(key=key, key_variable="MY_KEY")
    assert "sk" not in str(raised.value)


@pytest.mark.parametrize(
    ("base_url", "variable"), [(None, "OPENAI_API_KEY"), ("http://localhost/v1", "LLMCLF_API_KEY")]
)
def test_a_hint_names_the_variable_of_that_address(base_url: str | None, variable: str) -> None:
    with pytest.raises(InputError, match=variable):
        HostedBackend("m", base_url, key="")


# Many at once


class Crowd:
    """A handler that answers only when `size` requests are inside at once, and counts how many ever were."""

    def __init__(self, size: int) -> None:
        self.meeting = threading.Barrier(size, timeout=PATIENCE)
        self.lock = threading.Lock()
        self.inside = 0
        self.most = 0

    def __call__(self, received: Received) -> Response:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.meeting.wait()
        with self.lock:
            self.inside -= 1
        return Response(json.dumps(chat(asked(received))), content_type="application/json")


def test_as_many_are_in_flight_as_may_be_and_no_more(server: HTTPServer, connect: Opener) -> None:
    crowd = Crowd(5)
    server.expect_request(CHAT).respond_with_handler(crowd)
    replies = list(connect(concurrency=5).answer(question(number, f"text {number}") for number in range(40)))
    assert crowd.most == 5
    texts = {reply.request_id: reply.text for reply in replies if isinstance(reply, Completion)}
    assert texts == {number: f"text {number}" for number in range(40)}


def test_more_and_more_are_in_flight_as_long_as_that_brings_more_answers(server: HTTPServer, connect: Opener) -> None:
    lock, inside, most = threading.Lock(), 0, 0

    def handle(_: Received) -> Response:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.05)
        with lock:
            inside -= 1
        return Response(json.dumps(chat()), content_type="application/json")

    server.expect_request(CHAT).respond_with_handler(handle)
    list(connect(clock=time.monotonic).answer(question(number) for number in range(150)))
    assert most > 8


def test_replies_come_as_they_finish(server: HTTPServer, connect: Opener) -> None:
    overtaken = threading.Event()

    def handle(received: Received) -> Response:
        if asked(received) == "slow":
            overtaken.wait(PATIENCE)
        return Response(json.dumps(chat()), content_type="application/json")

    server.expect_request(CHAT).respond_with_handler(handle)
    replies = connect().answer([question(1, "slow"), question(2)])
    assert next(replies).request_id == 2
    overtaken.set()
    assert next(replies).request_id == 1


def test_requests_are_pulled_only_as_replies_are(server: HTTPServer, connect: Opener) -> None:
    server.expect_request(CHAT).respond_with_json(chat())
    pulled = 0

    def endless() -> Iterator[Request]:
        nonlocal pulled
        while True:
            pulled += 1
            yield question(pulled)

    replies = connect(concurrency=3).answer(endless())
    assert pulled == 0
    for given in range(1, 11):
        next(replies)
        assert given <= pulled <= given + 2, "what came in at the same time is given before more is pulled"
    replies.close()  # type: ignore[attr-defined]


class Hostage:
    """A handler that answers `first` and keeps all others until the client hangs up."""

    def __init__(self, kept: int) -> None:
        self.arrived = threading.Barrier(kept + 1, timeout=PATIENCE)
        self.dropped = threading.Semaphore(0)

    def __call__(self, received: Received) -> Response:
        self.arrived.wait()
        if asked(received) != "first":
            connection: socket.socket = received.environ["werkzeug.socket"]
            connection.settimeout(PATIENCE)
            if connection.recv(1) == b"":
                self.dropped.release()
        return Response(json.dumps(chat()), content_type="application/json")

    def drops(self, count: int) -> bool:
        return all(self.dropped.acquire(timeout=PATIENCE) for _ in range(count))


def test_closing_early_hangs_up_on_the_rest(server: HTTPServer, connect: Opener) -> None:
    hostage = Hostage(3)
    server.expect_request(CHAT).respond_with_handler(hostage)
    replies = connect(concurrency=4).answer(question(n, "first" if n == 0 else "other") for n in range(50))
    assert next(replies).request_id == 0
    replies.close()  # type: ignore[attr-defined]
    assert hostage.drops(3)


def test_ctrl_c_ends_it(server: HTTPServer, connect: Opener) -> None:
    hostage = Hostage(1)

    def interrupt(received: Received) -> Response:
        if asked(received) == "first":
            hostage.arrived.wait()
            os.kill(os.getpid(), signal.SIGINT)
            return Response("later", 503)
        return hostage(received)

    server.expect_request(CHAT).respond_with_handler(interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(connect(concurrency=2, attempts=1).answer([question(0, "first"), question(1), question(2)]))
    assert hostage.drops(1)


def test_closing_drops_all_and_can_be_done_twice(server: HTTPServer, connect: Opener) -> None:
    hostage = Hostage(2)
    server.expect_request(CHAT).respond_with_handler(hostage)
    backend = connect(concurrency=3)
    next(backend.answer(question(n, "first" if n == 0 else "other") for n in range(3)))
    backend.close()
    backend.close()
    assert hostage.drops(2)
    assert "llmclf-hosted" not in {thread.name for thread in threading.enumerate()}


def test_closing_while_connecting_leaves_nothing_behind(connect: Opener) -> None:
    # A server of its own: what arrives after the client has hung up reaches no other test.
    with HTTPServer(host="127.0.0.1", threaded=True) as server:
        server.expect_request(CHAT).respond_with_json(chat())
        for round_ in range(20):
            backend = connect(server.url_for("/v1"), concurrency=8)
            replies = backend.answer(question(number) for number in range(100))
            for _ in range(1 + round_ % 7):
                next(replies)
            backend.close()
    gc.collect()  # a coroutine that was left behind warns now, and pytest fails this test


def test_closing_ends_the_wait_for_a_retry(server: HTTPServer, connect: Opener) -> None:
    waiting, woken = threading.Event(), threading.Event()

    async def wait(_: float) -> None:
        waiting.set()
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            woken.set()
            raise

    def handle(received: Received) -> Response:
        if asked(received) == "later":
            return Response("later", 503)
        waiting.wait(PATIENCE)
        return Response(json.dumps(chat()), content_type="application/json")

    server.expect_request(CHAT).respond_with_handler(handle)
    backend = connect(sleep=wait)
    replies = backend.answer([question(1), question(2, "later")])
    next(replies)
    assert not woken.is_set()
    backend.close()
    assert woken.is_set()


def test_closing_ends_the_wait_for_a_server_that_is_down(server: HTTPServer, connect: Opener) -> None:
    answered, waiting, woken = threading.Event(), threading.Event(), threading.Event()
    arrived = threading.Semaphore(0)

    async def wait(seconds: float) -> None:
        if is_turn := seconds <= 1:  # a request that failed before the server was down waits longer
            waiting.set()
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            if is_turn:
                woken.set()
            raise

    def handle(received: Received) -> Response:
        if asked(received) == "first":
            return Response(json.dumps(chat()), content_type="application/json")
        arrived.release()
        answered.wait(PATIENCE)
        return hang_up(received)

    server.expect_request(CHAT).respond_with_handler(handle)
    backend = connect(concurrency=7, sleep=wait)
    replies = backend.answer(question(n, "other" if n else "first") for n in range(7))
    next(replies)
    for _ in range(6):
        assert arrived.acquire(timeout=PATIENCE)  # one that is on its way at the end would meet the next test
    answered.set()
    assert waiting.wait(PATIENCE)
    backend.close()
    assert woken.is_set()


def test_works_under_a_running_event_loop(server: HTTPServer, connect: Opener) -> None:
    async def notebook_cell() -> Reply:
        return only(connect())

    server.expect_request(CHAT).respond_with_json(chat())
    assert isinstance(asyncio.run(notebook_cell()), Completion)


# A real server


@pytest.fixture
def real(llama_server: str) -> Iterator[HostedBackend]:
    backend = HostedBackend("smollm2", llama_server, concurrency=4, max_tokens=64)
    yield backend
    backend.close()


def test_a_real_server_answers_many_in_the_schema(real: HostedBackend) -> None:
    texts = ["The team won in the last minute.", "Parliament votes on the budget.", "A goal!", "The minister resigns."]
    replies = list(real.answer(question(number, texts[number % 4]) for number in range(12)))
    assert sorted(reply.request_id for reply in replies) == list(range(12))
    for reply in replies:
        assert isinstance(reply, Completion)
        assert json.loads(reply.text)["label"] in {"sports", "politics"}
        assert reply.served_model == "smollm2"
        assert reply.usage.completion_tokens > 0


def test_a_real_server_says_that_a_prompt_is_too_long(real: HostedBackend) -> None:
    replies = {reply.request_id: reply for reply in real.answer([question(1), question(2, "word " * 3000)])}
    assert isinstance(replies[1], Completion)
    long = replies[2]
    assert isinstance(long, Failure)
    assert (long.status, long.retryable) == (Status.TOO_LONG, False)
    assert "context size" in long.detail


def test_a_real_server_cuts_a_reply(llama_server: str) -> None:
    backend = HostedBackend("smollm2", llama_server, max_tokens=3)
    reply = failure(backend)
    backend.close()
    assert reply.status == Status.CUT
    assert reply.text
    assert reply.usage.completion_tokens == 3


def test_a_real_server_without_that_path_is_refused(llama_server: str) -> None:
    backend = HostedBackend("smollm2", llama_server.removesuffix("/v1") + "/v9")
    with pytest.raises(BackendError, match="often in /v1"):
        only(backend)
    backend.close()


ABOUT_SPORTS = "Is this text about sports? Answer Yes or No.\nText:\n"


def test_a_real_server_tells_of_labels_what_the_local_engine_finds(llama_server: str, gguf: Path) -> None:
    hosted, local = HostedBackend("smollm2", llama_server, top_logprobs=20), LocalBackend(gguf, layout="shipped")
    labels = Likelihoods(("Yes", "No"))
    try:
        for text in ("The team won in the last minute.", "Parliament votes on the budget."):
            told = only(hosted, Request(0, (Message("user", (ABOUT_SPORTS, text)),), labels))
            scored = only(local, Request(0, (Message("user", (ABOUT_SPORTS, text, f"\n\n{ANSWER_ALONE}")),), labels))
            assert isinstance(told, Scores)
            assert isinstance(scored, Scores)
            assert scored.tokens == {"Yes": 1, "No": 1}
            table = dict(told.written[0].likeliest)
            assert len(table) == 20
            for label in labels.labels:
                # In 4 bits, two builds of llama.cpp differ by so much.
                assert table[label] == pytest.approx(scored.log_likelihoods[label], abs=0.3)
                assert table[label] <= told.log_likelihoods[label] + 1e-6 <= table[label] + 0.2, "other spellings"
            assert told.remainder < 0.3
            assert told.served_model == "smollm2"
    finally:
        hosted.close()
        local.close()
