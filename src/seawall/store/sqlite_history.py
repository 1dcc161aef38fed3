"""The history in one SQLite file: the embedded default, for one control plane or several processes on one host.

Talks to one file (mode 0600: it holds private keys) and a lock file beside it. The rest is `store.sql_history`.

Who leads is who holds a lock (flock) on `<file>.leader`: the kernel takes it back in the moment its holder dies, with no
clock to trust, no time-out to wait for and no write a second. A row with an expiry would find a leader that hangs as
well; on one host that is the supervisor's task.

What reaches the disk when: WAL with synchronous=FULL: what was answered survives a power cut. Only what edges say is
written with NORMAL: it comes again.

A file that cannot be read is moved aside (one is kept) and the history begins anew: edges go on with what they run, and
the new leader's epoch is greater than the lost one's because it is not less than the time.
"""

import contextlib
import fcntl
import math
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import structlog

from seawall.kit.errors import ConfigError, UnavailableError
from seawall.kit.units import Instant, Seconds
from seawall.store.sql import MIGRATIONS, Dialect, Row
from seawall.store.sql_history import SqlHistory
from seawall.store.vault import Vault

log = structlog.get_logger(__name__)

_PATIENCE = 5.0
_DIALECT = Dialect(numbers="SELECT value FROM json_each(?)", for_update="")


class SqliteHistory(SqlHistory):
    """The contract of `store.history` on a file. Any thread may call; one call at a time goes on."""

    def __init__(self, file: Path, vault: Vault | None = None) -> None:
        """Open the file, make it if it is not there. Raises UnavailableError, ConfigError."""
        self._file = _File(file)
        self._leader = _Lock(file.with_name(file.name + ".leader"))
        self._led: tuple[str, int] | None = None
        super().__init__(self._file, vault)

    def lead(self, holder: str, at: Instant) -> int | None:
        if self._led is not None and self._led[0] != holder:
            return None
        with _translated(self._file.path):
            if not self._leader.take():
                return None
        try:
            with self._file.writing() as session:
                epoch, by = session.run("SELECT epoch, holder FROM leader")[0]
                if (by, epoch) != self._led:
                    epoch = max(epoch + 1, math.ceil(at))
                    session.run("UPDATE leader SET epoch = ?, holder = ?", epoch, holder)
        except UnavailableError:
            if self._led is None:
                self._leader.give_up()
            raise
        self._led = (holder, epoch)
        return int(epoch)

    def resign(self, holder: str) -> None:
        if self._led is None or self._led[0] != holder:
            return
        # First nobody may write any more, then somebody else may begin.
        try:
            with self._file.writing() as session:
                session.run("UPDATE leader SET holder = '' WHERE holder = ?", holder)
        finally:
            self._led = None
            self._leader.give_up()

    def close(self) -> None:
        self._leader.give_up()
        self._led = None
        self._file.close()


class _File:
    """A `store.sql.Database` on a file."""

    dialect = _DIALECT

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.RLock()
        with _translated(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Two processes that find the file damaged must not move each other's new one aside.
            opening = _Lock(path.with_name(path.name + ".opening"))
            opening.take(wait=True)
            try:
                self._db = self._open()
            finally:
                opening.give_up()

    def _open(self) -> sqlite3.Connection:
        try:
            return _connect(self.path)
        except _UnreadableError as exc:
            aside = self.path.with_name(self.path.name + ".unreadable")
            for suffix in ("", "-wal", "-shm"):
                part = self.path.with_name(self.path.name + suffix)
                if part.exists():
                    part.replace(aside.with_name(aside.name + suffix))
            log.error("history_unreadable", file=str(self.path), reason=str(exc), moved_to=str(aside))
            return _connect(self.path)

    @contextlib.contextmanager
    def writing(self, *, is_durable: bool = True) -> Iterator["_Statements"]:
        with self._mutex, _translated(self.path):
            self._db.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
            with self._transaction("BEGIN IMMEDIATE") as statements:
                yield statements

    @contextlib.contextmanager
    def reading(self) -> Iterator["_Statements"]:
        with self._mutex, _translated(self.path), self._transaction("BEGIN") as statements:
            yield statements

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator["_Statements"]:
        self._db.execute(begin)
        try:
            yield _Statements(self._db)
            self._db.execute("COMMIT")
        except BaseException:
            # A full disk may have rolled back already; what is left to undo is undone here.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def give_back(self) -> None:
        with self._mutex, _translated(self.path):
            self._db.execute("PRAGMA incremental_vacuum(10000)").fetchall()

    def close(self) -> None:
        with self._mutex:
            self._db.close()


class _Statements:
    """A `store.sql.Session`: SQLite speaks the dialect as it is."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def run(self, statement: str, *values: object) -> list[Row]:
        return self._db.execute(statement, values).fetchall()

    def many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        self._db.executemany(statement, rows)


class _Lock:
    """A lock on a file, this object's alone: the kernel frees it when the process ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def take(self, *, wait: bool = False) -> bool:
        if self._fd is not None:
            return True
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def give_up(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class _UnreadableError(Exception):
    """The file is damaged or not a database."""


def _connect(path: Path) -> sqlite3.Connection:
    # Made by us, so that nobody else can read it for a moment; SQLite gives its side files the same mode.
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.fchmod(fd, 0o600)
    os.close(fd)
    db = sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE, check_same_thread=False)
    try:
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL").fetchall()
        db.execute("PRAGMA journal_size_limit = 16777216")
        _migrate(db, path)
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise _UnreadableError(found)
        return db
    except BaseException as exc:
        db.close()
        # An OperationalError is the disk or another process, and passes; the others are the content.
        if isinstance(exc, sqlite3.DatabaseError) and not isinstance(exc, sqlite3.OperationalError):
            raise _UnreadableError(str(exc)) from exc
        raise


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise ConfigError(
            f"{path} was written by a later release (schema {version}, this one reads {len(MIGRATIONS)}).",
            hint="Start that release, or move the file away to begin a new history.",
        )
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as exc:
        raise ConfigError(
            f"{exc.filename or path} cannot be used: permission denied.", hint="Give the state folder to this user."
        ) from exc
    except (sqlite3.Error, OSError) as exc:
        raise UnavailableError(f"{path} cannot be used: {exc}.", retry_after=Seconds(1.0)) from exc
