"""Streams: filter chains and UDP sockets that pass on what comes: what a TLSRoute, TCPRoute or UDPRoute became.

Pure. `shares` is how a stream is compared and told: its backends with their percentages; empty where it closes everything.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from seawall.envoy.diff.notes import Action
from seawall.envoy.diff.words import some, unpacked
from seawall.envoy.forward import NO_SUCH_CLUSTER
from seawall.rollout.change import Risk

_TCP = ".TcpProxy"
_UDP = ".UdpProxyConfig"
_MILLION = 1_000_000
_R1 = "a hostname or port begins to be passed on"
_R2 = "connections of a hostname or port drain"


def of_chain(chain: Any) -> str | None:
    """Tell the shares of a filter chain; None if it is no stream. Raises DecodeError."""
    if len(chain.filters) != 1 or not chain.filters[0].typed_config.type_url.endswith(_TCP):
        return None
    proxy = unpacked(chain.filters[0].typed_config)
    weighted = proxy.weighted_clusters.clusters
    if not weighted:
        return _told([(proxy.cluster, 1.0)])
    total = sum(one.weight for one in weighted)
    return _told((one.name, one.weight / total) for one in weighted)


def of_socket(listener: Any) -> str | None:
    """Tell the shares of a UDP socket; None if it is none. Raises DecodeError."""
    config = next(
        (one.typed_config for one in listener.listener_filters if one.typed_config.type_url.endswith(_UDP)), None
    )
    return _told(_drawn(unpacked(config).matcher)) if config is not None else None


def _drawn(matcher: Any) -> Iterator[tuple[str, float]]:
    left = 1.0
    for one in matcher.matcher_list.matchers:
        drawn = unpacked(one.predicate.single_predicate.custom_match.typed_config)
        share = left * drawn.runtime_fraction.default_value.numerator / _MILLION
        yield unpacked(one.on_match.action.typed_config).cluster, share
        left -= share
    yield unpacked(matcher.on_no_match.action.typed_config).cluster, left


def _told(shares: Iterable[tuple[str, float]]) -> str:
    shares = list(shares)
    if all(name == NO_SUCH_CLUSTER for name, _ in shares):
        return ""
    if len(shares) == 1:
        return shares[0][0]
    named = ((name if name != NO_SUCH_CLUSTER else "nowhere", share) for name, share in shares)
    return some(f"{name} {100 * share:.3g} %" for name, share in named)


def change(what: str, before: str, after: str) -> tuple[Action, str, tuple[Risk, str]] | None:
    """Say how one stream differs from another, shares in, words out; None if both do the same."""
    if before == after:
        return None
    if not before:
        return "added", f"{what} go to {after}.", ("R1", _R1)
    if not after:
        return "removed", f"{what} went to {before} and are closed.", ("R2", _R2)
    return "changed", f"{what} went to {before} and go to {after}; those that are open drain.", ("R2", _R2)
