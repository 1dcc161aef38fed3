"""A real PostgreSQL for tests: a cluster in a folder of its own, on a unix socket only, ended by its pid.

PostgreSQL refuses to run as root, so root gives the folder to the user `postgres` or `nobody`. In a user namespace that
knows root alone (`unshare --map-root-user`) there is no other user to become: there the server gets a namespace within,
where the same user has another number.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

_MISSING = "PostgreSQL's server is not installed: apt-get install postgresql, or put initdb and postgres on the PATH"


class Postgres:
    """A server that can be killed and started again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._binaries = binaries()
        self._process: subprocess.Popen[bytes] | None = None
        self._launcher = _launcher(root)
        made = ["-D", str(root / "data"), "-U", "seawall", "-A", "trust", "-E", "UTF8", "--locale=C"]
        initdb = [*self._launcher, str(self._binaries / "initdb"), *made, "--no-sync", "--no-instructions"]
        subprocess.run(initdb, check=True, capture_output=True, cwd="/")

    @property
    def dsn(self) -> str:
        return f"host={self.root} user=seawall dbname=postgres"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers; after a kill it first reads its log again."""
        end = time.monotonic() + 60
        self._launch()
        while True:
            try:
                psycopg.connect(self.dsn, connect_timeout=3).close()
                return
            except psycopg.OperationalError as exc:
                if time.monotonic() > end:
                    raise AssertionError(f"PostgreSQL did not start: {self.log[-2000:]}") from exc
                time.sleep(0.05)
                if self.has_ended:
                    # After a SIGKILL the sessions' processes live a moment longer, and hold its memory.
                    self._launch()

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _launch(self) -> None:
        quick = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=32MB", "-c", "max_connections=60"]
        place = ["-D", str(self.root / "data"), "-k", str(self.root)]
        server = str(self._binaries / "postgres")
        with (self.root / "log").open("ab") as out:
            # The launcher becomes the server: one process, one pid.
            self._process = subprocess.Popen([*self._launcher, server, *place, *quick], stdout=out, stderr=out, cwd="/")

    @property
    def log(self) -> str:
        return (self.root / "log").read_text(encoding="utf-8", errors="replace")

    def send(self, how: int, backend: int) -> None:
        """Send a signal to the server and to one of its sessions' processes."""
        for pid in (self.pid, backend):
            os.kill(pid, how)

    def stop(self, how: int = signal.SIGINT) -> None:
        """SIGINT: fast, sessions are ended. SIGKILL: as if the power went."""
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait(60)
        self._process = None


def binaries() -> Path:
    """Where the newest server is: Debian keeps it off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    if on_path is None:
        pytest.fail(_MISSING)
    return Path(on_path).parent


def _launcher(root: Path) -> list[str]:
    """What to put before a command, so that it runs as somebody who is not root and owns the folder."""
    if os.geteuid() != 0:
        return []
    known = {one.pw_name: one for one in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    try:
        os.chown(root, user.pw_uid, user.pw_gid)
    except OSError:
        return ["unshare", "--user", f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}"]
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


@contextmanager
def running() -> Iterator[Postgres]:
    # Not pytest's folder: the path of a unix socket is 107 bytes at most, and others must be able to enter it.
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as folder:
        server = Postgres(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests that leave it running."""
    with running() as server:
        yield server
