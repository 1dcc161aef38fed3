"""Graph: everything resolved, nothing of Kubernetes and nothing of Envoy in it.

Pure. `gateway.resolve` makes it, `envoy.build` turns it into Envoy messages, `envoy.explain` walks it.

    Listener (a socket) ─▶ FilterChain (told apart by SNI) ─▶ table ─▶ VirtualHost (one hostname) ─▶ Route ─▶ Cluster ─▶ Endpoints

Listeners, virtual hosts, clusters, endpoints and secrets are kept apart and refer to each other by name: a change to
one of them is a change to one Envoy resource. Hostnames are lower case.
"""

from collections.abc import Mapping
from typing import Literal, NewType

import msgspec

from seawall.gateway.entrance import Admitted, ExternalAuth
from seawall.gateway.handling import Handling, RetryReason, Treatment, ZoneShare
from seawall.gateway.resources.listener_policies import ListenerPolicySpec, ProxyProtocol
from seawall.gateway.resources.perimeter import PerimeterSpec
from seawall.gateway.resources.protection import ProtectionPolicySpec
from seawall.gateway.resources.rate_limits import LimitKeyType
from seawall.kit.secret import Secret
from seawall.kit.units import Seconds

ObjectKey = NewType("ObjectKey", str)
"""`Kind/namespace/name`; `Kind//name` for what has no namespace. Unique: no two kinds of ours share a name."""
ListenerName = NewType("ListenerName", str)
"""`tcp/<address>/<port>` or `udp/…`: one socket, whichever Gateways declare it."""
TableName = NewType("TableName", str)
"""A set of virtual hosts that one filter chain serves: the listener's name, for HTTPS with `/<hostname or *>`."""
ClusterName = NewType("ClusterName", str)
"""Backend plus settings, never a route's: `Service/ns/name/port`, `Backend/ns/name`, `ns/name` of what it points to."""
SecretName = NewType("SecretName", str)
"""`Secret/ns/name` for a certificate with its key, `ca/<digest>` for a set of trusted certificates."""
Hostname = NewType("Hostname", str)
"""`shop.example.com`, `*.example.com` (one or more labels) or `*` (any)."""


# ── sockets and TLS ──────────────────────────────────────────────────────────────────────────────────────────────


class ClientValidation(msgspec.Struct, frozen=True, kw_only=True):
    """Whose certificates clients may present. `allow_insecure`: ask, but take any or none; `is_optional`: valid or none."""

    ca: SecretName
    allow_insecure: bool = False
    is_optional: bool = False


class ServerTls(msgspec.Struct, frozen=True, kw_only=True):
    """TLS that we terminate. Several certificates: one per key type, Envoy picks by what the client can."""

    certificates: tuple[SecretName, ...]
    clients: ClientValidation | None = None
    options: tuple[tuple[str, str], ...] = ()


class NativeFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A filter of Envoy's that an HTTPFilterPolicy puts before the router. `config` is JSON, without `@type`, keys sorted."""

    name: str
    type_url: str
    config: bytes
    origin: ObjectKey


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How a listener meets its clients: what the ListenerPolicy `by` says, without its targets.

    `over` are policies that would apply were this one not more specific, or older. `collectors` are the clusters of its OTLP
    sinks, in the order written, then of its tracing; None for one that cannot be used.
    """

    by: ObjectKey
    spec: ListenerPolicySpec
    over: tuple[ObjectKey, ...] = ()
    collectors: tuple[ClusterName | None, ...] = ()


class FilterChain(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to a connection on a listener.

    `server_names` empty takes what no other chain takes. `protocol` says what is spoken inside; "tcp" and "tls" carry
    `cluster` shares instead of a table. `misdirected` are hostnames that other chains of this listener serve: a request
    for one of them on this connection gets a 421 (RFC 9110 section 15.5.20) unless this table serves it too;
    `misdirects_unknown` says that this holds for every hostname that this table does not serve.
    """

    name: str
    protocol: Literal["http", "https", "tls", "tcp", "udp"]
    server_names: tuple[Hostname, ...] = ()
    tls: ServerTls | None = None
    table: TableName | None = None
    backends: "tuple[WeightedBackend, ...]" = ()
    misdirected: tuple[Hostname, ...] = ()
    misdirects_unknown: bool = False
    filters: tuple[NativeFilter, ...] = ()
    manner: Manner | None = None
    origins: tuple[ObjectKey, ...] = ()


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """One socket."""

    name: ListenerName
    address: str
    port: int
    transport: Literal["tcp", "udp"] = "tcp"
    chains: tuple[FilterChain, ...]
    proxy_protocol: ProxyProtocol | None = None
    origins: tuple[ObjectKey, ...] = ()


