"""Kept bundles: what an edge can go back to by itself: whole, immutable, named by content.

This file: the contract, in memory and on disk (SQLite). Bundles share what they have in common: a resource is stored
once, whoever holds it. What is read is proven: every body against its version, the whole against the bundle's content; a
bundle that does not fit is dropped, with a message, and the others stay.

Next room: `seawall.agent.cellar` puts the two together.
"""

import contextlib
import sqlite3
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from seawall.fleet.bundle import Bundle, Signed
from seawall.kit.digest import digest
from seawall.kit.units import Instant
from seawall.store.sqlite import NO_REFS, move_aside, translated
from seawall.xds.resource import Ref, Resource, ResourceName, TypeUrl
from seawall.xds.snapshot import EMPTY, Snapshot

log = structlog.get_logger(__name__)

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE resource (id INTEGER PRIMARY KEY, type TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,
                       refs BLOB NOT NULL, body BLOB NOT NULL);
-- members: ids of resources, 8 bytes each, little-endian.
CREATE TABLE bundle (name TEXT PRIMARY KEY, signed BLOB NOT NULL, saved_at REAL NOT NULL, members BLOB NOT NULL);
"""
_Key = tuple[str, str, str]


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle with everything in it."""

    bundle: Bundle
    signed: Signed
    snapshot: Snapshot
    saved_at: Instant = Instant(0.0)


class KeptStore(Protocol):
    """Bundles by name."""

    def all(self) -> Mapping[str, Held]: ...

    def save(self, held: Held) -> None:
        """Keep a bundle. One that is kept already is left as it is: bundles do not change."""

    def retain(self, names: frozenset[str]) -> None:
        """Forget every bundle but these."""

    def close(self) -> None: ...


class MemoryKept:
    """Keeps bundles as long as the process lives; they share their resources anyway."""

    def __init__(self, held: Mapping[str, Held] | None = None) -> None:
        self._held = dict(held or {})

    def all(self) -> Mapping[str, Held]:
        return dict(self._held)

    def save(self, held: Held) -> None:
        self._held.setdefault(held.bundle.name, held)

    def retain(self, names: frozenset[str]) -> None:
        self._held = {name: held for name, held in self._held.items() if name in names}

    def close(self) -> None:
        """Nothing to let go of."""


