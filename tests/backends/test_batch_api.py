"""The batch backend against a Batch API that does all that such services do, and breaks off wherever it is told."""

import json
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest
from pytest_httpserver import HTTPServer

from llmclf.backends.base import Backend, Completion, Failure, Likelihoods, Message, Reply, Request, Structured, Usage
from llmclf.backends.batch_api import FULL_PAUSE, BatchBackend
from llmclf.backends.hosted import HostedBackend
from llmclf.backends.registry import open_backend
from llmclf.classifier import annotate
from llmclf.codebook import Codebook
from llmclf.errors import BackendError, InputError, ServerRefused, ServerUnreachable
from llmclf.items import Item
from llmclf.job import Job
from llmclf.status import Status

from .batch_double import BatchDouble, Plan, chat, fault

SCHEMA = {"type": "object", "properties": {"rationale": {"type": "string"}, "label": {"type": "string"}}}
FORM = Structured("answer", json.dumps(SCHEMA))
FULL = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached for m"}]


class Pauses(list[float]):
    """The pauses asked for; none is taken."""

    def __call__(self, seconds: float) -> None:
        assert len(self) < 1000, "this waits for ever"
        self.append(seconds)

    def clock(self) -> float:
        """Give the time as it would be had they been taken."""
        return time.time() + sum(self)


class Opener(Protocol):
    def __call__(self, **options: Any) -> BatchBackend: ...


@pytest.fixture
def service(server: HTTPServer) -> BatchDouble:
    service = BatchDouble()
    service.serve(server)
    return service


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def connect(server: HTTPServer, service: BatchDouble, pauses: Pauses) -> Iterator[Opener]:
    assert not service.calls

    with ExitStack() as opened:

        def open_batches(**options: Any) -> BatchBackend:
            settings: dict[str, Any] = {"sleep": pauses, "clock": pauses.clock, **options}
            backend = BatchBackend("m", server.url_for("/v1"), **settings)
            opened.callback(backend.close)
            return backend

        yield open_batches


def question(number: int, text: str | None = None, replicate: int = 0) -> Request:
    messages = Message("system", ("Say ", "a label.")), Message("user", (f"text {number}" if text is None else text,))
    return Request(number, messages, FORM, replicate)


def questions(count: int) -> list[Request]:
    return [question(number) for number in range(count)]


def texts(replies: list[Reply]) -> dict[int, str]:
    assert all(isinstance(reply, Completion) for reply in replies), replies
    answers = {reply.request_id: reply.text for reply in replies if isinstance(reply, Completion)}
    assert len(answers) == len(replies)
    return answers


def answers(count: int) -> dict[int, str]:
    return {number: f'{{"label": "text {number}"}}' for number in range(count)}


def failure(backend: Backend, request: Request) -> Failure:
    (reply,) = backend.answer([request])
    assert isinstance(reply, Failure)
    return reply


def once(count: int) -> Counter[str]:
    return Counter(f"text {number}" for number in range(count))


# What goes out and what comes back


def test_every_question_gets_its_own_answer(service: BatchDouble, connect: Opener) -> None:
    assert texts(list(connect().answer(questions(5)))) == answers(5)
    assert service.asked == once(5)
    assert len(service.batches) == 1


