"""The tables of a record, and what marks a SQLite file as one."""

import sqlite3

FORMAT = 4
APPLICATION = 0x6C6D636C  # "lmcl", so that another program's database is not taken for a record

SCHEMA = (
    "CREATE TABLE texts (id INTEGER PRIMARY KEY, content BLOB NOT NULL)",
    "CREATE TABLE identities (id INTEGER PRIMARY KEY, content TEXT NOT NULL UNIQUE)",
    "CREATE TABLE forms (id INTEGER PRIMARY KEY, content TEXT NOT NULL UNIQUE)",
    # Grows at its end alone: rows that are found by random keys would be written all over a large file.
    """CREATE TABLE replies (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL,             -- of the request: see request_key
    identity INTEGER NOT NULL,     -- identities.id
    messages TEXT NOT NULL,        -- [[role, [each part, or the texts.id of a long one]]]
    form INTEGER NOT NULL,         -- forms.id
    replicate INTEGER NOT NULL,
    kind TEXT NOT NULL,            -- scores | completion | failure
    retryable INTEGER NOT NULL,
    body TEXT NOT NULL,            -- what the model said, as JSON
    seconds REAL NOT NULL,
    recorded_at REAL NOT NULL      -- Unix time
)""",
    "CREATE INDEX retryable ON replies (id) WHERE retryable",
    # Of the replies up to `indexed`; written in large sorted steps, for the same reason.
    "CREATE TABLE keys (key BLOB PRIMARY KEY, reply INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE spent (
    identity INTEGER PRIMARY KEY,
    replies INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL
)""",
    "CREATE TABLE plans (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, content TEXT NOT NULL)",
    """CREATE TABLE inputs (
    plan INTEGER PRIMARY KEY,
    source TEXT NOT NULL,          -- JSON: the hash of the table, and how it is read
    items INTEGER                  -- how many it has, where that is known
)""",
    """CREATE TABLE rows (
    plan INTEGER NOT NULL,         -- plans.id
    position INTEGER NOT NULL,     -- of the item in the input, from 0
    item TEXT NOT NULL,            -- its id
    problem TEXT NOT NULL,         -- a status: why nothing was asked about it; or nothing
    words,                         -- what was asked about or its texts.id, where quotes of it are to be checked
    replies TEXT NOT NULL,         -- JSON: for each question the replies.id of its requests
    place INTEGER NOT NULL,        -- of the item in the table: see read_placed_rows
    PRIMARY KEY (plan, position)
) WITHOUT ROWID""",
    "CREATE TABLE counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    # indexed: see keys. answered: by the process that works on it. lost: sent by earlier ones and never answered.
    "INSERT INTO counts VALUES ('indexed', 0), ('answered', 0), ('lost', 0)",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {FORMAT}",
)


def is_new(db: sqlite3.Connection) -> bool:
    """Say whether nothing is in a database yet."""
    return bool(db.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,))


def create(db: sqlite3.Connection) -> None:
    """Make an empty database a record, as a whole or not at all."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    if is_new(db):  # still: another process may have been faster
        for statement in SCHEMA:
            db.execute(statement)
    db.execute("COMMIT")


def version(db: sqlite3.Connection) -> int | None:
    """Give the version of a record's format; None where a database is no record."""
    application, found = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version")
    )
    return found if application == APPLICATION else None
