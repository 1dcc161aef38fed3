"""Peers: what addresses do below HTTP: connections that ask nothing, handshakes that fail, streams that are reset.

Pure. A line for each connection that has ended, in the order of `CONNECTION`, and of the requests those that say how their
client behaved. Who asks is not in it; only who is conspicuous is told, and of those so many at most.
Previous room: `envoy.access_log`. Next rooms: `traffic.window` adds up the edges, `detect.detectors` read it.
"""

from collections import defaultdict
from collections.abc import Mapping
from heapq import nlargest

from seawall.traffic.entry import NOTHING, SEPARATOR, Entries

CONNECTION = ("ended", "took", "address", "tls", "failure", "protocol", "flags", "received", "sent")
"""The columns of a connection's line. `received` and `sent` are bytes within TLS; of what never ended its handshake, none."""
PEER = ("opened", "handshakes", "failed_handshakes", "without_request", "resets", "floods", "requests")
"""What is counted of an address, in the order of its numbers."""
Counts = tuple[float, ...]
MOST_PEERS = 500
FEWEST = 2
OPENED, HANDSHAKES, FAILED, UNASKED, RESETS, FLOODS, REQUESTS = range(len(PEER))
_PROTOCOL_ERROR, _RESET = "DPE", "DR"
_TIMED_OUT = "408"


def connections(data: bytes) -> tuple[dict[int, dict[str, Counts]], int]:
    """Count connections by the second in which they ended and by address, and the lines that could not be read."""
    found: defaultdict[int, defaultdict[str, list[float]]] = defaultdict(_table)
    refused = 0
    for line in data.decode("utf-8", "replace").split("\n"):
        if not line:
            continue
        values = line.split(SEPARATOR)
        try:
            ended, _, address, tls, failure, _, flags, received, sent = values
            second, is_silent = int(float(ended)), not int(received) or not int(sent)
        except (ValueError, OverflowError):
            refused += 1
            continue
        counts = found[second][address]
        counts[OPENED] += 1
        counts[HANDSHAKES] += tls != NOTHING or failure != NOTHING
        counts[FAILED] += failure != NOTHING
        is_broken = _PROTOCOL_ERROR in flags
        counts[UNASKED] += is_silent or is_broken
        # Of HTTP/2 or not: a connection that was closed as a flood before its first stream has no protocol in Envoy's log.
        counts[FLOODS] += is_broken
    return {second: {address: tuple(one) for address, one in peers.items()} for second, peers in found.items()}, refused


def behaviour(entries: Entries, weight: float) -> dict[str, Counts]:
    """Count whose streams were reset, and whose requests never became one, among those that an address made."""
    if "flags" not in entries.columns:
        return {}
    columns = (entries.columns[field] for field in ("address", "flags", "status", "route"))
    found = _table()
    for address, flags, status, route in zip(*columns, strict=True):
        is_reset = _RESET in flags.split(",")
        # Without a route its headers never ended, or were more than Envoy bears: it has waited for them, and given up.
        is_none = (status == _TIMED_OUT or is_reset) and route in ("", NOTHING)
        if is_reset or is_none:
            found[address][RESETS] += is_reset * weight
            found[address][UNASKED] += is_none * weight
    if not found:
        return {}
    for address in entries.columns["address"]:
        if address in found:
            found[address][REQUESTS] += weight
    return {address: tuple(one) for address, one in found.items()}


def conspicuous(all_of_them: Mapping[str, Counts]) -> dict[str, Counts]:
    """Keep the worst. Who only opens several connections is kept too while there is room: parts of a second are added up later,
    and an office whose browsers open one to spare here and use ten there must be seen with both."""
    chosen = [
        (_badness(one), one[OPENED], address)
        for address, one in all_of_them.items()
        if _badness(one) or one[OPENED] >= FEWEST
    ]
    return {address: all_of_them[address] for _, _, address in nlargest(MOST_PEERS, chosen)}


def added(one: Mapping[str, Counts], other: Mapping[str, Counts]) -> dict[str, Counts]:
    """Add up by address. What does not have the numbers of a peer is nobody's."""
    found = dict(one)
    for address, counts in other.items():
        if len(counts) == len(PEER):
            before = found.get(address)
            found[address] = counts if before is None else tuple(map(sum, zip(before, counts, strict=True)))
    return found


def _badness(one: Counts) -> float:
    return one[FAILED] + one[UNASKED] + one[RESETS] + one[FLOODS]


def _table() -> "defaultdict[str, list[float]]":
    return defaultdict(lambda: [0.0] * len(PEER))
