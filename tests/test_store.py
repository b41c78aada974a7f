import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmclf import store as store_module
from llmclf import store_schema
from llmclf.backends.base import (
    Completion,
    Failure,
    Identity,
    Likelihoods,
    Message,
    Reply,
    Request,
    Scores,
    Structured,
    Usage,
    WrittenToken,
)
from llmclf.errors import StoreError
from llmclf.record_json import identity_digest, renumbered
from llmclf.record_json import request_key as key_of
from llmclf.records import Records
from llmclf.status import Status
from llmclf.store import Store

from .test_tables import read_only_folder

IDENTITY = Identity({"engine": "test", "file": "é"}, {"context": 8})
REQUEST = Request(1, (Message("user", ("Which?\n", "text")),), Likelihoods(("a", "b")))
SCORES = Scores(1, {"a": -0.5, "b": -1.5}, {"a": 1, "b": 2})


def request_key(request: Request, identity: Identity) -> bytes:
    return key_of(request, identity_digest(identity))


UNUSED = itertools.count()
WORDS = st.text(max_size=8)
FROM_A_SERVER = st.text(st.characters(), max_size=8)  # where half an emoji can come
COUNTS = st.integers(0, 10**9)
FINITE = st.floats(0, 1e6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)
MESSAGES = st.lists(
    st.builds(Message, st.sampled_from(["system", "user", "assistant"]), st.lists(WORDS, max_size=3).map(tuple)),
    min_size=1,
    max_size=3,
).map(tuple)
FORMS = st.builds(Likelihoods, st.lists(WORDS, min_size=1, max_size=4, unique=True).map(tuple)) | st.builds(
    Structured, WORDS, WORDS
)
IDENTITIES = st.builds(Identity, st.dictionaries(WORDS, JSON, max_size=2), st.dictionaries(WORDS, JSON, max_size=2))
REQUESTS = st.builds(Request, st.integers(0, 5), MESSAGES, FORMS, st.integers(0, 2))
TOKENS = st.tuples(FROM_A_SERVER, st.floats(max_value=0))
WRITTEN = st.builds(WrittenToken, FROM_A_SERVER, st.floats(max_value=0), st.lists(TOKENS, max_size=2).map(tuple))
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS)


@st.composite
def answered(draw: st.DrawFn) -> tuple[Request, Reply]:
    request = draw(REQUESTS)
    common: dict[str, Any] = {"usage": draw(USAGES), "seconds": draw(FINITE)}
    served: dict[str, Any] = {"served_model": draw(WORDS), "fingerprint": draw(WORDS)}
    if draw(st.booleans()):
        status, retryable = draw(st.sampled_from(Status)), draw(st.booleans())
        detail, text = draw(FROM_A_SERVER), draw(FROM_A_SERVER)
        return request, Failure(request.id, status, detail, retryable, text, **served, **common)
    if isinstance(request.form, Structured):
        return request, Completion(request.id, draw(FROM_A_SERVER), **served, **common)
    values = {label: draw(st.floats(allow_nan=False)) for label in request.form.labels}
    told: dict[str, Any] = {"text": draw(FROM_A_SERVER), "written": tuple(draw(st.lists(WRITTEN, max_size=2)))}
    tokens = {label: draw(COUNTS) for label in values}
    return request, Scores(
        request.id, values, tokens, origin="logprobs", remainder=draw(FINITE), **served, **told, **common
    )


@pytest.fixture(scope="module")
def big_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(tmp_path_factory.mktemp("store") / "big.sqlite")
    yield store
    store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


def add(store: Store, number: int, reply: Reply = SCORES) -> None:
    request = asked(number)
    store.add(request, request_key(request, IDENTITY), IDENTITY, reply)


def found(store: Store, number: int) -> Reply | None:
    request = asked(number)
    pair = store.find(request, request_key(request, IDENTITY))
    return pair and pair[1]


def asked(number: int) -> Request:
    return Request(number, (Message("user", ("Which?\n", f"text {number}")),), REQUEST.form)


def count(path: Path) -> int:
    """What another process sees."""
    with Records(path) as other:
        return len(list(other.records()))


