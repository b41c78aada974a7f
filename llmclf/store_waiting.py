"""What waits to be written to a record."""

import sqlite3
from dataclasses import dataclass, field
from typing import Any

from llmclf.backends.base import Usage


@dataclass(slots=True)
class Waiting:
    """What waits to be written, as rows of its tables."""

    texts: list[tuple[int, bytes]] = field(default_factory=list)
    replies: list[tuple[Any, ...]] = field(default_factory=list)
    changed: list[tuple[Any, ...]] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    spent: dict[int, list[int]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Rows and replies."""
        return len(self.replies) + len(self.changed) + len(self.rows)

    def spend(self, identity: int, usage: Usage) -> None:
        """Add to what the replies of one who answers took."""
        spent = self.spent.setdefault(identity, [0] * 5)
        spent[0] += 1
        spent[1] += usage.prompt_tokens
        spent[2] += usage.cached_tokens
        spent[3] += usage.completion_tokens
        spent[4] += usage.reasoning_tokens

    def write(self, db: sqlite3.Connection) -> None:
        """Write all of it, within the transaction that is open."""
        db.executemany("INSERT INTO texts VALUES (?, ?)", self.texts)
        db.executemany("INSERT INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self.replies)
        db.executemany(
            "UPDATE replies SET kind = ?, retryable = ?, body = ?, seconds = ?, recorded_at = ? "
            "WHERE id = ? AND retryable",
            self.changed,
        )
        db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?, ?)", self.rows)
        for identity, spent in self.spent.items():
            db.execute(
                "INSERT INTO spent VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (identity) DO UPDATE SET "
                "replies = replies + ?2, prompt_tokens = prompt_tokens + ?3, cached_tokens = cached_tokens + ?4, "
                "completion_tokens = completion_tokens + ?5, reasoning_tokens = reasoning_tokens + ?6",
                (identity, *spent),
            )
        answered = sum(spent[0] for spent in self.spent.values())
        db.execute("UPDATE counts SET value = value + ? WHERE name = 'answered'", (answered,))