class SqliteKept:
    """The contract on a file. Not to be used by two threads at a time. Raises UnavailableError where the disk refuses."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with translated(file):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._db = _connect(file)
            except (sqlite3.DatabaseError, _UnreadableError) as exc:
                if isinstance(exc, sqlite3.OperationalError):
                    raise
                log.error("kept_bundles_unreadable", file=str(file), reason=str(exc), moved_to=str(move_aside(file)))
                self._db = _connect(file)
            rows = self._db.execute("SELECT id, type, name, version FROM resource")
            self._ids: dict[_Key, int] = {(row[1], row[2], row[3]): row[0] for row in rows}

    def close(self) -> None:
        self._db.close()

    def all(self, like: Snapshot = EMPTY) -> Mapping[str, Held]:
        """Read and prove every bundle; what it has in common with `like` takes no memory again."""
        with translated(self._file):
            resources: dict[int, Resource] = {}
            for row in self._db.execute(
                "SELECT id, type, name, version, CAST(refs AS BLOB), CAST(body AS BLOB) FROM resource"
            ):
                with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
                    resource = _resource(row[1:])
                    if digest(resource.body) == resource.version:
                        twin = like.get(resource.ref)
                        resources[row[0]] = twin if twin == resource else resource
            rows = self._db.execute("SELECT name, signed, saved_at, members FROM bundle").fetchall()
        held = {}
        for name, signed, saved_at, members in rows:
            try:
                held[name] = _held(name, signed, saved_at, members, resources)
            except _UnreadableError as exc:
                log.error("kept_bundle_dropped", bundle=name, file=str(self._file), reason=str(exc))
        self.retain(frozenset(held))
        return held

    def save(self, held: Held) -> None:
        name = held.bundle.name
        added: dict[_Key, int] = {}
        with self._transaction():
            if self._db.execute("SELECT 1 FROM bundle WHERE name = ?", (name,)).fetchone() is not None:
                return
            members = array("q", (self._id(resource, added) for resource in held.snapshot.all()))
            values = (name, msgspec.msgpack.encode(held.signed), held.saved_at, members.tobytes())
            self._db.execute("INSERT INTO bundle VALUES (?, ?, ?, ?)", values)
        self._ids.update(added)

    def _id(self, resource: Resource, added: dict[_Key, int]) -> int:
        key = (resource.type_url, resource.name, resource.version)
        known = self._ids.get(key)
        if known is not None:
            return known
        refs = msgspec.msgpack.encode(resource.refs) if resource.refs else NO_REFS
        done = self._db.execute(
            "INSERT INTO resource (type, name, version, refs, body) VALUES (?, ?, ?, ?, ?)", (*key, refs, resource.body)
        )
        assert done.lastrowid is not None
        added[key] = done.lastrowid
        return done.lastrowid

    def retain(self, names: frozenset[str]) -> None:
        with translated(self._file):
            rows = self._db.execute("SELECT name, members FROM bundle").fetchall()
        gone = [(name,) for name, _ in rows if name not in names]
        if not gone and rows:
            return
        used: set[int] = set()
        for name, members in rows:
            if name in names:
                used.update(_members(members))
        with self._transaction():
            self._db.executemany("DELETE FROM bundle WHERE name = ?", gone)
            unused = {key: number for key, number in self._ids.items() if number not in used}
            self._db.executemany("DELETE FROM resource WHERE id = ?", ((number,) for number in unused.values()))
        for key in unused:
            del self._ids[key]
        with translated(self._file):
            self._db.execute("PRAGMA incremental_vacuum(2000)").fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with translated(self._file):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")


class _UnreadableError(Exception):
    """Not what we wrote: damaged, or of a later release."""


def _connect(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, isolation_level=None, timeout=1.0, check_same_thread=False)
    try:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL").fetchall()
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA journal_size_limit = 16777216")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")
        elif version != _SCHEMA_VERSION:
            raise _UnreadableError(f"it has schema version {version}, this release reads {_SCHEMA_VERSION}")
        # Reading finds damage now, while the file can be moved aside.
        db.execute("SELECT count(*), max(length(body)) FROM resource").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def _held(name: str, signed: bytes, saved_at: float, members: bytes, resources: Mapping[int, Resource]) -> Held:
    """Prove a bundle. Raises _UnreadableError."""
    try:
        read = msgspec.msgpack.decode(signed, type=Signed)
        bundle = msgspec.msgpack.decode(read.body, type=Bundle)
        parts = [resources[number] for number in _members(members)]
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as exc:
        raise _UnreadableError(f"its description cannot be read: {exc}") from exc
    except KeyError as exc:
        raise _UnreadableError(f"a resource of it is missing or damaged (row {exc})") from exc
    snapshot = Snapshot.of(parts)
    if bundle.name != name or snapshot.digest != bundle.content or snapshot.version != bundle.version:
        raise _UnreadableError("its resources are not those that it was signed for")
    return Held(bundle=bundle, signed=read, snapshot=snapshot, saved_at=Instant(saved_at))


def _members(packed: bytes) -> "array[int]":
    numbers: array[int] = array("q")
    numbers.frombytes(packed)
    return numbers


def _resource(row: tuple[str, str, str, bytes, bytes]) -> Resource:
    kind, name, version, refs, body = row
    return Resource(
        type_url=TypeUrl(kind),
        name=ResourceName(name),
        version=version,
        refs=_refs.decode(refs) if refs != NO_REFS else (),
        body=body,
    )


_refs = msgspec.msgpack.Decoder(tuple[Ref, ...])