@settings(max_examples=200, deadline=None)
@given(answered(), IDENTITIES, st.integers(6, 9))
def test_a_reply_is_found_as_it_was_written(
    big_store: Store, pair: tuple[Request, Reply], identity: Identity, number: int
) -> None:
    request, reply = pair
    request = replace(request, replicate=next(UNUSED))  # what holds is never replaced
    key = request_key(request, identity)
    big_store.add(request, key, identity, reply)
    again = replace(request, id=number)
    want = None if isinstance(reply, Failure) and reply.retryable else replace(reply, request_id=number)
    hit = big_store.find(again, key)
    assert (hit and hit[1]) == want


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(answered(), IDENTITIES), min_size=1, max_size=4))
def test_records_hold_all_that_produced_them(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[tuple[Request, Reply], Identity]]
) -> None:
    store = Store(tmp_path_factory.mktemp("store") / "job.sqlite")
    began = time.time()
    last: dict[bytes, tuple[Request, Reply, Identity]] = {}
    for (request, reply), identity in written:
        key = request_key(request, identity)
        store.add(request, key, identity, reply)
        if key not in last or getattr(last[key][1], "retryable", False):
            last[key] = request, reply, identity
    store.close()
    store = Store(store.path)
    records = list(store.records())
    store.close()
    assert [record.request.id for record in records] == list(range(len(last)))
    assert sorted(record.recorded_at for record in records) == [record.recorded_at for record in records]
    assert all(began <= record.recorded_at <= time.time() for record in records)
    for record in records:
        request, reply, identity = last[request_key(record.request, record.identity)]
        assert replace(record.request, id=request.id) == request
        assert replace(record.reply, request_id=request.id) == reply
        assert record.identity == identity


PIECES = st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=2).map(tuple)
SMALL_REQUESTS = st.builds(
    Request,
    st.integers(0, 1),
    st.lists(st.builds(Message, st.sampled_from(["system", "user"]), PIECES), max_size=2).map(tuple),
    st.builds(Likelihoods, st.permutations(["a", "b"]).map(tuple) | st.just(("ab",)))
    | st.builds(Structured, st.sampled_from(["a", "b"]), st.sampled_from(["a", "b"])),
    st.integers(0, 1),
)
SMALL_TABLES = st.sampled_from([{}, {"a": 1}, {"a": "1"}, {"b": 1}])
SMALL_IDENTITIES = st.builds(Identity, SMALL_TABLES, SMALL_TABLES)


@settings(max_examples=500)
@given(SMALL_REQUESTS, SMALL_REQUESTS, SMALL_IDENTITIES, SMALL_IDENTITIES)
def test_keys_are_equal_where_all_but_the_id_is(
    request_a: Request, request_b: Request, identity_a: Identity, identity_b: Identity
) -> None:
    equal = replace(request_a, id=7) == replace(request_b, id=7) and identity_a == identity_b
    assert (request_key(request_a, identity_a) == request_key(request_b, identity_b)) == equal


@pytest.mark.parametrize(
    ("request_", "identity"),
    [
        (replace(REQUEST, messages=(Message("system", ("Which?\n", "text")),)), IDENTITY),
        (replace(REQUEST, messages=(Message("user", ("Which?\n", "texts")),)), IDENTITY),
        (replace(REQUEST, messages=(Message("user", ("Which?\nt", "ext")),)), IDENTITY),
        (replace(REQUEST, messages=(*REQUEST.messages, Message("assistant", ("It is",)))), IDENTITY),
        (replace(REQUEST, form=Likelihoods(("b", "a"))), IDENTITY),
        (replace(REQUEST, form=Structured("a", "b")), IDENTITY),
        (replace(REQUEST, replicate=1), IDENTITY),
        (REQUEST, replace(IDENTITY, model={"engine": "test", "file": "e"})),
        (REQUEST, replace(IDENTITY, settings={"context": 9})),
        (REQUEST, Identity({"engine": "test", "file": "é", "context": 8})),
    ],
)
def test_what_is_asked_otherwise_has_another_key(request_: Request, identity: Identity) -> None:
    assert len(request_key(request_, identity)) == 16
    assert request_key(request_, identity) != request_key(REQUEST, IDENTITY)
    assert request_key(replace(REQUEST, id=2), replace(IDENTITY)) == request_key(REQUEST, IDENTITY)


def test_a_reply_can_answer_an_equal_request() -> None:
    assert renumbered(SCORES, replace(REQUEST, id=9)) == replace(SCORES, request_id=9)


def test_what_was_not_asked_is_not_found(store: Store) -> None:
    add(store, 1)
    assert store.find(asked(2), request_key(asked(2), IDENTITY)) is None


