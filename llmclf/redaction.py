"""Personal data in texts -> placeholders, for what leaves this machine, and back for what stays on it."""

import re
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from llmclf.annotations import Annotation
from llmclf.errors import StoreError
from llmclf.items import Item, Turn
from llmclf.personal_data import REGIONS, Finder, Kind

_FORMAT = 1
_APPLICATION = 0x6C6D7264  # "lmrd", so that another program's database is not taken for ours
_MOST_REMEMBERED = 2**16
_PLACEHOLDER = re.compile(r"\[(EMAIL|IBAN|CARD|PHONE|LITERAL)_([1-9][0-9]{0,17})\]")

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS placeholders (
    kind TEXT NOT NULL,
    number INTEGER NOT NULL,       -- of the values of a kind, from 1
    value TEXT NOT NULL,           -- as it was written
    PRIMARY KEY (kind, number),
    UNIQUE (kind, value)
) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_FORMAT};
COMMIT;
"""


class Redactor:
    """Replaces e-mail addresses, IBANs, card and phone numbers by placeholders such as `[EMAIL_1]`.

    The same spelling has the same placeholder in all items, runs and processes that share the file.
    What a text itself writes like a placeholder gets one of its own, so that each stands for one thing.
    """

    def __init__(self, finder: Finder, values: "ValueFile") -> None:
        self._finder = finder
        self._values = values

    @classmethod
    def open(cls, path: str | Path, regions: Collection[str] = REGIONS) -> "Redactor":
        """Open the file that keeps what the placeholders stand for; it is personal data, and stays here.

        Args:
            path: the file; only its owner can read it.
            regions: countries, by their two letters, whose phone numbers are found without a country code.

        Raises:
            InputError: no such region.
            MissingPackage: the packages that know cards and phone numbers are not installed.
            StoreError: the file cannot be opened, or is none of this version.

        """
        return cls(Finder(regions), ValueFile(path))

    def close(self) -> None:
        """Let go of the file."""
        self._values.close()

    def item(self, item: Item) -> Item:
        """Give the item with placeholders, in its speakers' names, too; its id stays."""
        if item.problem:
            return item
        turns = tuple(Turn(self.redact(turn.speaker), self.redact(turn.text)) for turn in item.turns)
        text = self.redact(item.text)
        return item if (text, turns) == (item.text, item.turns) else replace(item, text=text, turns=turns)

    def redact(self, text: str) -> str:
        """Give a text with placeholders; they are on disk before it is given."""
        pieces, end = [], 0
        for alike in _PLACEHOLDER.finditer(text):
            pieces += [self._without_data(text[end : alike.start()]), self._placeholder("LITERAL", alike[0])]
            end = alike.end()
        return "".join((*pieces, self._without_data(text[end:])))

    def _without_data(self, text: str) -> str:
        pieces, end = [], 0
        for found in self._finder.find(text):
            pieces += [text[end : found.start], self._placeholder(found.kind, text[found.start : found.end])]
            end = found.end
        return "".join((*pieces, text[end:]))

    def _placeholder(self, kind: Kind | Literal["LITERAL"], value: str) -> str:
        return f"[{kind}_{self._values.number(kind, value)}]"

    def restore(self, text: str, words: str | None = None) -> str:
        """Give a text with what its placeholders stand for; one that nothing is known of stays.

        Args:
            text: of a reply, not of its JSON, where values would have to be escaped.
            words: of the redacted item; placeholders that are not in it stay, since the model made them up,
                and they may stand for another item's data.

        """

        def value(placeholder: re.Match[str]) -> str:
            if words is not None and placeholder[0] not in words:
                return placeholder[0]
            return self._values.value(placeholder[1], int(placeholder[2])) or placeholder[0]

        return _PLACEHOLDER.sub(value, text)

    def annotation(self, annotation: Annotation, words: str | None = None) -> Annotation:
        """Restore a redacted item's annotation: its rationale and its quotes; see `restore`."""
        return replace(
            annotation,
            rationale=self.restore(annotation.rationale, words),
            evidence=tuple(self.restore(quote, words) for quote in annotation.evidence),
            misquoted=tuple(self.restore(quote, words) for quote in annotation.misquoted),
        )


class ValueFile:
    """Numbers values by their kind, in a SQLite file (write-ahead log, synchronous: what was numbered stays so).

    Raises:
        StoreError: the file cannot be opened, or is none of this version.

    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._numbers: dict[tuple[str, str], int] = {}
        with self._translated():
            self._path.touch(mode=0o600)
            self._db = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        try:
            with self._translated():
                self._prepare()
        except StoreError:
            self._db.close()
            raise

    def _prepare(self) -> None:
        if self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(_SCHEMA)
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if (application, version) != (_APPLICATION, _FORMAT):
            raise StoreError(f"{self._path} keeps no redactions of this version of llmclf", "Give another path")
        self._db.execute("PRAGMA synchronous = FULL")

    def number(self, kind: str, value: str) -> int:
        """Give a value's number, on disk when it is given."""
        known = self._numbers.get((kind, value))
        if known is None:
            query = "SELECT number FROM placeholders WHERE kind = ? AND value = ?"
            with self._translated():
                row = self._db.execute(query, (kind, value)).fetchone()
                if row is None:
                    self._db.execute(  # one statement, so that of two processes each sees the other's numbers
                        "INSERT INTO placeholders SELECT ?1, coalesce(max(number), 0) + 1, ?2 FROM placeholders "
                        "WHERE kind = ?1 ON CONFLICT DO NOTHING",
                        (kind, value),
                    )
                    row = self._db.execute(query, (kind, value)).fetchone()
            if len(self._numbers) >= _MOST_REMEMBERED:
                self._numbers.clear()
            known = self._numbers[kind, value] = int(row[0])
        return known

    def value(self, kind: str, number: int) -> str | None:
        """Give the value that has the number, or None."""
        query = "SELECT value FROM placeholders WHERE kind = ? AND number = ?"
        with self._translated():
            row = self._db.execute(query, (kind, number)).fetchone()
        return row and str(row[0])

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise StoreError(
                f"the redactions {self._path} cannot be used: {reason}", "Give a path that can be read and written"
            ) from None
