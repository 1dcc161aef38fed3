"""The history in PostgreSQL: for several control planes.

Talks to one server over one connection, which is made when it is needed and made again after it has broken. The rest is
`store.sql_history`.

Who leads is who holds a session's advisory lock: the server takes it back with the session. The server looks for a dead
host by itself (TCP keepalives, 15 s); a leader that has said nothing for as long, because it hangs, loses its session to
the next one that asks. The lock needs a session of its own: no pooler by transactions in between.

Nobody waits long: 3 s for a connection, 5 s for a statement, and if the server itself hangs the connection is cut.
"""

import contextlib
import functools
import hashlib
import itertools
import math
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from seawall.kit.errors import ConfigError, UnavailableError
from seawall.kit.secret import Secret
from seawall.kit.units import Instant, Seconds
from seawall.store.sql import MIGRATIONS, Dialect, Row
from seawall.store.sql_history import SqlHistory
from seawall.store.vault import Vault

try:
    import psycopg
    from psycopg.abc import PQGen
    from psycopg.conninfo import conninfo_to_dict
except ImportError as missing:
    raise ConfigError(
        "PostgreSQL needs the package psycopg.", hint="Install it: pip install 'seawall[postgres]'."
    ) from missing

_CONNECT = 3
_RETRY = Seconds(1.0)
_HANGS = 15.0
_ANSWER = 7.0
"""The server ends a statement after 5 s; one that does not, hangs."""
_PART = 1000
_SETTINGS = (
    " -c statement_timeout=5s -c idle_in_transaction_session_timeout=15s -c tcp_keepalives_idle=5"
    " -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3"
)
_DIALECT = Dialect(
    numbers="SELECT value::bigint FROM json_array_elements_text(CAST(? AS json))", for_update=" FOR UPDATE"
)
_TYPES = {"INTEGER": "bigint", "REAL": "double precision", "BLOB": "bytea"}
_TYPE = re.compile(r"\b(INTEGER|REAL|BLOB)\b")
_T = TypeVar("_T")


class PostgresHistory(SqlHistory):
    """The contract of `store.history` on a server. Any thread may call; one call at a time goes on."""

    def __init__(self, dsn: str, vault: Vault | None = None, schema: str = "seawall") -> None:
        """Take an address in any form that libpq takes; nothing is connected yet. Raises ConfigError."""
        self._server = _Server(dsn, schema)
        self._led: tuple[str, int] | None = None
        self._lock_of: _Impatient | None = None
        super().__init__(self._server, vault)

    def lead(self, holder: str, at: Instant) -> int | None:
        with self._server.mutex:
            if self._led is not None and self._led[0] != holder:
                return None
            try:
                return self._lead(holder, at)
            except UnavailableError:
                # The lock may be ours or not: without the session it is not.
                self._server.cut()
                raise

    def _lead(self, holder: str, at: Instant) -> int | None:
        with self._server.writing() as session:
            if self._lock_of is not session.link:
                if not session.run("SELECT pg_try_advisory_lock(?)", self._server.key)[0][0]:
                    self._led = None
                    self._oust(session)
                    return None
                self._lock_of = session.link
            epoch, by = session.run("SELECT epoch, holder FROM leader WHERE one = 1 FOR UPDATE")[0]
            # Nobody else has led since, even if the session is a new one: then it is still the same leader.
            if (by, epoch) != self._led:
                epoch = max(epoch + 1, math.ceil(at))
            session.run(
                "UPDATE leader SET epoch = ?, holder = ?, pid = pg_backend_pid(),"
                " renewed = extract(epoch from clock_timestamp())",
                epoch,
                holder,
            )
        self._led = (holder, epoch)
        return int(epoch)

    def _oust(self, session: "_Statements") -> None:
        """End the session of a leader that hangs. By the server's clock, and only if it is the one that holds the lock."""
        session.run(
            "SELECT pg_terminate_backend(k.pid) FROM leader AS l JOIN pg_locks AS k ON k.pid = l.pid"
            " WHERE k.locktype = 'advisory' AND k.granted AND k.classid::bigint << 32 | k.objid::bigint = ?"
            " AND l.renewed < extract(epoch from clock_timestamp()) - ?",
            self._server.key,
            _HANGS,
        )

    def resign(self, holder: str) -> None:
        with self._server.mutex:
            if self._led is None or self._led[0] != holder:
                return
            _, epoch = self._led
            self._led = None
            try:
                with self._server.writing() as session:
                    session.run("UPDATE leader SET holder = '' WHERE holder = ? AND epoch = ?", holder, epoch)
            finally:
                self._lock_of = None
                self._server.cut()

    def close(self) -> None:
        with self._server.mutex:
            self._led = self._lock_of = None
            self._server.cut()


