"""Probes: for every route of a snapshot one request that should take it.

Pure. Which listener a route table belongs to stands in the listener itself (the scope that it writes into its header).
A regular expression is guessed and the guess is checked; what cannot be guessed is counted, not tried.
Next room: `agent.taster` and `app.sandbox` send them.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal, TypeVar

import msgspec
from google.protobuf.message import DecodeError

from seawall.envoy.proto import TYPE_PREFIX, decode
from seawall.rollout.corpus import Request, Target, build
from seawall.xds.resource import CLUSTER, ENDPOINTS, LISTENER, SCOPE, Ref, ResourceName
from seawall.xds.snapshot import Snapshot

_LISTENER = "envoy.config.listener.v3.Listener"
_SCOPED = "envoy.config.route.v3.ScopedRouteConfiguration"
_CLUSTER = "envoy.config.cluster.v3.Cluster"
_ENDPOINTS = "envoy.config.endpoint.v3.ClusterLoadAssignment"
_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_EARLY = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
_ANY_HOST = "seawall-probe.invalid"

_T = TypeVar("_T")
Expects = Literal["forward", "redirect", "direct", "any"]


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """The way into a route table: a listener, and which of its chains."""

    listener: str
    is_tls: bool
    server_names: tuple[str, ...] = ()
    asks_for_certificate: bool = False


class Probes(msgspec.Struct, frozen=True, kw_only=True):
    """What to send. `routes` counts all routes, `unguessed` those that no request was found for, `closed` those behind a door
    that wants a client's certificate, which nobody here has."""

    requests: tuple[Request, ...]
    targets: tuple[Target, ...]
    routes: int = 0
    unguessed: int = 0
    closed: int = 0


def probes(snapshot: Snapshot, limit: int = 2000) -> Probes:
    """Make at most `limit` requests, spread evenly over the routes, and name some targets for each door."""
    doors = _doors(snapshot)
    names = sorted(name for name in snapshot.resources(SCOPE) if name.partition("|")[0] in doors)
    # A host has one route or a few: decoding more tables than there may be probes would find nothing that is sent.
    picked = _spread(names, limit)
    found: list[Request] = []
    routes = unguessed = closed = 0
    for name in picked:
        door = doors[name.partition("|")[0]]
        for host, route, is_clear in _routes(snapshot, name):
            routes += 1
            if door.asks_for_certificate:
                closed += 1
            elif (request := _probe(snapshot, door, host, route, is_clear)) is None:
                unguessed += 1
            else:
                found.append(request)
    return Probes(
        requests=tuple(_spread(found, limit)),
        targets=_targets(found),
        routes=routes,
        unguessed=unguessed,
        closed=closed,
    )


