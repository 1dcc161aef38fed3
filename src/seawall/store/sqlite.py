"""Snapshots on disk: SQLite, one row a resource, a journal of what each mark has overwritten.

Talks to one file. Every call is one transaction: a killed process leaves either all of it or nothing.

What reaches the disk when: WAL with synchronous=NORMAL. A commit is in the kernel's hands, so it survives the death of
this process (SIGKILL, out of memory) at once; fsync comes with a checkpoint, about every 4 MiB. A power cut can
therefore take the last seconds, never the consistency; the control plane sends what is missing. In exchange one changed
resource of 20,000 costs a fraction of a millisecond.

Bounded: pages of deleted rows are reused and given back; the journal holds a resource once a mark, and marks are
promoted or undone. A file that cannot be read is moved aside (one is kept), and the edge starts from its control
plane instead.
"""

import contextlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import structlog

from seawall.kit.errors import ConfigError, InvariantError, UnavailableError
from seawall.store.snapshots import Memo
from seawall.xds.resource import Ref, Resource, ResourceName, TypeUrl
from seawall.xds.snapshot import EMPTY, Change, Snapshot

log = structlog.get_logger(__name__)

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE resource (type TEXT, name TEXT, version TEXT NOT NULL, refs BLOB NOT NULL, body BLOB NOT NULL,
                       crc INTEGER NOT NULL, PRIMARY KEY (type, name));
-- What a resource was before the first change under a mark; version is null where there was none.
CREATE TABLE undo (mark INTEGER, type TEXT, name TEXT, version TEXT, refs BLOB, body BLOB, crc INTEGER,
                   PRIMARY KEY (mark, type, name));
