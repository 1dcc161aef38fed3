"""TrafficPolicy (`seawall.dev/v1alpha1`): how requests travel, and how backends are treated.

Pure. Every field has a default that is right for most; the reason stands beside it. Nothing given means that default.

    apiVersion: seawall.dev/v1alpha1
    kind: TrafficPolicy
    metadata: {name: api, namespace: shop}
    spec:
      targetRefs:
      - {group: gateway.networking.k8s.io, kind: HTTPRoute, name: api}
      timeouts: {request: 10s, backendRequest: 3s}
      retry: {attempts: 3, reasons: [gatewayError]}
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from seawall.gateway.resources.backend_traffic import (
    CircuitBreaker,
    Connections,
    HealthCheck,
    LoadBalancing,
    OutlierEjection,
    RetryShare,
)
from seawall.gateway.resources.filters import SessionPersistence
from seawall.gateway.resources.refs import LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.resources.scalars import MEDIA_TYPE, Duration, HeaderName, HeaderValue

RetryReason = Literal["connectFailure", "reset", "refusedStream", "gatewayError", "serverError", "tooManyRequests"]
Percent = Annotated[float, Meta(gt=0, le=100)]
Body = Annotated[str, Meta(max_length=16_384)]
MediaType = Annotated[str, Meta(min_length=3, max_length=127, pattern=MEDIA_TYPE)]


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How long to wait; `0s` waits for ever.

    `request`: from the end of the request to the end of the response, all tries together; without one there is no limit,
    because a long download, an event stream and a WebSocket are legitimate. `backendRequest`: one try; without one there is
    none. `streamIdle`: how long nothing may be said in either direction; 5m at the door unless this says otherwise, so
    that what hangs is ended and what moves is not. Raise it, or lift it with `0s`, for quiet gRPC streams and long polls.
    """

    request: Duration | None = None
    backend_request: Duration | None = None
    stream_idle: Duration | None = None


