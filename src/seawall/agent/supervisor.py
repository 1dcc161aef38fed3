"""Supervisor: hands on the one Envoy of this host: find or start it, tell when it dies, see whether it lives, stop it.

Talks to processes and to Envoy's admin endpoint. It decides nothing: `fleet.guardian` does.
"""

import asyncio
import fcntl
import json
import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from seawall.agent import process
from seawall.agent.admin import Admin
from seawall.agent.binary import Binary, find_binary
from seawall.agent.cgroup import memory_limit
from seawall.agent.process import EnvoyProcess, Launch
from seawall.agent.settings import AgentSettings
from seawall.envoy.bootstrap import REFUSED_FILE, BootstrapSettings, allowed_heap, bootstrap
from seawall.fleet.bundle import Limits
from seawall.kit.errors import ConfigError, UnavailableError
from seawall.kit.units import Seconds

log = structlog.get_logger(__name__)

_LONGEST_PATH = 90
"""A unix socket's path may have 107 bytes; the longest name that we put below the folder takes 17."""
_TERM_PATIENCE = Seconds(5.0)


class RunFolder:
    """The folder of sockets and process files, held by one agent at a time."""

    def __init__(self, path: str) -> None:
        self.path = Path(path).absolute()
        self._lock = -1

    def __enter__(self) -> Self:
        if len(os.fsencode(self.path)) > _LONGEST_PATH:
            raise ConfigError(
                f"{self.path} is too long for a folder of unix sockets.", hint="Choose a shorter --run-dir."
            )
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
            os.close(self._lock)
            raise ConfigError(
                f"another agent (process {holder or 'unknown'}) uses {self.path}.",
                hint="Stop it, or give this one another --run-dir.",
            ) from exc
        except OSError as exc:
            raise ConfigError(
                f"{self.path} cannot be used: {exc.strerror}.", hint="Choose a --run-dir that this user can write to."
            ) from exc
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        (self.path / "agent.lock").unlink(missing_ok=True)
        os.close(self._lock)


class Supervisor:
    """One Envoy after the other, at most one at a time."""

    def __init__(self, settings: AgentSettings, folder: Path, binary: Binary) -> None:
        """Raises ConfigError where the memory limit of this host leaves Envoy no heap."""
        self.binary = binary
        self.admin = Admin(str(folder / "admin.sock"))
        self._settings = settings
        self._folder = folder
        self._process: EnvoyProcess | None = None
        self._is_stopping = False
        self._runs = ""
        self.launch = _launch(settings, folder, binary, Limits())

    @classmethod
    async def make(cls, settings: AgentSettings, folder: Path) -> "Supervisor":
        return cls(settings, folder, await find_binary(settings.envoy))

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    @property
    def is_adopted(self) -> bool:
        """An earlier agent has started the Envoy that runs."""
        return self._process is not None and self._process.is_adopted

    @property
    def is_outdated(self) -> bool:
        """The Envoy that runs was started with other limits than it should have."""
        return self._process is not None and self._runs != self.launch.digest

    def limit(self, limits: Limits) -> None:
        """Start the next Envoy with these limits. Raises ConfigError where the memory of this host forbids them (G7)."""
        self.launch = _launch(self._settings, self._folder, self.binary, limits)

    def check(self, limits: Limits) -> None:
        """Raise ConfigError where the memory limit of this host, as it is now, forbids these limits (G7)."""
        _launch(self._settings, self._folder, self.binary, limits)

    async def adopt(self) -> bool:
        """Take over the Envoy of an earlier agent; one that cannot be taken over is stopped."""
        found = process.find(self.launch)
        if found is None:
            return False
        self._process, is_same = found
        self._runs = self.launch.digest if is_same else ""
        if is_same and await self.admin.is_answering():
            log.info("envoy_adopted", pid=self.pid)
            return True
        log.info("envoy_replaced", pid=self.pid, reason="started otherwise" if not is_same else "does not answer")
        await self.stop()
        await self.ended()
        return False

    def start(self) -> None:
        """Start an Envoy; returns before it serves. Raises ConfigError where it cannot even be started."""
        self._is_stopping = False
        self._process = process.start(self.launch)
        self._runs = self.launch.digest
        log.info("envoy_started", pid=self.pid, version=self.binary.version)

    async def ended(self) -> tuple[str, bool]:
        """Wait for the end of the Envoy that runs; return its cause, and whether we had asked for it."""
        assert self._process is not None
        running = self._process
        cause = await running.wait()
        running.close()
        self._process = None
        return cause, self._is_stopping

    async def is_live(self) -> bool:
        return self._process is not None and await self.admin.is_live()

    async def stop(self, *, drain: bool = True) -> None:
        """Stop the Envoy that runs, gently first; `ended` returns then."""
        running = self._process
        if running is None:
            return
        self._is_stopping = True
        if drain:
            await self._drained()
        for number in (signal.SIGTERM, signal.SIGKILL):
            running.signal(number)
            try:
                async with asyncio.timeout(_TERM_PATIENCE):
                    await running.wait()
                    return
            except TimeoutError:
                log.warning("envoy_does_not_stop", pid=running.pid, after=number.name)

    async def _drained(self) -> None:
        """Send clients away with their next answer, and wait until they are gone, or time is up."""
        try:
            async with asyncio.timeout(self._settings.drain):
                await self.admin.fail_health_checks()
                await self.admin.drain_listeners()
                while await self.admin.connections():  # noqa: ASYNC110 - Envoy has no event for us
                    await asyncio.sleep(0.05)
        except (TimeoutError, UnavailableError):
            return

    async def kill(self) -> None:
        """Make sure that nothing runs any more."""
        running = self._process
        if running is not None:
            running.signal(signal.SIGKILL)
            await self.ended()

    def leave(self) -> None:
        """Let go of the Envoy that runs, for the next agent to adopt."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def forget(self) -> None:
        """Remove what a stopped Envoy leaves."""
        process.forget(self._folder)

    def trim_log(self) -> None:
        process.trim_log(self._folder)


def _launch(settings: AgentSettings, folder: Path, binary: Binary, limits: Limits) -> Launch:
    limit = memory_limit()
    content = bootstrap(
        BootstrapSettings(
            edge=settings.edge,
            admin=str(folder / "admin.sock"),
            ads=str(folder / "ads.sock"),
            max_heap=allowed_heap(limit.size, limits.max_heap or settings.max_heap),
            max_connections=limits.max_connections or settings.max_connections,
            watches_cgroup=limit.is_group_root,
            refused=str(folder / REFUSED_FILE),
        )
    )
    return Launch(
        binary=binary,
        folder=str(folder),
        bootstrap=json.dumps(content, indent=1, sort_keys=True).encode(),
        concurrency=settings.concurrency,
        is_bound=settings.is_bound,
    )
