"""Scopes: hostname → route table.

Pure. One ScopedRouteConfiguration for each exact hostname of each table, route table inline, and one *fallback* for the
table's wildcards and catch-all. So a change to a host costs Envoy that host (2 to 7 ms among 20,000, most of it fixed),
where one RouteConfiguration would cost all hosts (24 µs each), and still every request finds what the Gateway API says:

    x-seawall-scope = <table>|<Host without port>     set by the early header mutation, cannot be forged
        │ a scope of that key?            yes ─▶ that host's routes (paths that match nothing: its own 404)
        ▼ no: no route, so the filter `rescope` runs
        capitals in Host?                 yes ─▶ try again in lower case
        ▼
        <table>|*                              ─▶ fallback: longest wildcard, then `*`, else 404; 421 where another
                                                  listener on the same port serves that host (RFC 9110 section 15.5.20)
"""

from collections.abc import Iterable
from typing import Any

from seawall.envoy import acts, filters, places, routes
from seawall.envoy.names import scope, scope_resource
from seawall.envoy.proto import encode
from seawall.gateway.graph import FilterChain, HostKey, Hostname, TableName, VirtualHost
from seawall.kit.digest import digest
from seawall.xds.resource import CLUSTER, SCOPE, Ref, Resource, ResourceName

_MESSAGE = "envoy.config.route.v3.ScopedRouteConfiguration"


def exact(host: VirtualHost) -> Resource:
    """Build the scope of an exact hostname. The scope has chosen the host already, so its domain is `*`."""
    table = {
        **_table(host.key.table),
        "virtual_hosts": [routes.virtual_host(host, domains=(Hostname("*"),))],
        "typed_per_filter_config": {
            **filters.table_filters(),
            **places.table_filters(host.routes, has_others=False),
        },
    }
    return _resource(host.key, table, (host,))


def fallback(chain: FilterChain, table: TableName, hosts: Iterable[VirtualHost]) -> Resource:
    """Build the scope for every hostname of a table that has none of its own."""
    wild = sorted(hosts, key=lambda host: host.key.hostname)
    served = {host.key.hostname for host in wild}
    virtual_hosts = [routes.virtual_host(host, domains=(host.key.hostname,)) for host in wild]
    elsewhere = tuple(name for name in chain.misdirected if name not in served)
    unknown = tuple(name for name in (Hostname("*"),) if name not in served and name not in elsewhere)
    if elsewhere:
        virtual_hosts.append(routes.answering("misdirected", elsewhere, 421))
    if unknown:
        virtual_hosts.append(routes.answering("unknown", unknown, 421 if chain.misdirects_unknown else 404))
    key = HostKey(table, Hostname("*"))
    filled = places.table_filters([route for host in wild for route in host.routes], has_others=True)
    surroundings = {"typed_per_filter_config": filled} if filled else {}
    return _resource(key, {**_table(table), "virtual_hosts": virtual_hosts, **surroundings}, wild)


def _table(table: TableName) -> dict[str, Any]:
    return {
        "name": scope(table),
        "ignore_port_in_host_matching": True,
        # The share of a backend that cannot be used names a cluster that never exists; Envoy would refuse the whole table.
        "validate_clusters": {"value": False},
        "request_headers_to_remove": [filters.SCOPE_HEADER],
        # Only a refusal of ours has it: a backend that sent it would have its answers taken for that.
        "response_headers_to_remove": [acts.REF_HEADER],
    }


def _resource(key: HostKey, table: dict[str, Any], hosts: Iterable[VirtualHost]) -> Resource:
    name = scope_resource(key)
    body = encode(_MESSAGE, {"name": name, "key": {"fragments": [{"string_key": name}]}, "route_configuration": table})
    clusters = sorted({cluster for host in hosts for cluster in routes.clusters(host)})
    refs = tuple(Ref(CLUSTER, ResourceName(cluster)) for cluster in clusters)
    return Resource(type_url=SCOPE, name=name, version=digest(body), body=body, refs=refs)
