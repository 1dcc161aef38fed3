"""Clusters and endpoints: a backend and where it is.

Pure. One cluster per backend and settings, never per route: a route's edit touches no cluster, and health, ejection and
connection pools belong to the backend whoever sends to it. Endpoints come apart (EDS), so that a pod's coming and going
warms nothing.
"""

from collections.abc import Iterable
from typing import Any

from seawall.envoy.messages import ADS, duration
from seawall.envoy.proto import encode, pack
from seawall.envoy.secrets import sds
from seawall.envoy.treatment import treat, treated_protocol
from seawall.gateway.graph import ClientTls, Cluster, Endpoint, Endpoints
from seawall.gateway.resources.backend_traffic import ZoneShare
from seawall.kit.digest import digest
from seawall.xds.resource import CLUSTER, ENDPOINTS, SECRET, Ref, Resource, ResourceName

_CLUSTER = "envoy.config.cluster.v3.Cluster"
_ENDPOINTS = "envoy.config.endpoint.v3.ClusterLoadAssignment"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"

_STREAMS = ("tcp", "udp")
_CONNECT_TIMEOUT = 5.0
_BUFFER_LIMIT = 32 * 1024
_SWEEP = 5.0
"""How often Envoy looks who may come back. For each cluster: with thousands of them a second would be felt."""
_NOT_ENFORCED = (
    "enforcing_consecutive_5xx",
    "enforcing_consecutive_gateway_failure",
    "enforcing_success_rate",
    "enforcing_failure_percentage",
    "enforcing_local_origin_success_rate",
)
_MANY = 1 << 20
"""Envoy's own circuit breakers (1,024 connections, pending and active requests) are a trap at the edge: the first busy
backend trips them. What protects a backend is asked for by policy; the retry budget stays."""


def cluster(value: Cluster) -> Resource:
    """Build a cluster. It refers to its secrets; its endpoints are asked for by Envoy when it warms."""
    built: dict[str, Any] = {
        "name": value.name,
        "connect_timeout": duration(_CONNECT_TIMEOUT),
        "per_connection_buffer_limit_bytes": {"value": _BUFFER_LIMIT},
        "lb_policy": "LEAST_REQUEST",
        # A removed endpoint is gone at once, whatever a health check last said of it.
        "ignore_health_on_host_removal": True,
        "circuit_breakers": {"thresholds": [_thresholds()]},
        "outlier_detection": _unreachable(),
        # By default Envoy keeps what it has found out from its workers for up to a second, to merge it with what comes next:
        # an endpoint known to be dead got 40 more requests each time (measured).
        "common_lb_config": {"update_merge_window": duration(0.0)},
        **_discovery(value),
    }
    if value.treatment is not None:
        treat(built, value.treatment, value.protocol)
    if value.protocol not in _STREAMS:
        built["typed_extension_protocol_options"] = {
            _HTTP: pack(_HTTP, treated_protocol(_protocol(value), value.treatment))
        }
    if value.tls is not None and not value.tls.invalid:
        built["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": pack(_TLS, _tls(value.tls, value.protocol)),
        }
    body = encode(_CLUSTER, built)
    name = ResourceName(value.name)
    return Resource(type_url=CLUSTER, name=name, version=digest(body), body=body, refs=_refs(value.tls))


def endpoints(value: Endpoints) -> Resource:
    """Build a load assignment, empty if there are none: silence would leave a cluster warming for 15 s."""
    built: dict[str, Any] = {"cluster_name": value.cluster}
    if members := [member for member in value.members if member.is_ready]:
        built["endpoints"] = localities(members, value.zones)
    body = encode(_ENDPOINTS, built)
    return Resource(type_url=ENDPOINTS, name=ResourceName(value.cluster), version=digest(body), body=body)


def _discovery(value: Cluster) -> dict[str, Any]:
    if value.tls is not None and value.tls.invalid:
        # Never in clear text, never unverified: a cluster without endpoints answers 503.
        return {"type": "STATIC", "load_assignment": {"cluster_name": value.name}}
    if not value.hostnames:
        return {"type": "EDS", "eds_cluster_config": {"service_name": value.name, "eds_config": ADS}}
    zones = value.treatment.load_balancing.zones if value.treatment and value.treatment.load_balancing else ()
    return {
        "type": "STRICT_DNS",
        "dns_lookup_family": "ALL",
        "respect_dns_ttl": True,
        "load_assignment": {"cluster_name": value.name, "endpoints": localities(value.hostnames, zones)},
    }


