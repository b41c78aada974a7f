import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmclf.backends import recorded
from llmclf.backends.base import Completion, Failure, Likelihoods, Message, Reply, Request, Scores, Structured
from llmclf.backends.recorded import RecordedBackend, ScriptedBackend
from llmclf.errors import BackendError
from llmclf.records import Records
from llmclf.status import Status
from llmclf.store import Store

FORM = Structured("answer", "{}")


def ask(number: int, text: str, replicate: int = 0) -> Request:
    return Request(number, (Message("user", ("Say: ", text)),), FORM, replicate)


def echo(request: Request) -> Reply:
    return Completion(request.id, f"{request.messages[0].content} {request.replicate}")


class WindowBackend(ScriptedBackend):
    """Takes requests by windows and answers each window in any order; keeps what was asked."""

    def __init__(self, script: Callable[[Request], Reply] = echo, *, window: int = 4, seed: int | None = 0) -> None:
        super().__init__(script)
        self.asked: list[Request] = []
        self.runs = 0
        self._window = window
        self._random = random.Random(seed)

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        self.runs += 1
        stream = iter(requests)
        while taken := list(islice(stream, self._window)):
            self.asked += taken
            self._random.shuffle(taken)
            yield from super().answer(taken)


class Counted(Iterator[Request]):
    """A stream that knows how much was pulled from it."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self._requests = iter(requests)
        self.pulled = 0

    def __next__(self) -> Request:
        request = next(self._requests)
        self.pulled += 1
        return request


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "job.sqlite")
    yield store
    store.close()


def replies(backend: RecordedBackend, requests: Iterable[Request]) -> dict[int, Reply]:
    got = list(backend.answer(requests))
    assert len({reply.request_id for reply in got}) == len(got)
    return {reply.request_id: reply for reply in got}


def widest_gap(backend: RecordedBackend, requests: Iterable[Request]) -> int:
    """Give how many requests were pulled, at most, beyond those answered."""
    stream = Counted(requests)
    widest = answered = 0
    for _ in backend.answer(stream):
        widest = max(widest, stream.pulled - answered)
        answered += 1
    assert answered == stream.pulled
    return widest


def committed(store: Store) -> int:
    with Records(store.path) as other:
        return len(list(other.records()))


def test_a_script_answers_one_request_after_the_other() -> None:
    backend = ScriptedBackend(echo, name="double", forms=frozenset({Structured}))
    assert backend.name == "double"
    assert list(backend.forms) == [Structured]
    stream = Counted(ask(number, "x") for number in range(9))
    answers = backend.answer(stream)
    assert next(answers) == Completion(0, "Say: x 0")
    assert stream.pulled == 1


def test_it_passes_for_the_backend_behind_it(store: Store) -> None:
    backend = WindowBackend()
    front = RecordedBackend(backend, store)
    assert (front.name, front.identity, front.forms) == (backend.name, backend.identity, backend.forms)


TEXTS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 1)), max_size=30)


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS, st.integers(1, 6), st.integers(1, 4), st.integers())
def test_each_is_answered_and_nothing_is_asked_twice(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[tuple[str, int]],
    second: list[tuple[str, int]],
    window: int,
    most_waiting: int,
    seed: int,
) -> None:
    backend = WindowBackend(window=window, seed=seed)
    store = Store(tmp_path_factory.mktemp("recorded") / "job.sqlite")
    front = RecordedBackend(backend, store)
    known: set[tuple[str, int]] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded, "_MOST_WAITING", most_waiting)
        for texts in (first, second):
            requests = [ask(number, text, replicate) for number, (text, replicate) in enumerate(texts)]
            assert replies(front, requests) == {request.id: echo(request) for request in requests}
            known |= set(texts)
            assert len(backend.asked) == front.asked == len(known)
    assert front.found == len(first) + len(second) - len(known)
    store.close()


def test_the_next_run_asks_nothing(store: Store) -> None:
    requests = [ask(number, f"text {number}") for number in range(20)]
    want = replies(RecordedBackend(WindowBackend(), store), requests)
    backend = WindowBackend(seed=1)
    store.close()
    front = RecordedBackend(backend, Store(store.path))
    assert replies(front, requests[::-1]) == want
    assert (backend.asked, front.asked, front.found) == ([], 0, 20)
    front.close()


def test_another_identity_is_asked_anew(store: Store) -> None:
    replies(RecordedBackend(WindowBackend(), store), [ask(1, "x")])
    other = WindowBackend()
    other.identity = replace(other.identity, settings={"context": 1})
    replies(RecordedBackend(other, store), [ask(1, "x")])
    assert len(other.asked) == 1


def test_equal_requests_in_flight_share_one_answer(store: Store) -> None:
    backend = WindowBackend(window=8)
    front = RecordedBackend(backend, store)
    got = replies(front, [ask(number, "same") for number in range(8)])
    assert got == {number: Completion(number, "Say: same 0") for number in range(8)}
    assert (len(backend.asked), front.asked, front.found) == (1, 1, 7)


def test_a_failure_is_asked_again_if_that_can_help(store: Store) -> None:
    def script(request: Request) -> Reply:
        if "slow" in request.messages[0].content:
            return Failure(request.id, Status.TIMEOUT, "slow", retryable=True)
        return Failure(request.id, Status.TOO_LONG, "long")

    requests = [ask(1, "slow"), ask(2, "long")]
    failures = replies(RecordedBackend(WindowBackend(script), store), requests)
    backend = WindowBackend()
    got = replies(RecordedBackend(backend, store), requests)
    assert [request.id for request in backend.asked] == [1]
    assert got == {1: echo(requests[0]), 2: failures[2]}


def test_what_is_recorded_is_handed_on_at_once(store: Store) -> None:
    front = RecordedBackend(WindowBackend(), store)
    replies(front, (ask(number, f"text {number}") for number in range(8)))
    assert widest_gap(front, (ask(number, f"text {number % 8}") for number in range(20_000))) == 1


WINDOW = 4
BOUND = recorded._MOST_WAITING + WINDOW


def test_what_is_recorded_does_not_pile_up_behind_what_is_asked(store: Store) -> None:
    front = RecordedBackend(WindowBackend(window=WINDOW), store)
    replies(front, [ask(0, "known")])
    texts = ["new", *["known"] * 5000, "newer", *["known"] * 5000]
    assert WINDOW < widest_gap(front, (ask(number, text) for number, text in enumerate(texts))) <= BOUND
    assert front.asked == 3


def test_equal_requests_do_not_pile_up_behind_the_one_that_is_asked(store: Store) -> None:
    front = RecordedBackend(WindowBackend(window=WINDOW), store)
    assert WINDOW < widest_gap(front, (ask(number, "same") for number in range(5000))) <= BOUND
    assert front.asked == 1


def test_what_has_been_handed_on_waits_no_more(store: Store) -> None:
    backend = WindowBackend(window=WINDOW)
    front = RecordedBackend(backend, store)
    replies(front, [ask(0, "known")])
    texts = [text for number in range(2 * BOUND) for text in (f"new {number}", f"new {number}", "known")]
    assert widest_gap(front, (ask(number, text) for number, text in enumerate(texts))) <= 4 * WINDOW
    assert backend.runs == 2  # the backend was never drained in between


def test_whoever_stops_early_keeps_what_was_answered(store: Store) -> None:
    answers = RecordedBackend(WindowBackend(window=2), store).answer(
        ask(number, f"text {number}") for number in range(9)
    )
    assert len(list(islice(answers, 3))) == 3
    del answers
    assert committed(store) == 3


@pytest.mark.parametrize("error", [BackendError("the server is gone"), KeyboardInterrupt()])
def test_an_end_in_the_middle_keeps_what_was_answered(store: Store, error: BaseException) -> None:
    def script(request: Request) -> Reply:
        if request.id == 5:
            raise error
        return echo(request)

    front = RecordedBackend(ScriptedBackend(script), store)
    got: list[Reply] = []
    with pytest.raises(type(error)):
        got.extend(front.answer(ask(number, f"text {number}") for number in range(9)))
    assert [reply.request_id for reply in got] == [0, 1, 2, 3, 4]
    assert committed(store) == front.asked == 5


def test_scores_keep_the_order_of_their_labels(store: Store) -> None:
    request = Request(1, (Message("user", ("x",)),), Likelihoods(("b", "a")))
    scores = Scores(1, {"a": -1.0, "b": -2.0}, {"a": 1, "b": 1})
    backend = WindowBackend(lambda _: scores)
    assert [replies(RecordedBackend(backend, store), [request])[1] for _ in range(2)] == [scores, scores]
    (record,) = store.records()
    assert isinstance(record.reply, Scores)
    assert list(record.reply.log_likelihoods) == ["b", "a"]


def test_closing_closes_both(tmp_path: Path) -> None:
    closed = []

    class Closing(WindowBackend):
        def close(self) -> None:
            closed.append(True)

    store = Store(tmp_path / "job.sqlite")
    RecordedBackend(Closing(), store).close()
    assert closed
    with pytest.raises(Exception, match="closed"):
        store.find(ask(1, "x"), b"")
