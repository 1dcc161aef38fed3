"""ListenerPolicy (`seawall.dev/v1alpha1`): how the listeners of a Gateway or ListenerSet meet their clients.

Pure.

    apiVersion: seawall.dev/v1alpha1
    kind: ListenerPolicy
    metadata: {name: strict, namespace: shop}
    spec:
      targetRefs:
      - {group: gateway.networking.k8s.io, kind: Gateway, name: edge, sectionName: https}
      tls: {minVersion: "1.3"}
      limits: {maxHeaders: 50}
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from seawall.gateway.resources.refs import BackendObjectReference, LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.resources.scalars import Duration, HeaderName, HeaderValue, ObjectName

TlsVersion = Literal["1.0", "1.1", "1.2", "1.3"]
Cipher = Literal[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
]
Curve = Literal["X25519MLKEM768", "X25519", "P-256", "P-384", "P-521"]
Alpn = Literal["h2", "http/1.1"]


class TlsParameters(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How TLS is spoken with clients.

    From 1.2, because what is older is broken and no browser needs it (RFC 8996). Ciphers are those of TLS 1.2, TLS 1.3 has
    its own; none named means Envoy's, all with forward secrecy. Nor are there curves to name unless a rule of your trade
    does. `alpn` is offered in this order.
    """

    min_version: TlsVersion = "1.2"
    max_version: Literal["1.2", "1.3"] = "1.3"
    ciphers: Annotated[tuple[Cipher, ...], Meta(max_length=14)] = ()
    curves: Annotated[tuple[Curve, ...], Meta(max_length=5)] = ()
    alpn: Annotated[tuple[Alpn, ...], Meta(min_length=1, max_length=2)] = ("h2", "http/1.1")