# ── matching ─────────────────────────────────────────────────────────────────────────────────────────────────────


class ValueMatch(msgspec.Struct, frozen=True, kw_only=True):
    """A header or query parameter by name (header names in lower case)."""

    name: str
    type: Literal["Exact", "RegularExpression"] = "Exact"
    value: str


class RouteMatch(msgspec.Struct, frozen=True, kw_only=True):
    """All parts must hold. A PathPrefix matches whole path elements and has no trailing slash, except for `/`."""

    path_type: Literal["Exact", "PathPrefix", "RegularExpression"] = "PathPrefix"
    path: str = "/"
    method: str | None = None
    headers: tuple[ValueMatch, ...] = ()
    query: tuple[ValueMatch, ...] = ()


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────


class LimitKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted apart. `name` is that of a header (lower case), cookie or claim; `prefixes` are those of a client."""

    type: LimitKeyType
    name: str = ""
    prefixes: tuple[int, int] = (32, 64)
    is_skipped: bool = False
    """A request without it is not counted; else all of them are counted together."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket for each value of the keys: so many at once, filled again at `requests` in `window`."""

    name: str
    keys: tuple[LimitKey, ...] = ()
    requests: int
    window: Seconds
    burst: int
    max_keys: int


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """What a RateLimitPolicy says. `name` is `namespace/name`."""

    name: str
    origin: ObjectKey
    limits: tuple[Limit, ...]
    is_shadow: bool = False
    status: int = 429
    body: str = ""
    content_type: str = "text/plain"
    exempt_clients: tuple[str, ...] = ()
    exempt_headers: tuple[tuple[str, str], ...] = ()
    slot: int | None = None
    """Where each edge reads what its share makes of the limit; None: every edge counts for itself."""
    when_away: Literal["keepShare", "open", "closed"] = "keepShare"


