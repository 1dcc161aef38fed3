"""The messages between an agent and its control plane: one bidirectional stream, MessagePack, tagged unions.

Pure. Why not ADS between the two: a snapshot must arrive whole, be kept whole, be fallen back to whole (and, with
signatures, be verified whole); ADS sends per type and has no such boundary. Envoy itself is spoken to in ADS, by the
agent beside it. `seawall.server.edges` serves this stream, `seawall.agent.uplink` calls it.

    edge ──Hello──▶                    edge ◀──Publish── (whole, then changes against `base`; both signed)
    edge ──Tasted/Refused──▶           edge ◀──Order──   (drain, restart)
    edge ──Applied/Rejected──▶         edge ◀──Watch──   (what to count, which requests to make)
    edge ──Heartbeat, Tally──▶         edge ◀──Shares── (of limits that the fleet has together)
    edge ──Used──▶                     edge ◀──Verdicts── (what to do with whom: the protection's own way)
    edge ──Traffic, Held──▶
"""

from typing import Literal

import msgspec

from seawall.fleet.bundle import Signed
from seawall.fleet.verdicts import Entry
from seawall.traffic.delta import WindowDelta
from seawall.xds.resource import Ref, Resource

SERVICE = "seawall.edge.v1.Edge"
METHOD = "Connect"


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """First message of an edge. `held` is the version of the snapshot on its disk, empty if none; a server that
    knows it sends only the difference. `kept` are the names of the bundles on its disk besides: `Publish` says how it is
    told to go to one of them."""

    edge: str
    held: str = ""
    software: str = ""
    envoy: str = ""
    labels: dict[str, str] = {}
    kept: tuple[str, ...] = ()


class Publish(msgspec.Struct, frozen=True, kw_only=True, tag="publish"):
    """Make `version` yours: take `base`, put these, remove those. `base` empty starts from nothing.

    A large one comes in parts: all but the last say `more`; nothing of it counts before the last has come. The last one
    carries the signed `bundle` and the signed `assignment` to run it; what is not signed by a trusted key is not run.

    `base` may be what the edge was sent last, or the version of any bundle that it keeps. With `base` equal to `version`
    and nothing to put it is a pointer flip: the edge has all of it already.
    """

    version: str
    base: str
    put: tuple[Resource, ...] = ()
    remove: tuple[Ref, ...] = ()
    more: bool = False
    bundle: Signed | None = None
    assignment: Signed | None = None


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


class Tasted(msgspec.Struct, frozen=True, kw_only=True, tag="tasted"):
    """A sacrificial Envoy on this host has lived with the bundle for as long as was asked; the main one gets it now."""

    bundle: str
    took: float = 0.0
    report: dict[str, float] = {}


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """This edge does not run the bundle, and why: a sentence for people.

    `by` is who refused: the `signature`, the `fence`, the `content` (the bytes are not what was signed), the `memory`
    guard, the `taster`, the `guardian` (Envoy died on it and the last-known-good serves), the local `operator` (a pin).
    """

    bundle: str
    by: Literal["signature", "fence", "content", "memory", "taster", "guardian", "operator"]
    reason: str


MOST_SOCKETS = 64


class Tally(msgspec.Struct, frozen=True, kw_only=True, tag="tally"):
    """What Envoy has counted, every second while a rollout wants it and every few seconds else.

    `counts` are sums since the Envoy process `run` began, so a lost tally loses nothing; a new `run` begins at nothing.
    Names: `COUNTS`. `gauges`: `GAUGES`. `bundle` is what Envoy runs. `sockets` says how many connections each listener has
    open now (`tcp/127.0.0.1/8080`), of at most `MOST_SOCKETS`; one that has never had any may be left out.
    """

    at: float
    run: str
    bundle: str
    counts: dict[str, float]
    gauges: dict[str, float] = {}
    sockets: dict[str, int] = {}


