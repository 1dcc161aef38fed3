"""Build: graph → snapshot, at the cost of what changed.

Pure. The flow of this room: listeners, scopes, clusters, endpoints and secrets are each built from one record of the
graph, so a `GraphChange` names exactly what to build again. Building everything is the same thing with everything named.
Next room: `xds.snapshot`, then `server`.
"""

from collections import defaultdict
from collections.abc import Iterator

from seawall.envoy import clusters, scopes
from seawall.envoy.listeners import EdgeDefaults, http3_listener, listener
from seawall.envoy.names import scope_resource
from seawall.envoy.quic import quic_name
from seawall.envoy.runtime import RUNTIME_REF, runtime
from seawall.envoy.secrets import secret
from seawall.gateway.graph import (
    FilterChain,
    Graph,
    GraphChange,
    HostKey,
    Hostname,
    ListenerName,
    ObjectKey,
    TableName,
    VirtualHost,
)
from seawall.xds.resource import CLUSTER, ENDPOINTS, LISTENER, SCOPE, SECRET, Ref, Resource, ResourceName
from seawall.xds.snapshot import EMPTY, Change, Snapshot


class Builder:
    """Follows a graph and holds its snapshot.

    `update` takes the graph as it is now and the names that changed in it since the last call.
    """

    def __init__(self, defaults: EdgeDefaults | None = None) -> None:
        self._defaults = defaults or EdgeDefaults()
        self._snapshot = EMPTY
        self._chains: dict[TableName, FilterChain] = {}
        self._tables_of: dict[ListenerName, tuple[TableName, ...]] = {}
        self._wild: defaultdict[TableName, set[Hostname]] = defaultdict(set)
        self._origins: dict[Ref, tuple[ObjectKey, ...]] = {}

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    def origins(self, ref: Ref) -> tuple[ObjectKey, ...]:
        """Name the objects that a resource was built from: whom to tell when Envoy refuses it."""
        return self._origins.get(ref, ())

    def update(self, graph: Graph, change: GraphChange) -> Change:
        """Build what changed and return what that does to the snapshot, empty if the bytes are the same."""
        put: list[Resource] = []
        remove: list[Ref] = []
        for ref, built, origins in self._built(graph, change):
            if built is None:
                self._origins.pop(ref, None)
                if self._snapshot.get(ref) is not None:
                    remove.append(ref)
                continue
            self._origins[ref] = origins
            old = self._snapshot.get(ref)
            if old is None or old.version != built.version:
                put.append(built)
        result = Change(put=tuple(put), remove=tuple(remove))
        if not result.is_empty:
            self._snapshot = self._snapshot.apply(result)
        return result

    def _built(self, graph: Graph, change: GraphChange) -> Iterator[tuple[Ref, Resource | None, tuple[ObjectKey, ...]]]:
        """Yield each resource that may have changed, None for one that is gone, with its origins."""
        for cluster_name in sorted(change.clusters):
            cluster = graph.clusters.get(cluster_name)
            ref = Ref(CLUSTER, ResourceName(cluster_name))
            yield ref, clusters.cluster(cluster) if cluster else None, cluster.origins if cluster else ()
        for cluster_name in sorted(change.endpoints):
            members = graph.endpoints.get(cluster_name)
            origins = cluster.origins if (cluster := graph.clusters.get(cluster_name)) else ()
            yield Ref(ENDPOINTS, ResourceName(cluster_name)), clusters.endpoints(members) if members else None, origins
        for secret_name in sorted(change.secrets):
            found = graph.secrets.get(secret_name)
            yield Ref(SECRET, ResourceName(secret_name)), secret(found) if found else None, ()
        if change.runtime or self._snapshot.get(RUNTIME_REF) is None:
            yield RUNTIME_REF, runtime(graph.runtime), (graph.perimeter.name,) if graph.perimeter else ()
        stale = set[TableName]()
        for listener_name in sorted(change.listeners):
            socket = graph.listeners.get(listener_name)
            ref = Ref(LISTENER, ResourceName(listener_name))
            stale |= self._follow_tables(listener_name, socket.chains if socket else ())
            if listener_name.startswith("udp/") and socket is None:
                yield self._quic(graph, listener_name)
                continue
            yield ref, listener(socket, self._defaults) if socket else None, socket.origins if socket else ()
            beside = quic_name(listener_name)
            if beside is not None and beside not in graph.listeners:
                yield self._quic(graph, beside)
        yield from self._scopes(graph, change, stale)

    def _quic(self, graph: Graph, name: ListenerName) -> tuple[Ref, Resource | None, tuple[ObjectKey, ...]]:
        """Build the UDP side of a TCP socket, for HTTP/3; a UDP listener of somebody's own goes before it."""
        socket = graph.listeners.get(ListenerName(f"tcp/{name.removeprefix('udp/')}"))
        built = http3_listener(socket, self._defaults) if socket is not None else None
        return Ref(LISTENER, ResourceName(name)), built, socket.origins if socket is not None else ()

    def _scopes(
        self, graph: Graph, change: GraphChange, stale: set[TableName]
    ) -> Iterator[tuple[Ref, Resource | None, tuple[ObjectKey, ...]]]:
        for key in sorted(change.hosts):
            host = graph.hosts.get(key)
            if not key.hostname.startswith("*"):
                origins = _unique(_route_origins(host)) if host else ()
                yield Ref(SCOPE, scope_resource(key)), scopes.exact(host) if host else None, origins
                continue
            stale.add(key.table)
            if host is not None:
                self._wild[key.table].add(key.hostname)
            else:
                self._wild[key.table].discard(key.hostname)
        for table in sorted(stale):
            yield self._fallback(graph, table)

    def _fallback(self, graph: Graph, table: TableName) -> tuple[Ref, Resource | None, tuple[ObjectKey, ...]]:
        ref = Ref(SCOPE, scope_resource(HostKey(table, Hostname("*"))))
        chain = self._chains.get(table)
        if chain is None:
            self._wild.pop(table, None)
            return ref, None, ()
        hosts = [graph.hosts[HostKey(table, name)] for name in self._wild[table]]
        return ref, scopes.fallback(chain, table, hosts), _unique(key for host in hosts for key in _route_origins(host))

    def _follow_tables(self, name: ListenerName, chains: tuple[FilterChain, ...]) -> set[TableName]:
        """Note which tables a listener serves now; return those whose fallback must be built again or goes."""
        before = self._tables_of.pop(name, ())
        now = {chain.table: chain for chain in chains if chain.table is not None}
        changed = {table for table in before if table not in now}
        changed |= {table for table, chain in now.items() if self._chains.get(table) != chain}
        for table in before:
            self._chains.pop(table, None)
        self._chains |= now
        if now:
            self._tables_of[name] = tuple(now)
        return changed


def _route_origins(host: VirtualHost) -> Iterator[ObjectKey]:
    for route in host.routes:
        yield route.origin
        if route.limited is not None:
            yield route.limited.by.origin
        if route.admitted is not None:
            yield ObjectKey(route.admitted.by.origin)
        if route.handling is not None:
            yield from (ObjectKey(one.policy) for one in route.handling.sources)


def _unique(keys: Iterator[ObjectKey]) -> tuple[ObjectKey, ...]:
    return tuple(dict.fromkeys(keys))