def test_the_file_as_uploaded(service: BatchDouble, connect: Opener) -> None:
    list(connect(max_tokens=99).answer([question(7, "é\u2028\n")]))
    (batch,) = service.batches.values()
    (line,) = service.lines(batch)
    assert set(line) == {"custom_id", "method", "url", "body"}
    assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
    assert line["body"] == {
        "model": "m",
        "messages": [{"role": "system", "content": "Say a label."}, {"role": "user", "content": "é\u2028\n"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}},
        "temperature": 0.0,
        "max_tokens": 99,
    }
    schema = line["body"]["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == ["rationale", "label"], "a model writes in the schema's order"
    assert (batch.endpoint, batch.completion_window) == ("/v1/chat/completions", "24h")
    assert service.files[batch.input_file_id][1].isascii(), "some split lines where Unicode does"


def test_an_answer_carries_all_that_the_service_says_about_it(connect: Opener) -> None:
    (reply,) = connect().answer([question(7)])
    assert isinstance(reply, Completion)
    assert (reply.request_id, reply.served_model, reply.fingerprint) == (7, "m-2026-01-01", "fp_1")
    assert reply.usage == Usage(prompt_tokens=10, completion_tokens=4)


def test_it_is_recorded_as_the_same_model_asked_at_once_is(connect: Opener, server: HTTPServer) -> None:
    hosted = HostedBackend("m", server.url_for("/v1"), temperature=0.5)
    hosted.close()
    assert connect(temperature=0.5).identity == hosted.identity


def test_label_likelihoods_are_not_to_be_had(service: BatchDouble, connect: Opener) -> None:
    with pytest.raises(TypeError, match="Likelihoods"):
        list(connect().answer([Request(0, (Message("user", ("hello",)),), Likelihoods(("a", "b")))]))
    assert not service.calls


@pytest.mark.parametrize("name", ["batches", "rounds", "requests_per_file", "bytes_per_file", "attempts"])
def test_a_number_that_would_answer_nothing_is_refused(connect: Opener, name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is 0"):
        connect(**{name: 0})


def test_nothing_is_called_before_something_is_asked(service: BatchDouble, connect: Opener) -> None:
    assert not list(connect().answer([]))
    assert not service.calls


# Files


def test_a_file_holds_so_many_requests(service: BatchDouble, connect: Opener) -> None:
    assert texts(list(connect(requests_per_file=2).answer(questions(5)))) == answers(5)
    assert [len(service.lines(batch)) for batch in service.batches.values()] == [2, 2, 1]


def test_a_file_holds_so_many_bytes(service: BatchDouble, connect: Opener) -> None:
    list(connect().answer([question(0)]))
    size = next(iter(service.files.values()))[0].bytes
    pulled: list[int] = []
    others = (pulled.append(number) or question(number) for number in range(1, 8))  # type: ignore[func-returns-value]
    replies = connect(bytes_per_file=3 * size + size // 2, batches=1).answer(others)
    next(replies)
    assert pulled == [1, 2, 3, 4], "the fourth does not fit any more"
    assert len(list(replies)) == 6
    batches = list(service.batches.values())[1:]
    assert [len(service.lines(batch)) for batch in batches] == [3, 3, 1]
    assert service.most_under_way == 1


def test_equal_requests_do_not_make_files_smaller(service: BatchDouble, connect: Opener) -> None:
    requests = [question(0, "a"), question(1, "a"), question(2, "b"), question(3, "c")]
    assert len(list(connect(requests_per_file=2).answer(requests))) == 4
    assert [len(service.lines(batch)) for batch in service.batches.values()] == [2, 1]


def test_a_request_larger_than_a_file_fails_alone(connect: Opener) -> None:
    replies = {r.request_id: r for r in connect(bytes_per_file=2000).answer([question(0), question(1, "x" * 2000)])}
    assert isinstance(replies[0], Completion)
    assert isinstance(replies[1], Failure)
    assert (replies[1].status, replies[1].retryable) == (Status.TOO_LONG, False)


def test_a_text_that_no_encoding_can_carry_fails_alone(connect: Opener) -> None:
    replies = {r.request_id: r for r in connect().answer([question(0), question(1, "\ud800")])}
    assert isinstance(replies[0], Completion)
    assert isinstance(replies[1], Failure)
    assert replies[1].status == Status.BAD_ENCODING


def test_equal_requests_are_one_line_and_replicates_are_not(service: BatchDouble, connect: Opener) -> None:
    requests = [question(1, "a"), question(2, "a"), question(3, "a", replicate=1)]
    replies = list(connect().answer(requests))
    assert sorted(reply.request_id for reply in replies) == [1, 2, 3]
    assert service.asked == {"a": 2}
    (batch,) = service.batches.values()
    assert len({line["custom_id"] for line in service.lines(batch)}) == 2


def test_requests_are_pulled_a_file_at_a_time_for_so_many_batches(service: BatchDouble, connect: Opener) -> None:
    pulled = 0

    def endless() -> Iterator[Request]:
        nonlocal pulled
        while True:
            yield question(pulled)
            pulled += 1

    replies = connect(requests_per_file=3, batches=2).answer(endless())
    next(replies)
    assert pulled == 5, "the sixth is given, and no more is asked for"
    replies.close()  # type: ignore[attr-defined]
    assert len(service.batches) == service.most_under_way == 2


def test_how_far_a_batch_is_is_said(
    service: BatchDouble, connect: Opener, pauses: Pauses, caplog: pytest.LogCaptureFixture
) -> None:
    service.plans.append(Plan(looks=3))
    caplog.set_level(logging.INFO, "llmclf")
    list(connect(poll=5.0).answer(questions(3)))
    assert [record.getMessage() for record in caplog.records if record.name.startswith("llmclf")] == [
        "batch batch_0: 3 requests sent",
        "batch batch_0: in_progress, 0 of 3 done",
        "batch batch_0: in_progress, 1 of 3 done",
        "batch batch_0: in_progress, 2 of 3 done",
        "batch batch_0: completed, 3 of 3 done",
    ]
    assert pauses == [5.0] * 4


# What becomes of a request


@pytest.mark.parametrize(
    ("outcome", "status", "detail"),
    [
        (chat(None, refusal="I would rather not."), Status.REFUSED, "refused"),
        (chat("", "content_filter"), Status.FILTERED, "filter"),
        (chat('{"lab', "length"), Status.CUT, "cut"),
        (chat(""), Status.MALFORMED, "empty"),
        (fault(400, code="context_length_exceeded"), Status.TOO_LONG, "HTTP 400: no"),
        (fault(400, code="content_policy_violation"), Status.FILTERED, "HTTP 400: no"),
        (fault(403, "flagged"), Status.FAILED, "HTTP 403: flagged"),
    ],
)
def test_what_is_no_answer_says_why_and_is_not_asked_again(
    service: BatchDouble, connect: Opener, outcome: tuple[int, Any], status: Status, detail: str
) -> None:
    service.plans.append(Plan(outcome=lambda text: outcome if text == "odd" else chat()))
    replies = {r.request_id: r for r in connect().answer([question(0), question(1, "odd")])}
    assert isinstance(replies[0], Completion)
    odd = replies[1]
    assert isinstance(odd, Failure)
    assert (odd.status, odd.retryable) == (status, False)
    assert detail in odd.detail
    assert len(service.batches) == 1
    assert failure(connect(), question(2, "odd")).status == status, "what a batch has settled is settled"
    assert len(service.batches) == 1


PASSING = {
    "HTTP 429: slow down": fault(429, "slow down", code="rate_limit_exceeded"),
    "HTTP 500: oops": fault(500, "oops"),
    "not a chat completion": (200, {"error": "oops"}),
    "batch_expired: it was not run": (0, "batch_expired"),
    "did not answer it": None,
}


@pytest.mark.parametrize("said", PASSING)
@pytest.mark.parametrize("status", ["completed", "expired", "cancelled"])
def test_what_a_batch_leaves_unanswered_is_put_into_another(
    service: BatchDouble, connect: Opener, status: str, said: str
) -> None:
    def outcome(text: str) -> Any:
        return PASSING[said] if text in ("text 1", "text 3") else chat(f'{{"label": "{text}"}}')

    service.plans.append(Plan(status, outcome))
    assert texts(list(connect().answer(questions(5)))) == answers(5)
    assert service.asked == once(5) + Counter(["text 1", "text 3"])
    assert len(service.batches) == 2


@pytest.mark.parametrize("said", PASSING)
def test_what_no_batch_answers_fails_and_can_be_retried(service: BatchDouble, connect: Opener, said: str) -> None:
    service.plans.extend([Plan("expired", lambda _: PASSING[said])] * 3)
    reply = failure(connect(), question(5))
    assert (reply.request_id, reply.retryable) == (5, True)
    assert said in reply.detail
    assert reply.status == (Status.TIMEOUT if "batch" in reply.detail else Status.FAILED)
    assert len(service.batches) == 3
    assert len(service.uploads) == 1, "the same file will do"
    (again,) = connect(rounds=1).answer([question(6, "text 5")])
    assert isinstance(again, Completion)


def test_what_every_request_would_hear_is_raised_after_the_answers(service: BatchDouble, connect: Opener) -> None:
    refused = fault(404, "The model 'm' does not exist", code="model_not_found")
    service.plans.append(Plan(outcome=lambda text: chat() if text == "text 1" else refused))
    replies = connect().answer(questions(3))
    assert next(replies).request_id == 1
    with pytest.raises(ServerRefused, match=r"The model 'm' does not exist.*Check the model's name"):
        next(replies)


def test_lines_that_are_none_and_answers_to_others_are_passed_over(service: BatchDouble, connect: Opener) -> None:
    replies = connect(requests_per_file=1, batches=1).answer(questions(2))
    next(replies)
    file, content = service.files["file-1"]
    assert file.purpose == "batch_output"
    service.files["file-1"] = file, b'{"custom_id": "of another"}\n{"custom_id": 5}\n{ not JSON\n\n' + content
    replies.close()  # type: ignore[attr-defined]
    assert texts(list(connect().answer(questions(2)))) == answers(2)
    assert service.asked == once(2)


# Batches that are refused


def test_a_batch_refused_as_a_whole_is_raised_with_the_reason(service: BatchDouble, connect: Opener) -> None:
    errors = [{"code": "invalid_json_line", "message": "This line is not\nvalid.", "line": 2, "param": None}]
    service.plans.append(Plan("failed", errors=errors))
    with pytest.raises(ServerRefused, match=r"batch_0: invalid_json_line: This line is not valid. \(line 2\)"):
        list(connect().answer(questions(3)))
    assert len(service.batches) == 1


@pytest.mark.parametrize("errors", [None, []])
def test_a_batch_refused_without_a_reason_is_not_begun_again(
    service: BatchDouble, connect: Opener, errors: list[dict[str, Any]] | None
) -> None:
    service.plans.append(Plan("failed", errors=errors))
    with pytest.raises(ServerRefused, match="refuses the batch batch_0: no reason is given"):
        list(connect().answer(questions(3)))
    assert len(service.batches) == 1


def test_a_batch_that_finds_no_place_waits_and_is_begun_again(
    service: BatchDouble, connect: Opener, pauses: Pauses
) -> None:
    service.plans.extend([Plan("failed", errors=FULL), Plan("failed", errors=FULL)])
    began = pauses.clock()
    assert texts(list(connect().answer(questions(3)))) == answers(3)
    assert pauses.clock() - began > 2 * FULL_PAUSE
    assert len(service.batches) == 3
    assert len(service.uploads) == 1


def test_others_go_on_while_one_finds_no_place(service: BatchDouble, connect: Opener, pauses: Pauses) -> None:
    service.plans.extend([Plan(), Plan("failed", errors=FULL), Plan()])
    replies = connect(requests_per_file=2, batches=2, attempts=1).answer(questions(4))
    assert {next(replies).request_id, next(replies).request_id} == {0, 1}
    assert sum(pauses) < FULL_PAUSE
    assert {reply.request_id for reply in replies} == {2, 3}
    assert len(service.uploads) == 2


def test_only_refusals_in_a_row_are_counted(service: BatchDouble, connect: Opener) -> None:
    service.plans.extend([Plan("failed", errors=FULL), Plan(), Plan("failed", errors=FULL), Plan()])
    replies = connect(requests_per_file=2, batches=1, attempts=2).answer(questions(4))
    assert texts(list(replies)) == answers(4)


def test_a_batch_that_never_finds_a_place_is_told(service: BatchDouble, connect: Opener) -> None:
    service.plans.extend([Plan("failed", errors=FULL)] * 3)
    with pytest.raises(ServerRefused, match=r"Enqueued token limit reached for m.*smaller requests_per_file"):
        list(connect(attempts=3).answer(questions(3)))
    assert len(service.batches) == 3


# Restarts


def answered_before_it_broke(backend: Backend, requests: list[Request]) -> list[Reply]:
    replies: list[Reply] = []
    try:
        for reply in backend.answer(requests):
            replies.append(reply)  # noqa: PERF402 - what came before is kept
    except BackendError:
        return replies
    raise AssertionError("nothing broke")


def calls_of_a_run(connect: Opener, service: BatchDouble) -> int:
    list(connect(requests_per_file=3).answer(questions(5)))
    assert len(service.batches) == 2
    return len(service.calls)


def restarted(server: HTTPServer) -> BatchDouble:
    server.clear()
    service = BatchDouble()
    service.serve(server)
    return service


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_wherever_it_is_killed_nothing_is_uploaded_or_asked_twice(
    server: HTTPServer, service: BatchDouble, connect: Opener, lost: Literal["request", "answer"]
) -> None:
    for call in range(calls_of_a_run(connect, service)):
        service = restarted(server)
        service.broken_call, service.lost = call, lost
        replies = answered_before_it_broke(connect(requests_per_file=3, attempts=1), questions(5))
        recorded = {reply.request_id for reply in replies}
        missing = [request for request in questions(5) if request.id not in recorded]
        replies += connect(requests_per_file=3).answer(missing)
        assert texts(replies) == answers(5)
        assert service.asked == once(5), f"call {call}: {service.calls}"
        assert len(service.uploads) == len(set(service.uploads)) == 2


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_a_call_that_breaks_is_made_again_and_done_once(
    server: HTTPServer, service: BatchDouble, connect: Opener, lost: Literal["request", "answer"]
) -> None:
    for call in range(calls_of_a_run(connect, service)):
        service = restarted(server)
        service.broken_call, service.lost = call, lost
        assert texts(list(connect(requests_per_file=3).answer(questions(5)))) == answers(5)
        assert service.asked == once(5), f"call {call}: {service.calls}"
        assert len(service.uploads) == 2


def test_wherever_it_stops_between_two_replies_nothing_is_asked_twice(
    server: HTTPServer, service: BatchDouble, connect: Opener
) -> None:
    for kept in range(5):
        service = restarted(server)
        first = connect(requests_per_file=3).answer(questions(5))
        replies: list[Reply] = [next(first) for _ in range(kept)]
        first.close()  # type: ignore[attr-defined]
        recorded = {reply.request_id for reply in replies}
        replies += connect(requests_per_file=3).answer(r for r in questions(5) if r.id not in recorded)
        assert texts(replies) == answers(5)
        assert service.asked == once(5)


def test_the_same_backend_goes_on_with_what_it_was_stopped_in(service: BatchDouble, connect: Opener) -> None:
    backend = connect(requests_per_file=3)
    first = backend.answer(questions(5))
    replies = [next(first)]
    first.close()  # type: ignore[attr-defined]
    replies += backend.answer(r for r in questions(5) if r.id != replies[0].request_id)
    assert texts(replies) == answers(5)
    assert service.asked == once(5)


def test_what_is_taken_up_counts_as_under_way(service: BatchDouble, connect: Opener) -> None:
    service.plans.extend([Plan(), Plan(looks=9)])
    first = connect(requests_per_file=1).answer(questions(2))
    assert next(first).request_id == 0
    first.close()  # type: ignore[attr-defined]
    service.most_under_way = 0
    assert len(list(connect(batches=1).answer(questions(3)[1:]))) == 2
    assert service.most_under_way == 1
    assert service.asked == once(3)


def test_what_an_expired_batch_left_is_asked_by_the_next_process(service: BatchDouble, connect: Opener) -> None:
    service.plans.append(Plan("expired", lambda text: chat() if text == "text 0" else (0, "batch_expired")))
    replies = connect(requests_per_file=3).answer(questions(3))
    assert next(replies).request_id == 0
    replies.close()  # type: ignore[attr-defined]
    assert {reply.request_id for reply in connect().answer(questions(3))} == {0, 1, 2}
    assert service.asked == once(3) + Counter(["text 1", "text 2"])


def test_batches_of_other_models_settings_and_programs_are_left_alone(service: BatchDouble, connect: Opener) -> None:
    list(connect(temperature=1.0).answer(questions(2)))
    (batch,) = service.batches.values()
    service.batches["foreign"] = batch.model_copy(update={"id": "foreign", "metadata": {"project": "x"}})
    service.batches["bare"] = batch.model_copy(update={"id": "bare", "metadata": None})
    before = len(service.calls)
    assert texts(list(connect().answer(questions(2)))) == answers(2)
    fetched = [call for call in service.calls[before:] if call.endswith("content")]
    assert len(fetched) == 1, "only its own answers"
    assert service.asked["text 0"] == 4


def test_long_lists_are_read_to_their_end(service: BatchDouble, connect: Opener) -> None:
    options = {"requests_per_file": 1, "batches": 5}
    list(connect(**options).answer(questions(5)))
    assert service.page < len(service.batches) == 5
    assert texts(list(connect(**options).answer(questions(5)))) == answers(5)
    assert len(service.batches) == 5
    service.batches.clear()
    assert texts(list(connect(**options).answer(questions(5)))) == answers(5)
    assert len(service.uploads) == 5


def test_a_web_page_is_no_file_of_answers(service: BatchDouble, connect: Opener) -> None:
    list(connect().answer(questions(2)))
    service.files["file-1"] = service.files["file-1"][0], b"<html>Sign in</html>"
    with pytest.raises(ServerUnreachable, match="not a batch's file: <html>"):
        list(connect().answer(questions(2)))
    assert service.asked == once(2)


def test_batches_of_more_than_a_month_ago_are_forgotten(service: BatchDouble, connect: Opener) -> None:
    list(connect().answer(questions(2)))
    batch = service.batches["batch_0"]
    service.batches["batch_0"] = batch.model_copy(update={"created_at": batch.created_at - 31 * 86400})
    list(connect().answer(questions(2)))
    assert len(service.batches) == 2


def test_what_the_service_no_longer_has_is_asked_again(service: BatchDouble, connect: Opener) -> None:
    list(connect().answer(questions(2)))
    service.files.clear()
    assert texts(list(connect().answer(questions(2)))) == answers(2)
    assert len(service.batches) == 2


def test_answers_that_cannot_be_fetched_are_not_paid_for_twice(service: BatchDouble, connect: Opener) -> None:
    service.hides_answers = True
    with pytest.raises(ServerUnreachable, match="there is no file file-1"):
        list(connect(attempts=3).answer(questions(2)))
    assert service.calls[-3:] == ["GET /v1/files/file-1/content"] * 3
    service.hides_answers = False
    assert texts(list(connect().answer(questions(2)))) == answers(2)
    assert service.asked == once(2)


def test_a_job_goes_on_wherever_it_was_killed(server: HTTPServer, service: BatchDouble, tmp_path: Path) -> None:
    book = Codebook.from_labels(["sport", "business"])
    items = [Item(str(number), text=f"It is {number}.") for number in range(4)]
    uri = f"batch+{server.url_for('/v1')}#m"
    settings = {"poll": 0, "attempts": 1, "requests_per_file": 3}

    def run(path: Path, service: BatchDouble) -> list[object]:
        service.plans.extend([Plan(outcome=lambda _: chat('{"label": "sport"}'))] * 2)
        job = Job(path, book, uri, settings)
        try:
            return [annotation.label for annotation in job.annotate(items)]
        finally:
            job.close()

    assert run(tmp_path / "whole.sqlite", service) == ["sport"] * 4
    calls = [n for n, call in enumerate(service.calls) if call.startswith("POST") or call.endswith("content")]
    assert len(calls) == 6
    for call in calls:
        path = tmp_path / f"{call}.sqlite"
        service = restarted(server)
        service.broken_call, service.lost = call, "answer"
        with pytest.raises(BackendError):
            run(path, service)
        assert run(path, service) == ["sport"] * 4
        assert set(service.asked.values()) == {1}
        assert len(service.uploads) == 2


def test_annotating_by_batches(server: HTTPServer, service: BatchDouble) -> None:
    service.plans.append(Plan(outcome=lambda text: chat('{"label": "sport"}' if "team" in text else "rather not")))
    service.plans.append(Plan(outcome=lambda _: chat('{"label": "business"}')))
    backend = open_backend(f"batch+{server.url_for('/v1')}#m", local_only=True, poll=0)
    try:
        items = [Item("a", text="The team won."), Item("b", text="Shares fell.")]
        found = [one.label for one in annotate(items, Codebook.from_labels(["sport", "business"]), backend)]
    finally:
        backend.close()
    assert found == ["sport", "business"], "what cannot be read is asked again, in another batch"


# Keys, addresses and faults of the service


def test_the_uri_of_openai_needs_a_key_and_leaves_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match=r"batch: needs a key\. Set OPENAI_API_KEY"):
        open_backend("batch:gpt")
    for uri in ("batch:gpt", "batch+https://api.example.org/v1#m"):
        with pytest.raises(InputError, match="is not on this machine"):
            open_backend(uri, local_only=True)
    with pytest.raises(InputError, match="unknown setting 'concurrency'"):
        open_backend("batch+http://127.0.0.1:9/v1#m", concurrency=3)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    backend = open_backend("batch:gpt")
    backend.close()
    assert backend.identity.model == {"server": "https://api.openai.com/v1", "model": "gpt"}


@pytest.mark.parametrize("key", [None, "sk-of-this-host"])
def test_no_other_key_reaches_a_host(
    service: BatchDouble, connect: Opener, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "leak-1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer leak-2\nX-Secret: leak-3")
    list(connect(key=key).answer(questions(1)))
    assert {headers.get("Authorization") for headers in service.headers} == {key and f"Bearer {key}"}
    assert "leak" not in str(service.headers)


def test_a_key_is_never_shown(service: BatchDouble, connect: Opener, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = "sk-do-not-show-me"
    service.plans.extend(
        [
            Plan(outcome=lambda _: fault(400, f"wrong: {key}")),
            Plan(outcome=lambda _: (0, key)),
            Plan("failed", errors=[{"code": "invalid", "message": f"wrong: {key}"}]),
        ]
    )
    reply = failure(connect(key=key), question(0))
    other = failure(connect(key=key, rounds=1), question(2))
    with pytest.raises(ServerRefused) as raised:
        list(connect(key=key).answer([question(1)]))
    assert "***" in reply.detail
    assert "***" in other.detail
    assert "***" in raised.value.message
    assert not [text for text in (repr(reply), repr(other), repr(raised.value), caplog.text) if key in text]


def test_a_service_that_is_down_is_told_at_once(pauses: Pauses) -> None:
    backend = BatchBackend("m", "http://127.0.0.1:9/v1", sleep=pauses)
    with pytest.raises(ServerUnreachable, match=r"nobody answers at .*Start the server"):
        list(backend.answer(questions(1)))
    backend.close()
    assert not pauses


def test_a_server_without_a_batch_api_is_refused(server: HTTPServer, connect: Opener) -> None:
    server.clear()
    server.expect_request("/v1/batches").respond_with_json(fault(404, "no such path")[1], status=404)
    with pytest.raises(ServerRefused, match="HTTP 404: no such path"):
        list(connect().answer(questions(1)))


def test_a_web_page_is_no_list_of_batches(server: HTTPServer, connect: Opener, pauses: Pauses) -> None:
    server.clear()
    server.expect_request("/v1/batches").respond_with_data("<html>Sign in</html>", content_type="text/html")
    with pytest.raises(ServerUnreachable, match="not what a Batch API says: <html>"):
        list(connect(attempts=3).answer(questions(1)))
    assert len(pauses) == 2
    assert 2 <= pauses[0] <= 4 <= pauses[1] <= 6


def test_the_service_says_how_long_to_wait(server: HTTPServer, connect: Opener, pauses: Pauses) -> None:
    server.clear()
    server.expect_request("/v1/batches").respond_with_json({}, status=429, headers={"Retry-After": "300"})
    with pytest.raises(ServerUnreachable, match="HTTP 429"):
        list(connect(attempts=2).answer(questions(1)))
    assert pauses == [300.0]


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/v1#m", "batch+http://127.0.0.1:1/v1#m"])
def test_a_server_opened_with_what_it_resolved_is_the_same(uri: str) -> None:
    first = open_backend(uri, temperature=0.5, max_tokens=77)
    settings: dict[str, Any] = dict(first.resolved)
    again = open_backend(uri, **settings)
    assert again.identity == first.identity
    first.close()
    again.close()
