"""The Envoy process: start it, find the one that an earlier agent left, wait for its death, stop it gently.

Talks to the kernel: processes, /proc, files in the run folder.

An Envoy outlives its agent on purpose: an agent that is killed or updated costs no request, for the next one finds
Envoy by `envoy.pid` (process id, start time, boot, and a digest of what it was started with) and adopts it; Envoy's ADS
stream comes back by itself, to the same socket. Where that is not wanted (`seawall up`), the kernel is asked to kill
Envoy when its agent dies.

Envoy logs to its stderr, which is `envoy.log`, opened for appending: it needs no agent to read a pipe, loses no last
words, and can be cut at any time.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from seawall.agent.binary import Binary
from seawall.agent.prices import prepare
from seawall.envoy.limits import QUOTA_FOLDER
from seawall.kit.digest import digest
from seawall.kit.errors import ConfigError

LOG_LIMIT = 8 << 20
_ENVIRONMENT = ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH")

# Runs before Envoy, in its process: preexec_fn would run Python between fork and exec in a process with gRPC's threads.
# If the agent is gone before the request to the kernel is made, nobody would ever be told: hence the look at the
# parent.
_BOUND = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
os.getppid() == int(sys.argv[1]) or os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What to start. `bootstrap` is the file's content; `drain` is for listeners that a change removes."""

    binary: Binary
    folder: str
    bootstrap: bytes
    concurrency: int = 0
    is_bound: bool = False
    log_level: str = "warning"

    @property
    def digest(self) -> str:
        """Names everything that an Envoy cannot be given later: an Envoy with another digest is replaced, not
        adopted."""
        # An Envoy of a release before prices cannot read them.
        flags = f"prices {self.concurrency} {self.log_level} {self.is_bound} {self.binary.path} {self.binary.build}"
        return digest(self.bootstrap, flags.encode())


class _PidFile(msgspec.Struct, frozen=True, kw_only=True):
    pid: int
    started: str
    digest: str


class EnvoyProcess:
    """One Envoy that runs or has run. `adopted` ones are not our children: the kernel keeps their exit status from
    us."""

    def __init__(self, pid: int, folder: Path, child: "subprocess.Popen[bytes] | None", handle: int) -> None:
        self.pid = pid
        self._folder = folder
        self._child = child
        self._handle = handle
        self._ended = asyncio.Event()
        # A pidfd becomes readable when the process ends, child or not.
        asyncio.get_running_loop().add_reader(handle, self._on_end)

    @property
    def is_adopted(self) -> bool:
        return self._child is None

    async def wait(self) -> str:
        """Wait for the end; return how it came, with Envoy's last words."""
        await self._ended.wait()
        return self._cause()

    def signal(self, number: signal.Signals) -> None:
        if self._handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def close(self) -> None:
        """Forget the process; it must have ended, or be meant to live on."""
        if self._handle >= 0:
            asyncio.get_running_loop().remove_reader(self._handle)
            os.close(self._handle)
            self._handle = -1

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._handle)
        self._ended.set()

    def _cause(self) -> str:
        if self._child is None:
            return "ended, cause unknown: it was started by an earlier agent"
        status = self._child.wait()
        if status >= 0:
            return f"exit status {status}{_last_words(self._folder)}"
        with contextlib.suppress(ValueError):
            return f"signal {-status} ({signal.Signals(-status).name}){_last_words(self._folder)}"
        return f"signal {-status}"


def start(launch: Launch) -> EnvoyProcess:
    """Start an Envoy; returns before it serves."""
    folder = Path(launch.folder)
    try:
        bootstrap = folder / "envoy.json"
        # Not written again if it is there: a full disk must not keep an Envoy from being restarted.
        if not bootstrap.is_file() or bootstrap.read_bytes() != launch.bootstrap:
            bootstrap.write_bytes(launch.bootstrap)
        (folder / "admin.sock").unlink(missing_ok=True)
        prepare(folder)
        with (folder / "envoy.log").open("ab") as out:
            child = subprocess.Popen(
                _command(launch),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                # Where the files are that its configuration names.
                cwd=folder,
                # Ctrl-C in a terminal is for the agent, who drains first.
                start_new_session=True,
                env={k: v for k, v in os.environ.items() if k in _ENVIRONMENT or k.startswith("ENVOY_")},
            )
    except OSError as exc:
        raise ConfigError(f"Envoy cannot be started in {folder}: {exc}.", hint="Is the disk full?") from exc
    process = EnvoyProcess(child.pid, folder, child, os.pidfd_open(child.pid))
    # Without the file the next agent would start a second Envoy beside this one; with the disk full that is the risk
    # left.
    with contextlib.suppress(OSError):
        note = _PidFile(pid=child.pid, started=_start_time(child.pid), digest=launch.digest)
        (folder / "envoy.pid").write_bytes(msgspec.json.encode(note))
    return process