def localities(members: Iterable[Endpoint], zones: tuple[ZoneShare, ...]) -> list[dict[str, Any]]:
    """Group endpoints by priority, and by zone where zones have shares; all in one where there is nothing to tell apart."""
    shares = {zone.name: zone.weight for zone in zones}
    groups: dict[tuple[int, str], list[Endpoint]] = {}
    for member in members:
        groups.setdefault((member.priority, member.zone if zones else ""), []).append(member)
    # Envoy wants priorities without a gap.
    ranks = {priority: rank for rank, priority in enumerate(sorted({priority for priority, _ in groups}))}
    found = []
    for (priority, zone), group in sorted(groups.items()):
        built: dict[str, Any] = {"lb_endpoints": [_endpoint(member) for member in group]}
        if ranks[priority]:
            built["priority"] = ranks[priority]
        if zones:
            built["locality"] = {"zone": zone}
            built |= {"load_balancing_weight": {"value": shares[zone]}} if zone in shares else {}
        found.append(built)
    return found


def _endpoint(value: Endpoint) -> dict[str, Any]:
    address = {"socket_address": {"address": value.address, "port_value": value.port}}
    built: dict[str, Any] = {"endpoint": {"address": address}}
    if value.weight != 1:
        built["load_balancing_weight"] = {"value": value.weight}
    return built


def _thresholds() -> dict[str, Any]:
    limits = {name: {"value": _MANY} for name in ("max_connections", "max_pending_requests", "max_requests")}
    # Retries may add a fifth to the load, never multiply it: a backend that fails must not be buried by its clients.
    return {**limits, "retry_budget": {"budget_percent": {"value": 20.0}, "min_retry_concurrency": {"value": 10}}}


def _unreachable() -> dict[str, Any]:
    """Leave out an endpoint to which two connections in a row failed. No answer of a backend ever counts here.

    Without it a dead endpoint is the favourite of least-request: nothing is under way there, so that two retries of a request in
    twelve met it again (measured). The second failure leaves it out, and so the second retry meets another.
    """
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": {"value": 2},
        "interval": duration(_SWEEP),
        "base_ejection_time": duration(1.0),
        "max_ejection_time": duration(_SWEEP),
        "max_ejection_percent": {"value": 50},
        **{name: {"value": 0} for name in _NOT_ENFORCED},
    }


def _protocol(value: Cluster) -> dict[str, Any]:
    if value.protocol == "http2":
        window = {
            "initial_stream_window_size": {"value": 1 << 16},
            "initial_connection_window_size": {"value": 1 << 20},
        }
        return {"explicit_http_config": {"http2_protocol_options": window}}
    # Shorter than what common servers keep an idle connection for (Node 5 s, Go and nginx 60 s and more), so that we
    # close first and no request meets a connection that the backend is just closing; `reset-before-request` does the rest.
    idle = {"idle_timeout": duration(50.0)}
    return {"explicit_http_config": {"http_protocol_options": {}}, "common_http_protocol_options": idle}


def _tls(value: ClientTls, protocol: str) -> dict[str, Any]:
    context: dict[str, Any] = {"tls_params": {"tls_minimum_protocol_version": "TLSv1_2"}}
    if protocol not in _STREAMS:
        context["alpn_protocols"] = ["h2"] if protocol == "http2" else ["http/1.1"]
    names = value.names or (("DNS", value.sni),)
    checks = {"match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": name}} for kind, name in names]}
    if value.ca is not None:
        context["combined_validation_context"] = {
            "default_validation_context": checks,
            "validation_context_sds_secret_config": sds(value.ca),
        }
    else:
        context["validation_context"] = {**checks, "system_root_certs": {}}
    if value.certificate is not None:
        context["tls_certificate_sds_secret_configs"] = [sds(value.certificate)]
    return {"sni": value.sni, "common_tls_context": context}


def _refs(tls: ClientTls | None) -> tuple[Ref, ...]:
    if tls is None:
        return ()
    return tuple(Ref(SECRET, ResourceName(name)) for name in (tls.ca, tls.certificate) if name is not None)
