"""What a record holds, read from its file while another process may write to it."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

from llmclf import store_schema
from llmclf.backends.base import AnswerForm, Identity, Message, Reply, Request, Usage
from llmclf.errors import StoreError
from llmclf.record_json import canonical_json, compact_json, form_of, json_of, reply_of

_RECORD = "identity, messages, form, replicate, kind, body, seconds, recorded_at"
_READ_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item of a job, with the records of what was asked about it."""

    item: str
    problem: str
    """The status that it came with, where nothing could be asked; otherwise nothing."""
    words: str | None
    """What was asked about, if it is kept."""
    replies: tuple[tuple[int, ...], ...]
    """For each question, the numbers of its replies."""
    place: int = 0
    """Where it stands in its table."""


@dataclass(frozen=True, slots=True)
class Record:
    """One reply with the request that it answers and the identity of who gave it."""

    identity: Identity
    request: Request
    reply: Reply
    recorded_at: float


class Records:
    """A record, to look into it.

    Raises:
        StoreError: the file cannot be opened, or is no record of this version.

    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._forms: dict[int, AnswerForm] = {}
        with self._translated():
            self._reader = self._connect()
        try:
            self._check()
        except StoreError:
            self._reader.close()
            raise

    def _check(self) -> None:
        with self._translated():
            version = store_schema.version(self._reader)
        if version is None:
            raise StoreError(f"{self.path} is another program's database", "Give another path")
        if version != store_schema.FORMAT:
            age = "a newer" if version > store_schema.FORMAT else "an older"
            raise StoreError(
                f"{self.path} is a record of {age} version of llmclf", "Use that version, or give another path"
            )

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None, timeout=30, check_same_thread=False)

    def copy_to(self, path: Path) -> None:
        """Write all that is on record to another file, as small as it can be."""
        self._settle()
        with self._translated():
            self._reader.execute("VACUUM INTO ?", (str(path),))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def _settle(self) -> None:
        """Make ready to read all that there is."""

    def plans(self) -> dict[str, tuple[int, dict[str, Any]]]:
        """Give how each job was begun, by its key: its number and its content."""
        with self._translated():
            rows = self._reader.execute("SELECT key, id, content FROM plans ORDER BY id").fetchall()
        return {key: (number, json.loads(content)) for key, number, content in rows}

    @property
    def lost_in_all(self) -> int:
        """Requests that were sent by processes which were ended before the reply was on record."""
        with self._translated():
            (count,) = self._reader.execute("SELECT value FROM counts WHERE name = 'lost'").fetchone()
        return int(count)

    def input(self, plan: int) -> tuple[Any, int | None] | None:
        """Give what a job's rows were read from, and how many items it has, if that is known."""
        with self._translated():
            row = self._reader.execute("SELECT source, items FROM inputs WHERE plan = ?", (plan,)).fetchone()
        return row and (json.loads(row[0]), row[1])

    def last_row(self, plan: int) -> tuple[int, int] | None:
        """Give the position of a job's last row and the place of its item."""
        self._settle()
        query = "SELECT position, place FROM rows WHERE plan = ? ORDER BY position DESC LIMIT 1"
        with self._translated():
            row: tuple[int, int] | None = self._reader.execute(query, (plan,)).fetchone()
        return row

    def rows(self, plan: int) -> Iterator[tuple[ItemRow, dict[int, Reply]]]:
        """Give a job's items in the order of the input, each with replies by number, its own among them.

        Failures that a retry can help are replies, too; the id of their request is 0.
        """
        self._settle()
        query = "SELECT item, problem, words, replies, place FROM rows WHERE plan = ? ORDER BY position"
        with self._translated():
            cursor = self._reader.execute(query, (plan,))
            while rows := cursor.fetchmany(_READ_AT_ONCE):
                numbers = [json_of(replies) for _, _, _, replies, _ in rows]
                replies = self._replies(chain.from_iterable(chain.from_iterable(numbers)))
                for (item, problem, words, _, place), asked in zip(rows, numbers, strict=True):
                    kept = None if words is None else self._part_text(words)
                    yield ItemRow(item, problem, kept, tuple(map(tuple, asked)), place), replies

    def _replies(self, numbers: Iterable[int]) -> dict[int, Reply]:
        query = "SELECT replies.id, form, kind, body, seconds FROM json_each(?) JOIN replies ON replies.id = value"
        found = self._reader.execute(query, (compact_json(list(numbers)),))
        requests: dict[int, Request] = {}
        replies = {}
        for number, form, kind, body, seconds in found:
            if form not in requests:
                requests[form] = Request(0, (), self._form(form))
            replies[number] = reply_of(requests[form], kind, body, seconds)
        return replies

    def spent(self, identity: Identity) -> Usage:
        """Give the tokens that all replies on record took of one who answers."""
        columns = "prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens"
        rows = self._of_identity(f"SELECT {columns} FROM spent WHERE identity = ?", identity)  # noqa: S608 - constant
        return Usage(*rows[0]) if rows else Usage()

    def replies_of(self, identity: Identity) -> int:
        """Count the replies on record of one who answers."""
        rows = self._of_identity("SELECT replies FROM spent WHERE identity = ?", identity)
        return int(rows[0][0]) if rows else 0

    def served(self, identity: Identity) -> list[tuple[str, str, int, float, float]]:
        """Give the models and fingerprints that came back from one who was asked, by the first time.

        Each with how many replies name them, and the Unix times of the first and the last.
        """
        query = (
            "SELECT coalesce(body ->> 'served_model', '') AS model, "
            "coalesce(body ->> 'fingerprint', '') AS fingerprint, count(*), min(recorded_at), max(recorded_at) "
            "FROM replies WHERE identity = ? GROUP BY 1, 2 HAVING model != '' OR fingerprint != '' ORDER BY 4"
        )
        return self._of_identity(query, identity)

    def retryable(self, identity: Identity) -> list[int]:
        """Give the numbers of the failures that a retry can help, of one who answers."""
        query = "SELECT id FROM replies WHERE retryable AND identity = ? ORDER BY id"
        return [number for (number,) in self._of_identity(query, identity)]

    def _of_identity(self, query: str, identity: Identity) -> list[Any]:
        self._settle()
        content = canonical_json(asdict(identity))
        with self._translated():
            number = self._reader.execute("SELECT id FROM identities WHERE content = ?", (content,)).fetchone()
            return self._reader.execute(query, number).fetchall() if number else []

    def records(self) -> Iterator[Record]:
        """Give all records, oldest first; the requests' ids are their numbers from 0."""
        self._settle()
        with self._translated():
            rows = self._reader.execute(f"SELECT {_RECORD} FROM replies ORDER BY recorded_at, id")  # noqa: S608 - constant
            for count, row in enumerate(rows):
                yield self._record(count, *row)

    def numbered(self) -> Iterator[tuple[int, Record]]:
        """Give all records with their numbers, in the order in which they were asked; the requests' ids are 0."""
        self._settle()
        with self._translated():
            rows = self._reader.execute(f"SELECT id, {_RECORD} FROM replies ORDER BY id")  # noqa: S608 - constant
            for number, *row in rows:
                yield number, self._record(0, *row)

    def record(self, number: int) -> Record:
        """Give one record, failures that a retry can help included; its request's id is 0.

        Raises:
            StoreError: there is none of this number.

        """
        self._settle()
        with self._translated():
            row = self._reader.execute(f"SELECT {_RECORD} FROM replies WHERE id = ?", (number,)).fetchone()  # noqa: S608 - constant
        if not row:
            raise StoreError(f"{self.path} lacks reply {number}", "Run the same annotate again")
        return self._record(0, *row)

    def _record(
        self,
        count: int,
        identity: int,
        messages: str,
        form: int,
        replicate: int,
        kind: str,
        body: str,
        seconds: float,
        at: float,
    ) -> Record:
        (who,) = self._reader.execute("SELECT content FROM identities WHERE id = ?", (identity,)).fetchone()
        said = tuple(Message(role, tuple(map(self._part_text, parts))) for role, parts in json.loads(messages))
        request = Request(count, said, self._form(form), replicate)
        return Record(Identity(**json.loads(who)), request, reply_of(request, kind, body, seconds), at)

    def _form(self, number: int) -> AnswerForm:
        if number not in self._forms:
            (content,) = self._reader.execute("SELECT content FROM forms WHERE id = ?", (number,)).fetchone()
            self._forms[number] = form_of(json.loads(content))
        return self._forms[number]

    def _part_text(self, part: str | int) -> str:
        if isinstance(part, str):
            return part
        (content,) = self._reader.execute("SELECT content FROM texts WHERE id = ?", (part,)).fetchone()
        return bytes(content).decode(errors="surrogatepass")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._fault_of(error) from None

    def _fault_of(self, error: sqlite3.Error) -> StoreError:
        hint = "Give a path that can be read and written"
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            hint = "It is damaged, or no record: bring a copy back, or give another path"
        return StoreError(f"the record {self.path} cannot be used: {error}", hint)
