"""The record: every reply, raw, with all that produced it. One SQLite file, and the only state there is."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from llmclf.backends.base import (
    AnswerForm,
    Completion,
    Failure,
    Identity,
    Likelihoods,
    Message,
    Reading,
    Reply,
    Request,
    Scores,
    Structured,
    Usage,
)
from llmclf.errors import StoreError
from llmclf.status import Status

_FORMAT = 2
_APPLICATION = 0x6C6D636C  # "lmcl", so that another program's database is not taken for a record
_COMMIT_SECONDS = 0.05
_COMMIT_REPLIES = 256

_SCHEMA = (
    "CREATE TABLE texts (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, content TEXT NOT NULL)",
    """CREATE TABLE replies (
    key BLOB PRIMARY KEY,          -- of the request: see request_key
    prompt_hash BLOB NOT NULL,     -- of the messages alone
    identity INTEGER NOT NULL,     -- texts.id of the identity, as JSON
    messages TEXT NOT NULL,        -- [[role, [texts.id of each part]]]
    form INTEGER NOT NULL,         -- texts.id of the answer form, as JSON
    replicate INTEGER NOT NULL,
    kind TEXT NOT NULL,            -- scores | completion | failure
    retryable INTEGER NOT NULL,
    body TEXT NOT NULL,            -- what the model said, as JSON
    seconds REAL NOT NULL,
    recorded_at REAL NOT NULL      -- Unix time
) WITHOUT ROWID""",
    "CREATE TABLE plans (key TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_FORMAT}",
)


@dataclass(frozen=True, slots=True)
class Record:
    """One reply with the request that it answers and the identity of who gave it."""

    identity: Identity
    request: Request
    reply: Reply
    recorded_at: float


def request_key(request: Request, identity: Identity) -> bytes:
    """Give the 16 bytes that tell requests apart: the model, its settings, and all that is asked but the id."""
    asked = [asdict(identity), _messages_json(request.messages), _form_json(request.form), request.replicate]
    return _digest(_json(asked))


class Store:
    """Replies by request key, in a SQLite file (write-ahead log, synchronous: what is committed survives a power cut).

    Raises:
        StoreError: the file cannot be opened, or is no record of this version.

    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._text_ids: dict[bytes, int] = {}
        self._waiting = 0
        self._last_commit = time.monotonic()
        with self._translated():
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=30)
        try:
            with self._translated():
                self._prepare()
        except StoreError:
            self._db.close()
            raise

    def _prepare(self) -> None:
        if self._is_new():
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("BEGIN IMMEDIATE")
            if self._is_new():  # still: another process may have been faster
                for statement in _SCHEMA:
                    self._db.execute(statement)
            self._db.execute("COMMIT")
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if (application, version) != (_APPLICATION, _FORMAT):
            raise StoreError(f"{self.path} is not a record of this version of llmclf", "Give another path")
        self._db.execute("PRAGMA synchronous = FULL")

    def _is_new(self) -> bool:
        return bool(self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,))

    def find(self, request: Request, key: bytes) -> Reply | None:
        """Give the recorded reply to an equal request; a failure that a retry can help does not count."""
        self._commit_in_time()
        with self._translated():
            row = self._db.execute(
                "SELECT kind, body, seconds FROM replies WHERE key = ? AND NOT retryable", (key,)
            ).fetchone()
        return row and _reply(request, *row)

    def add(self, request: Request, key: bytes, identity: Identity, reply: Reply) -> None:
        """Record a reply; it is on disk after the next commit, by `commit` or with a later call."""
        retryable = isinstance(reply, Failure) and reply.retryable
        with self._translated():
            if not self._waiting:
                self._db.execute("BEGIN IMMEDIATE")
            messages = [[message.role, [self._text_id(part) for part in message.parts]] for message in request.messages]
            self._db.execute(
                "INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    key,
                    _digest(_json(_messages_json(request.messages))),
                    self._text_id(_json(asdict(identity))),
                    _json(messages),
                    self._text_id(_json(_form_json(request.form))),
                    request.replicate,
                    type(reply).__name__.lower(),
                    retryable,
                    _json(_body(request, reply)),
                    reply.seconds,
                    time.time(),
                ),
            )
        self._waiting += 1
        self._commit_in_time()

    def _commit_in_time(self) -> None:
        if self._waiting >= _COMMIT_REPLIES or time.monotonic() - self._last_commit > _COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Put on disk what was added."""
        if self._waiting:
            with self._translated():
                self._db.execute("COMMIT")
        self._waiting = 0
        self._last_commit = time.monotonic()

    def plan(self, key: str) -> dict[str, Any] | None:
        """Give how a job was begun, if it was."""
        with self._translated():
            row = self._db.execute("SELECT content FROM plans WHERE key = ?", (key,)).fetchone()
        return dict(json.loads(row[0])) if row else None

    def keep_plan(self, key: str, content: dict[str, Any]) -> None:
        """Keep how a job is begun; it is on disk at once."""
        self.commit()
        with self._translated():
            self._db.execute("INSERT INTO plans VALUES (?, ?)", (key, _json(content)))

    def records(self) -> Iterator[Record]:
        """Give all records, oldest first; the requests' ids are their numbers."""
        columns = "identity, messages, form, replicate, kind, body, seconds, recorded_at"
        with self._translated():
            rows = self._db.execute(f"SELECT {columns} FROM replies ORDER BY recorded_at")  # noqa: S608 - constant
            for number, (identity, messages, form, replicate, kind, body, seconds, at) in enumerate(rows):
                parts = tuple(Message(role, tuple(map(self._text, ids))) for role, ids in json.loads(messages))
                request = Request(number, parts, _form(json.loads(self._text(form))), replicate)
                yield Record(
                    Identity(**json.loads(self._text(identity))), request, _reply(request, kind, body, seconds), at
                )

    def close(self) -> None:
        """Commit and close the file."""
        try:
            self.commit()
        finally:
            self._db.close()

    def _text_id(self, text: str) -> int:
        digest = _digest(text)
        known = self._text_ids.get(digest)
        if known is None:
            self._db.execute("INSERT OR IGNORE INTO texts (hash, content) VALUES (?, ?)", (digest, text))
            (known,) = self._db.execute("SELECT id FROM texts WHERE hash = ?", (digest,)).fetchone()
            if len(self._text_ids) > 4096:  # heads, forms and identities come back; texts seldom do
                self._text_ids.clear()
            self._text_ids[digest] = known
        return known

    def _text(self, text_id: int) -> str:
        (content,) = self._db.execute("SELECT content FROM texts WHERE id = ?", (text_id,)).fetchone()
        return str(content)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(
                f"the record {self.path} cannot be used: {error}", "Give a path that can be read and written"
            ) from None


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    # In ASCII: a server may send half an emoji, which JSON can hold and UTF-8 cannot.
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _messages_json(messages: tuple[Message, ...]) -> list[Any]:
    return [[message.role, message.parts] for message in messages]


