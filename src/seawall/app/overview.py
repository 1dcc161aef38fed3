"""Overview: listeners, hosts and routes of a graph in a few lines, and the `curl` commands that reach them.

Pure reading of the graph. Next room: `cli.up` prints it.
"""

from collections.abc import Iterator, Mapping
from itertools import islice

import msgspec

from seawall.gateway.graph import (
    FilterChain,
    Forward,
    Graph,
    Hostname,
    Listener,
    ListenerName,
    Redirect,
    Respond,
    Route,
    VirtualHost,
    WeightedBackend,
)
from seawall.gateway.matching import describe

_MOST_ROUTES = 40
_MOST_CURLS = 12


class RouteLine(msgspec.Struct, frozen=True, kw_only=True):
    """A route in a table. `is_served`: it ends at a backend that is there, or at a redirect."""

    host: str
    match: str
    target: str
    is_served: bool


class ListenerLine(msgspec.Struct, frozen=True, kw_only=True):
    """A listener, where it is and what it serves: the first routes, and how many more there are.

    `fault` says why it cannot be opened.
    """

    url: str
    protocol: str
    fault: str = ""
    routes: tuple[RouteLine, ...] = ()
    more: int = 0


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    listeners: tuple[ListenerLine, ...]
    curls: tuple[str, ...]


def overview(graph: Graph, faults: Mapping[ListenerName, str]) -> Overview:
    """Read the graph."""
    listeners = sorted(graph.listeners.values(), key=lambda one: (one.address, one.port))
    usable = [one for one in listeners if one.name not in faults]
    return Overview(
        listeners=tuple(
            _line(graph, one, chain, faults.get(one.name, "")) for one in listeners for chain in one.chains
        ),
        curls=tuple(islice(dict.fromkeys(_curls(graph, usable)), _MOST_CURLS)),
    )


def _line(graph: Graph, listener: Listener, chain: FilterChain, fault: str) -> ListenerLine:
    if chain.table is None:
        return _stream_line(graph, listener, chain, fault)
    hosts = _hosts(graph, chain)
    routes = tuple(islice(_routes(graph, hosts), _MOST_ROUTES))
    return ListenerLine(
        url=f"{chain.protocol}://{_host(listener.address)}:{listener.port}",
        protocol=chain.protocol.upper(),
        fault=fault,
        routes=routes,
        more=sum(len(host.routes) for host in hosts) - len(routes),
    )


def _stream_line(graph: Graph, listener: Listener, chain: FilterChain, fault: str) -> ListenerLine:
    """Show what passes connections on as a route of a hostname, without a match."""
    target, is_served = _shared(graph, chain.backends, "closed")
    host = ", ".join(chain.server_names) or "*"
    return ListenerLine(
        url=f"{chain.protocol}://{_host(listener.address)}:{listener.port}",
        protocol=chain.protocol.upper(),
        fault=fault,
        routes=(RouteLine(host=host, match="", target=target, is_served=is_served),),
    )


def _hosts(graph: Graph, chain: FilterChain) -> list[VirtualHost]:
    return sorted((host for key, host in graph.hosts.items() if key.table == chain.table), key=lambda one: one.key)


def _routes(graph: Graph, hosts: list[VirtualHost]) -> Iterator[RouteLine]:
    for host in hosts:
        for route in host.routes:
            target, is_served = _target(graph, route)
            yield RouteLine(host=host.key.hostname, match=describe(route.match), target=target, is_served=is_served)


def _target(graph: Graph, route: Route) -> tuple[str, bool]:
    match route.action:
        case Redirect() as action:
            return _redirect(action), True
        case Respond(status=status):
            return f"{status}, answered by the edge", False
        case Forward() as action:
            return _shared(graph, action.backends, str(action.unusable))


def _redirect(action: Redirect) -> str:
    """`301 to www.shop.example`, `308 to https on port 8443`."""
    where = f"{action.scheme}://{action.host}" if action.scheme and action.host else action.scheme or action.host
    port = f" on port {action.port}" if action.port is not None else ""
    return f"{action.status} to {where or 'the same host'}{port}"


def _shared(graph: Graph, backends: tuple[WeightedBackend, ...], unusable: str) -> tuple[str, bool]:
    total = sum(backend.weight for backend in backends)
    if not total:
        return f"{unusable}, no backend", False
    words: list[str] = []
    is_served = False
    for backend in backends:
        name = _short(backend.cluster) if backend.cluster else f"missing ({unusable})"
        assigned = graph.endpoints.get(backend.cluster) if backend.cluster else None
        cluster = graph.clusters.get(backend.cluster) if backend.cluster else None
        is_served |= bool(cluster and (cluster.hostnames or (assigned and assigned.members)))
        words.append(f"{100 * backend.weight // total} % {name}" if len(backends) > 1 else name)
    return ", ".join(words), is_served


def _short(cluster: str) -> str:
    """`Service/shop/catalog/80` → `shop/catalog:80`."""
    kind, *rest = cluster.split("/")
    return f"{rest[0]}/{rest[1]}:{rest[2]}" if kind == "Service" and len(rest) >= 3 else cluster


def _curls(graph: Graph, listeners: list[Listener]) -> Iterator[str]:
    """Write the command for the first route of each host, one that needs nothing but a path where there is one."""
    for listener in listeners:
        for chain in listener.chains:
            if chain.protocol not in ("http", "https"):
                continue
            for host in _hosts(graph, chain):
                # curl speaks no gRPC.
                plain = (route for route in host.routes if not route.origin.startswith("GRPCRoute/"))
                route = min(plain, key=_effort, default=None)
                if route is not None:
                    yield _curl(listener, chain, host.key.hostname, route)


def _effort(route: Route) -> int:
    match = route.match
    return len(match.headers) + len(match.query) + (match.method is not None) + 2 * (match.path_type[0] == "R")


def _curl(listener: Listener, chain: FilterChain, hostname: Hostname, route: Route) -> str:
    address = "127.0.0.1" if listener.address in ("0.0.0.0", "::") else listener.address  # noqa: S104 - compared
    path = route.match.path if route.match.path_type != "RegularExpression" else "/"
    options = ["-k"] if chain.protocol == "https" else []
    options += [f"-X {route.match.method}"] if route.match.method not in (None, "GET") else []
    options += [f"-H '{header.name}: {header.value}'" for header in route.match.headers if header.type == "Exact"]
    query = "&".join(f"{one.name}={one.value}" for one in route.match.query if one.type == "Exact")
    if hostname == "*":
        url = f"{chain.protocol}://{_host(address)}:{listener.port}{path}"
    else:
        host = hostname.replace("*", "any", 1)
        options.insert(0, f"--resolve {host}:{listener.port}:{_host(address)}")
        url = f"{chain.protocol}://{host}:{listener.port}{path}"
    if query:
        url = f"'{url}?{query}'"
    return " ".join(["curl", *options, url])


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
