"""Rebind: a snapshot that can live beside the Envoy that serves it: same names, same routes, other sockets.

Pure. Listeners move to free ports of the loopback, every backend becomes one stand-in on a unix socket. Route tables and
secrets are the same bytes: what a rollout changes most is tried as it is, and 5,000 hosts cost nothing here.

What is not tried: TLS and HTTP/2 towards backends (the stand-in speaks HTTP/1.1 in clear text), DNS, health checks, access
logs, and what an authorisation or rate-limit service would say: these filters stay, are asked, and let requests pass.
Next room: `agent.scratch` gives it to a sacrificial Envoy.
"""

from typing import Any

from google.protobuf.message import DecodeError

from seawall.envoy.messages import full_name
from seawall.envoy.proto import TYPE_PREFIX, decode
from seawall.kit.digest import digest
from seawall.xds.resource import CLUSTER, ENDPOINTS, LISTENER, Resource
from seawall.xds.snapshot import Change, Snapshot

_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_FILTERS = "envoy.extensions.filters.http."
_LOOPBACK = "127.0.0.1"
_LISTENER_SETTINGS = (
    "additional_addresses",
    "access_log",
    "enable_reuse_port",
    "reuse_port",
    "transparent",
    "freebind",
    "socket_options",
    "tcp_fast_open_queue_length",
    "connection_balance_config",
    "use_original_dst",
)
_LISTENER_FILTERS = ("envoy.filters.listener.proxy_protocol", "envoy.filters.listener.original_dst")
"""They ask the client for what only a load balancer in front, or the kernel, can tell."""
_CONNECTION_LIMIT = "envoy.filters.network.connection_limit"
_CLUSTER_SETTINGS = (
    "transport_socket",
    "transport_socket_matches",
    "health_checks",
    "outlier_detection",
    "dns_resolvers",
    "typed_dns_resolver_config",
    "dns_resolution_config",
    "dns_refresh_rate",
    "dns_failure_refresh_rate",
    "respect_dns_ttl",
    "dns_lookup_family",
    "upstream_bind_config",
)


def rebind(snapshot: Snapshot, stand_in: str) -> Snapshot:
    """Move every listener to a free port of the loopback, and every endpoint to the unix socket `stand_in`."""
    put = [
        *(_listener(one) for one in snapshot.resources(LISTENER).values()),
        *(_cluster(one, stand_in) for one in snapshot.resources(CLUSTER).values()),
        *(_endpoints(one, stand_in) for one in snapshot.resources(ENDPOINTS).values()),
    ]
    return snapshot.apply(Change(put=tuple(put)))


def _listener(resource: Resource) -> Resource:
    message = _decoded(resource)
    if message is None:
        return resource
    is_udp = message.address.socket_address.protocol == 1
    message.address.Clear()
    message.address.socket_address.address = _LOOPBACK
    message.address.socket_address.port_value = 0
    if is_udp:
        message.address.socket_address.protocol = 1
    for field in _LISTENER_SETTINGS:
        message.ClearField(field)
    # One worker needs no port of its own per worker; without it two listeners can never share a port by accident.
    message.enable_reuse_port.value = False
    kept = [one for one in message.listener_filters if one.name not in _LISTENER_FILTERS]
    if len(kept) != len(message.listener_filters):
        del message.listener_filters[:]
        message.listener_filters.extend(kept)
    for chain in (*message.filter_chains, message.default_filter_chain):
        _unlimited(chain)
        for one in chain.filters:
            _quiet(one.typed_config)
            if not is_udp:
                _any_version(one.typed_config)
    return _again(resource, message)


def _unlimited(chain: Any) -> None:
    """Take connection limits out: who tries a candidate makes many connections at once, and no client is turned away."""
    kept = [one for one in chain.filters if one.name != _CONNECTION_LIMIT]
    if len(kept) != len(chain.filters):
        del chain.filters[:]
        chain.filters.extend(kept)


def _any_version(config: Any) -> None:
    """Speak HTTP/1.1 to who tries it also where clients must speak HTTP/2."""
    if config.type_url == TYPE_PREFIX + _HCM:
        manager: Any = decode(_HCM, config.value)
        manager.codec_type = 0
        config.value = manager.SerializeToString(deterministic=True)


def _quiet(config: Any) -> None:
    """Keep a connection manager from writing logs and from failing for want of services outside."""
    if config.type_url != TYPE_PREFIX + _HCM:
        return
    manager: Any = decode(_HCM, config.value)
    manager.ClearField("access_log")
    manager.ClearField("tracing")
    for one in manager.http_filters:
        _fail_open(one.typed_config)
    config.value = manager.SerializeToString(deterministic=True)


_TOLERANT = {
    f"{_FILTERS}ext_authz.v3.ExtAuthz": ("failure_mode_allow", True),
    f"{_FILTERS}ext_proc.v3.ExternalProcessor": ("failure_mode_allow", True),
    f"{_FILTERS}ratelimit.v3.RateLimit": ("failure_mode_deny", False),
}


def _fail_open(config: Any) -> None:
    name = config.type_url.removeprefix(TYPE_PREFIX)
    if name in _TOLERANT:
        field, value = _TOLERANT[name]
        message: Any = decode(name, config.value)
        setattr(message, field, value)
        config.value = message.SerializeToString(deterministic=True)


def _cluster(resource: Resource, stand_in: str) -> Resource:
    message = _decoded(resource)
    if message is None:
        return resource
    for field in _CLUSTER_SETTINGS:
        message.ClearField(field)
    is_eds = message.HasField("eds_cluster_config")
    if not is_eds:
        message.ClearField("cluster_type")
        message.type = 0
        _to_stand_in(message.load_assignment, stand_in)
        message.load_assignment.cluster_name = message.name
    # CLUSTER_PROVIDED belongs to the kinds of cluster that this one no longer is.
    if message.lb_policy == 6:
        message.lb_policy = 0
    options = message.typed_extension_protocol_options
    if _HTTP in options:
        protocol: Any = decode(_HTTP, options[_HTTP].value)
        protocol.explicit_http_config.http_protocol_options.SetInParent()
        options[_HTTP].value = protocol.SerializeToString(deterministic=True)
    message.ClearField("http2_protocol_options")
    return _again(resource, message)


def _endpoints(resource: Resource, stand_in: str) -> Resource:
    message = _decoded(resource)
    if message is None:
        return resource
    _to_stand_in(message, stand_in)
    return _again(resource, message)


def _to_stand_in(assignment: Any, stand_in: str) -> None:
    """Leave one endpoint where there were any: a backend without endpoints must stay one."""
    first = next((one for locality in assignment.endpoints for one in locality.lb_endpoints), None)
    del assignment.endpoints[:]
    if first is None:
        return
    kept = assignment.endpoints.add().lb_endpoints.add()
    if first.HasField("load_balancing_weight"):
        kept.load_balancing_weight.CopyFrom(first.load_balancing_weight)
    kept.endpoint.address.pipe.path = stand_in


def _decoded(resource: Resource) -> Any:
    """Parse a resource; None for bytes that are none: Envoy shall say so itself."""
    try:
        return decode(full_name(resource.type_url), resource.body)
    except DecodeError:
        return None


def _again(resource: Resource, message: Any) -> Resource:
    body = message.SerializeToString(deterministic=True)
    # A cluster without TLS needs no secret any more; what a listener needs has not changed.
    refs = () if resource.type_url == CLUSTER else resource.refs
    return Resource(type_url=resource.type_url, name=resource.name, version=digest(body), body=body, refs=refs)
