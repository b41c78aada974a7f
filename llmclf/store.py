"""The record: every reply, raw, with all that produced it. One SQLite file, and the only state there is."""

import sqlite3
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from llmclf import store_schema
from llmclf.backends.base import AnswerForm, Completion, Failure, Identity, Reply, Request, Scores
from llmclf.errors import StoreError
from llmclf.hold import Hold
from llmclf.record_json import canonical_json, compact_json, form_json, part_digest, reply_json, reply_of
from llmclf.records import ItemRow, Records
from llmclf.store_waiting import Waiting

_COMMIT_SECONDS = 0.05
"""After which a reply is on disk, at the latest."""
_MOST_WAITING = 1024
"""Replies that wait to be written."""
_MOST_UNINDEXED = 2**17
"""Replies whose keys are kept in memory and not in the file's index; some 20 MB."""
_KINDS = {Scores: "scores", Completion: "completion", Failure: "failure"}
_SHORT = 200
"""Characters of a part of a message that is written where it stands, and not once for all."""


class Store(Records):
    """Replies by request key, in a SQLite file (write-ahead log, synchronous: what is committed survives a power cut).

    What is added is on disk within 50 ms, whatever else happens. One process at a time has it; others may look into it
    as `Records`.

    Raises:
        StoreError: the file cannot be opened, is no record of this version, or another process has it.

    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._hold = Hold(self.path)
        self._text_ids: dict[bytes, int] = {}
        self._form_ids: dict[AnswerForm, int] = {}
        self._identity: tuple[Identity | None, int] = None, 0
        self._looked_up: dict[bytes, int | None] = {}
        self._waiting = Waiting()
        self._has_changes = False
        self._fault: StoreError | None = None
        self._due_at = 0.0
        self._buffer_lock, self._db_lock = threading.Lock(), threading.RLock()
        self._has_news, self._is_written, self._is_closing = threading.Event(), threading.Event(), threading.Event()
        self._committer: threading.Thread | None = None
        with ExitStack() as undo:
            undo.callback(self._hold.close)
            with self._translated():
                self._db = self._connect()
                undo.callback(self._db.close)
                if store_schema.is_new(self._db):
                    store_schema.create(self._db)
            super().__init__(path)  # what is committed is read beside what is written: neither waits for the other
            undo.callback(self._reader.close)
            with self._translated():
                self._prepare()
            self._let_go = undo.pop_all().close

    def _prepare(self) -> None:
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA cache_size = -16384")  # KiB
        self._indexed = self._count("indexed")
        self._unindexed = dict(self._db.execute("SELECT key, id FROM replies WHERE id > ?", (self._indexed,)))
        (self._last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM replies").fetchone()
        (self._last_text,) = self._db.execute("SELECT coalesce(max(id), 0) FROM texts").fetchone()
        self._committed = self._written = self._last
        self.lost = max(0, self._hold.left - self._count("answered"))
        """Requests that the process before this one had sent when it was ended, and that have no reply on record."""
        self._hold.begin()
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("UPDATE counts SET value = 0 WHERE name = 'answered'")
        self._db.execute("UPDATE counts SET value = value + ? WHERE name = 'lost'", (self.lost,))
        self._db.execute("COMMIT")

    def _count(self, name: str) -> int:
        return int(self._db.execute("SELECT value FROM counts WHERE name = ?", (name,)).fetchone()[0])

    def count_sent(self) -> None:
        """Take note that a request is sent, so that it is known should this process be killed before its reply."""
        self._hold.count_sent()

    @property
    def uncommitted(self) -> int:
        """Replies that are not on disk yet."""
        return int(self._last - self._committed) + self._has_changes

    @property
    def sent(self) -> int:
        """Requests that this process has sent."""
        return self._hold.sent

    def find(self, request: Request, key: bytes) -> tuple[int, Reply] | None:
        """Give the number of the recorded reply to an equal request, and the reply.

        A failure that a retry can help does not count.
        """
        self._check_usable()
        number = self._number(key)
        if number is not None:
            if number > self._committed or self._has_changes:
                self.commit()
            query = "SELECT kind, body, seconds FROM replies WHERE id = ? AND NOT retryable"
            with self._translated():
                row = self._reader.execute(query, (number,)).fetchone()
            if row:
                return number, reply_of(request, *row)
        self._looked_up[key] = number
        return None

    def _number(self, key: bytes) -> int | None:
        number = self._unindexed.get(key)
        if number is None and self._indexed:
            with self._translated():
                row = self._reader.execute("SELECT reply FROM keys WHERE key = ?", (key,)).fetchone()
            number = row and row[0]
        return number

    def add(self, request: Request, key: bytes, identity: Identity, reply: Reply) -> int:
        """Record a reply, and give its number; what holds is kept: of two replies, the later may be a mere failure."""
        number = self._looked_up.pop(key) if key in self._looked_up else self._number(key)
        said = (
            _KINDS[type(reply)],
            isinstance(reply, Failure) and reply.retryable,
            compact_json(reply_json(request, reply)),
            reply.seconds,
            time.time(),
        )
        identity_id, form_id = self._identity_id(identity), self._form_id(request.form)
        with self._buffer_lock:
            self._waiting.spend(identity_id, reply.usage)
            if number is not None:
                self._waiting.changed.append((*said, number))
                self._has_changes = True
            else:
                self._last = number = self._last + 1
                self._unindexed[key] = number
                part = self._part
                parts = [(message.role, list(map(part, message.parts))) for message in request.messages]
                row = (number, key, identity_id, compact_json(parts), form_id, request.replicate, *said)
                self._waiting.replies.append(row)
        self._write_in_time()
        return number

    def put_row(self, plan: int, position: int, row: ItemRow) -> None:
        """Keep what was asked about an item; it is on disk as what was added is."""
        with self._buffer_lock:
            words = None if row.words is None else self._part(row.words)
            replies = str([*map(list, row.replies)])  # which is JSON
            self._waiting.rows.append((plan, position, row.item, row.problem, words, replies, row.place))
        self._write_in_time()

    def _check_usable(self) -> None:
        if self._fault:
            raise self._fault
        if self._is_closing.is_set():
            raise StoreError(f"the record {self.path} cannot be used: it is closed")

    def _write_in_time(self) -> None:
        self._check_usable()
        if not self._committer:
            self._committer = threading.Thread(target=self._commit_in_time, name="llmclf-commit", daemon=True)
            self._committer.start()
        if not self._has_news.is_set():
            self._due_at = time.monotonic() + _COMMIT_SECONDS
            self._has_news.set()
        elif self._waiting.count >= _MOST_WAITING or time.monotonic() > self._due_at:
            # Here, since a busy thread lets another have its turn but 200 times a second: what is left is one step.
            self._write()
            self._is_written.set()

    def _write(self) -> None:
        """Hand what waits to SQLite, within the transaction that is open, or a new one."""
        with self._translated(), self._db_lock:
            with self._buffer_lock:
                waiting, self._waiting = self._waiting, Waiting()
                self._written = self._last
            if waiting.count:
                try:
                    if not self._db.in_transaction:
                        self._db.execute("BEGIN IMMEDIATE")
                    waiting.write(self._db)
                except sqlite3.Error as error:  # what waited is lost: nothing may be written after it
                    self._fault = self._fault_of(error)
                    raise self._fault from None
            if len(self._unindexed) >= _MOST_UNINDEXED:
                self._index()

    def _index(self) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO keys SELECT key, id FROM replies WHERE id > ? AND id <= ? ORDER BY key",
            (self._indexed, self._written),
        )
        self._db.execute("UPDATE counts SET value = ? WHERE name = 'indexed'", (self._written,))
        self._commit_written()
        self._indexed = self._written
        with self._buffer_lock:
            self._unindexed = {key: number for key, number in self._unindexed.items() if number > self._indexed}

    def _settle(self) -> None:
        self.commit()

    def commit(self) -> None:
        """Put on disk what was added."""
        if self._fault:
            raise self._fault
        with self._db_lock:
            self._write()
            self._commit_written()

    def _commit_written(self) -> None:
        with self._translated(), self._db_lock:
            if self._db.in_transaction:
                self._db.execute("COMMIT")
            self._committed = self._written
            self._has_changes = bool(self._waiting.changed)

    def _commit_in_time(self) -> None:
        while not self._is_closing.is_set():
            self._has_news.wait()
            is_written = self._is_written.wait(_COMMIT_SECONDS)
            self._has_news.clear()
            self._is_written.clear()
            try:
                self._commit_written() if is_written else self.commit()
            except StoreError as error:
                self._fault = error
                return
            if self._waiting.count:
                self._has_news.set()

    def keep_plan(self, key: str, content: dict[str, Any]) -> int:
        """Keep how a job is begun, on disk at once, and give its number."""
        with self._translated(), self._db_lock:
            self.commit()
            self._db.execute("INSERT INTO plans (key, content) VALUES (?, ?)", (key, canonical_json(content)))
        return self.plans()[key][0]

    def replace_plan(self, number: int, content: dict[str, Any]) -> None:
        """Keep what has changed of a plan, on disk at once."""
        with self._translated(), self._db_lock:
            self.commit()
            self._db.execute("UPDATE plans SET content = ? WHERE id = ?", (canonical_json(content), number))

    def begin_rows(self, plan: int, source: Any, items: int | None) -> None:  # noqa: ANN401 - any JSON value
        """Begin a job's rows anew, on disk at once, those of another input put aside."""
        with self._translated(), self._db_lock:
            self.commit()
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM rows WHERE plan = ?", (plan,))
            self._db.execute("INSERT OR REPLACE INTO inputs VALUES (?, ?, ?)", (plan, canonical_json(source), items))
            self._db.execute("COMMIT")

    def reopen(self, number: int) -> None:
        """Let a recorded failure be asked again."""
        with self._translated(), self._db_lock:
            self.commit()
            self._db.execute("UPDATE replies SET retryable = 1 WHERE id = ? AND kind = 'failure'", (number,))

    def _identity_id(self, identity: Identity) -> int:
        if self._identity[0] is not identity:
            self._identity = identity, self._content_id("identities", canonical_json(asdict(identity)))
        return self._identity[1]

    def _form_id(self, form: AnswerForm) -> int:
        if form not in self._form_ids:  # few: one a question
            self._form_ids[form] = self._content_id("forms", canonical_json(form_json(form)))
        return self._form_ids[form]

    def _content_id(self, table: str, content: str) -> int:
        with self._translated(), self._db_lock:
            self._db.execute(f"INSERT OR IGNORE INTO {table} (content) VALUES (?)", (content,))  # noqa: S608 - one of two names
            (number,) = self._db.execute(f"SELECT id FROM {table} WHERE content = ?", (content,)).fetchone()  # noqa: S608 - the same
            return int(number)

    def _part(self, part: str) -> str | int:
        """Give what stands for a part of a message: itself, or where it is long the number of its text."""
        if len(part) < _SHORT:
            return part
        text_hash = part_digest(part)
        known = self._text_ids.get(text_hash)
        if known is None:
            self._last_text = known = self._last_text + 1
            self._waiting.texts.append((known, part.encode(errors="surrogatepass")))
            if len(self._text_ids) > _MOST_WAITING:  # what many requests share comes back; other texts seldom do
                self._text_ids.clear()
            self._text_ids[text_hash] = known
        return known

    def close(self) -> None:
        """Commit and close the file."""
        if self._is_closing.is_set():
            return
        try:
            self.commit()
        finally:
            self._is_closing.set()
            self._is_written.set()
            self._has_news.set()
            if self._committer:
                self._committer.join()
            self._let_go()