def find(launch: Launch) -> tuple[EnvoyProcess, bool] | None:
    """Find the Envoy that an earlier agent left running, and say whether it is what `launch` would start."""
    folder = Path(launch.folder)
    try:
        note = msgspec.json.decode((folder / "envoy.pid").read_bytes(), type=_PidFile)
        handle = os.pidfd_open(note.pid)
    except (OSError, msgspec.DecodeError):
        return None
    # After the handle is open: process ids are used again, a pair of id and start time is not.
    if _start_time(note.pid) != note.started:
        os.close(handle)
        return None
    return EnvoyProcess(note.pid, folder, None, handle), note.digest == launch.digest


def forget(folder: Path) -> None:
    """Remove what a stopped Envoy leaves in the run folder; its log stays."""
    for name in ("envoy.pid", "envoy.json", "admin.sock"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / QUOTA_FOLDER, ignore_errors=True)


def trim_log(folder: Path, limit: int = LOG_LIMIT) -> bool:
    """Keep at most two pieces of Envoy's log."""
    log = folder / "envoy.log"
    with contextlib.suppress(OSError):
        if log.stat().st_size > limit:
            # Envoy keeps writing to the same file, at its end: copied and cut, a few lines between the two are lost.
            shutil.copyfile(log, folder / "envoy.log.1")
            os.truncate(log, 0)
            return True
    return False


def _command(launch: Launch) -> list[str]:
    command = [
        launch.binary.path,
        *("-c", str(Path(launch.folder).absolute() / "envoy.json")),
        *("--log-level", launch.log_level),
        # Hot restart leaves shared memory behind when Envoy is killed; the agent and SO_REUSEPORT replace it.
        "--disable-hot-restart",
        # Streams of a listener that is replaced have so long. Its other connections are told to go with their next answer, not
        # one by one over that time: until they go they meet the old filters, also those that a rollback has just taken back.
        *("--drain-time-s", "600", "--drain-strategy", "immediate"),
        *("--file-flush-interval-msec", "200"),
    ]
    if launch.concurrency:
        command += ["--concurrency", str(launch.concurrency)]
    else:
        # One worker per core that we may use, not per core that the host has.
        command += ["--concurrency", str(len(os.sched_getaffinity(0)))]
    if launch.is_bound:
        return [sys.executable, "-I", "-S", "-c", _BOUND, str(os.getpid()), *command]
    return command


def _start_time(pid: int) -> str:
    """Identify a process beyond its id: its start in clock ticks since boot, and which boot."""
    try:
        # The name of the program stands in parentheses and may hold anything, spaces and parentheses too.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    return f"{boot}/{fields[19]}"


def _last_words(folder: Path) -> str:
    """Quote the newest line of Envoy's log that complains."""
    try:
        with (folder / "envoy.log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 65536))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    bad = [line for line in lines if "[critical]" in line or "[error]" in line or "assert failure" in line]
    return f": {bad[-1][:200]} … {bad[-1][-300:]}" if bad and len(bad[-1]) > 500 else f": {bad[-1]}" if bad else ""


def cpu_seconds(pid: int) -> float:
    """Return the CPU that a process has used, all of its threads, to the nanosecond. Raises OSError if it is gone.

    /proc counts in ticks of 10 ms, which is what forty requests cost: too coarse to compare two edges second by second.
    """
    # clock_getcpuclockid(3) computes the same: the bits of the process id inverted, then CPUCLOCK_SCHED.
    return time.clock_gettime((~pid << 3) | 2)
