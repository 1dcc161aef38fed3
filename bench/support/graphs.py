"""Graphs made by hand: what the resolver would make of the manifests in `support.manifests`, without running it.

For the measurements that look at one part alone. The routes are those of the promise: two rules, two header filters, the
second rule leading to a backend that does not exist.
"""

from collections.abc import Iterable

from seawall.gateway.graph import (
    Cluster,
    ClusterName,
    Endpoint,
    Endpoints,
    FilterChain,
    Forward,
    Graph,
    GraphChange,
    HeaderEdits,
    HostKey,
    Hostname,
    Listener,
    ListenerName,
    ObjectKey,
    Route,
    RouteMatch,
    TableName,
    VirtualHost,
    WeightedBackend,
)

BACKEND = ClusterName("Service/bench/backend/80")


def host_name(number: int) -> Hostname:
    return Hostname(f"h{number}.bench.example")


def virtual_host(table: TableName, name: Hostname) -> VirtualHost:
    """Build a host as the promise describes it."""
    origin = ObjectKey(f"HTTPRoute/bench/{name}")
    edits = HeaderEdits(set=(("x-bench-request", "1"),))
    dead = Route(
        name=f"{origin}/1",
        origin=origin,
        path="$.spec.rules[1]",
        match=RouteMatch(path="/second"),
        action=Forward(backends=(WeightedBackend(cluster=None),)),
        request_headers=edits,
    )
    live = Route(
        name=f"{origin}/0",
        origin=origin,
        path="$.spec.rules[0]",
        match=RouteMatch(),
        action=Forward(backends=(WeightedBackend(cluster=BACKEND),)),
        request_headers=edits,
        response_headers=HeaderEdits(add=(("x-bench-response", "1"),)),
    )
    return VirtualHost(key=HostKey(table, name), routes=(dead, live))


def plain_host(table: TableName, name: Hostname) -> VirtualHost:
    """Build a host with one route and no filter: what a proxy does at least."""
    origin = ObjectKey(f"HTTPRoute/bench/{name}")
    action = Forward(backends=(WeightedBackend(cluster=BACKEND),))
    route = Route(name=f"{origin}/0", origin=origin, path="$.spec.rules[0]", match=RouteMatch(), action=action)
    return VirtualHost(key=HostKey(table, name), routes=(route,))


def graph(port: int, backend_port: int, hosts: Iterable[VirtualHost] = ()) -> Graph:
    """Put hosts behind one plain listener, with one backend."""
    listener = ListenerName(f"tcp/127.0.0.1/{port}")
    chain = FilterChain(name="http", protocol="http", table=table(port))
    members = Endpoints(cluster=BACKEND, members=(Endpoint(address="127.0.0.1", port=backend_port),))
    return Graph(
        listeners={listener: Listener(name=listener, address="127.0.0.1", port=port, chains=(chain,))},
        hosts={host.key: host for host in hosts},
        clusters={BACKEND: Cluster(name=BACKEND)},
        endpoints={BACKEND: members},
    )


def table(port: int) -> TableName:
    return TableName(f"tcp/127.0.0.1/{port}")


def everything(of: Graph) -> GraphChange:
    """Name all of a graph."""
    return GraphChange(
        listeners=frozenset(of.listeners),
        hosts=frozenset(of.hosts),
        clusters=frozenset(of.clusters),
        endpoints=frozenset(of.endpoints),
    )
