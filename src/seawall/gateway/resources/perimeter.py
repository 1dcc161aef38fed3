"""Perimeter (`seawall.dev/v1alpha1`): the fleet, and how changes reach it. One for a control plane; without one, changes go
out at once (`strategy: immediate`).

Pure. An edge says where it stands with its labels `region` and `cell` (`seawall agent --label region=eu --label cell=eu-1`).

    apiVersion: seawall.dev/v1alpha1
    kind: Perimeter
    metadata: {name: default}
    spec:
      rollout: {strategy: staged}
      regions:
      - name: eu
        cells: [{name: eu-1}, {name: eu-2}]
      - name: us
        cells: [{name: us-1}]
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from seawall.gateway.resources import scalars
from seawall.gateway.resources.scalars import BYTES, DNS_LABEL, DURATION, HTTP_URL, RUNTIME_KEY, TIME, HeaderValue
from seawall.kit.units import Instant, Seconds

_Name = Annotated[str, Meta(min_length=1, max_length=63, pattern=DNS_LABEL)]
_Time = Annotated[str, Meta(max_length=40, pattern=TIME)]
_Duration = Annotated[str, Meta(max_length=20, pattern=DURATION)]
_Bytes = Annotated[str, Meta(max_length=20, pattern=BYTES)]


class Cell(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Edges that share a fate. `is_canary`: the canary is taken from here (else from the first cell)."""

    name: _Name
    is_canary: bool = msgspec.field(name="canary", default=False)