def _form_json(form: AnswerForm) -> dict[str, Any]:
    if isinstance(form, Likelihoods):
        best_only = {"best_only": asdict(form.best_only)} if form.best_only else {}
        return {"labels": form.labels} | best_only
    return {"name": form.name, "schema": form.schema}


def _form(content: dict[str, Any]) -> AnswerForm:
    if "labels" in content:
        return Likelihoods(tuple(content["labels"]), _reading(content.get("best_only")))
    return Structured(**content)


def _reading(content: dict[str, Any] | None) -> Reading | None:
    return Reading(content["mean"], tuple(content["correction"])) if content else None


def _body(request: Request, reply: Reply) -> dict[str, Any]:
    body = asdict(reply)
    del body["request_id"], body["seconds"]
    if isinstance(reply, Scores) and isinstance(request.form, Likelihoods):
        for table, values in ("log_likelihoods", reply.log_likelihoods), ("tokens", reply.tokens):
            body[table] = [values.get(label) for label in request.form.labels]
    return body


def _reply(request: Request, kind: str, body_json: str, seconds: float) -> Reply:
    body = json.loads(body_json) | {"request_id": request.id, "seconds": seconds}
    body["usage"] = Usage(**body["usage"])
    if kind == "completion":
        return Completion(**body)
    if kind == "failure":
        return Failure(**body | {"status": Status(body["status"])})
    if not isinstance(request.form, Likelihoods):
        raise StoreError("a record of scores answers a request that asked for none")
    for table in ("log_likelihoods", "tokens"):
        known = zip(request.form.labels, body[table], strict=True)
        body[table] = {label: value for label, value in known if value is not None}
    return Scores(**body | {"best_by": _reading(body["best_by"])})


def renumbered(reply: Reply, request: Request) -> Reply:
    """Give the same reply as the answer to another, equal request."""
    return replace(reply, request_id=request.id)
