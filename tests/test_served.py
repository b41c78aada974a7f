from collections.abc import Iterator
from pathlib import Path

import pytest

from llmclf.backends.base import Completion, Failure, Identity, Message, Reply, Request, Structured
from llmclf.record_json import identity_digest, request_key
from llmclf.served import Served, change, served
from llmclf.status import Status
from llmclf.store import Store

DAY = 86400.0
ASKED = Identity({"model": "m"})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "job.sqlite")
    yield store
    store.close()


def record(store: Store, replies: list[tuple[Reply, float]], monkeypatch: pytest.MonkeyPatch) -> list[Served]:
    for number, (reply, at) in enumerate(replies):
        request = Request(number, (Message("user", (f"text {number}",)),), Structured("answer", "{}"))
        monkeypatch.setattr("llmclf.store.time.time", lambda at=at: at)
        store.add(request, request_key(request, identity_digest(ASKED)), ASKED, reply)
    return served(store, ASKED)


def said(model: str, fingerprint: str) -> Reply:
    return Completion(0, "{}", model, fingerprint)


def test_each_model_and_fingerprint_is_counted_from_its_first_to_its_last_answer(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = [
        (said("m-2", "fp_1"), 3 * DAY),
        (said("m-1", "fp_1"), 2 * DAY),
        (said("m-1", "fp_1"), 0.0),
        (Failure(0, Status.REFUSED, "", served_model="m-2", fingerprint="fp_1"), 4 * DAY),
    ]
    found = record(store, replies, monkeypatch)
    assert [(one.model, one.fingerprint, one.answers) for one in found] == [("m-1", "fp_1", 2), ("m-2", "fp_1", 2)]
    assert [(one.first.day, one.last.day) for one in found] == [(1, 3), (4, 5)]
    assert change(found) == (
        "the model changed within the job: m-1 (fp_1), 2 answers, 1970-01-01 00:00 to 1970-01-03 00:00; "
        "m-2 (fp_1), 2 answers, 1970-01-04 00:00 to 1970-01-05 00:00"
    )
    assert served(store, Identity({"model": "another"})) == []


@pytest.mark.parametrize(("one", "other"), [(("m", "fp_1"), ("m", "fp_2")), (("m", "fp_1"), ("m", ""))])
def test_a_fingerprint_alone_is_a_change(
    store: Store, monkeypatch: pytest.MonkeyPatch, one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert "the model changed" in change(record(store, [(said(*one), 0.0), (said(*other), 1.0)], monkeypatch))


def test_replies_that_do_not_say_who_gave_them_are_no_change(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    timeout = Failure(0, Status.TIMEOUT, "", retryable=True)
    found = record(store, [(said("m", ""), 0.0), (timeout, 1.0), (Completion(0, "{}"), 2.0)], monkeypatch)
    assert [one.answers for one in found] == [1]
    assert not change(found)
    assert not change([])
