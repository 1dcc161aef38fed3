"""Programs: start them on given cores, say what they cost, end them.

Talks to the kernel. A benchmark ends only what it started, by process id.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

_TICK = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """A benchmark cannot go on; the message says what is missing and what to do."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds since the start, resident memory now."""

    cpu: float
    rss: int

    @property
    def mib(self) -> float:
        return self.rss / (1 << 20)


@contextlib.contextmanager
def on_cores(cores: Iterable[int] | None) -> Iterator[None]:
    """Let what is started inside run on these cores only (a child inherits them from the thread that starts it)."""
    before = os.sched_getaffinity(0)
    wanted = set(cores or ()) & before
    os.sched_setaffinity(0, wanted or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], log: Path, *, cores: Iterable[int] | None = None, env: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program while the block runs; its output goes to `log`."""
    with log.open("ab") as out, on_cores(cores):
        child = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
        )
    try:
        yield child
    finally:
        end(child)


def end(child: "subprocess.Popen[bytes]", grace: float = 15.0) -> float:
    """End a program gently, then not; return how long it took."""
    begun = time.perf_counter()
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(grace)
        except subprocess.TimeoutExpired:
            for pid in (*descendants(child.pid), child.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            child.wait()
    return time.perf_counter() - begun


def descendants(pid: int) -> list[int]:
    """Return the ids of all processes below one."""
    below: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                below += [child, *descendants(child)]
    return below


def named(pids: Iterable[int], name: str) -> list[int]:
    """Return those of the processes that run a program of this name."""
    return [pid for pid in pids if _program(pid) == name]


def cost(pids: Iterable[int]) -> Cost:
    """Add up what processes cost; those that are gone cost nothing."""
    cpu, rss = 0.0, 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            cpu += (int(fields[11]) + int(fields[12])) / _TICK
            rss += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return Cost(cpu=cpu, rss=rss)


def peak_rss(pid: int) -> int:
    """Return the most memory that a process ever had resident, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago, for programs that cannot say which one they took."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(
    what: str, is_so: Callable[[], bool], timeout: float, log: Path | None = None, pause: float = 0.02
) -> float:
    """Poll until something is so; return how long that took. Raises Failure with the end of the log."""
    begun = time.perf_counter()
    while not is_so():
        if time.perf_counter() - begun > timeout:
            raise Failure(f"{what} did not come about within {timeout:g} s.{_tail(log)}")
        time.sleep(pause)
    return time.perf_counter() - begun


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False


def _tail(log: Path | None) -> str:
    text = log.read_text(errors="replace")[-1500:] if log is not None and log.exists() else ""
    return f" The end of its log:\n{text}" if text else ""


def _program(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""