def test_a_retry_takes_the_place_of_a_failure(store: Store) -> None:
    key = request_key(asked(1), IDENTITY)
    add(store, 1, Failure(1, Status.TIMEOUT, "slow", retryable=True))
    assert store.find(asked(1), key) is None
    assert [record.reply.seconds for record in store.records()] == [0.0]
    add(store, 1)
    assert found(store, 1) == SCORES
    assert len(list(store.records())) == 1


def test_an_answer_is_not_replaced_by_a_late_failure_nor_by_another_answer(store: Store) -> None:
    add(store, 1)
    add(store, 1, Failure(1, Status.TIMEOUT, "slow", retryable=True))
    add(store, 1, replace(SCORES, seconds=9.0))
    assert found(store, 1) == SCORES


def test_a_failure_that_is_opened_again_is_asked_again_and_an_answer_is_not(store: Store) -> None:
    add(store, 1, Failure(1, Status.CUT, "cut"))
    add(store, 2)
    for number in (1, 2):
        store.reopen(number)
    assert found(store, 1) is None
    assert found(store, 2) is not None


def test_what_is_added_is_on_disk_soon_whatever_the_process_does_then(path: Path) -> None:
    waiting = child(path, 0, 0, "add(store, 0)\nprint(flush=True)\nimport time\ntime.sleep(60)")
    assert waiting.stdout
    waiting.stdout.readline()
    deadline = time.monotonic() + 30
    while not count(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert count(path) == 1
    waiting.kill()
    waiting.communicate()


def test_many_are_found_again_by_their_keys(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_MOST_UNINDEXED", 50)
    monkeypatch.setattr(store_module, "_MOST_WAITING", 20)
    for first in (0, 205):
        store = Store(path)
        assert all(found(store, number) == replace(SCORES, request_id=number) for number in range(first))
        for number in range(first, first + 205):
            add(store, number)
            assert found(store, number) == replace(SCORES, request_id=number)
        assert found(store, 999) is None
        store.close()
    assert count(path) == 410


def test_a_store_that_cannot_write_says_so_and_keeps_what_it_had(path: Path) -> None:
    store = Store(path)
    add(store, 1)
    store.commit()
    broken = sqlite3.connect(path)
    broken.execute("CREATE TRIGGER full BEFORE INSERT ON replies BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    broken.close()
    with pytest.raises(StoreError, match="disk is full"):  # noqa: PT012 - it may come with any of them
        for number in range(2, 10_000):
            add(store, number)
    with pytest.raises(StoreError, match="disk is full"):
        store.close()
    assert count(path) == 1


def test_what_was_sent_and_not_answered_is_known_after_a_kill(path: Path) -> None:
    killed = child(path, 0, 3, "for n in range(5): store.count_sent()\nos.kill(os.getpid(), signal.SIGKILL)")
    killed.communicate(timeout=60)
    store = Store(path)
    assert store.lost == 2  # 3 of the 5 have a reply
    store.count_sent()
    store.close()
    store = Store(path)
    assert store.lost == 0  # who closes knows by himself
    assert store.lost_in_all == 2
    store.close()


def test_closing_commits_and_a_closed_store_is_an_error(path: Path) -> None:
    store = Store(path)
    add(store, 1)
    store.close()
    store.close()
    assert count(path) == 1
    with pytest.raises(StoreError, match="cannot be used"):
        add(store, 2)
    with pytest.raises(StoreError, match="cannot be used"):
        store.find(asked(1), b"")
    with pytest.raises(StoreError, match="cannot be used"):
        next(store.records())


def test_what_is_committed_is_on_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connections: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def keep(*args: Any, **options: Any) -> sqlite3.Connection:
        connections.append(connect(*args, **options))
        return connections[-1]

    monkeypatch.setattr(sqlite3, "connect", keep)
    for _ in range(2):
        store = Store(path)
        assert connections[-1].execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert connections[-1].execute("PRAGMA journal_mode").fetchone() == ("wal",)
        store.close()


def test_a_second_is_told_who_writes_and_may_look(store: Store, path: Path) -> None:
    add(store, 1)
    with pytest.raises(StoreError, match=rf"process {os.getpid()} since .* works on .*job\.sqlite\. Wait for its end"):
        Store(path)
    store.commit()
    assert count(path) == 1


CHILD = """
import os, signal, sys
from llmclf.store import Store
sys.path.insert(0, {root!r})
from tests.test_store import add
store = Store(sys.argv[1])
first, commits = int(sys.argv[2]), int(sys.argv[3])
for number in range(first, first + commits):
    add(store, number)
    store.commit()
    print(number, flush=True)
{end}
"""


def child(path: Path, first: int, commits: int, end: str = "store.close()") -> subprocess.Popen[str]:
    code = CHILD.format(root=str(Path(__file__).parents[1]), end=end)
    command = [sys.executable, "-c", code, str(path), str(first), str(commits)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def numbers(path: Path) -> set[str]:
    store = Store(path)
    found = {record.request.messages[0].parts[1].removeprefix("text ") for record in store.records()}
    store.close()
    return found


def test_a_kill_loses_nothing_that_was_committed(path: Path) -> None:
    killed_inside = child(path, 0, 5, "for n in range(5, 99): add(store, n)\nos.kill(os.getpid(), signal.SIGKILL)")
    said, _ = killed_inside.communicate(timeout=60)
    assert killed_inside.returncode == -signal.SIGKILL
    assert numbers(path) >= set(said.split()) == {"0", "1", "2", "3", "4"}

    killed_anywhere = child(path, 100, 100_000)
    assert killed_anywhere.stdout
    for _ in range(20):
        killed_anywhere.stdout.readline()
    killed_anywhere.kill()
    rest, _ = killed_anywhere.communicate(timeout=60)
    assert numbers(path) >= {str(number) for number in range(100, 120)} | set(rest.split())

    store = Store(path)  # and goes on
    add(store, 1_000_000)
    store.close()
    assert "1000000" in numbers(path)


def test_of_several_that_begin_one_record_at_once_each_has_it_alone(path: Path) -> None:
    children = [child(path, first, 5) for first in (0, 5, 10)]
    said = [process.communicate(timeout=60)[0].split() for process in children]
    written = [numbers for process, numbers in zip(children, said, strict=True) if process.returncode == 0]
    assert written
    assert numbers(path) == set(itertools.chain(*written))


def test_a_kill_while_a_record_is_begun_leaves_nothing_in_the_way(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = store_schema.SCHEMA
    for statements in range(len(whole)):
        monkeypatch.setattr(store_schema, "SCHEMA", (*whole[:statements], "KILLED"))
        with pytest.raises(StoreError, match="syntax error"):
            Store(path)
        monkeypatch.setattr(store_schema, "SCHEMA", whole)
        store = Store(path)
        add(store, 1)
        store.close()
        for file in path.parent.iterdir():
            file.unlink()


def test_what_is_no_record_is_left_as_it_is(path: Path) -> None:
    path.write_text("a,b\n" * 1000)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"job\.sqlite cannot be used: file is not a database\. It is damaged"):
        Store(path)
    assert path.read_bytes() == before
    path.unlink()

    other = sqlite3.connect(path)
    other.execute("CREATE TABLE notes (text)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"is another program's database\. Give another path"):
        Store(path)
    assert path.read_bytes() == before


def test_a_record_of_a_newer_version_is_refused(path: Path) -> None:
    Store(path).close()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreError, match=r"job\.sqlite is a record of a newer version of llmclf\. Use that version"):
        Store(path)


def test_an_empty_file_is_a_new_record(path: Path) -> None:
    path.touch()
    Store(path).close()
    assert count(path) == 0


def test_where_nothing_can_be_written_is_one_line(tmp_path: Path) -> None:
    message = r"cannot be used: .*\. Give a path that can be read and written"
    for path in (tmp_path / "nowhere" / "job.sqlite", tmp_path):
        with pytest.raises(StoreError, match=message):
            Store(path)
    with read_only_folder() as folder, pytest.raises(StoreError, match=message):
        Store(folder / "job.sqlite")


def test_a_record_in_a_read_only_folder_is_one_line(path: Path) -> None:
    Store(path).close()
    with (
        read_only_folder(path) as folder,
        pytest.raises(StoreError, match=r"cannot be used: .*\. Give a path that can"),
    ):
        Store(folder / path.name)


def test_records_come_oldest_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count(1000.0, -1.0)
    monkeypatch.setattr(store_module, "time", SimpleNamespace(monotonic=time.monotonic, time=lambda: next(ticks)))
    for number in range(5):
        add(store, number)
    assert [record.recorded_at for record in store.records()] == [996.0, 997.0, 998.0, 999.0, 1000.0]
    assert [record.request.messages[0].parts[1] for record in store.records()] == [f"text {n}" for n in (4, 3, 2, 1, 0)]
