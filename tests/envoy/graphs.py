"""Small graphs for the tests of the Envoy room."""

from seawall.gateway.graph import (
    Action,
    Cluster,
    ClusterName,
    Endpoint,
    Endpoints,
    FilterChain,
    Forward,
    Graph,
    GraphChange,
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

LISTENER = ListenerName("tcp/127.0.0.1/8080")
TABLE = TableName("tcp/127.0.0.1/8080")
SHOP = ClusterName("Service/shop/web/80")
TO_SHOP = Forward(backends=(WeightedBackend(cluster=SHOP),))


def route(action: Action = TO_SHOP, match: RouteMatch | None = None, name: str = "HTTPRoute/shop/web/0") -> Route:
    """A route of `HTTPRoute/shop/web`."""
    return Route(
        name=name,
        origin=ObjectKey("HTTPRoute/shop/web"),
        path="$.spec.rules[0]",
        match=match or RouteMatch(),
        action=action,
    )


def host(name: str, *routes: Route, table: TableName = TABLE) -> VirtualHost:
    """A virtual host of the plain listener."""
    return VirtualHost(key=HostKey(table, Hostname(name)), routes=routes)


def graph(*hosts: VirtualHost, listeners: tuple[Listener, ...] | None = None) -> Graph:
    """One listener, one backend, these hosts."""
    plain = Listener(
        name=LISTENER,
        address="127.0.0.1",
        port=8080,
        chains=(FilterChain(name="http", protocol="http", table=TABLE),),
        origins=(ObjectKey("Gateway/shop/edge"),),
    )
    backend = Cluster(name=SHOP, origins=(ObjectKey("Service/shop/web"),))
    members = Endpoints(cluster=SHOP, members=(Endpoint(address="127.0.0.1", port=9000),))
    return Graph(
        listeners={each.name: each for each in (listeners if listeners is not None else (plain,))},
        hosts={each.key: each for each in hosts},
        clusters={SHOP: backend},
        endpoints={SHOP: members},
    )


def everything(of: Graph) -> GraphChange:
    """The change that names all of a graph."""
    return GraphChange(
        listeners=frozenset(of.listeners),
        hosts=frozenset(of.hosts),
        clusters=frozenset(of.clusters),
        endpoints=frozenset(of.endpoints),
        secrets=frozenset(of.secrets),
    )
