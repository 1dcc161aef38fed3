"""Scratch: a sacrificial Envoy that runs a snapshot, rebound, beside the one that serves. It may die; nobody notices.

Talks to processes, to its own ADS socket, and to Envoy's admin endpoint. One worker, the lowest priority, the first that the
kernel kills when memory runs out, and dead with whoever started it, however he dies.
Next rooms: `agent.taster` has one, `app.sandbox` two.
"""

import asyncio
import json
import os
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import msgspec

from seawall.agent import process
from seawall.agent.admin import Admin
from seawall.agent.binary import Binary
from seawall.agent.process import EnvoyProcess, Launch, cpu_seconds
from seawall.agent.stand_in import stand_in
from seawall.envoy.bootstrap import BootstrapSettings, bootstrap
from seawall.envoy.rebind import rebind
from seawall.fleet.bundle import Limits
from seawall.kit.errors import UnavailableError
from seawall.kit.units import Seconds
from seawall.server.ads import AdsService, Report, serving
from seawall.server.hub import Hub
from seawall.xds.events import Applied, Rejected
from seawall.xds.resource import LISTENER, Ref
from seawall.xds.snapshot import Snapshot

_MIB = 1 << 20
_HEAP = 512 * _MIB
_BESIDES_HEAP = 256 * _MIB
_POLL = 0.02
_SAMPLE = 0.1
_SILENCE = Seconds(0.5)
_NICE = 15
_LONGEST = 70
FILTER_ERRORS = r"^http\..*\.(lua\..*errors|wasm\..*(error|fail|crash).*|dynamic_modules?.*(error|fail|crash).*)$"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What the process has taken at a moment: resident memory in MiB, CPU in seconds."""

    at: float
    memory: float
    cpu: float


class Scratch:
    """A scratch Envoy that has been started. `death` is empty while it lives."""

    def __init__(self, running: EnvoyProcess, admin: Admin, service: AdsService, wanted: Snapshot, most: float) -> None:
        self.rejections: dict[Ref, Rejected] = {}
        self.death = ""
        self.usages: list[Usage] = []
        self.ports: dict[str, int] = {}
        self._running = running
        self._admin = admin
        self._service = service
        self._wanted = wanted
        self._most = most
        self._applied = ""
        self._quiet_since = 0.0

    def report(self, report: Report) -> None:
        """Take what its Envoy says on the ADS stream."""
        match report:
            case Rejected():
                self.rejections[report.ref] = report
            case Applied(version=version):
                self._applied = version
            case _:
                pass

    async def ready(self, patience: Seconds, excused: Collection[Ref] = ()) -> str:
        """Wait until it serves everything; return why it does not, empty if it does. `excused` may be refused."""
        waits_for = "it does not answer"
        try:
            async with asyncio.timeout(patience):
                while True:
                    if self.death:
                        return f"Envoy died while it took the configuration: {self.death}"
                    refused = {ref: one for ref, one in self.rejections.items() if ref not in excused}
                    if refused:
                        return _refusals(refused)
                    waits_for = await self._missing()
                    if not waits_for:
                        return ""
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            return f"Envoy was not ready after {patience:g} s: {waits_for}"

    async def _missing(self) -> str:
        try:
            if not await self._admin.is_live():
                return "it has not initialised"
            self.ports = await self._admin.ports()
        except UnavailableError:
            return "its admin endpoint does not answer"
        refused = {ref.name for ref in self.rejections if ref.type_url == LISTENER}
        missing = sorted(set(self._wanted.resources(LISTENER)) - set(self.ports) - refused)
        if missing:
            return f"listener {missing[0]} is not bound ({len(missing)} of {len(self._wanted.resources(LISTENER))})"
        return "" if self._is_settled() else "it has not acknowledged everything"

    def _is_settled(self) -> bool:
        """All is applied; or all that it ever asked for is answered, and it asks no more."""
        if self._applied == self._wanted.version:
            return True
        states = [state for _, state in self._service.states()]
        is_answered = any(
            state.types
            and not state.awaited
            and all(not of.in_flight and of.pending <= of.rejected for of in state.types)
            for state in states
        )
        if not is_answered:
            self._quiet_since = 0.0
            return False
        self._quiet_since = self._quiet_since or time.monotonic()
        return time.monotonic() - self._quiet_since > _SILENCE

    async def filter_errors(self) -> dict[str, float]:
        """Return the counters of filters that failed, above zero."""
        try:
            found = await self._admin.numbers(FILTER_ERRORS)
        except UnavailableError:
            return {}
        return {name: value for name, value in found.items() if value}

    async def is_answering(self) -> bool:
        """Envoy's main thread answers."""
        return not self.death and await self._admin.is_answering()

    def usage(self) -> Usage:
        """Return the last sample."""
        return self.usages[-1] if self.usages else Usage(at=time.monotonic(), memory=0.0, cpu=0.0)

    async def settle(self) -> None:
        """Wait a moment for the news of a death that has just been."""
        for _ in range(10):
            if self.death:
                return
            await asyncio.sleep(_POLL)

    async def watch(self) -> None:
        """Sample what it takes until it ends; a greedy one is killed."""
        async with asyncio.TaskGroup() as group:
            sampler = group.create_task(self._sample(), name="scratch-usage")
            self.death = await self._running.wait()
            sampler.cancel()

    async def _sample(self) -> None:
        while True:
            with suppress(OSError, IndexError, ValueError):
                self.usages.append(_usage(self._running.pid))
                if self.usages[-1].memory * _MIB > self._most:
                    self._running.signal(signal.SIGKILL)
            await asyncio.sleep(_SAMPLE)


