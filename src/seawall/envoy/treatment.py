"""Treatment: what a TrafficPolicy asks for a backend, in its cluster.

Pure. It goes over what `envoy.clusters` has built, and only over the fields that the policy has. Next room: `envoy.clusters`.
"""

from typing import Any, Final

from seawall.envoy.messages import duration
from seawall.envoy.proto import pack
from seawall.gateway.handling import RetryBudget, Treatment
from seawall.gateway.resources.backend_traffic import (
    CircuitBreaker,
    Connections,
    HashKey,
    HealthCheck,
    LoadBalancing,
    OutlierEjection,
    SlowStart,
)
from seawall.gateway.resources.scalars import seconds

_LB: Final = "envoy.extensions.load_balancing_policies."
_STREAMS: Final = ("tcp", "udp")
Fields = dict[str, Any]


def treat(built: Fields, asked: Treatment, protocol: str) -> None:
    """Put what is asked for into a cluster."""
    (limits,) = built["circuit_breakers"]["thresholds"]
    if asked.load_balancing is not None:
        built["load_balancing_policy"] = {"policies": [{"typed_extension_config": _balancer(asked.load_balancing)}]}
    if asked.health_check is not None:
        built["health_checks"] = [_health_check(asked.health_check, built["name"], protocol)]
        panic = asked.health_check.panic_percent
        built["common_lb_config"]["healthy_panic_threshold"] = {"value": float(panic)}
    if asked.outlier_ejection is not None:
        built["outlier_detection"] = _outlier(asked.outlier_ejection)
    if asked.circuit_breaker is not None:
        limits |= _breaker(asked.circuit_breaker)
    if asked.retry_budget is not None:
        limits["retry_budget"] = _budget(asked.retry_budget)
    if asked.connections is not None:
        _connections(built, asked.connections)


def treated_protocol(built: Fields, asked: Treatment | None) -> Fields:
    """Put into the options of HTTP what is asked for connections."""
    if asked is None or asked.connections is None:
        return built
    settings = asked.connections
    common: Fields = dict(built.get("common_http_protocol_options", {}))
    if settings.idle_timeout is not None:
        common["idle_timeout"] = duration(seconds(settings.idle_timeout))
    if settings.max_requests is not None:
        common["max_requests_per_connection"] = {"value": settings.max_requests}
    return {**built, "common_http_protocol_options": common} if common else built


# ── which endpoint ───────────────────────────────────────────────────────────────────────────────────────────────


def _balancer(asked: LoadBalancing) -> Fields:
    slow = {"slow_start_config": _slow_start(asked.slow_start)} if asked.slow_start is not None else {}
    by_zone: Fields = {"locality_weighted_lb_config": {}} if asked.zones else {}
    zones = {"locality_lb_config": by_zone} if asked.zones else {}
    match asked.type:
        case "leastRequest":
            return _named("least_request.v3.LeastRequest", {**slow, **zones})
        case "roundRobin":
            return _named("round_robin.v3.RoundRobin", {**slow, **zones})
        case "random":
            return _named("random.v3.Random", zones)
        case "maglev":
            return _named("maglev.v3.Maglev", {"consistent_hashing_lb_config": _hashing(asked), **by_zone})
        case "ringHash":
            return _named("ring_hash.v3.RingHash", {"consistent_hashing_lb_config": _hashing(asked), **by_zone})


def _named(kind: str, config: Fields) -> Fields:
    return {"name": kind.split(".", 1)[0], "typed_config": pack(_LB + kind, config)}


def _slow_start(asked: SlowStart) -> Fields:
    return {
        "slow_start_window": duration(seconds(asked.window)),
        "min_weight_percent": {"value": asked.min_percent},
    }


def _hashing(asked: LoadBalancing) -> Fields:
    built: Fields = {"hash_policy": [_hash(key) for key in asked.hash]}
    if asked.bounded_load is not None:
        built["hash_balance_factor"] = {"value": asked.bounded_load}
    return built


def _hash(key: HashKey) -> Fields:
    name, terminal = key.name or "", {"terminal": True} if key.terminal else {}
    match key.type:
        case "header":
            return {"header": {"header_name": name.lower()}, **terminal}
        case "cookie":
            cookie: Fields = {"name": name, "path": "/"}
            if key.ttl is not None:
                cookie["ttl"] = duration(seconds(key.ttl))
                cookie["attributes"] = [{"name": "HttpOnly"}, {"name": "SameSite", "value": "Lax"}]
            return {"cookie": cookie, **terminal}
        case "query":
            return {"query_parameter": {"name": name}, **terminal}
        case "source":
            return {"connection_properties": {"source_ip": True}, **terminal}


