"""RunDir: the folder of one running instance: its lock, its sockets, and everything that goes away with it.

Talks to the file system. One instance at a time holds `lock` (flock: the kernel lets go of it however the process ends),
so whatever else lies in a folder whose lock is free was left by a process that was killed, and is cleared away.

    <run dir>/lock           who holds it: pid, name, manifests, sockets
    <run dir>/control.sock   the console (`seawall status`)
    <run dir>/edge/ …        the agent's sockets and bootstrap
    <run dir>/state/ …       what would survive a restart, where no --state-dir was named
"""

import contextlib
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from seawall.kit.errors import ConfigError

CONTROL_SOCKET = "control.sock"
_LOCK = "lock"
_LONGEST_SOCKET_PATH = 107
"""`sun_path` of Linux, less the final zero byte."""
_LONGEST_SOCKET_NAME = 28
"""The longest name of a socket below the run dir, room to spare."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """What a running instance says of itself to one that comes second."""

    pid: int
    name: str
    path: str
    sockets: tuple[str, ...] = ()


class RunDir:
    """A locked run dir. Make one with `hold`."""

    def __init__(self, path: Path, lock: int, holder: Holder) -> None:
        self.path = path
        self._lock = lock
        self._holder = holder

    def discard(self) -> None:
        """Clear the folder now: for a process that is about to end without any ceremony."""
        _clear(self.path)
        (self.path / _LOCK).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    @property
    def control_socket(self) -> Path:
        return self.path / CONTROL_SOCKET

    def announce(self, sockets: tuple[str, ...]) -> None:
        """Write down which sockets are in use, for whoever comes second."""
        self._holder = msgspec.structs.replace(self._holder, sockets=sockets)
        data = msgspec.json.encode(self._holder)
        os.pwrite(self._lock, data, 0)
        os.ftruncate(self._lock, len(data))

    def folder(self, name: str) -> Path:
        """Make a folder inside, for nobody else to read."""
        made = self.path / name
        made.mkdir(mode=0o700, exist_ok=True)
        return made


def default_run_dir(name: str) -> Path:
    """Return where an instance of this name runs unless `--run-dir` says otherwise."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime) / "seawall" / name
    # Not predictable to others' harm: `hold` refuses a folder that is not ours alone.
    return Path(f"/tmp/seawall-{os.getuid()}") / name  # noqa: S108


@contextlib.contextmanager
def hold(path: Path, name: str, manifests: str) -> Iterator[RunDir]:
    """Take the run dir for this process and clear away what a killed one left; remove it at the end.

    Raises ConfigError if another instance runs there, or if the folder is not safe to use.
    """
    path = path.absolute()
    _check_length(path)
    made = [folder for folder in (path, path.parent) if not folder.exists()]
    _make(path)
    lock = _take(path, name)
    try:
        _clear(path)
        held = RunDir(path, lock, Holder(pid=os.getpid(), name=name, path=manifests))
        held.announce(())
        yield held
    finally:
        _clear(path)
        (path / _LOCK).unlink(missing_ok=True)
        for folder in made or (path,):
            # Another instance of ours may live beside us in the parent.
            with contextlib.suppress(OSError):
                folder.rmdir()
        os.close(lock)


def read_holder(path: Path) -> Holder | None:
    """Say who holds a run dir, if anybody has ever written it down there."""
    try:
        return msgspec.json.decode((path / _LOCK).read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None


def _check_length(path: Path) -> None:
    if len(os.fsencode(path)) + _LONGEST_SOCKET_NAME > _LONGEST_SOCKET_PATH:
        raise ConfigError(
            f"the run dir {path} is too long for the sockets in it: the system allows {_LONGEST_SOCKET_PATH} bytes.",
            hint="Choose a shorter one with --run-dir.",
        )


def _make(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError as exc:
        raise ConfigError(
            f"the run dir {path} cannot be made: {exc.strerror}.", hint="Choose another with --run-dir."
        ) from exc
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ConfigError(
            f"the run dir {path} belongs to somebody else, or others may write to it.",
            hint="Choose another with --run-dir, or make it yours alone (mode 0700).",
        )
    foreign = [entry.name for entry in path.iterdir() if entry.name not in _OURS]
    if foreign:
        raise ConfigError(
            f"{path} is not a run dir: it holds {', '.join(sorted(foreign)[:3])}, and a run dir is cleared at start.",
            hint="Choose an empty folder, or one that does not exist yet, with --run-dir.",
        )


_OURS = {_LOCK, CONTROL_SOCKET, "edge", "state", "edges.sock", "sandbox"}


def _take(path: Path, name: str) -> int:
    """Lock the folder; return the open lock."""
    while True:
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            os.close(lock)
            raise ConfigError(_taken(path, name), hint=_REMEDY) from exc
        # Whoever held it before may have removed the file between our two calls: then we hold a lock on nothing.
        with contextlib.suppress(FileNotFoundError):
            if (path / _LOCK).stat().st_ino == os.fstat(lock).st_ino:
                return lock
        os.close(lock)


_REMEDY = "Stop it first, or start this one beside it with --name OTHER and ports of its own in the manifests."


def _taken(path: Path, name: str) -> str:
    holder = read_holder(path)
    if holder is None:
        return f"an instance named {name!r} already runs in {path}."
    sockets = f" and uses {', '.join(holder.sockets)}" if holder.sockets else ""
    return f"an instance named {name!r} already runs: process {holder.pid} serves {holder.path}{sockets}."


def _clear(path: Path) -> None:
    for entry in path.iterdir():
        if entry.name == _LOCK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