@asynccontextmanager
async def scratch(
    binary: Binary, folder: Path, snapshot: Snapshot, limits: Limits, name: str = "taste"
) -> AsyncIterator[Scratch]:
    """Start a scratch Envoy on a snapshot, rebound; it and all that it left are gone when the block is left."""
    async with AsyncExitStack() as stack:
        home = _folder(folder, name)
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        wanted = await asyncio.to_thread(rebind, snapshot, str(home / "stand-in.sock"))
        await stack.enter_async_context(stand_in(home / "stand-in.sock"))
        hub, reports = Hub(), list[Report]()
        listeners = [reports.append]
        service = AdsService(lambda node, cluster: hub, lambda node, report: listeners[0](report))
        await stack.enter_async_context(serving(service, f"unix:{home / 'ads.sock'}"))
        hub.publish(wanted)
        heap = limits.max_heap or _HEAP
        admin = Admin(str(home / "admin.sock"))
        stack.push_async_callback(admin.close)
        running = _start(binary, home, heap)
        stack.push_async_callback(_end, running)
        one = Scratch(running, admin, service, wanted, heap + _BESIDES_HEAP)
        listeners[0] = one.report
        for report in reports:
            one.report(report)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        watcher = group.create_task(one.watch(), name=f"scratch-{name}")
        stack.callback(watcher.cancel)
        yield one


def _folder(folder: Path, name: str) -> Path:
    """Make a folder whose path is short enough for unix sockets."""
    parent = folder if len(os.fsencode(folder.absolute())) <= _LONGEST else None
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent)).absolute()


def _start(binary: Binary, home: Path, heap: int) -> EnvoyProcess:
    settings = BootstrapSettings(
        edge="scratch", admin=str(home / "admin.sock"), ads=str(home / "ads.sock"), max_heap=heap, max_connections=1000
    )
    content = json.dumps(bootstrap(settings)).encode()
    running = process.start(Launch(binary=binary, folder=str(home), bootstrap=content, concurrency=1, is_bound=True))
    with suppress(OSError):
        # Envoy has not begun: its threads inherit this. A core dump of a death that we wait for is of no use.
        os.setpriority(os.PRIO_PROCESS, running.pid, _NICE)
        resource.prlimit(running.pid, resource.RLIMIT_CORE, (0, 0))
        Path(f"/proc/{running.pid}/oom_score_adj").write_text("1000")
    return running


async def _end(running: EnvoyProcess) -> None:
    running.signal(signal.SIGKILL)
    await running.wait()
    running.close()


def _usage(pid: int) -> Usage:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Usage(
        at=time.monotonic(),
        memory=pages * resource.getpagesize() / _MIB,
        cpu=cpu_seconds(pid),
    )


def _refusals(rejections: dict[Ref, Rejected]) -> str:
    first = next(iter(rejections.values()))
    kind = first.ref.type_url.rpartition(".")[2]
    more = f" (and {len(rejections) - 1} more)" if len(rejections) > 1 else ""
    return f"Envoy does not take {kind} {first.ref.name} ({first.cause}): {first.message[:500]}{more}"