class Region(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Cells that lie near each other. `continent` makes the quarter wave leave the first one's."""

    name: _Name
    continent: Annotated[str, Meta(max_length=63)] = ""
    cells: Annotated[tuple[Cell, ...], Meta(min_length=1, max_length=64)]


class Gates(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """When evidence is evidence.

    Args:
        alpha: the chance of a false rollback for one rollout over all hard gates.
        tolerance: the canary may be so many times worse before it counts.
        silence: an edge unheard of for so long has failed.
        slow: an answer that took longer is slow.
        minimum_requests: the canary stage takes until so many were served, or twice its time.
        dispersion: divides the counts: real errors come in bursts. Learned from A/A runs; 1 for independent ones.
        memory_share: a forecast above this part of the limit within 30 minutes fails.
    """

    alpha: Annotated[float, Meta(gt=0, le=0.1)] = 0.001
    tolerance: Annotated[float, Meta(ge=1, le=10)] = 1.5
    silence: _Duration = "10s"
    slow: _Duration = "1s"
    minimum_requests: Annotated[int, Meta(ge=0, le=10_000_000)] = 2000
    dispersion: Annotated[float, Meta(ge=1, le=100)] = 1.0
    memory_share: Annotated[float, Meta(gt=0, le=0.95)] = 0.8


class Journey(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A request that must work: each edge makes it of its own Envoy every few seconds. `tenant` says whose it is."""

    name: _Name
    tenant: Annotated[str, Meta(max_length=63)] = ""
    url: Annotated[str, Meta(max_length=2048, pattern=HTTP_URL)]
    method: Literal["GET", "HEAD", "OPTIONS"] = "GET"
    headers: Annotated[Mapping[str, HeaderValue], Meta(max_length=32)] = {}
    status: Annotated[int, Meta(ge=100, le=599)] = 200


class RolloutPolicy(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How a change goes out.

    Args:
        strategy: `immediate`: guards, Envoy's acknowledgement and the edge's own fall-back; `staged`: all of it.
        pace: multiplies every minimum time of the stages; below 1 is faster than the table of the documentation.
        keep: so many versions stay in the history for `rollout back`.
        quarantine: after a rollback hold the newest suspect's objects back and let the rest go.
    """

    strategy: Literal["immediate", "staged"] = "immediate"
    pace: Annotated[float, Meta(gt=0, le=10)] = 1.0
    keep: Annotated[int, Meta(ge=3, le=1000)] = 50
    quarantine: bool = True
    gates: Gates = Gates()
    journeys: Annotated[tuple[Journey, ...], Meta(max_length=200)] = ()


class DeleteBudget(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A change may remove so much at once, whichever is more; beyond it somebody must say yes (G11)."""

    percent: Annotated[float, Meta(ge=0, le=100)] = 10.0
    items: Annotated[int, Meta(ge=0, le=1_000_000)] = 5


class GuardPolicy(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Bounds of the static guards. `mode: warn` says what they would have done and does not: for trying things out."""

    mode: Literal["enforce", "warn"] = "enforce"
    delete_budget: DeleteBudget = DeleteBudget()
    growth: Annotated[float, Meta(ge=1.0, le=100)] = 1.5
    size_limit: _Bytes = "64Mi"


class FreezeWindow(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Nothing is promoted between the two times; a rollback always is."""

    begins: _Time = msgspec.field(name="from")
    until: _Time
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class Memory(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What Envoy may take on every edge. Nothing: as much as 0.8 of the edge's live limit allows (G7)."""

    max_heap: _Bytes | None = None
    max_connections: Annotated[int, Meta(ge=100, le=10_000_000)] | None = None


class Recovery(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How an edge opens again after its Envoy has died: 30, 60, then 100 % of the requests; who is turned away gets a 503 and a
    Retry-After. Goes to the edges at once, without a rollout.

    Args:
        ramp: `evidence`: where Envoy keeps dying (the fourth start within 2 minutes) or its memory fills in the first minute;
            `restart`: also after a single death under load; `off`: never.
        step: how long each share lasts at least.
        memory_share: the part of Envoy's heap above which it is crowded: the next share waits.
        busy: requests a second from which on an edge is under load.
    """

    ramp: Literal["evidence", "restart", "off"] = "evidence"
    step: _Duration = "5s"
    memory_share: Annotated[float, Meta(ge=0.2, le=0.85)] = 0.8
    busy: Annotated[float, Meta(ge=0)] = 100.0


class Capacity(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What one edge can carry: the peak must fit with the largest region lost and retries doubled (G20)."""

    requests_per_second_per_edge: Annotated[float, Meta(gt=0)]
    peak_requests_per_second: Annotated[float, Meta(gt=0)] | None = None


class Switch(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A kill switch: a key of Envoy's runtime. It goes through the stages like everything, expires by itself, and must have
    been drilled in both positions (G14)."""

    name: _Name
    key: Annotated[str, Meta(min_length=1, max_length=200, pattern=RUNTIME_KEY)]
    value: str | float | bool
    is_on: bool = msgspec.field(name="on", default=False)
    until: _Time | None = None
    drilled_at: _Time | None = None


class Approvals(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which commands need a second person. `rollout back` to a last-known-good never does."""

    verbs: Annotated[tuple[Literal["emergency", "override", "thaw", "promote"], ...], Meta(max_length=4)] = (
        "emergency",
        "override",
    )
    required: Annotated[int, Meta(ge=1, le=2)] = 2


class PerimeterSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All of it; every part has a default that a careful operator would choose."""

    rollout: RolloutPolicy = RolloutPolicy()
    regions: Annotated[tuple[Region, ...], Meta(max_length=64)] = ()
    guards: GuardPolicy = GuardPolicy()
    freeze: Annotated[tuple[FreezeWindow, ...], Meta(max_length=100)] = ()
    approvals: Approvals = Approvals()
    memory: Memory = Memory()
    recovery: Recovery = Recovery()
    capacity: Capacity | None = None
    switches: Annotated[tuple[Switch, ...], Meta(max_length=100)] = ()


_FACTORS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def seconds(duration: str) -> Seconds:
    """Count the seconds of a duration of a Perimeter: `90s`, `1h30m`."""
    return scalars.seconds(duration)


def bytes_of(quantity: str) -> int:
    """Count the bytes of a quantity of a Perimeter: `1Gi`, `1.5G`, `65536`."""
    number = quantity.rstrip("kKMGi")
    whole, _, part = number.partition(".")
    factor = _FACTORS[quantity[len(number) :]]
    return int(whole) * factor + (int(part) * factor // 10 ** len(part) if part else 0)


def instant(time: str) -> Instant:
    """Read a time of a Perimeter. Raises ValueError for what looks like one and is none, as 30 February."""
    minutes = len("2026-01-31T12:00")
    has_seconds = time[minutes : minutes + 1] == ":"
    at = scalars.timestamp(time if has_seconds else f"{time[:minutes]}:00{time[minutes:]}")
    if at is None:
        raise ValueError(f"{time} is no time")
    return at
