"""Streams: connections and datagrams that are passed on as they are, by weight.

Pure. A share that cannot be used names a cluster that never exists: Envoy then closes the connection, or drops the datagram.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from seawall.envoy.forward import NO_SUCH_CLUSTER
from seawall.envoy.names import stat_prefix
from seawall.envoy.proto import pack
from seawall.gateway.graph import Listener, WeightedBackend

_TCP = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
_UDP = "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig"
_UDP_ROUTE = "envoy.extensions.filters.udp.udp_proxy.v3.Route"
_FRACTION = "envoy.extensions.matching.input_matchers.runtime_fraction.v3.RuntimeFraction"
_SOURCE_PORT = "envoy.extensions.matching.common_inputs.network.v3.SourcePortInput"
_MILLION = 1_000_000
_CONNECT_ATTEMPTS = 3
"""A connection that a backend refuses has carried nothing yet: another endpoint may take it, and a restart is not seen."""


def clusters(backends: Iterable[WeightedBackend]) -> Iterator[str]:
    """Name the clusters that backends are."""
    return (one.cluster for one in backends if one.cluster is not None)


def tcp_proxy(backends: tuple[WeightedBackend, ...], stat_prefix: str) -> dict[str, Any]:
    """Build the filter that passes connections on; without backends it closes them."""
    built: dict[str, Any] = {"stat_prefix": stat_prefix, "max_connect_attempts": {"value": _CONNECT_ATTEMPTS}}
    shares = _shares(backends)
    if len(shares) == 1:
        built["cluster"] = shares[0][0]
    else:
        built["weighted_clusters"] = {"clusters": [{"name": name, "weight": weight} for name, weight in shares]}
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": pack(_TCP, built)}


def udp_listener(value: Listener) -> dict[str, Any]:
    """Build a UDP socket with its proxy. Any change of it is a new socket to Envoy, and a new start for its sessions."""
    address = {"address": value.address, "port_value": value.port, "protocol": "UDP"}
    backends = tuple(backend for chain in value.chains for backend in chain.backends)
    config = {"stat_prefix": stat_prefix(value), "matcher": _matcher(_shares(backends))}
    return {
        "name": value.name,
        "address": {"socket_address": address},
        "traffic_direction": "INBOUND",
        "udp_listener_config": {},
        "listener_filters": [{"name": "envoy.filters.udp_listener.udp_proxy", "typed_config": pack(_UDP, config)}],
    }


def _shares(backends: tuple[WeightedBackend, ...]) -> list[tuple[str, int]]:
    """Return names and weights, never empty and never weightless: that Envoy would refuse."""
    return [(one.cluster or NO_SUCH_CLUSTER, one.weight) for one in backends if one.weight] or [(NO_SUCH_CLUSTER, 1)]


def _matcher(shares: list[tuple[str, int]]) -> dict[str, Any]:
    """Share sessions out: Envoy's UDP proxy knows no weights, so a hash of the client's port decides, step by step.

    The first share is drawn from all, the second from what the first has left, and so on; the last takes the rest. Each
    step has a seed of its own, or the draws would not be independent.
    """
    built: dict[str, Any] = {"on_no_match": _to(shares[-1][0])}
    left = sum(weight for _, weight in shares)
    matchers = []
    for seed, (name, weight) in enumerate(shares[:-1]):
        fraction = {"numerator": round(weight * _MILLION / left), "denominator": "MILLION"}
        matcher = pack(_FRACTION, {"runtime_fraction": {"default_value": fraction}, "seed": seed})
        predicate = {
            "input": {"name": "port", "typed_config": pack(_SOURCE_PORT)},
            "custom_match": {"name": "share", "typed_config": matcher},
        }
        matchers.append({"predicate": {"single_predicate": predicate}, "on_match": _to(name)})
        left -= weight
    return built | ({"matcher_list": {"matchers": matchers}} if matchers else {})


def _to(cluster: str) -> dict[str, Any]:
    return {"action": {"name": "route", "typed_config": pack(_UDP_ROUTE, {"cluster": cluster})}}
