"""Tally: what Envoy counts, told to the control plane every second: what a canary is judged by.

Talks to Envoy's admin endpoint and reads /proc. What a number means is said in `envoy.counts`.

Sums are kept here, not taken from Envoy as they are: the counters of a removed backend vanish with it, and an Envoy that
an earlier agent left has counted before. A *run* begins with an Envoy, or with an agent that adopts one, at nothing.
"""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from seawall.agent.cgroup import memory_limit
from seawall.agent.journeys import Journeys
from seawall.agent.parts import Parts
from seawall.agent.process import cpu_seconds
from seawall.envoy.counts import OPEN_CONNECTIONS, Reader, Series, sockets
from seawall.fleet.wire import COUNTS, Tally, Watch
from seawall.kit.errors import UnavailableError
from seawall.kit.units import Seconds

log = structlog.get_logger(__name__)

_SHARE = 0.02
"""Asking costs Envoy's main thread time that grows with its backends (1,000 in use: 35 ms): at most so much of it."""
_PATIENCE = 5
_TICK, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


class Tallier:
    """Counts for one edge. `bundle` names what Envoy runs; `counted` is called with each tally."""

    def __init__(
        self,
        parts: Parts,
        journeys: Journeys,
        bundle: Callable[[], str],
        counted: Callable[[Tally], None] = lambda tally: None,
    ) -> None:
        self._parts = parts
        self._journeys = journeys
        self._bundle = bundle
        self._counted = counted
        self._reader = Reader()
        self._watch = Watch(tally_interval=parts.settings.tally_interval)
        self._changed = asyncio.Event()
        self._run = ""
        self._pid = 0
        self._sums: dict[str, float] = {}
        self._last: dict[tuple[str, str], float] = {}
        self._journeys_before = (0, 0)
        # The next numbers of these are where counting begins, not what has been counted.
        self._skips: frozenset[str] = frozenset()

    def watch(self, watch: Watch) -> None:
        """Count as the control plane wants it."""
        if watch.slow != self._watch.slow:
            self._skips |= {"slow"}
        self._watch = watch
        self._changed.set()

    async def run(self) -> None:
        """Tell until cancelled."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                tally, failures = await self.take(), 0
            except (UnavailableError, OSError, msgspec.MsgspecError) as exc:
                tally, failures = None, failures + 1
                # An Envoy that starts or goes away does not answer for a moment.
                if failures == _PATIENCE:
                    log.warning("envoy_not_counted", reason=str(exc))
            if tally is not None:
                self._counted(tally)
                self._parts.uplink.say(tally)
            pause = max(self._watch.tally_interval, (time.monotonic() - began) / _SHARE, 0.05)
            self._changed.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def take(self) -> Tally | None:
        """Ask Envoy once; None while there is none. Raises UnavailableError where it does not answer."""
        supervisor = self._parts.supervisor
        pid = supervisor.pid
        if not pid:
            return None
        process = _Process.read(pid)
        body = await supervisor.admin.counts()
        if supervisor.pid != pid:
            return None
        self._begin(pid, process)
        series = self._reader.read(body, Seconds(self._watch.slow))
        self._add(series)
        made, failed = self._journeys.made, self._journeys.failed
        self._sums["journeys"] = float(made - self._journeys_before[0])
        self._sums["journey_failures"] = float(failed - self._journeys_before[1])
        gauges = {
            "memory": float(process.memory),
            "memory_limit": float(memory_limit().size),
            "open_connections": sum(one.value for one in series if one.counts_for == OPEN_CONNECTIONS),
            "cpu_seconds": process.cpu,
            "age": process.age,
        }
        return Tally(
            at=time.time(),
            run=self._run,
            bundle=self._bundle(),
            counts=dict(self._sums),
            gauges=gauges,
            sockets=sockets(series),
        )

    def _begin(self, pid: int, process: "_Process") -> None:
        """Begin a run where the Envoy is another than the last time."""
        if pid == self._pid:
            return
        is_ours = not self._parts.supervisor.is_adopted
        self._pid, self._last = pid, {}
        self._run = f"{pid}:{process.started}" if is_ours else f"{pid}:{process.started}:{time.time():.3f}"
        self._sums = dict.fromkeys(COUNTS, 0.0)
        self._skips = frozenset() if is_ours else frozenset(COUNTS)
        self._journeys_before = (self._journeys.made, self._journeys.failed)

    def _add(self, series: list[Series]) -> None:
        newest: dict[tuple[str, str], float] = {}
        for one in series:
            if one.counts_for == OPEN_CONNECTIONS:
                continue
            key = (one.counts_for, one.series)
            newest[key] = one.value
            if one.counts_for in self._skips:
                continue
            before = self._last.get(key, 0.0)
            self._sums[one.counts_for] += one.value - before if one.value >= before else one.value
        self._last, self._skips = newest, frozenset()


class _Process(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel says of a process: bytes, seconds, seconds, clock ticks since the host's start."""

    memory: int
    cpu: float
    age: float
    started: str

    @classmethod
    def read(cls, pid: int) -> "_Process":
        """Raises OSError if it is gone."""
        # The name of the program stands in parentheses and may hold anything, spaces and parentheses too.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return cls(
            memory=pages * _PAGE,
            cpu=cpu_seconds(pid),
            age=max(0.0, uptime - int(fields[19]) / _TICK),
            started=fields[19],
        )
