"""Manners: what a ListenerPolicy makes of a socket, its TLS and its connection manager.

Pure. Each function takes what `envoy.listeners` would build without a policy and returns it with the policy's say, so that
nothing changes where there is none. Next rooms: `envoy.request_logs` for its loggers, `envoy.quic` for HTTP/3.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any

from seawall.envoy.messages import duration, literal
from seawall.envoy.proto import pack
from seawall.envoy.request_logs import loggers
from seawall.gateway.graph import FilterChain, Listener, Manner
from seawall.gateway.resources.listener_policies import (
    ClientAddress,
    EarlyHeaders,
    ListenerPolicySpec,
    PathNormalization,
    ProxyProtocol,
    TlsParameters,
)
from seawall.gateway.resources.scalars import seconds

_EARLY = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
_MUTATION = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"
_XFF = "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig"
_PROXY = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
_LIMIT = "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit"
_OTLP_TRACES = "envoy.config.trace.v3.OpenTelemetryConfig"
_VERSIONS = {"1.0": "TLSv1_0", "1.1": "TLSv1_1", "1.2": "TLSv1_2", "1.3": "TLSv1_3"}
_SLASHES = {
    "Redirect": "UNESCAPE_AND_REDIRECT",
    "Reject": "REJECT_REQUEST",
    "Unescape": "UNESCAPE_AND_FORWARD",
    "Keep": "KEEP_UNCHANGED",
}
_UNDERSCORES = {"Reject": "REJECT_REQUEST", "Drop": "DROP_HEADER", "Allow": "ALLOW"}
_SERVER = {"PassThrough": "PASS_THROUGH", "Overwrite": "OVERWRITE", "AddIfAbsent": "APPEND_IF_ABSENT"}
ALT_SVC = "seawall.alt-svc"
"""The filter that tells clients over TCP of HTTP/3."""


def overrides(manner: Manner | None) -> dict[str, Any]:
    """Say which of the edge's defaults a policy replaces, by their names in `EdgeDefaults`."""
    if manner is None:
        return {}
    found: dict[str, Any] = {}
    limits, address = manner.spec.limits, manner.spec.client_address
    if limits is not None:
        found = {
            "max_headers": limits.max_headers,
            "max_header_kb": limits.header_kib,
            "concurrent_streams": limits.concurrent_streams,
        }
        for name, value in (
            ("connection_idle_timeout", limits.connection_idle_timeout),
            ("stream_idle_timeout", limits.stream_idle_timeout),
            ("headers_timeout", limits.header_timeout),
            ("request_timeout", limits.request_timeout),
        ):
            found[name] = seconds(value) if value is not None else None
    if address is not None:
        found["trusted_hops"] = address.trusted_hops
    return {name: value for name, value in found.items() if value is not None}


# ── the socket ───────────────────────────────────────────────────────────────────────────────────────────────────


def proxy_filter(wanted: ProxyProtocol | None) -> list[dict[str, Any]]:
    """Return the listener filter that reads PROXY headers: before all others, since it reads the first bytes."""
    if wanted is None:
        return []
    config = {
        "allow_requests_without_proxy_protocol": wanted.optional,
        "disallowed_versions": [one.upper() for one in ("v1", "v2") if one not in wanted.versions],
    }
    return [{"name": "envoy.filters.listener.proxy_protocol", "typed_config": pack(_PROXY, config)}]


def connection_limit(chain: FilterChain, owner: Listener) -> list[dict[str, Any]]:
    """Return the network filter that closes connections above a limit, before their handshake."""
    limits = chain.manner.spec.limits if chain.manner is not None else None
    if limits is None or limits.max_connections is None:
        return []
    prefix = f"{owner.address}_{owner.port}".replace(":", ".")
    config = {"stat_prefix": prefix, "max_connections": {"value": limits.max_connections}}
    return [{"name": "envoy.filters.network.connection_limit", "typed_config": pack(_LIMIT, config)}]


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def alpn(chain: FilterChain) -> tuple[str, ...]:
    """Say which protocols are offered to clients of a chain that speaks HTTP."""
    tls = chain.manner.spec.tls if chain.manner is not None else None
    return tls.alpn if tls is not None else ("h2", "http/1.1")


def tls_params(manner: Manner | None) -> dict[str, Any]:
    """Build Envoy's TLS parameters; without a policy nothing below TLS 1.2."""
    tls = manner.spec.tls if manner is not None else None
    if tls is None:
        return {"tls_minimum_protocol_version": "TLSv1_2"}
    return _params(tls)


def _params(tls: TlsParameters) -> dict[str, Any]:
    built: dict[str, Any] = {"tls_minimum_protocol_version": _VERSIONS[tls.min_version]}
    if tls.max_version != "1.3":
        built["tls_maximum_protocol_version"] = _VERSIONS[tls.max_version]
    if tls.ciphers:
        built["cipher_suites"] = list(tls.ciphers)
    if tls.curves:
        built["ecdh_curves"] = list(tls.curves)
    return built


# ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def managed(manager: dict[str, Any], chain: FilterChain) -> dict[str, Any]:
    """Return the connection manager's fields with what a policy says."""
    if chain.manner is None:
        return manager
    spec = chain.manner.spec
    built = dict(manager)
    built["early_header_mutation_extensions"] = [
        *built["early_header_mutation_extensions"],
        *_early(spec, chain.protocol),
    ]
    if spec.tls is not None and len(spec.tls.alpn) == 1 and chain.protocol == "https":
        # Without, a client that offers nothing could still begin with HTTP/2's preface.
        built["codec_type"] = "HTTP2" if spec.tls.alpn[0] == "h2" else "HTTP1"
    if spec.limits is not None and spec.limits.max_requests_per_connection is not None:
        most = {"max_requests_per_connection": {"value": spec.limits.max_requests_per_connection}}
        built["common_http_protocol_options"] = {**built["common_http_protocol_options"], **most}
    if spec.client_address is not None and spec.client_address.trusted_proxies:
        built |= _detected(spec.client_address)
    if spec.path is not None:
        built |= _path(spec.path, built["common_http_protocol_options"])
    if spec.server_header is not None:
        built["server_header_transformation"] = _SERVER[spec.server_header.mode]
        built["server_name"] = spec.server_header.value or ""
    if spec.http3 is not None and chain.protocol == "https":
        built["http_filters"] = [*built["http_filters"][:-1], _alt_svc(spec), built["http_filters"][-1]]
    return built | _telemetry(chain.manner, built)


def _early(spec: ListenerPolicySpec, protocol: str) -> list[dict[str, Any]]:
    """Change headers before a route is looked for. What Seawall itself says of a request comes last and cannot be forged."""
    early = spec.early_headers or EarlyHeaders()
    mutations: list[dict[str, Any]] = [{"remove": name} for name in early.remove]
    mutations += [_set(one.name, literal(one.value)) for one in early.set]
    if spec.ja4_header is not None:
        mutations.append({"remove": spec.ja4_header})
        if protocol == "https":
            mutations.append(_set(spec.ja4_header, "%TLS_JA4_FINGERPRINT%"))
    if spec.client_address is not None and spec.client_address.trusted_proxies:
        # Where Envoy looks into X-Forwarded-For it believes this header of anybody.
        mutations.append(_set("x-forwarded-proto", protocol))
    if not mutations:
        return []
    config = pack(_EARLY, {"mutations": mutations})
    return [{"name": "envoy.http.early_header_mutation.header_mutation", "typed_config": config}]


def _set(key: str, value: str) -> dict[str, Any]:
    return {"append": {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}


def _detected(address: ClientAddress) -> dict[str, Any]:
    networks = [ipaddress.ip_network(text) for text in address.trusted_proxies]
    cidrs = [{"address_prefix": str(one.network_address), "prefix_len": {"value": one.prefixlen}} for one in networks]
    config = {"xff_trusted_cidrs": {"cidrs": cidrs}, "skip_xff_append": {"value": False}}
    extension = {"name": "envoy.http.original_ip_detection.xff", "typed_config": pack(_XFF, config)}
    return {
        "use_remote_address": {"value": False},
        "xff_num_trusted_hops": 0,
        "original_ip_detection_extensions": [extension],
    }


def _path(path: PathNormalization, options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "normalize_path": {"value": path.normalize},
        "merge_slashes": path.merge_slashes,
        "path_with_escaped_slashes_action": _SLASHES[path.escaped_slashes],
        "common_http_protocol_options": {**options, "headers_with_underscores_action": _UNDERSCORES[path.underscores]},
    }


def _alt_svc(spec: ListenerPolicySpec) -> dict[str, Any]:
    assert spec.http3 is not None
    # No port is the same port (RFC 7838 section 3 wants one, so Envoy's word for the one that the client came to).
    port = spec.http3.advertised_port or "%DOWNSTREAM_LOCAL_PORT%"
    value = f'h3=":{port}"; ma={seconds(spec.http3.max_age):g}'
    config = {"mutations": {"response_mutations": [_set("alt-svc", value)]}}
    return {"name": ALT_SVC, "typed_config": pack(_MUTATION, config)}


def _telemetry(manner: Manner, manager: Mapping[str, Any]) -> dict[str, Any]:
    built: dict[str, Any] = {}
    if manner.spec.access_log is not None:
        built["access_log"] = [*manager.get("access_log", ()), *loggers(manner.spec.access_log, manner.collectors)]
    tracing = manner.spec.tracing
    if tracing is not None and (cluster := manner.collectors[-1]) is not None:
        config = {
            "grpc_service": {"envoy_grpc": {"cluster_name": cluster}, "timeout": duration(1.0)},
            "service_name": tracing.service_name,
        }
        built["tracing"] = {
            "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": pack(_OTLP_TRACES, config)},
            # A stranger cannot order traces: x-client-trace-id counts for nothing.
            "client_sampling": {"value": 0.0},
            "random_sampling": {"value": tracing.sampling_percent},
        }
    return built
