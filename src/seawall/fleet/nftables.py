"""nftables: the table of an edge in its host's kernel, as a script for `nft -f -`.

Pure. The table is ours alone, named after the edge, and each script makes it anew in one transaction: there is no moment between
two rule sets, and nothing of an earlier agent stays. Elements end by the kernel's clock. Only packets to the edge's own ports are
looked at: nobody loses his shell because his address was judged.
Next room: `agent.firewall` hands the script over.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

import msgspec

from seawall.fleet.verdicts import Entry
from seawall.kit.digest import digest
from seawall.kit.units import Instant

MOST_DROPPED: Final = 65_536
"""Networks in each set; what is beyond is refused by Envoy."""
_MOST_SEEN: Final = 65_536
_NETWORKS: Final = frozenset({"address", "net24", "net48", "net56", "net64"})
Network = IPv4Network | IPv6Network


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel allows each client (an address, of IPv6 a /64); 0: anything. `syn_proxy` answers for the listeners until a
    client has shown that it is where it says."""

    connections: int = 0
    new_per_second: int = 0
    syn_proxy: bool = False

    @property
    def are_any(self) -> bool:
        return bool(self.connections or self.new_per_second or self.syn_proxy)


class Dropped(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A network, and when that ends."""

    network: str
    expires: Instant


def table_name(edge: str) -> str:
    """Name the table of an edge; two edges on a host never share one."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", edge)[:40]
    return f"seawall_{plain}" if plain == edge else f"seawall_{plain}_{digest(edge.encode())[:8]}"


def dropped(entries: Iterable[Entry], now: Instant) -> tuple[Dropped, ...]:
    """Choose what the kernel can drop: by network and nothing else, on all routes, all of it."""
    ends: dict[Network, Instant] = {}
    for entry in entries:
        if entry.kind != "drop" or entry.route or entry.share < 1 or entry.expires <= now:
            continue
        network = _only_network(entry)
        if network is not None:
            ends[network] = max(entry.expires, ends.get(network, entry.expires))
    # A set of the kernel's takes no network within another; the inner one comes when the outer one has ended.
    outer = [one for one in ends if not _is_inside(one, ends)]
    return tuple(sorted(Dropped(network=str(one), expires=ends[one]) for one in outer))


def passed(entries: Iterable[Entry], now: Instant) -> tuple[Dropped, ...]:
    """Choose the networks that are allowed: they pass the kernel, whatever larger network is dropped."""
    allowed = (msgspec.structs.replace(one, kind="drop") for one in entries if one.kind == "allow")
    return dropped(allowed, now)


def script(
    name: str, ports: Sequence[int], drops: Sequence[Dropped], passes: Sequence[Dropped], limits: Limits, now: Instant
) -> str:
    """Write the table anew, with all that is in it."""
    rules = ["ip saddr @pass4 return", "ip6 saddr @pass6 return"]
    rules += ["ip saddr @drop4 counter drop", "ip6 saddr @drop6 counter drop"]
    rules += _limits(limits)
    listed = f"elements = {{ {', '.join(map(str, sorted(set(ports))))} }}" if ports else ""
    body = [
        f"set ports {{ type inet_service; {listed} }}",
        *(_set(f"drop{version}", version, drops, now) for version in (4, 6)),
        *(_set(f"pass{version}", version, passes, now) for version in (4, 6)),
        *_seen(limits),
        "chain judged {",
        *(f"  {rule}" for rule in rules),
        "}",
        "chain input {",
        "  type filter hook input priority filter - 10; policy accept;",
        "  meta l4proto { tcp, udp } th dport @ports jump judged",
        "}",
    ]
    if limits.syn_proxy:
        body += [
            "chain untracked {",
            "  type filter hook prerouting priority raw; policy accept;",
            "  tcp dport @ports tcp flags syn notrack",
            "}",
        ]
    return "\n".join((removal(name), f"table inet {name} {{", *(f"  {line}" for line in body), "}", ""))


def removal(name: str) -> str:
    """Remove the table, there or not: what is not there cannot be deleted, so it is made first."""
    return f"table inet {name}\ndelete table inet {name}"


def _limits(limits: Limits) -> list[str]:
    rules = []
    if limits.syn_proxy:
        rules += [
            "tcp flags syn / fin,syn,rst,ack ct state untracked synproxy mss 1460 wscale 7 timestamp sack-perm",
            "meta l4proto tcp ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm",
            "ct state invalid drop",
        ]
    for version, who in ((4, "ip saddr"), (6, "ip6 saddr and ffff:ffff:ffff:ffff::")):
        if limits.connections:
            over = f"ct count over {limits.connections}"
            rules.append(f"ct state new add @open{version} {{ {who} {over} }} counter drop")
        if limits.new_per_second:
            over = f"limit rate over {limits.new_per_second}/second burst {2 * limits.new_per_second} packets"
            rules.append(f"ct state new update @new{version} {{ {who} {over} }} counter drop")
    return rules


def _seen(limits: Limits) -> list[str]:
    sets = []
    for version in (4, 6):
        kind = f"type {_type(version)}; size {_MOST_SEEN};"
        if limits.connections:
            # Of itself an element goes when its last connection has ended.
            sets.append(f"set open{version} {{ {kind} flags dynamic; }}")
        if limits.new_per_second:
            sets.append(f"set new{version} {{ {kind} flags dynamic,timeout; timeout 10s; }}")
    return sets


def _set(name: str, version: int, networks: Sequence[Dropped], now: Instant) -> str:
    mine = [one for one in networks if (":" in one.network) == (version == 6) and one.expires > now][:MOST_DROPPED]
    listed = ", ".join(f"{one.network} timeout {_milliseconds(one.expires - now)}ms" for one in mine)
    elements = f"elements = {{ {listed} }}" if listed else ""
    return f"set {name} {{ type {_type(version)}; flags interval,timeout; {elements} }}"


def _type(version: int) -> str:
    return f"ipv{version}_addr"


def _milliseconds(seconds: float) -> int:
    # The kernel counts in ticks of up to 10 ms.
    return max(10, int(seconds * 1000))


def _only_network(entry: Entry) -> Network | None:
    if not entry.match or not set(entry.match) <= _NETWORKS:
        return None
    try:
        found = [ip_network(value, strict=False) for value in entry.match.values()]
    except ValueError:
        return None
    smallest = max(found, key=lambda one: one.prefixlen)
    return smallest if all(_holds(one, smallest) for one in found) else None


def _is_inside(network: Network, others: Iterable[Network]) -> bool:
    known = others if isinstance(others, dict) else set(others)
    return any(network.supernet(new_prefix=length) in known for length in range(network.prefixlen))


def _holds(large: Network, small: Network) -> bool:
    return large.version == small.version and small.prefixlen >= large.prefixlen and small.network_address in large
