"""SQL: what `store.sql_history` asks of a database, and the tables it keeps there. Two answer: SQLite and PostgreSQL.

Statements are written once, with `?` for values, in the words that both understand; where they differ, `Dialect` says
how. Next rooms: `store.sql_history` and `store.sql_bundles`.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import msgspec

Row = tuple[Any, ...]

MIGRATIONS: tuple[str, ...] = (
    # To change the schema, append to this list; what is here has been run by somebody.
    """
    CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
    INSERT INTO counter (name, value) VALUES ('log', 0), ('bundle', 0), ('resource', 0), ('told', 0), ('heard', 0), ('asked', 0);
    CREATE TABLE leader (one INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, holder TEXT NOT NULL, pid INTEGER NOT NULL,
                         renewed REAL NOT NULL);
    INSERT INTO leader (one, epoch, holder, pid, renewed) VALUES (1, 0, '', 0, 0);
    CREATE TABLE resource (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, type TEXT NOT NULL, name TEXT NOT NULL,
                           version TEXT NOT NULL, refs BLOB NOT NULL, body BLOB NOT NULL, sealed INTEGER NOT NULL);
    CREATE TABLE bundle (name TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, body BLOB NOT NULL, key TEXT NOT NULL,
                         signature BLOB NOT NULL, saved_at REAL NOT NULL, good_since REAL NOT NULL,
                         resources INTEGER NOT NULL, bytes INTEGER NOT NULL, members BLOB NOT NULL);
    CREATE TABLE log (number INTEGER PRIMARY KEY, at REAL NOT NULL, stream TEXT NOT NULL, kind TEXT NOT NULL,
                      body BLOB NOT NULL, crc INTEGER NOT NULL);
    CREATE INDEX log_stream ON log (stream, number);
    CREATE TABLE stream (name TEXT PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL);
    CREATE TABLE state (one INTEGER PRIMARY KEY, number INTEGER NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL);
    CREATE TABLE told (edge TEXT PRIMARY KEY, revision INTEGER NOT NULL, body BLOB NOT NULL, key TEXT NOT NULL,
                       signature BLOB NOT NULL);
    CREATE INDEX told_revision ON told (revision);
    CREATE TABLE heard (edge TEXT NOT NULL, kind TEXT NOT NULL, revision INTEGER NOT NULL, at REAL NOT NULL,
                        body BLOB NOT NULL, PRIMARY KEY (edge, kind));
    CREATE INDEX heard_revision ON heard (revision);
    CREATE TABLE asked (number INTEGER PRIMARY KEY, at REAL NOT NULL, body BLOB NOT NULL);
    """,
)


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """Where the two differ. `numbers` makes rows of a JSON list of numbers; `for_update` keeps a row that was read from
    changing until the transaction ends."""

    numbers: str
    for_update: str


class Session(Protocol):
    """One transaction."""

    def run(self, statement: str, *values: object) -> list[Row]: ...

    def many(self, statement: str, rows: Iterable[Sequence[object]]) -> None: ...


class Database(Protocol):
    """Transactions. Both raise UnavailableError where the database is away or refuses, and then nothing has happened;
    only if it goes away in the very moment of the commit, nobody knows."""

    dialect: Dialect

    def writing(self, *, is_durable: bool = True) -> AbstractContextManager[Session]:
        """All or nothing. Without `is_durable` a power cut may take the last of it."""

    def reading(self) -> AbstractContextManager[Session]:
        """See one state, however many statements."""

    def give_back(self) -> None:
        """Return the space of what was deleted, a bit at a time."""


def count(session: Session, name: str, more: int) -> int:
    """Count on; return the new value. Holds the counter until the transaction ends: so numbers have no gap, and whoever
    sees one sees all before it."""
    rows = session.run("UPDATE counter SET value = value + ? WHERE name = ? RETURNING value", more, name)
    return int(rows[0][0])
