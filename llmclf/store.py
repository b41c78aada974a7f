"""The record: every reply, raw, with all that produced it. One SQLite file, and the only state there is."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llmclf.backends.base import AnswerForm, Failure, Identity, Message, Reply, Request
from llmclf.errors import StoreError
from llmclf.record_json import (
    KEY_BYTES,
    canonical_json,
    digest,
    form_json,
    form_of,
    messages_json,
    reply_json,
    reply_of,
)

_FORMAT = 3
_APPLICATION = 0x6C6D636C  # "lmcl", so that another program's database is not taken for a record
_RECORD = "identity, messages, form, replicate, kind, body, seconds, recorded_at"
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
    "CREATE TABLE plans (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, content TEXT NOT NULL)",
    """CREATE TABLE rows (
    plan INTEGER NOT NULL,         -- plans.id
    position INTEGER NOT NULL,     -- of the item in the input, from 0
    item TEXT NOT NULL,            -- its id
    problem TEXT NOT NULL,         -- a status: why nothing was asked about it; or nothing
    words INTEGER,                 -- texts.id of what was asked about, where quotes of it are to be checked
    keys BLOB NOT NULL,            -- replies.key of its requests, one after the other
    PRIMARY KEY (plan, position)
) WITHOUT ROWID""",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_FORMAT}",
)


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item of a job, with the keys of the requests that were made about it, in the order of the questions."""

    item: str
    problem: str
    """The status that it came with, where nothing could be asked; otherwise nothing."""
    words: str | None
    """What was asked about, if it is kept."""
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One reply with the request that it answers and the identity of who gave it."""

    identity: Identity
    request: Request
    reply: Reply
    recorded_at: float


class Store:
    """Replies by request key, in a SQLite file (write-ahead log, synchronous: what is committed survives a power cut).

    Raises:
        StoreError: the file cannot be opened, or is no record of this version.

    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._text_ids: dict[bytes, int] = {}
        self._forms: dict[int, AnswerForm] = {}
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
        return row and reply_of(request, *row)

    def add(self, request: Request, key: bytes, identity: Identity, reply: Reply) -> None:
        """Record a reply; it is on disk after the next commit, by `commit` or with a later call."""
        retryable = isinstance(reply, Failure) and reply.retryable
        with self._writing():
            messages = [[message.role, [self._text_id(part) for part in message.parts]] for message in request.messages]
            self._db.execute(
                # What holds is never replaced: of two who asked, the later may bring a mere failure.
                "INSERT INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
                "kind = excluded.kind, retryable = excluded.retryable, body = excluded.body, "
                "seconds = excluded.seconds, recorded_at = excluded.recorded_at WHERE replies.retryable",
                (
                    key,
                    digest(canonical_json(messages_json(request.messages))),
                    self._text_id(canonical_json(asdict(identity))),
                    canonical_json(messages),
                    self._text_id(canonical_json(form_json(request.form))),
                    request.replicate,
                    type(reply).__name__.lower(),
                    retryable,
                    canonical_json(reply_json(request, reply)),
                    reply.seconds,
                    time.time(),
                ),
            )

    def put_row(self, plan: int, position: int, row: ItemRow) -> None:
        """Keep which requests were made about an item; it is on disk as what was added is."""
        with self._writing():
            words = None if row.words is None else self._text_id(row.words)
            self._db.execute(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?)",
                (plan, position, row.item, row.problem, words, b"".join(row.keys)),
            )

    def end_rows(self, plan: int, count: int) -> None:
        """Drop rows after the last one: of an input that was longer once."""
        with self._writing():
            self._db.execute("DELETE FROM rows WHERE plan = ? AND position >= ?", (plan, count))

    def rows(self, plan: int) -> Iterator[ItemRow]:
        """Give a job's items in the order of the input."""
        self.commit()
        query = "SELECT item, problem, words, keys FROM rows WHERE plan = ? ORDER BY position"
        with self._translated():
            for item, problem, words, keys in self._db.execute(query, (plan,)):
                split = tuple(keys[start : start + KEY_BYTES] for start in range(0, len(keys), KEY_BYTES))
                yield ItemRow(item, problem, None if words is None else self._text(words), split)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write within the transaction that is open, or a new one."""
        with self._translated():
            if not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
            yield
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

    def plans(self) -> dict[str, tuple[int, dict[str, Any]]]:
        """Give how each job was begun, by its key: its number and its content."""
        with self._translated():
            rows = self._db.execute("SELECT key, id, content FROM plans ORDER BY id").fetchall()
        return {key: (number, json.loads(content)) for key, number, content in rows}

    def keep_plan(self, key: str, content: dict[str, Any]) -> int:
        """Keep how a job is begun, on disk at once, and give its number."""
        self.commit()
        with self._translated():
            self._db.execute("INSERT INTO plans (key, content) VALUES (?, ?)", (key, canonical_json(content)))
        return self.plans()[key][0]

    def records(self) -> Iterator[Record]:
        """Give all records, oldest first; the requests' ids are their numbers."""
        with self._translated():
            rows = self._db.execute(f"SELECT {_RECORD} FROM replies ORDER BY recorded_at")  # noqa: S608 - constant
            for number, row in enumerate(rows):
                yield self._record(number, *row)

    def record(self, key: bytes) -> Record | None:
        """Give one record, failures that a retry can help included."""
        with self._translated():
            row = self._db.execute(f"SELECT {_RECORD} FROM replies WHERE key = ?", (key,)).fetchone()  # noqa: S608 - constant
            return self._record(0, *row) if row else None

    def reply(self, key: bytes) -> Reply | None:
        """Give the reply alone, failures that a retry can help included; its request's id is 0."""
        with self._translated():
            row = self._db.execute("SELECT form, kind, body, seconds FROM replies WHERE key = ?", (key,)).fetchone()
            return reply_of(Request(0, (), self._form_of(row[0])), *row[1:]) if row else None

    def reopen(self, key: bytes) -> None:
        """Let a recorded failure be asked again."""
        with self._writing():
            self._db.execute("UPDATE replies SET retryable = 1 WHERE key = ? AND kind = 'failure'", (key,))

    def _record(
        self,
        number: int,
        identity: int,
        messages: str,
        form: int,
        replicate: int,
        kind: str,
        body: str,
        seconds: float,
        at: float,
    ) -> Record:
        parts = tuple(Message(role, tuple(map(self._text, ids))) for role, ids in json.loads(messages))
        request = Request(number, parts, self._form_of(form), replicate)
        return Record(Identity(**json.loads(self._text(identity))), request, reply_of(request, kind, body, seconds), at)

    def _form_of(self, text_id: int) -> AnswerForm:
        if text_id not in self._forms:  # few: one a question
            self._forms[text_id] = form_of(json.loads(self._text(text_id)))
        return self._forms[text_id]

    def close(self) -> None:
        """Commit and close the file."""
        try:
            self.commit()
        finally:
            self._db.close()

    def _text_id(self, text: str) -> int:
        text_hash = digest(text)
        known = self._text_ids.get(text_hash)
        if known is None:
            self._db.execute("INSERT OR IGNORE INTO texts (hash, content) VALUES (?, ?)", (text_hash, text))
            (known,) = self._db.execute("SELECT id FROM texts WHERE hash = ?", (text_hash,)).fetchone()
            if len(self._text_ids) > 4096:  # heads, forms and identities come back; texts seldom do
                self._text_ids.clear()
            self._text_ids[text_hash] = known
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