class Limited(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a route. `over` are policies that would apply were this one not more specific, or older."""

    by: RateLimit
    over: tuple[ObjectKey, ...] = ()


# ── what to do with a request ────────────────────────────────────────────────────────────────────────────────────


class HeaderEdits(msgspec.Struct, frozen=True, kw_only=True):
    """Set (overwrite or create), add (append), remove; names as written."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


class PathEdit(msgspec.Struct, frozen=True, kw_only=True):
    """Replace the whole path, or the prefix that matched (at element boundaries; `/` never yields `//`)."""

    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"]
    value: str


class Cors(msgspec.Struct, frozen=True, kw_only=True):
    """CORS as in the Gateway API's HTTPCORSFilter; origins may be `*` or hold a `*` in the host."""

    allow_origins: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    allow_credentials: bool = False
    max_age: int = 5


class Mirror(msgspec.Struct, frozen=True, kw_only=True):
    """Copy `numerator` of `denominator` requests to a cluster and ignore its answers."""

    cluster: ClusterName
    numerator: int = 100
    denominator: int = 100


class Redirect(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Answer with a redirect. `port` is already resolved as the specification says; None leaves it out."""

    scheme: str | None = None
    host: str | None = None
    port: int | None = None
    path: PathEdit | None = None
    status: int = 302


class Apart(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with the share of one backend alone, and Envoy does for a whole route only: such a share is a route."""

    redirect: Redirect | None = None
    rewrite_host: str | None = None
    rewrite_path: PathEdit | None = None
    mirrors: tuple[Mirror, ...] = ()


class WeightedBackend(msgspec.Struct, frozen=True, kw_only=True):
    """A share of the requests. `cluster` is None for a backend that cannot be used: see `Forward.unusable`."""

    cluster: ClusterName | None
    weight: int = 1
    request_headers: HeaderEdits | None = None
    response_headers: HeaderEdits | None = None
    apart: Apart | None = None


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """`attempts` counts retries, not tries. `on` None: failed connections and resets. `longest` bounds the back-off."""

    attempts: int = 1
    codes: tuple[int, ...] = ()
    backoff: Seconds | None = None
    on: tuple[RetryReason, ...] | None = None
    longest: Seconds | None = None
    is_elsewhere: bool = False


class Forward(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Send the request on. Timeouts: None is unset, 0 disables.

    `unusable` is the answer in place of a backend that cannot be used, without backends and for a weight sum of 0.
    """

    backends: tuple[WeightedBackend, ...] = ()
    rewrite_host: str | None = None
    rewrite_path: PathEdit | None = None
    mirrors: tuple[Mirror, ...] = ()
    timeout: Seconds | None = None
    try_timeout: Seconds | None = None
    stream_idle: Seconds | None = None
    retry: Retry | None = None
    unusable: Literal[500, 503] = 500


class Respond(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Answer by ourselves: what is in quarantine or cannot be honoured (500), or as a policy says (`template`)."""

    status: int
    reason: str = ""
    template: str = ""
    content_type: str = ""


Action = Forward | Redirect | Respond


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One match and what follows from it. `name` is stable across edits of other rules where the rule is named."""

    name: str
    origin: ObjectKey
    path: str
    """Where in the object it was written: `$.spec.rules[0].matches[1]`."""
    match: RouteMatch
    action: Action
    request_headers: HeaderEdits | None = None
    response_headers: HeaderEdits | None = None
    cors: Cors | None = None
    limited: Limited | None = None
    handling: Handling | None = None
    admitted: Admitted | None = None
    external_auth: ExternalAuth | None = None


class HostKey(msgspec.Struct, frozen=True, order=True):
    """Which virtual host: a hostname within a table."""

    table: TableName
    hostname: Hostname


class VirtualHost(msgspec.Struct, frozen=True, kw_only=True):
    """All routes of one hostname, first match wins (already in the Gateway API's order of precedence). Empty: a 404."""

    key: HostKey
    routes: tuple[Route, ...] = ()


# ── backends ─────────────────────────────────────────────────────────────────────────────────────────────────────


class ClientTls(msgspec.Struct, frozen=True, kw_only=True):
    """TLS that we speak to a backend. `sni` is also the name to verify unless `names` are given.

    `ca` None trusts the system's roots; `invalid` says why no connection may be made at all.
    """

    sni: str
    ca: SecretName | None = None
    names: tuple[tuple[Literal["DNS", "URI"], str], ...] = ()
    certificate: SecretName | None = None
    invalid: str = ""


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """A backend and how to speak to it. `hostnames` set: Envoy resolves them; else endpoints come apart."""

    name: ClusterName
    protocol: Literal["http1", "http2", "tcp", "udp"] = "http1"
    tls: ClientTls | None = None
    hostnames: "tuple[Endpoint, ...]" = ()
    treatment: Treatment | None = None
    origins: tuple[ObjectKey, ...] = ()


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """An address (or a host name, in `Cluster.hostnames`) and port."""

    address: str
    port: int
    is_ready: bool = True
    zone: str = ""
    weight: int = 1
    priority: int = 0


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Where a cluster's traffic goes, sorted. May be empty: then Envoy answers 503."""

    cluster: ClusterName
    members: tuple[Endpoint, ...] = ()
    zones: tuple[ZoneShare, ...] = ()


# ── certificates ─────────────────────────────────────────────────────────────────────────────────────────────────


class CertificateSecret(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A certificate chain (PEM, leaf first) and its private key."""

    name: SecretName
    chain: bytes
    key: Secret


class TrustSecret(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Trusted CA certificates, PEM, and perhaps what they have revoked."""

    name: SecretName
    bundle: bytes
    crl: bytes = b""


TlsSecret = CertificateSecret | TrustSecret


# ── the fleet ────────────────────────────────────────────────────────────────────────────────────────────────────

RuntimeValue = str | float | bool


class Perimeter(msgspec.Struct, frozen=True, kw_only=True):
    """The one Perimeter that is in force."""

    name: ObjectKey
    spec: PerimeterSpec


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """The one ProtectionPolicy that is in force."""

    name: ObjectKey
    spec: ProtectionPolicySpec


# ── the whole, and a change of it ────────────────────────────────────────────────────────────────────────────────


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """Views of the resolver's state: read, never write. They change under you at the next update.

    `quotas`: limits that the edges of the fleet share. `runtime`: keys of Envoy's runtime whose switch is on and
    not over. Ask the resolver for the graph again after an update: `perimeter` is a value, not a view.
    """

    listeners: Mapping[ListenerName, Listener] = {}
    hosts: Mapping[HostKey, VirtualHost] = {}
    clusters: Mapping[ClusterName, Cluster] = {}
    endpoints: Mapping[ClusterName, Endpoints] = {}
    secrets: Mapping[SecretName, TlsSecret] = {}
    runtime: Mapping[str, RuntimeValue] = {}
    perimeter: Perimeter | None = None
    protection: Protection | None = None
    quotas: Mapping[ObjectKey, RateLimit] = {}


class GraphChange(msgspec.Struct, frozen=True, kw_only=True):
    """Names whose value appeared, changed or vanished. Look them up in the graph; absent there means vanished."""

    listeners: frozenset[ListenerName] = frozenset()
    hosts: frozenset[HostKey] = frozenset()
    clusters: frozenset[ClusterName] = frozenset()
    endpoints: frozenset[ClusterName] = frozenset()
    secrets: frozenset[SecretName] = frozenset()
    statuses: frozenset[ObjectKey] = frozenset()
    runtime: frozenset[str] = frozenset()
    perimeter: bool = False