# ── which endpoints are well ─────────────────────────────────────────────────────────────────────────────────────


def _health_check(asked: HealthCheck, cluster: str, protocol: str) -> Fields:
    built: Fields = {
        "timeout": duration(seconds(asked.timeout)),
        "interval": duration(seconds(asked.interval)),
        # The edges of a fleet start together: they must not ask together for ever.
        "interval_jitter_percent": 20,
        "unhealthy_threshold": {"value": asked.unhealthy},
        "healthy_threshold": {"value": asked.healthy},
        # As often while nobody asks: with Envoy's minute the first requests after a pause find out for themselves, and the
        # check after the first of them comes only when that minute is over (measured with 15 s).
        "no_traffic_interval": duration(seconds(asked.interval)),
    }
    if asked.port is not None:
        built["alt_port"] = {"value": asked.port}
    if asked.http is not None:
        built["http_health_check"] = {
            "host": asked.http.host or cluster.split("/")[2],
            "path": asked.http.path,
            "method": asked.http.method,
            "expected_statuses": [{"start": code, "end": code + 1} for code in asked.http.statuses],
            "codec_client_type": "HTTP2" if protocol == "http2" else "HTTP1",
        }
    elif asked.grpc is not None:
        built["grpc_health_check"] = {"service_name": asked.grpc.service}
    elif asked.tcp is not None:
        check: Fields = {}
        if asked.tcp.send is not None:
            check["send"] = _payload(asked.tcp.send)
        if asked.tcp.receive is not None:
            check["receive"] = [_payload(asked.tcp.receive)]
        built["tcp_health_check"] = check
    return built


def _payload(text: str) -> Fields:
    return {"text": text.encode().hex()}


def _outlier(asked: OutlierEjection) -> Fields:
    def enforced(count: int) -> Fields:
        return {"value": 100 if count else 0}

    return {
        "interval": duration(seconds(asked.interval)),
        "base_ejection_time": duration(seconds(asked.duration)),
        "max_ejection_time": duration(seconds(asked.max_duration)),
        "max_ejection_percent": {"value": asked.max_percent},
        "consecutive_5xx": {"value": asked.errors or 1},
        "enforcing_consecutive_5xx": enforced(asked.errors),
        # A connection that breaks counts here as well. Counted apart (`split_external_local_origin_errors`) it would never
        # be two in a row for an endpoint that accepts and then resets: each accept begins the count anew (measured).
        "consecutive_gateway_failure": {"value": asked.gateway_errors or 1},
        "enforcing_consecutive_gateway_failure": enforced(asked.gateway_errors),
        # Comparing endpoints by their share of errors needs more of them and of requests than most have.
        **{name: {"value": 0} for name in _STATISTICAL},
    }


_STATISTICAL: Final = ("enforcing_success_rate", "enforcing_failure_percentage")


# ── how much, over what ──────────────────────────────────────────────────────────────────────────────────────────


def _breaker(asked: CircuitBreaker) -> Fields:
    given = {
        "max_connections": asked.connections,
        "max_pending_requests": asked.pending_requests,
        "max_requests": asked.requests,
    }
    return {name: {"value": value} for name, value in given.items() if value is not None}


def _budget(asked: RetryBudget) -> Fields:
    built: Fields = {
        "budget_percent": {"value": asked.percent},
        "min_retry_concurrency": {"value": asked.min_concurrent},
    }
    if asked.interval is not None:
        built["budget_interval"] = duration(asked.interval)
    return built


def _connections(built: Fields, asked: Connections) -> None:
    built["connect_timeout"] = duration(seconds(asked.connect_timeout))
    built["per_connection_buffer_limit_bytes"] = {"value": asked.buffer_bytes}
    if asked.keepalive is not None:
        probing = {
            "keepalive_time": {"value": round(seconds(asked.keepalive.idle))},
            "keepalive_interval": {"value": round(seconds(asked.keepalive.interval))},
            "keepalive_probes": {"value": asked.keepalive.probes},
        }
        built["upstream_connection_options"] = {"tcp_keepalive": probing}
