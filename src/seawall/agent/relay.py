"""Relay: the ADS server that Envoy talks to, on a unix socket beside it.

The protocol is `server.ads` and `xds.stream`, the same code that serves a fleet; here is what is particular to an edge:
listeners that this host cannot bind are withheld, and what Envoy says is turned into rejections and settled versions.
"""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from seawall.agent.preflight import refusal
from seawall.agent.supervisor import Supervisor
from seawall.envoy import filters
from seawall.envoy.runtime import RUNTIME_REF, switch
from seawall.fleet.sockets import Socket, socket_of
from seawall.fleet.wire import Rejection
from seawall.fleet.withholding import Withholding
from seawall.kit.units import Seconds
from seawall.server.ads import AdsService, Connected, Disconnected, Report, serving
from seawall.server.hub import Hub
from seawall.xds.events import Applied, Recovered, Rejected
from seawall.xds.resource import EXTENSION, LISTENER, Ref, Resource, ResourceName
from seawall.xds.snapshot import Change, Snapshot

log = structlog.get_logger(__name__)

_REMEMBERED = 64
_SILENCE = Seconds(2.0)
"""An Envoy that has asked for nothing more for so long will not."""
_MOST_REJECTIONS = 1000


class Relay:
    """What Envoy is given. Versions in and out are those of the whole snapshot, withheld listeners included."""

    def __init__(
        self, supervisor: Supervisor, *, on_settled: Callable[[str], None], on_rejections: Callable[[], None]
    ) -> None:
        self._supervisor = supervisor
        self._on_settled = on_settled
        self._on_rejections = on_rejections
        self._hub = Hub()
        self._service = AdsService(lambda node, cluster: self._hub, self._on_report)
        self._withholding = Withholding(self._preflight)
        self._refused: dict[Ref, Rejection] = {}
        # Which whole snapshot stands behind what Envoy acknowledges, for the last few.
        self._versions: OrderedDict[str, str] = OrderedDict()
        self._quiet = ("", 0.0)
        # What is ours to say beside the snapshot: it belongs to no bundle and to no version of one.
        self._judging: dict[Ref, Resource] = {}
        self._judging_refused: dict[Ref, str] = {}
        self._published = ""

    @property
    def listeners(self) -> int:
        """How many listeners Envoy is given."""
        return len(self._withholding.relayed.resources(LISTENER))

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """Everything that this edge does not run, and why."""
        return (*self._withholding.withheld.values(), *self._refused.values())[:_MOST_REJECTIONS]

    @asynccontextmanager
    async def serving(self, socket: Path) -> AsyncIterator[None]:
        """Serve while the block runs. An Envoy that is adopted comes back by itself."""
        async with serving(self._service, f"unix:{socket}"):
            _make_private(socket)
            try:
                yield
            finally:
                _remove(socket)

    def take(self, change: Change, version: str) -> None:
        """Give Envoy what leads to the snapshot `version`."""
        before = self.rejections
        self._publish(self._withholding.take(change), version)
        self._report_if_new(before)

    def renew(self, snapshot: Snapshot, held: Collection[ResourceName] = ()) -> None:
        """Another Envoy is to be given `snapshot`; it holds the sockets of the listeners `held` already."""
        before = self.rejections
        self._refused.clear()
        change = self._withholding.renew(snapshot, held)
        # An empty snapshot at this point means that we know nothing yet. Say nothing: an adopted Envoy keeps what it
        # has, a new one waits for the control plane's first word.
        if len(snapshot):
            self._publish(change, snapshot.version)
        self._report_if_new(before)

    def ports(self) -> set[int]:
        """Name the ports that Envoy is to listen on."""
        sockets = (socket_of(name) for name in self._withholding.relayed.resources(LISTENER))
        return {one.port for one in sockets if one is not None}

    def ports_with(self, *words: bytes) -> set[int]:
        """Name the ports of listeners that have all of these in them."""
        listeners = self._withholding.relayed.resources(LISTENER)
        found = (socket_of(name) for name, one in listeners.items() if all(word in one.body for word in words))
        return {one.port for one in found if one is not None}

    def chains(self) -> int:
        """Count the filter chains that have the filters of verdicts, each a copy of its own."""
        name = filters.VERDICTS[0].encode()
        return sum(one.body.count(name) for one in self._withholding.relayed.resources(LISTENER).values())

    def runtime_number(self, key: str, otherwise: float) -> float:
        """Return a number of Envoy's runtime, as it was told."""
        resource = self._withholding.relayed.get(RUNTIME_REF)
        return switch(resource, key, otherwise) if resource is not None else otherwise

    def judge(self, resources: Collection[Resource]) -> None:
        """Give Envoy the filters of verdicts, whatever snapshot it has; with its first one if it has none yet."""
        self._judging |= {one.ref: one for one in resources}
        for one in resources:
            self._judging_refused.pop(one.ref, None)
        if self._published:
            self._publish(Change(), self._published)

    def is_judging(self) -> bool:
        """Say whether Envoy has answered to all filters of verdicts; one that wants none has."""
        version = self._withholding.relayed.version
        states = [state for _, state in self._service.states()]
        return not self._published or any(
            state.version == version
            and all(not of.in_flight and of.pending <= of.rejected for of in state.types if of.type_url == EXTENSION)
            for state in states
        )

    def refused_judge(self, ref: Ref) -> str:
        """Return why Envoy refuses the filter of verdicts, empty if it does not."""
        return self._judging_refused.get(ref, "")

    def retry(self, snapshot: Snapshot) -> None:
        """Try the withheld listeners again."""
        if not self._withholding.withheld:
            return
        before = self.rejections
        change = self._withholding.retry(snapshot)
        if not change.is_empty:
            self._publish(change, snapshot.version)
        self._report_if_new(before)

    def look(self) -> None:
        """Notice that Envoy has answered to everything that it will ever ask for.

        The stream itself reports only what is applied to the last resource: not what was refused in part, nor what
        nobody asks for because the listener that would (for its routes) is withheld.
        """
        for _, state in self._service.states():
            is_answered = all(of.in_flight == 0 and of.pending <= of.rejected for of in state.types)
            if state.awaited or not is_answered or not state.types or state.version not in self._versions:
                self._quiet = ("", 0.0)
                continue
            if self._quiet[0] != state.version:
                self._quiet = (state.version, time.monotonic())
            if state.rejected or time.monotonic() - self._quiet[1] > _SILENCE:
                self._on_settled(self._versions[state.version])

    def _publish(self, change: Change, version: str) -> None:
        self._published = version
        change = self._with_judging(change)
        relayed = self._withholding.relayed
        self._versions[relayed.version] = version
        self._versions.move_to_end(relayed.version)
        while len(self._versions) > _REMEMBERED:
            self._versions.popitem(last=False)
        self._hub.publish(relayed, change)

    def _with_judging(self, change: Change) -> Change:
        """Add what is ours, where it is not there or has just gone with another snapshot."""
        relayed = self._withholding.relayed
        held = {ref: relayed.get(ref) for ref in self._judging}
        missing = [
            one for ref, one in self._judging.items() if (old := held[ref]) is None or old.version != one.version
        ]
        if missing:
            self._withholding.take(Change(put=tuple(missing)))
        remove = tuple(ref for ref in change.remove if ref not in self._judging)
        return Change(put=(*change.put, *missing), remove=remove)

    def _on_report(self, node: str, report: Report) -> None:
        match report:
            case Applied(version=version):
                self._on_settled(self._versions.get(version, ""))
            case Rejected(ref=ref, message=message) if ref in self._judging:
                self._judging_refused[ref] = message
            case Recovered(ref=ref) if ref in self._judging:
                self._judging_refused.pop(ref, None)
            case Rejected(ref=ref, version=version, message=message):
                self._refused[ref] = Rejection(ref=ref, version=version, message=message)
                self._on_rejections()
            case Recovered(ref=ref):
                if self._refused.pop(ref, None) is not None:
                    self._on_rejections()
            case Connected():
                log.debug("envoy_connected", node=node)
            case Disconnected(reason=reason):
                log.debug("envoy_disconnected", node=node, reason=reason)

    def _report_if_new(self, before: tuple[Rejection, ...]) -> None:
        if self.rejections != before:
            self._on_rejections()

    def _preflight(self, wanted: Socket) -> str:
        return refusal(wanted, envoy_pid=self._supervisor.pid, binary=self._supervisor.binary.path)


def _make_private(socket: Path) -> None:
    socket.chmod(0o600)


def _remove(socket: Path) -> None:
    socket.unlink(missing_ok=True)
