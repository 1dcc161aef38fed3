"""Stats: which of Envoy's own metrics an edge keeps.

Pure. Envoy makes about 160 series for each cluster; what is not listed here is never created. The list answers the
questions of somebody on call: is traffic served, what fails and where, is the edge overloaded, does it obey its agent.
Next rooms: `envoy.bootstrap` gives it to Envoy, `fleet.metrics` holds the hard cap; `envoy.counts` sums up what a rollout
is judged by.
"""

from typing import Any

HISTOGRAM_BUCKETS_MS: tuple[float, ...] = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000)
"""Upper bounds in milliseconds. Only whole-edge histograms are kept: one per cluster would be 16 series each."""

_CLUSTER = (
    "upstream_rq_total|upstream_rq_[2345]xx|upstream_rq_40[134]|upstream_rq_429|upstream_rq_active|upstream_rq_timeout|upstream_rq_retry"
    "|upstream_rq_retry_success|upstream_rq_pending_overflow|upstream_rq_rx_reset|upstream_rq_maintenance_mode"
    "|upstream_cx_total|upstream_cx_active|upstream_cx_connect_fail|upstream_cx_overflow|upstream_cx_none_healthy"
    "|membership_total|membership_healthy|ssl\\.connection_error|ssl\\.fail_verify_error"
    "|outlier_detection\\.ejections_active"
)
_HTTP = (
    "downstream_rq_total|downstream_rq_[12345]xx|downstream_rq_active|downstream_rq_time|downstream_rq_overload_close"
    "|downstream_rq_too_large|downstream_rq_rx_reset|downstream_rq_timeout|downstream_rq_header_timeout"
    "|downstream_rq_max_duration_reached|downstream_rq_idle_timeout|downstream_cx_total|downstream_cx_active"
    "|downstream_cx_overload_disable_keepalive|downstream_cx_protocol_error|downstream_cx_upgrades_active"
    "|no_route|no_cluster|rq_direct_response|rq_redirect"
    "|passthrough_internal_redirect_.*"
)
_LISTENER = (
    "downstream_cx_total|downstream_cx_active|downstream_cx_overflow|downstream_global_cx_overflow"
    "|downstream_cx_overload_reject|no_filter_chain_match|ssl\\.handshake|ssl\\.connection_error|ssl\\.fail_verify_error"
    "|ssl\\.fail_verify_no_cert"
)
# Filters that can fail while every answer is a 200: only their own counters tell.
_FILTERS = (
    "lua\\.(.*\\.)?errors|ext_authz\\..*|ext_proc\\..*|jwt_authn\\..*|rbac\\..*|csrf\\..*|fault\\..*|local_rate_limit\\..*"
    "|http_local_rate_limit\\..*|ratelimit\\..*|wasm\\..*|dynamic_modules?.*|oauth2?\\..*"
)


def _prefix(value: str) -> dict[str, Any]:
    return {"prefix": value}


def _regex(value: str) -> dict[str, Any]:
    return {"safe_regex": {"regex": value}}


KEPT_STATS: tuple[dict[str, Any], ...] = (
    _prefix("server."),
    _prefix("control_plane."),
    _prefix("overload."),
    _prefix("listener_manager."),
    _prefix("cluster_manager.c"),
    _prefix("cluster_manager.active_clusters"),
    _prefix("cluster_manager.warming_clusters"),
    _prefix("runtime.load_"),
    _prefix("filesystem.write_failed"),
    _regex(f"cluster\\..*\\.({_CLUSTER})"),
    _regex(f"http\\..*\\.({_HTTP}|{_FILTERS})"),
    _regex(f"listener\\..*\\.({_LISTENER})"),
    # Made in the root of all names, below the filter's own prefix.
    _regex(".*\\.http_local_rate_limit\\.(enforced|ok|rate_limited|shadow_mode)"),
    _regex("tcp\\..*\\.(downstream_cx_total|downstream_cx_no_route)"),
    _regex("udp\\..*\\.(downstream_sess_total|downstream_sess_active|downstream_sess_no_route)"),
    _regex(".*(update_rejected|init_fetch_timeout)"),
)
"""Matchers of Envoy's `stats_matcher.inclusion_list`."""