class ConfigMapReference(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A ConfigMap in the namespace of the policy."""

    name: ObjectName


class ClientCertificates(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What clients must show, beyond what the Gateway's `tls.frontend` says, which names the CAs.

    `Optional` lets in who shows no certificate and refuses who shows one that is not valid. `crl` is a ConfigMap with the
    revocation lists of all CAs (PEM, in `ca.crl`): a certificate on it is refused, and so is one whose CA has no list there.
    """

    mode: Literal["Gateway", "Optional"] = "Gateway"
    crl: ConfigMapReference | None = None


class Http3(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """HTTP/3 on the UDP side of HTTPS ports.

    Answers over TCP say so (`alt-svc`), on `advertisedPort` if a port in front of the edge is another one; clients remember
    it for `maxAge`: long, since a browser that forgets pays a round trip.
    """

    advertised_port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    max_age: Duration = "24h"


class ProxyProtocol(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The load balancer in front says who the client is in a PROXY header, on the whole port.

    With `optional` connections without one are served too: then anybody who can reach the port can say who he is.
    """

    versions: Annotated[tuple[Literal["v1", "v2"], ...], Meta(min_length=1, max_length=2)] = ("v1", "v2")
    optional: bool = False


class ClientAddress(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Who the client is, if not the other end of the connection.

    `trustedHops` proxies in front append to X-Forwarded-For; or those in the networks `trustedProxies` do, and from elsewhere
    the header is not believed. Neither: the edge's `--trusted-hops`, which is 0: nobody is believed.
    """

    trusted_hops: Annotated[int, Meta(ge=0, le=32)] | None = None
    trusted_proxies: Annotated[tuple[str, ...], Meta(max_length=256)] = ()


class Limits(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How much of the edge one client may hold. What is not said is as in the edge's defaults.

    `maxConnections` is for each listener on each edge; who comes above it is closed at once. A limit of requests per
    connection makes clients spread anew. Timeouts of 0s are none.
    """

    max_headers: Annotated[int, Meta(ge=1, le=1000)] | None = None
    header_kib: Annotated[int, Meta(ge=1, le=8192)] | None = msgspec.field(name="headerKiB", default=None)
    concurrent_streams: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    max_connections: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    max_requests_per_connection: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    connection_idle_timeout: Duration | None = None
    stream_idle_timeout: Duration | None = None
    header_timeout: Duration | None = None
    request_timeout: Duration | None = None


class SetHeader(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A header with this value, in place of whatever came."""

    name: HeaderName
    value: HeaderValue


class EarlyHeaders(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What happens to the headers of a request before a route is looked for: so routes can rely on it. Removed first, then set."""

    set: Annotated[tuple[SetHeader, ...], Meta(max_length=16)] = ()
    remove: Annotated[tuple[HeaderName, ...], Meta(max_length=16)] = ()


class ServerHeader(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The `server` header of answers: the backend's as it is (`PassThrough`), `value` always, or `value` if there is none."""

    mode: Literal["PassThrough", "Overwrite", "AddIfAbsent"] = "PassThrough"
    value: HeaderValue | None = None


class PathNormalization(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One spelling of a path for routes, policies and the backend: what is off here is a way around a check.

    `escapedSlashes` (`%2f`, `%5c`): redirect to the path without, refuse it (400), unescape it here, or leave it.
    `underscores` in header names: refuse the request (400), drop the header, or let it pass.
    """

    normalize: bool = True
    merge_slashes: bool = True
    escaped_slashes: Literal["Redirect", "Reject", "Unescape", "Keep"] = "Redirect"
    underscores: Literal["Reject", "Drop", "Allow"] = "Reject"


LogField = Literal[
    "time",
    "requestId",
    "clientAddress",
    "peerAddress",
    "ja4",
    "tlsVersion",
    "tlsCipher",
    "sni",
    "clientCertificate",
    "protocol",
    "method",
    "host",
    "path",
    "status",
    "flags",
    "details",
    "requestBytes",
    "responseBytes",
    "duration",
    "backendDuration",
    "backend",
    "backendAddress",
    "route",
    "listener",
    "userAgent",
    "referer",
    "forwardedFor",
    "traceParent",
]
LOG_FIELDS: tuple[LogField, ...] = (
    "time",
    "requestId",
    "clientAddress",
    "ja4",
    "protocol",
    "method",
    "host",
    "path",
    "status",
    "flags",
    "requestBytes",
    "responseBytes",
    "duration",
    "backend",
    "route",
    "userAgent",
)


class LogSink(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Where lines go: a file on the edge's host (`path`), the edge's standard output, or a collector (OTLP over gRPC)."""

    type: Literal["File", "Stdout", "OTLP"]
    path: Annotated[str, Meta(min_length=2, max_length=255, pattern=r"^/[A-Za-z0-9._/\-]+\Z")] | None = None
    backend_ref: BackendObjectReference | None = None


class AccessLog(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A line for each request. JSON, because no client can forge a field of it; text has tabs between its fields."""

    format: Literal["JSON", "Text"] = "JSON"
    fields: Annotated[tuple[LogField, ...], Meta(min_length=1, max_length=32)] = LOG_FIELDS
    sinks: Annotated[tuple[LogSink, ...], Meta(min_length=1, max_length=4)]


class Tracing(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Spans to a collector (OTLP over gRPC), for `samplingPercent` of the requests that come without a decision of their own."""

    backend_ref: BackendObjectReference
    service_name: Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9._\-]+\Z")] = "seawall"
    sampling_percent: Annotated[float, Meta(ge=0, le=100)] = 1.0


class ListenerPolicySpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How listeners meet their clients: TLS, who the client is, limits, logs and traces.

    One policy applies to a listener, whole: that for the listener, else for its ListenerSet, else for its Gateway; of several
    for the same target the oldest. What a policy does not say is as if there were none. Plain HTTP listeners of one port are
    one to Envoy: the policy of the first of them that has one holds for all. `ja4Header` carries to backends how the client
    speaks TLS; whatever a client sends under that name is removed.
    """

    target_refs: Annotated[tuple[LocalPolicyTargetReferenceWithSectionName, ...], Meta(min_length=1, max_length=16)]
    tls: TlsParameters | None = None
    client_certificates: ClientCertificates | None = None
    http3: Http3 | None = None
    proxy_protocol: ProxyProtocol | None = None
    client_address: ClientAddress | None = None
    limits: Limits | None = None
    early_headers: EarlyHeaders | None = None
    ja4_header: HeaderName | None = None
    server_header: ServerHeader | None = None
    path: PathNormalization | None = None
    access_log: AccessLog | None = None
    tracing: Tracing | None = None
