"""What a TrafficPolicy says of a backend: which endpoint, which are well, how much at once, over what connections.

Pure.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from seawall.gateway.resources.scalars import URI_PATH, Duration, HeaderName, HeaderValue, Port

Percent = Annotated[float, Meta(gt=0, le=100)]
Share = Annotated[int, Meta(ge=1, le=100)]
Many = Annotated[int, Meta(ge=1, le=1_048_576)]


class HashKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What requests must have in common to go to the same endpoint.

    `header`, `cookie` and `query` need a `name`; `source` is the client's address. A cookie with a `ttl` is made for
    clients that have none (`0s`: until the browser closes). `terminal`: if it is there, the keys after it do not count.
    """

    type: Literal["header", "cookie", "query", "source"]
    name: HeaderName | None = None
    ttl: Duration | None = None
    terminal: bool = False


class SlowStart(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Let a new endpoint's share grow over `window`, from `minPercent` on, so that cold caches are not overrun."""

    window: Duration
    min_percent: Percent = 10.0


class ZoneShare(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a zone gets of the requests, in proportion to the others."""

    name: Annotated[str, Meta(min_length=1, max_length=63)]
    weight: Annotated[int, Meta(ge=1, le=1_000_000)]


class LoadBalancing(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which endpoint gets a request.

    `leastRequest` (the default: of two drawn at random the one with fewer requests under way, so that a slow endpoint gets
    less), `roundRobin`, `random`, `maglev` and `ringHash` (the same endpoint for the same `hash`; maglev is faster, the
    ring moves fewer clients when endpoints change). `boundedLoad`: with a hash, no endpoint gets more than this percentage
    of the average, the rest goes to the next. `zones`: give each zone its share; a zone whose endpoints fail their checks gets
    less, one that is not named gets nothing. Without it all endpoints are alike, wherever they are.
    """

    type: Literal["leastRequest", "roundRobin", "random", "maglev", "ringHash"] = "leastRequest"
    hash: Annotated[tuple[HashKey, ...], Meta(max_length=4)] = ()
    bounded_load: Annotated[int, Meta(ge=101, le=1_000)] | None = None
    slow_start: SlowStart | None = None
    zones: Annotated[tuple[ZoneShare, ...], Meta(max_length=64)] = ()


class HttpCheck(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Ask for `path`; a status of `statuses` is well. `host` is the backend's name unless this says otherwise."""

    path: Annotated[str, Meta(min_length=1, max_length=1024, pattern=URI_PATH)] = "/"
    host: HeaderValue | None = None
    method: Literal["GET", "HEAD"] = "GET"
    statuses: Annotated[tuple[Annotated[int, Meta(ge=100, le=599)], ...], Meta(min_length=1, max_length=16)] = (200,)


class TcpCheck(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Connect; with `send`, say that, and with `receive`, wait for an answer that holds that."""

    send: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    receive: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None


class GrpcCheck(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Ask grpc.health.v1.Health for `service` (empty: the server as a whole)."""

    service: Annotated[str, Meta(max_length=256)] = ""


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Ask every endpoint by ourselves whether it is well, one of `http`, `tcp`, `grpc`.

    None unless asked for: every edge asks every endpoint. `unhealthy` failures in a row take an endpoint out, `healthy`
    successes bring it back; a new endpoint counts as well once the first one succeeds. `panicPercent`: when fewer are well,
    all are used again, since a check that fails everywhere is more likely to be wrong than every endpoint (0: never).
    """

    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    grpc: GrpcCheck | None = None
    interval: Duration = "5s"
    timeout: Duration = "1s"
    unhealthy: Annotated[int, Meta(ge=1, le=100)] = 3
    healthy: Annotated[int, Meta(ge=1, le=100)] = 1
    port: Port | None = None
    panic_percent: Annotated[int, Meta(ge=0, le=100)] = 50


class OutlierEjection(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Leave out an endpoint that fails real requests, for a while.

    Without one an endpoint is left out only when two connections in a row have failed. `errors` failures in a row
    eject it, or `gatewayErrors` of those that say that nobody was there (0: not counted), for `duration`, longer each
    time, `maxDuration` at most. A failure is an answer of 5xx, or a connection that failed or broke; nobody was there
    after 502, 503, 504 and such a connection. Never more than `maxPercent` of the endpoints are left out: what fails
    everywhere is not an endpoint's fault.
    """

    errors: Annotated[int, Meta(ge=0, le=1_000)] = 5
    gateway_errors: Annotated[int, Meta(ge=0, le=1_000)] = 3
    interval: Duration = "1s"
    duration: Duration = "2s"
    max_duration: Duration = "30s"
    max_percent: Share = 50


class CircuitBreaker(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How much one edge may ask of the backend at once; above it, requests get a 503 at once instead of queueing.

    No limit unless asked for: Envoy's own 1,024 is a trap that the first busy backend falls into.
    """

    connections: Many | None = None
    pending_requests: Many | None = None
    requests: Many | None = None


class RetryShare(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Retries may be `percent` of the requests under way, or `minConcurrent` if that is more.

    A fifth: a backend that fails must not be buried by its clients.
    """

    percent: Percent = 20.0
    min_concurrent: Annotated[int, Meta(ge=0, le=10_000)] = 10


class TcpKeepalive(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Probe a silent connection after `idle`, every `interval`, and give it up after `probes` without an answer."""

    idle: Duration = "60s"
    interval: Duration = "10s"
    probes: Annotated[int, Meta(ge=1, le=20)] = 3


class Connections(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Connections to the backend.

    `connectTimeout` is 5s: a SYN that is lost once still gets through. `idleTimeout` is 50s over HTTP/1.1: shorter than what
    common servers keep, so that we close first. `maxRequests` on one connection: no limit. `bufferBytes` is 32 KiB in each
    direction: what a slow client makes us keep.
    """

    connect_timeout: Duration = "5s"
    idle_timeout: Duration | None = None
    max_requests: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    keepalive: TcpKeepalive | None = None
    buffer_bytes: Annotated[int, Meta(ge=4_096, le=16_777_216)] = 32_768
