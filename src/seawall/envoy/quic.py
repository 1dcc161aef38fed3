"""QUIC: the UDP side of HTTPS ports, for HTTP/3.

Pure. The same chains with the same tables, policies and certificates as over TCP; only how bytes come is another matter.
"""

from collections.abc import Callable
from typing import Any

from seawall.envoy.proto import encode, pack
from seawall.gateway.graph import FilterChain, Listener, ListenerName
from seawall.kit.digest import digest
from seawall.xds.resource import LISTENER, Ref, Resource, ResourceName

_LISTENER = "envoy.config.listener.v3.Listener"
_TRANSPORT = "envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport"
_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def quic_name(tcp: ListenerName) -> ListenerName | None:
    """Name the UDP side of a TCP socket; None for what is none."""
    return ListenerName(f"udp/{tcp.removeprefix('tcp/')}") if tcp.startswith("tcp/") else None


def speaks_http3(chain: FilterChain) -> bool:
    """Say whether a policy wants HTTP/3 for a chain that can have it."""
    return chain.protocol == "https" and chain.manner is not None and chain.manner.spec.http3 is not None


def quic_listener(
    value: Listener,
    manager: Callable[[FilterChain], dict[str, Any]],
    tls: Callable[[FilterChain], dict[str, Any]],
    refs: tuple[Ref, ...],
) -> Resource | None:
    """Build the UDP side of a socket of which only the chains are given that speak HTTP/3; None if there are none."""
    chains = [_chain(one, manager(one), tls(one)) for one in value.chains]
    name = quic_name(value.name)
    if not chains or name is None:
        return None
    address = {"address": value.address, "port_value": value.port, "protocol": "UDP"}
    built = {
        "name": name,
        "address": {"socket_address": address},
        "traffic_direction": "INBOUND",
        "udp_listener_config": {"quic_options": {}},
        "filter_chains": sorted(chains, key=lambda chain: str(chain["name"])),
    }
    body = encode(_LISTENER, built)
    return Resource(type_url=LISTENER, name=ResourceName(name), version=digest(body), body=body, refs=refs)


def _chain(chain: FilterChain, manager: dict[str, Any], tls: dict[str, Any]) -> dict[str, Any]:
    spoken = {"codec_type": "HTTP3", "http3_protocol_options": {}}
    built = {name: value for name, value in manager.items() if name != "http2_protocol_options"}
    # Data before the handshake is done can be replayed by whoever has seen it (RFC 8446 section 8).
    transport = {"downstream_tls_context": tls, "enable_early_data": {"value": False}}
    names = [name for name in chain.server_names if name != "*"]
    return {
        "name": chain.name,
        **({"filter_chain_match": {"server_names": names}} if names else {}),
        "transport_socket": {"name": "envoy.transport_sockets.quic", "typed_config": pack(_TRANSPORT, transport)},
        "filters": [
            {
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": pack(_HCM, {**built, **spoken}),
            }
        ],
    }
