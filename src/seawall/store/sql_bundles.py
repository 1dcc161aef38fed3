"""Bundles in SQL: each resource once, named by its content; each bundle a list of numbers.

The numbers of a bundle's resources are nearly consecutive, so their differences compress to almost nothing: 20,000
members take some hundred bytes, and a bundle that differs in one resource adds those and that resource. A chain of
differences between bundles would save nothing that matters, and could break in the middle.

What was saved or read last is remembered: the next save writes what differs, found by `Snapshot.difference`.
"""

import contextlib
import itertools
import threading
import zlib
from array import array
from collections.abc import Iterable, Iterator

import msgspec
import structlog

from seawall.fleet.bundle import Bundle, Signed
from seawall.kit.digest import digest
from seawall.kit.errors import InvariantError
from seawall.kit.units import Instant
from seawall.store.history import DamagedError, KeptBundle
from seawall.store.sql import Dialect, Row, Session, count
from seawall.store.vault import SealedError, Vault
from seawall.xds.resource import Ref, Resource, ResourceName, TypeUrl
from seawall.xds.snapshot import EMPTY, Snapshot

log = structlog.get_logger(__name__)

_KEPT = "name, body, key, signature, saved_at, good_since, resources, bytes"
_GOOD = 3
"""So many of the newest good bundles stay, whatever else: as many as an edge keeps."""


class _Last(msgspec.Struct, frozen=True, kw_only=True):
    """The bundle that was saved last, as it lies in the database under `number`; 0: none."""

    number: int
    snapshot: Snapshot
    ids: dict[Ref, int]
    bytes: int


_NOTHING = _Last(number=0, snapshot=EMPTY, ids={}, bytes=0)


class SqlBundles:
    """Bundles within somebody's transactions."""

    def __init__(self, dialect: Dialect, vault: Vault | None) -> None:
        self._dialect = dialect
        self._vault = vault
        self._last = _NOTHING
        self._saved: _Last | None = None
        self._one_save = threading.Lock()

    @contextlib.contextmanager
    def remembering(self) -> Iterator[None]:
        """Around a transaction: what it saved is remembered once it is through."""
        with self._one_save:
            self._saved = None
            yield
            self._last = self._saved or self._last

    def save(self, session: Session, signed: Signed, snapshot: Snapshot, at: Instant) -> None:
        bundle = _decode(signed.body)
        if bundle is None or bundle.content != snapshot.digest or bundle.version != snapshot.version:
            raise InvariantError("a bundle was to be saved with a snapshot that is not its content")
        count(session, "bundle", 0)  # one at a time, over all control planes
        if session.run("SELECT 1 FROM bundle WHERE name = ?", bundle.name):
            return
        number = count(session, "bundle", 1)
        self._saved = saved = self._put(session, snapshot, number)
        session.run(
            f"INSERT INTO bundle (number, members, {_KEPT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - columns
            number,
            _packed(saved.ids.values()),
            bundle.name,
            signed.body,
            signed.key,
            signed.signature,
            at,
            0.0,
            len(saved.ids),
            saved.bytes,
        )

    def _put(self, session: Session, snapshot: Snapshot, number: int) -> _Last:
        """Write the resources that are not there; return all of the snapshot's by their numbers."""
        # It may have been forgotten meanwhile, by another process as well; its resources with it.
        is_there = session.run("SELECT 1 FROM bundle WHERE number = ?", self._last.number)
        last = self._last if is_there else _NOTHING
        change = snapshot.difference(last.snapshot)
        ids = dict(last.ids)
        size = last.bytes
        for ref in (*change.remove, *(one.ref for one in change.put)):
            if ids.pop(ref, None) is not None:
                old = last.snapshot.get(ref)
                size -= len(old.body) if old is not None else 0
        digests = [_digest(resource) for resource in change.put]
        known = self._known(session, digests)
        new = [(one, name) for one, name in zip(change.put, digests, strict=True) if name not in known]
        first = count(session, "resource", len(new)) - len(new) + 1
        known.update((name, id_) for id_, (_, name) in enumerate(new, first))
        session.many(
            "INSERT INTO resource (id, digest, type, name, version, refs, body, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (self._row(id_, name, one) for id_, (one, name) in enumerate(new, first)),
        )
        for resource, name in zip(change.put, digests, strict=True):
            ids[resource.ref] = known[name]
            size += len(resource.body)
        return _Last(number=number, snapshot=snapshot, ids=ids, bytes=size)

    def _known(self, session: Session, digests: list[bytes]) -> dict[bytes, int]:
        if len(digests) > 1000:
            return {bytes(name): id_ for name, id_ in session.run("SELECT digest, id FROM resource")}
        rows = (session.run("SELECT digest, id FROM resource WHERE digest = ?", one) for one in digests)
        return {bytes(name): id_ for name, id_ in itertools.chain.from_iterable(rows)}

    def _row(self, id_: int, name: bytes, one: Resource) -> tuple[object, ...]:
        is_sealed = self._vault is not None and one.holds_secrets
        body = self._vault.seal(one.body, name) if self._vault is not None and is_sealed else one.body
        refs = msgspec.msgpack.encode(one.refs)
        return id_, name, one.type_url, one.name, one.version, refs, body, int(is_sealed)

    def load(self, session: Session, name: str) -> tuple[KeptBundle, Snapshot] | None:
        rows = session.run(f"SELECT number, members, {_KEPT} FROM bundle WHERE name = ?", name)  # noqa: S608 - columns
        if not rows:
            return None
        number, members, *about = rows[0]
        kept = _kept(tuple(about))
        found = session.run(
            "SELECT digest, type, name, version, refs, body, sealed, id FROM resource"  # noqa: S608 - the dialect's words
            f" WHERE id IN ({self._dialect.numbers})",
            _json(_unpacked(members, name)),
        )
        ids = {(one := self._resource(row[:7], name)).ref: (one, row[7]) for row in found}
        snapshot = Snapshot.of(one for one, _ in ids.values())
        if snapshot.digest != kept.bundle.content or snapshot.version != kept.bundle.version:
            raise DamagedError(f"bundle {name} is damaged in the database: what is there is not what was signed.")
        if not self._last.number:
            # A start: what is saved next will differ little from what is read now.
            numbers = {ref: id_ for ref, (_, id_) in ids.items()}
            self._last = _Last(number=number, snapshot=snapshot, ids=numbers, bytes=kept.bytes)
        return kept, snapshot

    def _resource(self, row: Row, bundle: str) -> Resource:
        name, type_url, resource, version, refs, body, is_sealed = row
        place = f"bundle {bundle} is damaged in the database: its resource {resource}"
        try:
            if is_sealed and self._vault is None:
                raise SealedError("it is sealed, and this control plane has no key for it")
            plain = self._vault.open(body, name) if is_sealed and self._vault is not None else body
            found = Resource(
                type_url=TypeUrl(type_url),
                name=ResourceName(resource),
                version=version,
                refs=_refs.decode(refs),
                body=plain,
            )
            is_whole = _digest(found) == name
        except SealedError as exc:
            raise DamagedError(f"bundle {bundle} cannot be read: its resource {resource}: {exc}.") from exc
        except _UNREADABLE as exc:
            raise DamagedError(f"{place} cannot be decoded.") from exc
        if not is_whole:
            raise DamagedError(f"{place} is not what was saved.")
        return found

    def kept(self, session: Session) -> tuple[KeptBundle, ...]:
        """List all but the damaged ones: one of them must not hide what could still be gone back to."""
        kept = []
        for row in session.run(f"SELECT {_KEPT} FROM bundle ORDER BY number DESC"):  # noqa: S608 - columns
            try:
                kept.append(_kept(row))
            except DamagedError as exc:
                log.error("kept_bundle_damaged", reason=str(exc))
        return tuple(kept)

    def retain(self, session: Session, keep: int, used: frozenset[str]) -> tuple[int, Instant | None]:
        """Forget; return how many bundles, and when the oldest of the newest was saved."""
        count(session, "bundle", 0)
        rows = session.run("SELECT name, number, saved_at, good_since FROM bundle ORDER BY number DESC")
        newest = rows[: max(keep, 1)]
        good = sorted((row for row in rows if row[3]), key=lambda row: row[3], reverse=True)[:_GOOD]
        stay = used | {row[0] for row in (*newest, *good)}
        gone = [row[0] for row in rows if row[0] not in stay]
        if gone:
            self._forget(session, gone)
        return len(gone), Instant(newest[-1][2]) if newest else None

    def _forget(self, session: Session, names: list[str]) -> None:
        session.many("DELETE FROM bundle WHERE name = ?", [(name,) for name in names])
        alive: set[int] = set()
        for name, packed in session.run("SELECT name, members FROM bundle"):
            try:
                alive.update(_unpacked(packed, name))
            except DamagedError as exc:
                log.error("kept_bundle_damaged", reason=str(exc))
        dead = [id_ for (id_,) in session.run("SELECT id FROM resource") if id_ not in alive]
        session.run(
            f"DELETE FROM resource WHERE id IN ({self._dialect.numbers})",  # noqa: S608 - the dialect's words
            _json(dead),
        )


