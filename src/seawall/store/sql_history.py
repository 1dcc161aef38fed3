"""The history in SQL: the log, the orders, what edges said, commands, under the epoch of whoever leads.

Talks to a `store.sql` database. Bundles: `store.sql_bundles`. Who leads is each database's own affair: `store.sqlite_history`,
`store.postgres_history`.
"""

import zlib
from collections.abc import Mapping, Sequence

from seawall.fleet.bundle import Signed
from seawall.kit.errors import UnavailableError
from seawall.kit.units import Instant
from seawall.store.history import Asked, DamagedError, Entry, FencedError, Heard, KeptBundle, Line, Told
from seawall.store.sql import Database, Session, count
from seawall.store.sql_bundles import SqlBundles
from seawall.store.vault import Vault
from seawall.xds.snapshot import Snapshot

PERIMETER = "perimeter"
MOST_ENTRIES = 1_000_000
"""Of so many log entries `retain` leaves the newest, whatever their age: a rollout that hangs for months must not fill
the disk."""


class SqlHistory:
    """All of `store.history.RolloutHistory` but `lead`, `resign` and `close`."""

    def __init__(self, database: Database, vault: Vault | None) -> None:
        self._database = database
        self._bundles = SqlBundles(database.dialect, vault)

    # ── bundles ──────────────────────────────────────────────────────────────────────────────────────────────────

    def save_bundle(self, signed: Signed, snapshot: Snapshot, at: Instant) -> None:
        with self._bundles.remembering(), self._database.writing() as session:
            self._bundles.save(session, signed, snapshot, at)

    def bundle(self, name: str) -> tuple[KeptBundle, Snapshot] | None:
        with self._database.reading() as session:
            return self._bundles.load(session, name)

    def bundles(self) -> tuple[KeptBundle, ...]:
        with self._database.reading() as session:
            return self._bundles.kept(session)

    def mark_good(self, epoch: int, name: str, at: Instant) -> None:
        with self._database.writing() as session:
            self._fence(session, epoch)
            if not session.run("SELECT 1 FROM bundle WHERE name = ?", name):
                raise UnavailableError(
                    f"bundle {name} is not in the history, so it cannot be marked good: save it again."
                )
            session.run("UPDATE bundle SET good_since = ? WHERE name = ? AND good_since = 0", at, name)

    def retain(self, keep: int, used: frozenset[str]) -> int:
        with self._database.writing() as session:
            gone, oldest = self._bundles.retain(session, keep, used)
            self._trim(session, oldest)
        self._database.give_back()
        return gone

    def _trim(self, session: Session, oldest: Instant | None) -> None:
        """Forget the front of the log: what is older than the oldest bundle, or too much, and covered by the state."""
        last = count(session, "log", 0)
        covered = session.run("SELECT number FROM state")
        if not covered:
            return
        cut = last - MOST_ENTRIES
        if oldest is not None:
            younger = session.run("SELECT coalesce(min(number), ?) FROM log WHERE at >= ?", last + 1, oldest)
            cut = max(cut, younger[0][0] - 1)
        cut = min(cut, covered[0][0])
        # Newest first: a rollout that the cut would part moves it before itself, which may part an older one.
        for first, end in session.run("SELECT first, last FROM stream WHERE name != ? ORDER BY last DESC", PERIMETER):
            if first <= cut < end:
                cut = first - 1
        session.run("DELETE FROM log WHERE number <= ?", cut)
        session.run("DELETE FROM stream WHERE last <= ? AND name != ?", cut, PERIMETER)

    # ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────

    def append(
        self,
        epoch: int,
        lines: Sequence[Line],
        *,
        after: int | None = None,
        answers: Sequence[int] = (),
    ) -> int:
        with self._database.writing() as session:
            self._fence(session, epoch)
            last = count(session, "log", 0)
            if after is not None and after != last:
                _is_there(session, lines, after)
                return after + len(lines)
            if lines:
                last = count(session, "log", len(lines))
                _append(session, lines, last - len(lines) + 1)
            session.many("DELETE FROM asked WHERE number = ?", [(number,) for number in answers])
            return last

    def log(self, *, stream: str | None = None, after: int = 0, limit: int = 10_000) -> tuple[Entry, ...]:
        with self._database.reading() as session:
            return _read(session, stream, after, limit)

    def streams(self, limit: int = 100) -> tuple[str, ...]:
        with self._database.reading() as session:
            rows = session.run("SELECT name FROM stream WHERE name != ? ORDER BY first DESC LIMIT ?", PERIMETER, limit)
        return tuple(name for (name,) in rows)

    def save_state(self, epoch: int, number: int, body: bytes) -> None:
        with self._database.writing() as session:
            self._fence(session, epoch)
            session.run(
                "INSERT INTO state (one, number, body, crc) VALUES (1, ?, ?, ?) ON CONFLICT (one) DO UPDATE"
                " SET number = excluded.number, body = excluded.body, crc = excluded.crc",
                number,
                body,
                zlib.crc32(body),
            )

    def state(self) -> tuple[int, bytes] | None:
        with self._database.reading() as session:
            rows = session.run("SELECT number, body, crc FROM state")
        if not rows:
            return None
        number, body, crc = rows[0]
        return int(number), _undamaged(body, crc, f"the state after entry {number}")

    # ── orders, reports, commands ────────────────────────────────────────────────────────────────────────────────

    def tell(self, epoch: int, assignments: Mapping[str, Signed]) -> int:
        with self._database.writing() as session:
            self._fence(session, epoch)
            revision = count(session, "told", 1 if assignments else 0)
            session.many(
                "INSERT INTO told (edge, revision, body, key, signature) VALUES (?, ?, ?, ?, ?) ON CONFLICT (edge)"
                " DO UPDATE SET revision = excluded.revision, body = excluded.body, key = excluded.key,"
                " signature = excluded.signature",
                [(edge, revision, one.body, one.key, one.signature) for edge, one in assignments.items()],
            )
            return revision

    def told(self, after: int = 0) -> tuple[Told, ...]:
        with self._database.reading() as session:
            rows = session.run(
                "SELECT edge, revision, body, key, signature FROM told WHERE revision > ? ORDER BY revision, edge",
                after,
            )
        return tuple(
            Told(edge=edge, revision=revision, assignment=Signed(body=body, key=key, signature=signature))
            for edge, revision, body, key, signature in rows
        )

    def hear(self, messages: Sequence[tuple[str, str, Instant, bytes]]) -> None:
        if not messages:
            return
        last = {(edge, kind): (at, body) for edge, kind, at, body in messages}
        # What an edge says, it says again: a power cut may take the last second of it.
        with self._database.writing(is_durable=False) as session:
            revision = count(session, "heard", 1)
            session.many(
                "INSERT INTO heard (edge, kind, revision, at, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT (edge, kind)"
                " DO UPDATE SET revision = excluded.revision, at = excluded.at, body = excluded.body",
                [(edge, kind, revision, at, body) for (edge, kind), (at, body) in last.items()],
            )

    def heard(self, after: int = 0) -> tuple[Heard, ...]:
        with self._database.reading() as session:
            rows = session.run(
                "SELECT edge, kind, revision, at, body FROM heard WHERE revision > ? ORDER BY revision, edge, kind",
                after,
            )
        return tuple(
            Heard(edge=edge, kind=kind, revision=revision, at=Instant(at), body=body)
            for edge, kind, revision, at, body in rows
        )

    def ask(self, at: Instant, body: bytes) -> int:
        with self._database.writing() as session:
            number = count(session, "asked", 1)
            session.run("INSERT INTO asked (number, at, body) VALUES (?, ?, ?)", number, at, body)
            return number

    def asked(self, epoch: int, *, keep: bool = False) -> tuple[Asked, ...]:
        with self._database.writing() as session:
            self._fence(session, epoch)
            rows = session.run("SELECT number, at, body FROM asked ORDER BY number")
            if rows and not keep:
                session.run("DELETE FROM asked WHERE number <= ?", rows[-1][0])
        return tuple(Asked(number=number, at=Instant(at), body=body) for number, at, body in rows)

    def _fence(self, session: Session, epoch: int) -> None:
        """Let only the leader go on, and nobody become leader before this transaction is through."""
        leader = "SELECT epoch, holder FROM leader WHERE one = 1" + self._database.dialect.for_update  # noqa: S608 - no value
        newest, holder = session.run(leader)[0]
        if newest != epoch or not holder:
            whose = f"{holder} leads under epoch {newest}" if holder else f"nobody leads since epoch {newest}"
            raise FencedError(f"epoch {epoch} may not write to the history any more: {whose}.")