class Backoff(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Wait at random between 0 and `base` before the first retry, twice as long before the next, `max` at most.

    25ms is Envoy's own; longer only helps a backend that is slow to come back.
    """

    base: Duration = "25ms"
    max: Duration = "250ms"


class Retry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Try again, `attempts` times at most, and within the backend's retry budget.

    Without this, and without `retry` in the rule itself, a request is tried again twice where it is known not to have
    reached a backend, which is right for every method. `attempts: 0` switches that off as well. `reasons`:
    `connectFailure`, `refusedStream` and `reset` (a connection that broke or a try that ran into its timeout: the backend
    may have acted already), `gatewayError` (502, 503, 504), `serverError` (every 5xx), `tooManyRequests` (429); `codes`
    adds single codes. `hosts: other`: on a host that was not tried before, if there is one.
    """

    attempts: Annotated[int, Meta(ge=0, le=10)] = 2
    reasons: Annotated[tuple[RetryReason, ...], Meta(max_length=6)] = ("connectFailure", "refusedStream", "reset")
    codes: Annotated[tuple[Annotated[int, Meta(ge=400, le=599)], ...], Meta(max_length=16)] = ()
    backoff: Backoff = Backoff()
    hosts: Literal["any", "other"] = "other"


class Delay(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Hold back `percent` of the requests for `duration`."""

    duration: Duration
    percent: Percent = 100.0


class Abort(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Answer `percent` of the requests with `status`, or with a gRPC status."""

    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    grpc_status: Annotated[int, Meta(ge=0, le=16)] | None = None
    percent: Percent = 100.0


class Fault(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Faults on purpose, to see what clients make of them; with `header`, only for requests that have it.

    At most `maxActive` requests are held back at once, so that a drill is no outage of the edge.
    """

    delay: Delay | None = None
    abort: Abort | None = None
    header: HeaderName | None = None
    max_active: Annotated[int, Meta(ge=1, le=100_000)] = 1_000


class Bandwidth(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """KiB a second that all requests of this route together may send and get, on each edge and for each hostname."""

    request: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None
    response: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None


class Compression(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Compress responses with what the client accepts; of several the one that it likes best, then the first here.

    Off unless asked for: it costs CPU, and a response that mixes secrets with what an attacker chose tells its length
    (BREACH). Fast levels are used: gzip 1, brotli 3, zstd 3. Smaller bodies than `minBytes` gain nothing. What has an
    ETag stays as it is unless the ETag is weak.
    """

    algorithms: Annotated[tuple[Literal["gzip", "brotli", "zstd"], ...], Meta(min_length=1, max_length=3)] = (
        "zstd",
        "brotli",
        "gzip",
    )
    min_bytes: Annotated[int, Meta(ge=30, le=1_048_576)] = 1_024
    content_types: Annotated[tuple[MediaType, ...], Meta(min_length=1, max_length=32)] = (
        "application/javascript",
        "application/json",
        "application/wasm",
        "application/xml",
        "image/svg+xml",
        "text/css",
        "text/html",
        "text/javascript",
        "text/plain",
        "text/xml",
    )


class RequestBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Answer 413 to a body of more than `maxBytes`. No limit unless asked for: bodies are streamed, not kept.

    `buffer`: take in the whole body before the backend gets the request, so that slow clients do not occupy it. It costs
    memory at the edge (`maxBytes` for each request under way), hence 64 MiB at most, and keeps gRPC streams from working.
    """

    max_bytes: Annotated[int, Meta(ge=1, le=1_099_511_627_776)]
    buffer: bool = False


class StatusRange(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Codes from `first` to `last`, both included."""

    first: Annotated[int, Meta(ge=200, le=599)]
    last: Annotated[int, Meta(ge=200, le=599)]


class ErrorPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Put this body in place of a response with one of `codes`, or in one of `ranges`.

    `from: edge` leaves alone what a backend has answered, which knows better what to say; `any` replaces that too.
    `body` may hold what Envoy fills in, as `%RESPONSE_CODE%` or `%REQ(X-REQUEST-ID)%`; write `%%` for a percent sign.
    `status`: answer with this code instead.
    """

    codes: Annotated[tuple[Annotated[int, Meta(ge=200, le=599)], ...], Meta(max_length=32)] = ()
    ranges: Annotated[tuple[StatusRange, ...], Meta(max_length=4)] = ()
    from_: Literal["edge", "any"] = msgspec.field(name="from", default="edge")
    body: Body
    content_type: HeaderValue = "text/html; charset=utf-8"
    status: Annotated[int, Meta(ge=200, le=599)] | None = None


class DirectResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Answer by ourselves instead of asking a backend. `body` may hold what Envoy fills in, as in `errorPages`."""

    status: Annotated[int, Meta(ge=200, le=599)]
    body: Body = ""
    content_type: HeaderValue = "text/plain; charset=utf-8"


class TrafficPolicySpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How requests travel (targets: Gateway or a listener of it, HTTPRoute, GRPCRoute or a rule), or how a backend is treated
    (targets: Service or a named port of it, Backend).

    Requests: `timeouts`, `retry`, `sessionPersistence`, `fault`, `bandwidth`, `compression`, `requestBody`, `errorPages`,
    `directResponse`. Each is taken from the most specific policy that has it: that for the rule, then the route, the
    listener, the Gateway; each of `timeouts` by itself, every other field whole. What the rule itself says (`timeouts`,
    `retry`, `sessionPersistence`) goes before every policy. Backends: `protocol`, `loadBalancing`, `healthCheck`,
    `outlierEjection`, `circuitBreaker`, `retryBudget`, `connections`: that for the port, then the Service, each field whole.
    They hold for every route to the backend, because there is one pool of connections for all of them. Of several
    policies for the same target the oldest applies, whole. Of `requestBody.buffer`, `bandwidth.request` and `fault.delay` a
    request meets one only, the first of them in this order, since each makes it wait.
    """

    target_refs: Annotated[tuple[LocalPolicyTargetReferenceWithSectionName, ...], Meta(min_length=1, max_length=16)]
    timeouts: Timeouts | None = None
    retry: Retry | None = None
    session_persistence: SessionPersistence | None = None
    fault: Fault | None = None
    bandwidth: Bandwidth | None = None
    compression: Compression | None = None
    request_body: RequestBody | None = None
    error_pages: Annotated[tuple[ErrorPage, ...], Meta(min_length=1, max_length=16)] | None = None
    direct_response: DirectResponse | None = None
    protocol: Literal["HTTP", "HTTP2"] | None = None
    load_balancing: LoadBalancing | None = None
    health_check: HealthCheck | None = None
    outlier_ejection: OutlierEjection | None = None
    circuit_breaker: CircuitBreaker | None = None
    retry_budget: RetryShare | None = None
    connections: Connections | None = None