def _spread(items: list[_T], limit: int) -> list[_T]:
    if len(items) <= limit:
        return items
    return [items[n * len(items) // limit] for n in range(limit)]


def _targets(found: list[Request]) -> tuple[Target, ...]:
    """Pick the first and the last host of each door: an exact one and, most often, a wildcard."""
    by_door: dict[tuple[str, bool], list[Target]] = {}
    for request in found:
        by_door.setdefault((request.target.listener, request.target.is_tls), []).append(request.target)
    return tuple(dict.fromkeys(target for of in by_door.values() for target in (of[0], of[-1])))


def _doors(snapshot: Snapshot) -> dict[str, Door]:
    doors: dict[str, Door] = {}
    for name, resource in snapshot.resources(LISTENER).items():
        if name.startswith("udp/"):
            continue  # HTTP/3 leads to the same tables as TCP beside it
        listener = _decoded(_LISTENER, resource.body)
        for chain in listener.filter_chains if listener is not None else ():
            is_tls = chain.HasField("transport_socket")
            asks = False
            if is_tls:
                kind = chain.transport_socket.typed_config
                tls = _decoded(kind.type_url.removeprefix(TYPE_PREFIX), kind.value)
                asks = tls is not None and bool(
                    getattr(tls, "require_client_certificate", None) and tls.require_client_certificate.value
                )
            for one in chain.filters:
                if table := _table(one.typed_config):
                    doors[table] = Door(
                        listener=name,
                        is_tls=is_tls,
                        server_names=tuple(chain.filter_chain_match.server_names),
                        asks_for_certificate=asks,
                    )
    return doors


def _table(config: Any) -> str:
    """Name the route table that a connection manager's own header leads to."""
    if config.type_url != TYPE_PREFIX + _HCM:
        return ""
    manager = _decoded(_HCM, config.value)
    for one in manager.early_header_mutation_extensions if manager is not None else ():
        mutation = _decoded(_EARLY, one.typed_config.value)
        for step in mutation.mutations if mutation is not None else ():
            value: str = step.append.header.value
            if "|" in value:
                return value.partition("|")[0]
    return ""


def _routes(snapshot: Snapshot, name: ResourceName) -> Iterator[tuple[str, Any, bool]]:
    """Yield each route with a host that leads to it; the flag says that no route before it answers with a 5xx."""
    scope = _decoded(_SCOPED, snapshot.resources(SCOPE)[name].body)
    exact = name.partition("|")[2]
    for virtual in scope.route_configuration.virtual_hosts if scope is not None else ():
        host = exact if exact != "*" else _concrete(virtual.domains[0] if virtual.domains else "*")
        is_clear = True
        for route in virtual.routes:
            is_clear = is_clear and route.direct_response.status < 500
            yield host, route, is_clear


def _concrete(pattern: str) -> str:
    if pattern == "*":
        return _ANY_HOST
    return "seawall-probe" + pattern[1:] if pattern.startswith("*.") else pattern


def _probe(snapshot: Snapshot, door: Door, host: str, route: Any, is_clear: bool) -> Request | None:
    path = _path(route.match)
    if path is None:
        return None
    method = "GET"
    headers: list[tuple[str, str]] = []
    for one in route.match.headers:
        value = None if one.invert_match else _value(one)
        if value is None:
            if one.invert_match:
                continue
            return None
        if one.name == ":method":
            method = value
        elif one.name == ":authority":
            continue
        else:
            headers.append((one.name, value))
    pairs = [(one.name, _value(one)) for one in route.match.query_parameters]
    if any(value is None for _, value in pairs):
        return None
    query = "&".join(f"{name}={value}" for name, value in pairs)
    server_name = _server_name(door, host)
    target = Target(listener=door.listener, host=host, is_tls=door.is_tls, server_name=server_name)
    request = build(target, method, path + (f"?{query}" if query else ""), tuple(headers), "probe")
    return msgspec.structs.replace(request, expects=_expects(snapshot, route) if is_clear else "any")


def _server_name(door: Door, host: str) -> str:
    if not door.is_tls or not door.server_names:
        return host
    fits = any(host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in door.server_names)
    return host if fits else _concrete(door.server_names[0])


def _path(match: Any) -> str | None:
    kind = match.WhichOneof("path_specifier")
    if kind == "safe_regex":
        guessed = guess(match.safe_regex.regex)
        return guessed if guessed is not None and guessed.startswith("/") and " " not in guessed else None
    if kind in ("prefix", "path", "path_separated_prefix"):
        path: str = getattr(match, kind)
        return path
    return None


def _value(one: Any) -> str | None:
    """Find a value for a matcher of a header or a query parameter."""
    if not one.HasField("string_match"):
        return "1"
    matcher = one.string_match
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return guess(matcher.safe_regex.regex)
    value: str | None = getattr(matcher, kind) if kind in ("exact", "prefix", "suffix", "contains") else None
    return value


# Tried in turn on a pattern; a guess that does not match in the end is given up.
_GUESSES = (
    (re.compile(r"\(\?[:i]*:?([^()|]*)(?:\|[^()]*)?\)"), r"\1"),
    (re.compile(r"\((?!\?)([^()|]*)(?:\|[^()]*)?\)"), r"\1"),
    (re.compile(r"\[\^[^\]]*\](?:[+*]|\{[^}]*\})?"), "x"),
    (re.compile(r"(?:\\d|\[0-9\])\{(\d)(?:,\d*)?\}"), lambda found: "1" * int(found.group(1))),
    (re.compile(r"(?:\\d|\[0-9\])[+*]?"), "1"),
    (re.compile(r"(?:\\w|\[a-z[^\]]*\]|\[A-Za-z[^\]]*\]|\[a-zA-Z[^\]]*\])(?:[+*]|\{1[^}]*\})?"), "a"),
    (re.compile(r"(?<!\\)\.\*\??"), ""),
    (re.compile(r"(?<!\\)\.\+?\??"), "x"),
    (re.compile(r"(?<!\\)[?^$]"), ""),
    (re.compile(r"\\(.)"), r"\1"),
)


def guess(pattern: str) -> str | None:
    """Find a text that matches a regular expression; None where a simple guess fails."""
    text = pattern
    for what, by in _GUESSES:
        text = what.sub(by, text)
    try:
        return text if re.fullmatch(pattern, text) and text.isprintable() else None
    except (re.error, RecursionError):
        return None


def _expects(snapshot: Snapshot, route: Any) -> Expects:
    match route.WhichOneof("action"):
        case "redirect":
            return "redirect"
        case "direct_response":
            return "direct"
        case "route":
            return "forward" if _can_forward(snapshot, route.route) else "any"
        case _:
            return "any"


def _can_forward(snapshot: Snapshot, action: Any) -> bool:
    """Say whether every backend that the route may pick has an endpoint."""
    if action.WhichOneof("cluster_specifier") == "weighted_clusters":
        names = [one.name for one in action.weighted_clusters.clusters if one.weight.value]
    else:
        names = [action.cluster]
    return all(_has_endpoints(snapshot, ResourceName(name)) for name in names)


def _has_endpoints(snapshot: Snapshot, name: ResourceName) -> bool:
    resource = snapshot.get(Ref(CLUSTER, name))
    cluster = _decoded(_CLUSTER, resource.body) if resource is not None else None
    if cluster is None:
        return False
    assignment = cluster.load_assignment
    if cluster.HasField("eds_cluster_config"):
        members = snapshot.get(Ref(ENDPOINTS, ResourceName(cluster.eds_cluster_config.service_name or name)))
        assignment = _decoded(_ENDPOINTS, members.body) if members is not None else None
    return assignment is not None and any(locality.lb_endpoints for locality in assignment.endpoints)


def _decoded(name: str, body: bytes) -> Any:
    try:
        return decode(name, body)
    except (DecodeError, KeyError):
        return None
