"""Handling: what TrafficPolicies amount to for a route, and for a backend.

Pure. Fields hold what was written, since that is bounded and has its defaults; None is our own default, which the edge's
builder knows. Next room: `gateway.traffic` fills them, `gateway.graph` carries them.
"""

from typing import Final, Literal

import msgspec

from seawall.gateway.resources import backend_traffic as backend
from seawall.gateway.resources import traffic
from seawall.kit.units import Seconds

RetryReason = traffic.RetryReason
ZoneShare = backend.ZoneShare
REQUEST_FIELDS: Final = (
    "timeouts",
    "retry",
    "session_persistence",
    "fault",
    "bandwidth",
    "compression",
    "request_body",
    "error_pages",
    "direct_response",
)
"""What a policy says of requests."""
BACKEND_FIELDS: Final = (
    "protocol",
    "load_balancing",
    "health_check",
    "outlier_ejection",
    "circuit_breaker",
    "retry_budget",
    "connections",
)
"""What a policy says of a backend."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Which policy a field is from, and those that have it too and are less specific."""

    field: str
    policy: str
    over: tuple[str, ...] = ()


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Requests with the same cookie or header go to the endpoint that it names. `lifetime` None: until the browser closes."""

    type: Literal["Cookie", "Header"]
    name: str
    lifetime: Seconds | None = None


class Handling(msgspec.Struct, frozen=True, kw_only=True):
    """How the requests of a route travel. Timeouts and retries are in its action already."""

    session: Session | None = None
    fault: traffic.Fault | None = None
    bandwidth: traffic.Bandwidth | None = None
    compression: traffic.Compression | None = None
    request_body: traffic.RequestBody | None = None
    error_pages: tuple[traffic.ErrorPage, ...] = ()
    sources: tuple[Source, ...] = ()
    left_out: tuple[str, ...] = ()
    """Fields that cannot be kept beside others: only one of them may make a request wait (`envoy.traffic` says why)."""

    @property
    def has_filters(self) -> bool:
        """Say whether it takes a filter to do this."""
        parts = (self.session, self.fault, self.bandwidth, self.compression, self.request_body)
        return bool(self.error_pages) or any(part is not None for part in parts)


def waiting(
    body: traffic.RequestBody | None, bandwidth: traffic.Bandwidth | None, fault: traffic.Fault | None
) -> tuple[str, ...]:
    """Name what makes requests wait, what matters most first."""
    found = {
        "requestBody.buffer": body is not None and body.buffer,
        "bandwidth.request": bandwidth is not None and bandwidth.request is not None,
        "fault.delay": fault is not None and fault.delay is not None,
    }
    return tuple(name for name, is_given in found.items() if is_given)


class RetryBudget(msgspec.Struct, frozen=True, kw_only=True):
    """Retries may be `percent` of the requests of `interval` (None: under way), at least `min_concurrent`."""

    percent: float
    min_concurrent: int
    interval: Seconds | None = None


class Treatment(msgspec.Struct, frozen=True, kw_only=True):
    """How a backend is treated, whoever sends to it."""

    load_balancing: backend.LoadBalancing | None = None
    health_check: backend.HealthCheck | None = None
    outlier_ejection: backend.OutlierEjection | None = None
    circuit_breaker: backend.CircuitBreaker | None = None
    retry_budget: RetryBudget | None = None
    connections: backend.Connections | None = None
    sources: tuple[Source, ...] = ()