class _Server:
    """A `store.sql.Database` on a server."""

    dialect = _DIALECT

    def __init__(self, dsn: str, schema: str) -> None:
        parts = _parts(dsn)
        if not schema.isidentifier() or schema != schema.lower():
            raise ConfigError(f"{schema} cannot be the name of a schema.", hint="Use lower-case letters and digits.")
        self.mutex = threading.RLock()
        self.key = int.from_bytes(hashlib.sha256(f"leader of {schema}".encode()).digest()[:8]) >> 1
        self._dsn = Secret(dsn.encode())
        self._password = Secret(parts.get("password", "").encode())
        self._options = parts.get("options", "")
        self._place = f"PostgreSQL at {parts.get('host') or 'its default socket'}"
        self._schema = schema
        self._link: _Impatient | None = None
        self._not_before = 0.0

    @contextlib.contextmanager
    def writing(self, *, is_durable: bool = True) -> Iterator["_Statements"]:
        with self._transaction() as statements:
            if not is_durable:
                statements.run("SET LOCAL synchronous_commit = off")
            yield statements

    @contextlib.contextmanager
    def reading(self) -> Iterator["_Statements"]:
        with self._transaction() as statements:
            statements.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield statements

    @contextlib.contextmanager
    def _transaction(self) -> Iterator["_Statements"]:
        with self.mutex, self._translated():
            link = self._connected()
            with link.transaction():
                yield _Statements(link)

    def _connected(self) -> "_Impatient":
        if self._link is not None and not self._link.closed:
            return self._link
        if time.monotonic() < self._not_before:
            raise UnavailableError(f"{self._place} was away a moment ago.", retry_after=_RETRY)
        # Until it has succeeded: a server that does not answer must not take three seconds of every call.
        self._not_before = time.monotonic() + _RETRY
        link = _Impatient.connect(
            self._dsn.reveal().decode(),
            autocommit=True,
            connect_timeout=_CONNECT,
            client_encoding="utf8",
            application_name="seawall",
            options=self._options + _SETTINGS,
            keepalives_idle=5,
            keepalives_interval=3,
            keepalives_count=3,
            tcp_user_timeout=10_000,
        )
        try:
            _migrate(link, self._schema, self.key)
        except BaseException:
            link.close()
            raise
        self._link = link
        self._not_before = 0.0
        return link

    def cut(self) -> None:
        """End the session, whatever it holds."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def give_back(self) -> None:
        """PostgreSQL does it by itself: autovacuum."""

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as exc:
            # A full disk or a slow statement: the session goes on. Anything else is safer with a new one.
            if not (isinstance(exc, psycopg.OperationalError) and exc.sqlstate):
                self.cut()
            reason = " ".join(str(exc).split()).rstrip(".")
            if password := self._password.reveal().decode():
                reason = reason.replace(password, "***")
            raise UnavailableError(f"{self._place} cannot be used: {reason}.", retry_after=_RETRY) from exc


def _parts(dsn: str) -> dict[str, str]:
    """Take an address apart. What libpq would say of a bad one may quote a part of the password, so nothing is quoted."""
    with contextlib.suppress(psycopg.Error):
        parts = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
        # An @ that is not escaped puts the end of the password before the host.
        if parts.get("port", "0").replace(",", "").isdigit() and "@" not in parts.get("host", "")[1:]:
            return parts
    raise ConfigError(
        "the address of the PostgreSQL database cannot be read.",
        hint="Write it as postgresql://user@host:5432/database, or as host=… dbname=… user=…; an @ in a password is %40.",
    )


class _Impatient(psycopg.Connection[Row]):
    """A connection that does not wait for ever: libpq itself waits for an answer as long as it takes."""

    def wait(self, gen: PQGen[_T], interval: float = 0.1, timeout: float | None = None) -> _T:
        try:
            return super().wait(gen, interval, timeout or _ANSWER)
        except psycopg.OperationalError:
            if self.info.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                # It has not answered in time. To ask it to roll back would take as long again.
                self.close()
            raise


class _Statements:
    """A `store.sql.Session`: `?` is `%s` here, and what comes back is binary."""

    def __init__(self, link: _Impatient) -> None:
        self.link = link
        self._cursor = link.cursor(binary=True)

    def run(self, statement: str, *values: object) -> list[Row]:
        self._cursor.execute(_spoken(statement), values)
        return self._cursor.fetchall() if self._cursor.description else []

    def many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        left = iter(rows)
        # In parts, so that each has its answer in time.
        while part := list(itertools.islice(left, _PART)):
            self._cursor.executemany(_spoken(statement), part)


@functools.cache
def _spoken(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()


def _migrate(link: _Impatient, schema: str, key: int) -> None:
    """Make the schema and bring it up to date, one control plane at a time."""
    link.execute(f"SET search_path TO {schema}".encode())
    with link.transaction():
        # Not the leader's lock: this one is held for a moment.
        link.execute("SELECT pg_advisory_xact_lock(%s)", (key ^ 1,))
        if link.execute("SELECT to_regnamespace(%s) IS NULL", (schema,)).fetchone() == (True,):
            link.execute(f"CREATE SCHEMA {schema}".encode())
        link.execute("CREATE TABLE IF NOT EXISTS migration (version bigint PRIMARY KEY)")
        row = link.execute("SELECT coalesce(max(version), 0) FROM migration").fetchone()
        version = row[0] if row else 0
        if version > len(MIGRATIONS):
            raise ConfigError(
                f"the schema {schema} was written by a later release (version {version}, this one reads {len(MIGRATIONS)}).",
                hint="Start that release, or name another database.",
            )
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            link.execute(_TYPE.sub(lambda found: _TYPES[found[0]], script).encode())
            link.execute("INSERT INTO migration VALUES (%s)", (number,))