"""
_REMEMBER = """
INSERT OR IGNORE INTO undo
SELECT :mark, :type, :name, r.version, r.refs, r.body, r.crc
FROM (SELECT 1) LEFT JOIN resource r ON r.type = :type AND r.name = :name
"""
_PUT = "INSERT OR REPLACE INTO resource VALUES (:type, :name, :version, :refs, :body, :crc)"
_REMOVE = "DELETE FROM resource WHERE type = :type AND name = :name"
_Row = tuple[Any, ...]


class SqliteSnapshots:
    """The contract of `store.snapshots` on a file. Not to be used by two threads at a time, nor by two processes.

    Raises UnavailableError where the disk refuses (full, gone, read-only): the caller keeps serving and tries again.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        with translated(file):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._db, self._current = self._open()

    def _open(self) -> tuple[sqlite3.Connection, Snapshot]:
        """Open the file; move it aside and begin anew if nothing can be read from it."""
        try:
            return _connect(self._file)
        except _UnreadableError as exc:
            aside = move_aside(self._file)
            log.error("stored_snapshot_unreadable", file=str(self._file), reason=str(exc), moved_to=str(aside))
            return _connect(self._file)

    def close(self) -> None:
        self._db.close()

    def current(self) -> Snapshot:
        return self._current

    def good(self) -> Snapshot:
        """Read the last snapshot that proved itself. Costs O(journal)."""
        with translated(self._file):
            return self._current.apply(self._undoing())

    def mark(self) -> int:
        with translated(self._file):
            return int(self._db.execute("SELECT coalesce(max(mark), 0) FROM undo").fetchone()[0])

    def memo(self) -> Memo:
        with translated(self._file):
            row = self._db.execute("SELECT value FROM meta WHERE key = 'memo'").fetchone()
        return Memo() if row is None else msgspec.json.decode(row[0], type=Memo)

    def save(self, change: Change, version: str, mark: int) -> None:
        newest = self._current.apply(change)
        if newest.version != version:
            raise InvariantError(f"a change that should lead to {version} leads to {newest.version}")
        with self._transaction():
            refs = [*(resource.ref for resource in change.put), *change.remove]
            self._db.executemany(_REMEMBER, [{"mark": mark, "type": r.type_url, "name": r.name} for r in refs])
            self._write(change)
            self._set("version", version)
        self._current = newest

    def promote(self, mark: int) -> None:
        with self._transaction():
            self._db.execute("DELETE FROM undo WHERE mark <= ?", (mark,))
        with translated(self._file):
            self._db.execute("PRAGMA incremental_vacuum(2000)").fetchall()

    def restore(self) -> Snapshot:
        with self._transaction():
            undoing = self._undoing()
            restored = self._current.apply(undoing)
            self._write(undoing)
            self._db.execute("DELETE FROM undo")
            self._set("version", restored.version)
        self._current = restored
        return restored

    def replace(self, good: Snapshot) -> None:
        """Forget everything and hold `good`: how a disk that refused for a while catches up."""
        with self._transaction():
            self._db.execute("DELETE FROM undo")
            self._db.execute("DELETE FROM resource")
            self._write(Change(put=tuple(good.all())))
            self._set("version", good.version)
        self._current = good

    def remember(self, memo: Memo) -> None:
        with self._transaction():
            self._set("memo", msgspec.json.encode(memo).decode())

    def _undoing(self) -> Change:
        put: list[Resource] = []
        remove: list[Ref] = []
        seen: set[Ref] = set()
        rows = self._db.execute("SELECT type, name, version, refs, body, crc FROM undo ORDER BY mark")
        for row in rows:
            ref = Ref(TypeUrl(row[0]), ResourceName(row[1]))
            if ref in seen:
                continue
            seen.add(ref)
            if row[2] is None:
                remove.append(ref)
            else:
                put.append(_resource(row))
        return Change(put=tuple(put), remove=tuple(remove))

    def _write(self, change: Change) -> None:
        self._db.executemany(_PUT, (_values(resource) for resource in change.put))
        self._db.executemany(_REMOVE, [{"type": ref.type_url, "name": ref.name} for ref in change.remove])

    def _set(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with translated(self._file):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back already; what is left to undo is undone here.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


class _UnreadableError(Exception):
    """The file is not what we wrote: damaged, somebody else's, or of a later release."""


def _connect(file: Path) -> tuple[sqlite3.Connection, Snapshot]:
    db = sqlite3.connect(file, isolation_level=None, timeout=1.0, check_same_thread=False)
    try:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL").fetchall()
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA journal_size_limit = 16777216")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            raise _UnreadableError(f"it has schema version {version}, this release reads {SCHEMA_VERSION}")
        return db, _load(db)
    except BaseException as exc:
        db.close()
        if isinstance(exc, (sqlite3.DatabaseError, msgspec.DecodeError)) and not isinstance(
            exc, sqlite3.OperationalError
        ):
            raise _UnreadableError(str(exc)) from exc
        raise


def _load(db: sqlite3.Connection) -> Snapshot:
    """Read the current snapshot and prove that it is the one that was written."""
    snapshot = Snapshot.of(_resources(db.execute("SELECT type, name, version, refs, body, crc FROM resource")))
    row = db.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
    expected = EMPTY.version if row is None else row[0]
    if snapshot.version != expected:
        raise _UnreadableError(f"its resources make version {snapshot.version}, it should be {expected}")
    return snapshot


def _resources(rows: Iterable[_Row]) -> Iterator[Resource]:
    for row in rows:
        if zlib.crc32(row[4]) != row[5]:
            raise _UnreadableError(f"the body of {row[1]} is damaged")
        yield _resource(row)


def _resource(row: _Row) -> Resource:
    return Resource(
        type_url=TypeUrl(row[0]),
        name=ResourceName(row[1]),
        version=row[2],
        refs=_refs.decode(row[3]) if row[3] != NO_REFS else (),
        body=row[4],
    )


def _values(resource: Resource) -> dict[str, object]:
    return {
        "type": resource.type_url,
        "name": resource.name,
        "version": resource.version,
        "refs": msgspec.msgpack.encode(resource.refs) if resource.refs else NO_REFS,
        "body": resource.body,
        "crc": zlib.crc32(resource.body),
    }


_refs = msgspec.msgpack.Decoder(tuple[Ref, ...])
NO_REFS = b""


def move_aside(file: Path) -> Path:
    """Keep a file that cannot be read, one, for somebody to look at; return where."""
    aside = file.with_name(file.name + ".unreadable")
    for suffix in ("", "-wal", "-shm"):
        part = file.with_name(file.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    return aside


@contextlib.contextmanager
def translated(file: Path) -> Iterator[None]:
    """Raise our errors for the disk's and the database's."""
    try:
        yield
    except PermissionError as exc:
        raise ConfigError(
            f"{exc.filename or file} cannot be used: permission denied.", hint="Give the state folder to this user."
        ) from exc
    except (sqlite3.Error, OSError) as exc:
        raise UnavailableError(f"{file} cannot be used: {exc}.") from exc
