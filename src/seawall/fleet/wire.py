"""The messages between an agent and its control plane: one bidirectional stream, MessagePack, tagged unions.

Pure. Why not ADS between the two: a snapshot must arrive whole, be kept whole, be fallen back to whole (and, with
signatures, be verified whole); ADS sends per type and has no such boundary. Envoy itself is spoken to in ADS, by the
agent beside it. `seawall.server.edges` serves this stream, `seawall.agent.uplink` calls it.

    edge ──Hello──▶            edge ◀──Publish── (whole, then changes against `base`)
    edge ──Applied/Rejected──▶ edge ◀──Order──   (drain, restart, fall back)
    edge ──Heartbeat──▶
"""

from typing import Literal

import msgspec

from seawall.xds.resource import Ref, Resource

SERVICE = "seawall.edge.v1.Edge"
METHOD = "Connect"


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """First message of an edge. `held` is the version of the snapshot on its disk, empty if none; a server that
    knows it sends only the difference."""

    edge: str
    held: str = ""
    software: str = ""
    envoy: str = ""
    labels: dict[str, str] = {}


class Publish(msgspec.Struct, frozen=True, kw_only=True, tag="publish"):
    """Make `version` yours: take `base`, put these, remove those. `base` empty starts from nothing.

    A large one comes in parts: all but the last say `more`; nothing of it counts before the last has come.
    """

    version: str
    base: str
    put: tuple[Resource, ...] = ()
    remove: tuple[Ref, ...] = ()
    more: bool = False


class Applied(msgspec.Struct, frozen=True, kw_only=True, tag="applied"):
    """Envoy has answered to every resource of `version` that it asked for, and the edge's disk holds it; `Rejected`
    lists the exceptions."""

    version: str
    at: float
    took: float = 0.0


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that cannot be used here, in the words of who refused it (Envoy, or the agent: a port in use)."""

    ref: Ref
    version: str
    message: str


class Rejected(msgspec.Struct, frozen=True, kw_only=True, tag="rejected"):
    """The full list of what this edge does not run, of `version`; empty when it is all well again."""

    version: str
    rejections: tuple[Rejection, ...]


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag="heartbeat"):
    """Every few seconds. `running` is the version that Envoy serves; `fallback` says why it is not the wanted one;
    `problem` is what else an operator should see to on that host: its disk, its certificate."""

    at: float
    running: str
    is_ready: bool
    envoy: Literal["starting", "live", "draining", "down", "fallback"]
    deaths: int = 0
    fallback: str = ""
    problem: str = ""
    stats: dict[str, float] = {}


class Order(msgspec.Struct, frozen=True, kw_only=True, tag="order"):
    """What an operator tells an edge to do beside the configuration."""

    verb: Literal["drain", "undrain", "restart"]
    reason: str = ""


Up = Hello | Applied | Rejected | Heartbeat
Down = Publish | Order