def _append(session: Session, lines: Sequence[Line], first: int) -> None:
    rows = [
        (number, one.at, one.stream, one.kind, one.body, zlib.crc32(one.body))
        for number, one in enumerate(lines, first)
    ]
    session.many("INSERT INTO log (number, at, stream, kind, body, crc) VALUES (?, ?, ?, ?, ?, ?)", rows)
    begins: dict[str, int] = {}
    for number, one in enumerate(lines, first):
        begins.setdefault(one.stream, number)
    ends = {one.stream: number for number, one in enumerate(lines, first)}
    session.many(
        "INSERT INTO stream (name, first, last) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET last = excluded.last",
        [(name, begin, ends[name]) for name, begin in begins.items()],
    )


def _is_there(session: Session, lines: Sequence[Line], after: int) -> None:
    """Raise unless these very entries follow `after`."""
    found = [(one.stream, one.at, one.kind, one.body) for one in _read(session, None, after, len(lines))]
    if found != [(one.stream, one.at, one.kind, one.body) for one in lines]:
        raise FencedError(f"the log has gone on after entry {after} with other entries than the ones to be written.")


def _read(session: Session, stream: str | None, after: int, limit: int) -> tuple[Entry, ...]:
    wanted, values = ("", ()) if stream is None else (" AND stream = ?", (stream,))
    rows = session.run(
        f"SELECT number, at, stream, kind, body, crc FROM log WHERE number > ?{wanted} ORDER BY number LIMIT ?",  # noqa: S608 - no value in it
        after,
        *values,
        limit,
    )
    return tuple(
        Entry(
            number=number,
            at=Instant(at),
            stream=name,
            kind=kind,
            body=_undamaged(body, crc, f"entry {number} of the log"),
        )
        for number, at, name, kind, body, crc in rows
    )


def _undamaged(body: bytes, crc: int, what: str) -> bytes:
    # Not bytes: a damaged row of SQLite may hold text or nothing instead.
    if not isinstance(body, bytes) or zlib.crc32(body) != crc:
        raise DamagedError(f"{what} is damaged in the database: restore a backup of it.")
    return body
