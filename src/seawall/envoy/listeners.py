"""Listeners: sockets, filter chains by SNI, TLS, and the connection manager with its edge defaults.

Pure. The limits are those of Envoy's own edge guide ("Configuring Envoy as an edge proxy"); where we differ, the reason
stands beside. What HTTP routes, policies, certificates or endpoints say is never in here: changing them drains nobody. A
TLSRoute, TCPRoute or UDPRoute is in here, in a chain of its own.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from seawall.envoy import filters, manners, streams
from seawall.envoy.access_log import access_log, connection_log
from seawall.envoy.messages import ADS, duration
from seawall.envoy.names import scope, stat_prefix
from seawall.envoy.proto import encode, pack
from seawall.envoy.quic import quic_listener
from seawall.envoy.secrets import sds
from seawall.gateway.graph import FilterChain, Listener, ServerTls
from seawall.kit.digest import digest
from seawall.xds.resource import CLUSTER, LISTENER, SECRET, Ref, Resource, ResourceName

_LISTENER = "envoy.config.listener.v3.Listener"
_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_TLS = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
_JA4 = {"enable_ja4_fingerprinting": {"value": True}}
"""A limit may ask for it on any route, and no policy changes a listener."""
_CEL_FILTER = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
_INSPECTOR = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"


class EdgeDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """Limits at the door. Seconds and bytes; `trusted_hops` counts proxies in front of us that append X-Forwarded-For.
    `access_log` is the file that requests are written to, for whoever follows it and keeps it short; empty: none is."""

    trusted_hops: int = 0
    connection_buffer: int = 32 * 1024
    max_headers: int = 100
    max_header_kb: int = 60
    headers_timeout: float = 10.0
    request_timeout: float = 300.0
    stream_idle_timeout: float = 300.0
    connection_idle_timeout: float = 900.0
    handshake_timeout: float = 10.0
    concurrent_streams: int = 100
    access_log: str = ""


def listener(value: Listener, defaults: EdgeDefaults) -> Resource:
    """Build a socket with its chains."""
    if value.transport == "udp":
        return _resource(value, streams.udp_listener(value))
    # Sorted: a chain that is unchanged must be byte for byte the same for Envoy to keep its connections.
    chains = sorted(value.chains, key=lambda chain: chain.name)
    built: dict[str, Any] = {
        "name": value.name,
        "address": {"socket_address": {"address": value.address, "port_value": value.port}},
        "traffic_direction": "INBOUND",
        "per_connection_buffer_limit_bytes": {"value": defaults.connection_buffer},
        "filter_chains": [_chain(chain, value, defaults) for chain in chains],
        **_connection_log(chains, defaults),
    }
    # By protocol, not by what terminates just now: listener filters that come or go would drain the whole socket.
    if any(chain.protocol in ("https", "tls") for chain in chains):
        inspector = pack(_INSPECTOR, _JA4)
        built["listener_filters"] = [{"name": "envoy.filters.listener.tls_inspector", "typed_config": inspector}]
        built["listener_filters_timeout"] = duration(5.0)
    if proxied := manners.proxy_filter(value.proxy_protocol):
        built["listener_filters"] = [*proxied, *built.get("listener_filters", ())]
        built["listener_filters_timeout"] = duration(5.0)
    return _resource(value, built)


def http3_listener(value: Listener, defaults: EdgeDefaults) -> Resource | None:
    """Build the UDP side of a socket for HTTP/3; None if no policy wants it."""

    def manager(chain: FilterChain) -> dict[str, Any]:
        return _manager(chain, value, defaults)

    return quic_listener(value, manager, lambda chain: _tls(chain, alpn=("h3",)), _refs(value))


def _resource(value: Listener, built: dict[str, Any]) -> Resource:
    body = encode(_LISTENER, built)
    return Resource(
        type_url=LISTENER, name=ResourceName(value.name), version=digest(body), body=body, refs=_refs(value)
    )


def _refs(value: Listener) -> tuple[Ref, ...]:
    secrets = {name for chain in value.chains if chain.tls for name in _secret_names(chain.tls)}
    clusters = {name for chain in value.chains for name in streams.clusters(chain.backends)}
    clusters |= {one for chain in value.chains if chain.manner for one in chain.manner.collectors if one}
    return (
        *(Ref(SECRET, ResourceName(name)) for name in sorted(secrets)),
        *(Ref(CLUSTER, ResourceName(name)) for name in sorted(clusters)),
    )


def _connection_log(chains: Sequence[FilterChain], defaults: EdgeDefaults) -> dict[str, Any]:
    """Log connections too, unless they are those of a proxy in front of us: it is no client, whatever its clients do."""
    hops = [defaults.trusted_hops, *(manners.overrides(one.manner).get("trusted_hops", 0) for one in chains)]
    if not defaults.access_log or any(hops):
        return {}
    return {"access_log": [connection_log(defaults.access_log)]}


def _chain(chain: FilterChain, owner: Listener, defaults: EdgeDefaults) -> dict[str, Any]:
    built: dict[str, Any] = {
        "name": chain.name,
        "filters": [*manners.connection_limit(chain, owner), _filter(chain, owner, defaults)],
    }
    if chain.protocol in ("https", "tls"):
        match: dict[str, Any] = {"transport_protocol": "tls"}
        if names := [name for name in chain.server_names if name != "*"]:
            match["server_names"] = names
        built["filter_chain_match"] = match
    if chain.tls is not None:
        built["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": pack(_TLS, _tls(chain, alpn=manners.alpn(chain) if chain.table is not None else ())),
        }
        # A handshake that never ends holds memory; the default waits for ever.
        built["transport_socket_connect_timeout"] = duration(defaults.handshake_timeout)
    return built


def _filter(chain: FilterChain, owner: Listener, defaults: EdgeDefaults) -> dict[str, Any]:
    if chain.table is None:
        return streams.tcp_proxy(chain.backends, stat_prefix(owner))
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": pack(_HCM, _manager(chain, owner, defaults)),
    }


def _manager(chain: FilterChain, owner: Listener, defaults: EdgeDefaults) -> dict[str, Any]:
    table = scope(chain.table) if chain.table is not None else ""
    defaults = msgspec.structs.replace(defaults, **manners.overrides(chain.manner))
    return manners.managed(
        {
            "stat_prefix": stat_prefix(owner),
            "scoped_routes": _scoped_routes(),
            "early_header_mutation_extensions": filters.early_mutations(table),
            "http_filters": filters.http_filters(table, chain.filters),
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            **({"access_log": [access_log(defaults.access_log)]} if defaults.access_log else {}),
            **_client_identity(defaults),
            **_limits(defaults),
            "local_reply_config": {"mappers": _come_back_later()},
            # The backend's own Server header is the application's business; ours would only advertise the proxy.
            "server_header_transformation": "PASS_THROUGH",
        },
        chain,
    )


def _scoped_routes() -> dict[str, Any]:
    """Refer to the scopes. The same message in every listener: Envoy then keeps one subscription for all of them."""
    fragment = {"header_value_extractor": {"name": filters.SCOPE_HEADER, "element_separator": ":", "index": 0}}
    return {
        "name": "seawall",
        "scope_key_builder": {"fragments": [fragment]},
        "scoped_rds": {"scoped_rds_config_source": ADS},
        "rds_config_source": ADS,
    }


def _client_identity(defaults: EdgeDefaults) -> dict[str, Any]:
    return {
        # The address of the connection is the client's, unless so many proxies in front of us are trusted.
        "use_remote_address": {"value": True},
        "xff_num_trusted_hops": defaults.trusted_hops,
        # No client is internal: one that is may send x-envoy-* headers that steer retries and timeouts. Without any range
        # Envoy 1.40 still takes loopback for internal (measured); this one is no client's address.
        "internal_address_config": {
            "cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": {"value": 32}}]
        },
        # One spelling of a path for matching, for the filters and for the backend.
        "normalize_path": {"value": True},
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
        "strip_trailing_host_dot": True,
    }


def _come_back_later() -> list[dict[str, Any]]:
    """Say to whom an overloaded Envoy turns away when to try again: not to all the same, or they come back as one."""
    # By Envoy's own reason: the response flag OM is not set here (measured).
    overloaded = {
        "extension_filter": {
            "name": "overloaded",
            "typed_config": pack(_CEL_FILTER, {"expression": "response.code_details == 'overload'"}),
        }
    }
    found = []
    for seconds, of_the_rest in ((1, 25), (2, 33), (4, 50), (8, 100)):
        drawn = {
            "runtime_filter": {
                "runtime_key": f"seawall.retry_after_{seconds}",
                "percent_sampled": {"numerator": of_the_rest},
                "use_independent_randomness": True,
            }
        }
        header = {"header": {"key": "retry-after", "value": str(seconds)}, "append_action": "ADD_IF_ABSENT"}
        found.append({"filter": {"and_filter": {"filters": [overloaded, drawn]}}, "headers_to_add": [header]})
    return found


def _limits(defaults: EdgeDefaults) -> dict[str, Any]:
    return {
        "common_http_protocol_options": {
            "idle_timeout": duration(defaults.connection_idle_timeout),
            "max_headers_count": {"value": defaults.max_headers},
            # `a_b` and `a-b` are one name to many a backend: who may send both can get one past a check.
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "http2_protocol_options": {
            "max_concurrent_streams": {"value": defaults.concurrent_streams},
            "initial_stream_window_size": {"value": 1 << 16},
            "initial_connection_window_size": {"value": 1 << 20},
        },
        "max_request_headers_kb": {"value": defaults.max_header_kb},
        "request_headers_timeout": duration(defaults.headers_timeout),
        "request_timeout": duration(defaults.request_timeout),
        "stream_idle_timeout": duration(defaults.stream_idle_timeout),
    }


def _tls(chain: FilterChain, alpn: tuple[str, ...]) -> dict[str, Any]:
    """Build the server's side. No ALPN where we do not know what is spoken inside."""
    tls = chain.tls
    assert tls is not None
    context: dict[str, Any] = {
        "tls_params": manners.tls_params(chain.manner),
        "alpn_protocols": list(alpn),
        "tls_certificate_sds_secret_configs": [sds(name) for name in tls.certificates],
    }
    built: dict[str, Any] = {"common_tls_context": context}
    if tls.clients is not None:
        checks = {"trust_chain_verification": "ACCEPT_UNTRUSTED"} if tls.clients.allow_insecure else {}
        context["combined_validation_context"] = {
            "default_validation_context": checks,
            "validation_context_sds_secret_config": sds(tls.clients.ca),
        }
        built["require_client_certificate"] = {"value": not (tls.clients.allow_insecure or tls.clients.is_optional)}
    return built


def _secret_names(tls: ServerTls) -> tuple[str, ...]:
    return (*tls.certificates, tls.clients.ca) if tls.clients is not None else tls.certificates
