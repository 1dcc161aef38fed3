"""Edges: what is known of each edge of the fleet.

Pure: time arrives with what was heard. Bounded: edges that went away are forgotten after a while.
Next room: `seawall.server.edges` feeds it, `seawall.console` shows it.
"""

import msgspec

from seawall.fleet.wire import MOST_SOCKETS, Applied, Heartbeat, Hello, Refused, Rejected, Rejection, Tally, Tasted, Up
from seawall.kit.units import Instant, Seconds

FORGOTTEN_AFTER = Seconds(600.0)
SILENT_AFTER = Seconds(15.0)
"""Three heartbeats missed: the stream may be open, the edge is not well (delivery guard: silence is a failure)."""
_MOST = 10_000


class EdgeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One edge, as last heard. `sent` is the version it was told to run and `assigned` its bundle, `applied` the version
    that it acknowledged last, whole; `refused` says why it does not run what it was told."""

    edge: str
    is_connected: bool
    since: Instant
    heard_at: Instant
    software: str = ""
    envoy: str = ""
    labels: dict[str, str] = {}
    sent: str = ""
    applied: str = ""
    applied_at: Instant = Instant(0.0)
    took: Seconds = Seconds(0.0)
    rejections: tuple[Rejection, ...] = ()
    heartbeat: Heartbeat | None = None
    assigned: str = ""
    tasted: str = ""
    refused: Refused | None = None
    tally: Tally | None = None

    @property
    def bundle(self) -> str:
        """Name what its Envoy serves; empty until it has said so."""
        return self.heartbeat.bundle if self.heartbeat is not None else ""

    @property
    def kept(self) -> tuple[str, ...]:
        """Name the bundles on its disk that it can go back to by itself."""
        return self.heartbeat.kept if self.heartbeat is not None else ()

    @property
    def pinned(self) -> str:
        """Name the bundle that an operator of its host has chosen; empty if none has."""
        return self.heartbeat.pinned if self.heartbeat is not None else ""

    @property
    def region(self) -> str:
        return self.labels.get("region", "")

    @property
    def cell(self) -> str:
        return self.labels.get("cell", "")

    def is_well(self, at: Instant) -> bool:
        """Connected, heard of lately, ready, and running what it was told, all of it."""
        return (
            self.is_connected
            and at - self.heard_at < SILENT_AFTER
            and self.heartbeat is not None
            and self.heartbeat.is_ready
            and self.applied == self.sent
            and not self.rejections
            and (self.refused is None or self.refused.bundle != self.assigned)
        )


class Edges:
    """The edges by name."""

    def __init__(self) -> None:
        self._edges: dict[str, EdgeStatus] = {}

    def connected(self, hello: Hello, at: Instant) -> None:
        known = self._edges.pop(hello.edge, None)
        self._edges[hello.edge] = EdgeStatus(
            edge=hello.edge,
            is_connected=True,
            since=at,
            heard_at=at,
            software=hello.software,
            envoy=hello.envoy,
            labels=hello.labels,
            applied=known.applied if known is not None else "",
            applied_at=known.applied_at if known is not None else Instant(0.0),
        )
        if len(self._edges) > _MOST:
            self._forget(at)

    def disconnected(self, edge: str, at: Instant) -> None:
        self._change(edge, is_connected=False, since=at)

    def sent(self, edge: str, version: str, bundle: str = "") -> None:
        self._change(edge, sent=version, assigned=bundle)

    def heard(self, edge: str, message: Up, at: Instant) -> None:
        match message:
            case Applied(version=version, took=took):
                self._change(edge, heard_at=at, applied=version, applied_at=at, took=Seconds(took), refused=None)
            case Rejected(rejections=rejections):
                self._change(edge, heard_at=at, rejections=rejections)
            case Heartbeat():
                self._change(edge, heard_at=at, heartbeat=message)
            case Tasted(bundle=bundle):
                self._change(edge, heard_at=at, tasted=bundle)
            case Refused():
                self._change(edge, heard_at=at, refused=message)
            case Tally():
                self._change(edge, heard_at=at, tally=message)
            case Hello():
                self._change(edge, heard_at=at)

    def list(self, at: Instant) -> tuple[EdgeStatus, ...]:
        """Return all edges by name."""
        self._forget(at)
        return tuple(self._edges[name] for name in sorted(self._edges))

    def silent(self, at: Instant, after: Seconds = SILENT_AFTER) -> tuple[str, ...]:
        """Name the edges that have said nothing for so long, whether their stream is open or not."""
        return tuple(name for name, edge in sorted(self._edges.items()) if at - edge.heard_at >= after)

    def connections(self, socket: str) -> int:
        """Say how many connections all edges have open on a socket; -1 where none has said."""
        if not socket.startswith("tcp/"):
            return -1
        told = [edge.tally.sockets for edge in self._edges.values() if edge.tally is not None]
        # Envoy says nothing of a socket that nobody has come to; but a list that is full may have left it out.
        known = [sockets.get(socket, 0) for sockets in told if socket in sockets or len(sockets) < MOST_SOCKETS]
        return sum(known) if known else -1

    def get(self, edge: str) -> EdgeStatus | None:
        return self._edges.get(edge)

    def _change(self, edge: str, **fields: object) -> None:
        known = self._edges.get(edge)
        if known is not None:
            self._edges[edge] = msgspec.structs.replace(known, **fields)

    def _forget(self, at: Instant) -> None:
        gone = [edge for edge in self._edges.values() if not edge.is_connected]
        excess = len(self._edges) - _MOST
        for index, edge in enumerate(sorted(gone, key=lambda edge: edge.since)):
            if index < excess or at - edge.since > FORGOTTEN_AFTER:
                del self._edges[edge.edge]
