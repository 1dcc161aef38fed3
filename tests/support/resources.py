"""Small Envoy resources for tests of the protocol, built from JSON: the least that serves a request.

Not the builders of `seawall.envoy`: the protocol must work for any resources.
"""

from typing import Any

from seawall.envoy.proto import TYPE_PREFIX, from_json
from seawall.kit.digest import digest
from seawall.xds.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTE, SCOPE, Ref, Resource, ResourceName, TypeUrl

ADS: dict[str, Any] = {"ads": {}, "resource_api_version": "V3"}
_HTTP = "type.googleapis.com/envoy.extensions.filters"


def resource(type_url: TypeUrl, name: str, data: dict[str, Any], refs: tuple[Ref, ...] = ()) -> Resource:
    """Build a resource from the protobuf JSON mapping."""
    body = from_json(type_url.removeprefix(TYPE_PREFIX), data).SerializeToString(deterministic=True)
    return Resource(type_url=type_url, name=ResourceName(name), version=digest(body), body=body, refs=refs)


def cluster_ref(name: str) -> Ref:
    return Ref(CLUSTER, ResourceName(name))


def eds_cluster(name: str, **more: Any) -> Resource:
    """A cluster whose endpoints come by EDS under its own name."""
    data = {"name": name, "type": "EDS", "connect_timeout": "1s", "eds_cluster_config": {"eds_config": ADS}, **more}
    return resource(CLUSTER, name, data)


def endpoints(name: str, *ports: int) -> Resource:
    """Endpoints on the loopback."""
    members = [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}} for port in ports
    ]
    return resource(ENDPOINTS, name, {"cluster_name": name, "endpoints": [{"lb_endpoints": members}]})


def scope(host: str, cluster: str, **more: Any) -> Resource:
    """A scoped route: everything for a host goes to a cluster."""
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": cluster}, **more}]
    table = {"name": "table", "virtual_hosts": [{"name": host, "domains": ["*"], "routes": routes}]}
    data = {"name": host, "key": {"fragments": [{"string_key": host}]}, "route_configuration": table}
    return resource(SCOPE, host, data, (cluster_ref(cluster),))


def route_table(name: str, cluster: str) -> Resource:
    """A route table for RDS: everything goes to a cluster."""
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]
    data = {"name": name, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}
    return resource(ROUTE, name, data, (cluster_ref(cluster),))


def listener(name: str, *, port: int = 0, table: str = "", **more: Any) -> Resource:
    """A listener on the loopback: routes by RDS from `table`, or scoped by host if there is none."""
    if table:
        routes: dict[str, Any] = {"rds": {"route_config_name": table, "config_source": ADS}}
    else:
        extractor = {"name": ":authority", "element_separator": ":", "index": 0}
        routes = {
            "scoped_routes": {
                "name": "scopes",
                "scope_key_builder": {"fragments": [{"header_value_extractor": extractor}]},
                "scoped_rds": {"scoped_rds_config_source": ADS},
            }
        }
    router = {"@type": f"{_HTTP}.http.router.v3.Router"}
    manager = {
        "@type": f"{_HTTP}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
        **routes,
    }
    data = {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
        **more,
    }
    refs = (Ref(ROUTE, ResourceName(table)),) if table else ()
    return resource(LISTENER, name, data, refs)