COUNTS = (
    "requests",
    "errors",  # answers 5xx
    "slow",  # answers after more than the objective (`Perimeter`), read from the histogram
    "not_found",
    "denied",  # 401, 403, 429
    "connections",
    "connect_failures",  # to backends
    "upstream_requests",
    "retries",
    "handshakes",
    "handshake_failures",
    "filter_errors",  # lua.errors, ext_authz.error, ext_proc failures, wasm failures: answers may all be 200
    "journeys",
    "journey_failures",
)
GAUGES = ("memory", "memory_limit", "open_connections", "cpu_seconds", "age")
"""Bytes, bytes, count, seconds of CPU since the process began, seconds since it began."""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag="heartbeat"):
    """Every few seconds. `running` is the version that Envoy serves; `fallback` says why it is not the wanted one;
    `problem` is what else an operator should see to on that host: its disk, its certificate. `bundle` is the name of what
    Envoy serves, `kept` are the bundles on this disk that it can go back to by itself, `pinned` the one that a local
    operator chose, empty if none did; `fence` is the newest that it has obeyed."""

    at: float
    running: str
    is_ready: bool
    envoy: Literal["starting", "live", "draining", "down", "fallback"]
    deaths: int = 0
    fallback: str = ""
    problem: str = ""
    stats: dict[str, float] = {}
    bundle: str = ""
    kept: tuple[str, ...] = ()
    pinned: str = ""
    fence: int = 0


class Used(msgspec.Struct, frozen=True, kw_only=True, tag="used"):
    """How many requests each policy's limits have been asked for, since the Envoy process `run` began; `at` is the edge's
    own clock, which nobody sets. Said several times a second while there are limits that the fleet shares."""

    at: float
    run: str
    counts: dict[str, float]


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What a request costs this edge in the buckets of one policy, and what to do when nobody says so any more."""

    slot: int
    cost: int
    when_away: Literal["keepShare", "open", "closed"] = "keepShare"


class Shares(msgspec.Struct, frozen=True, kw_only=True, tag="shares"):
    """All shares of this edge, each time; several times a second, for silence means that the control plane is away."""

    shares: tuple[Share, ...]


class Order(msgspec.Struct, frozen=True, kw_only=True, tag="order"):
    """What an operator tells an edge to do beside the configuration."""

    verb: Literal["drain", "undrain", "restart"]
    reason: str = ""


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """A request that must work: the edge makes it of its own Envoy and expects the answer `status`."""

    name: str
    url: str
    method: str = "GET"
    headers: dict[str, str] = {}
    status: int = 200


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """When an edge lets in only a part of its clients after a start of Envoy, and how it opens: see `fleet.ramp`.

    Args:
        ramp: `evidence`: after the fourth start within two minutes, or when memory fills right after one; `restart`: after each
            death of an Envoy that had `busy` requests a second or more, too; `off`: never.
        step: seconds between one share and the next.
        memory: the part of its heap above which Envoy counts as crowded; 0.1 below it the door opens on, 0.1 above it it shuts.
    """

    ramp: Literal["evidence", "restart", "off"] = "evidence"
    step: float = 5.0
    memory: float = 0.8
    busy: float = 100.0


class Watch(msgspec.Struct, frozen=True, kw_only=True, tag="watch"):
    """How an edge looks at itself; all of it, each time: how often to send a Tally, which answers are slow (seconds), the
    journeys to make, each every `journey_interval`, and how it comes back after a death."""

    tally_interval: float = 1.0
    slow: float = 1.0
    journeys: tuple[Journey, ...] = ()
    journey_interval: float = 5.0
    recovery: Recovery = Recovery()


class Traffic(msgspec.Struct, frozen=True, kw_only=True, tag="traffic"):
    """One second of this edge's traffic, once a second where somebody wants to know."""

    delta: WindowDelta


class Verdicts(msgspec.Struct, frozen=True, kw_only=True, tag="verdicts"):
    """Change the verdicts in force: put these, end those. `whole` says that these are all: after a greeting, and when an
    edge has missed something. `number` counts up; an edge that sees a hole in it says so in `Held` and gets the whole."""

    number: int
    whole: bool = False
    put: tuple[Entry, ...] = ()
    gone: tuple[str, ...] = ()


class Held(msgspec.Struct, frozen=True, kw_only=True, tag="held"):
    """Envoy and the kernel of this host act on the verdicts up to `number` (-1: send me all). `refused` says by id which it
    cannot hold, and why; `took` is how long it took, in seconds, from the message to Envoy's word that they act."""

    number: int
    entries: int = 0
    refused: dict[str, str] = {}
    took: float = 0.0


Up = Hello | Applied | Rejected | Tasted | Refused | Tally | Heartbeat | Used | Traffic | Held
Down = Publish | Order | Watch | Shares | Verdicts