def _kept(row: Row) -> KeptBundle:
    name, body, key, signature, saved_at, good_since, resources, size = row
    bundle = _decode(body)
    if bundle is None or bundle.name != name:
        raise DamagedError(f"bundle {name} is damaged in the database: its description is not what was signed.")
    return KeptBundle(
        bundle=bundle,
        signed=Signed(body=body, key=key, signature=signature),
        saved_at=Instant(saved_at),
        good_since=Instant(good_since),
        resources=resources,
        bytes=size,
    )


def _decode(body: bytes) -> Bundle | None:
    try:
        return msgspec.msgpack.decode(body, type=Bundle)
    except _UNREADABLE:
        return None


def _digest(one: Resource) -> bytes:
    refs = msgspec.msgpack.encode(one.refs)
    return bytes.fromhex(digest(one.type_url.encode(), one.name.encode(), one.version.encode(), refs, one.body))


def _packed(ids: Iterable[int]) -> bytes:
    numbers = sorted(ids)
    steps = array("Q", [after - before for before, after in zip([0, *numbers], numbers, strict=False)])
    return zlib.compress(steps.tobytes(), 1)


def _unpacked(packed: bytes, bundle: str) -> Iterator[int]:
    steps = array("Q")
    try:
        steps.frombytes(zlib.decompress(packed))
    except (zlib.error, *_UNREADABLE) as exc:
        raise DamagedError(
            f"bundle {bundle} is damaged in the database: its list of resources cannot be read."
        ) from exc
    return itertools.accumulate(steps)


def _json(ids: Iterable[int]) -> str:
    return msgspec.json.encode(list(ids)).decode()


_UNREADABLE = (msgspec.DecodeError, msgspec.ValidationError, TypeError, ValueError)
"""TypeError: a damaged row of SQLite may hold text or nothing where bytes were."""
_refs = msgspec.msgpack.Decoder(tuple[Ref, ...])
