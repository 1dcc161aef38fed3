"""View: a second of the fleet's traffic, as `traffic` has merged it, for detectors to look at.

Pure. Totals stay the exact ones; the rows are weighed. What the log does not say (a cache, a token, who refused it) is left out: it
reads as empty, see `detect.columns`. Previous room: `traffic.window`. Next room: `detect.guard`.
"""

from collections.abc import Sequence
from ipaddress import ip_network

from seawall.detect.columns import Rows
from seawall.detect.parts import fetch_of
from seawall.detect.sight import Peer, Slot
from seawall.kit.units import Instant
from seawall.traffic.entry import networks
from seawall.traffic.peers import PEER
from seawall.traffic.window import WindowSet

RENAMED = {"version": "protocol", "query": "query_shape"}
"""Of the log's columns, those that have another name here; all others keep theirs."""


def view(windows: WindowSet, second: int) -> Slot:
    """Look at one second of a fleet: once it is complete, that is when the edges had time to report it."""
    at = Instant(float(second))
    counts, rows = windows.window(1, at), windows.rows(second)
    columns: dict[str, Sequence[str]] = {RENAMED.get(field, field): column for field, column in rows.columns.items()}
    size = len(rows.weights)
    said, paths = columns.get("fetch", ("",) * size), columns.get("path", ("",) * size)
    columns["fetch"] = [fetch_of(one, path) for one, path in zip(said, paths, strict=True)]
    addresses = columns.get("address", ("",) * size)
    places = {address: _places(address) for address in set(addresses)}
    for number, field in enumerate(("net24", "net64", "net56", "net48")):
        columns[field] = [places[address][number] for address in addresses]
    made = Rows(columns=columns, seconds=rows.seconds, weights=rows.weights)
    peers = {
        address: Peer(**dict(zip(PEER, numbers, strict=True))) for address, numbers in windows.peers(second).items()
    }
    return Slot(at=at, rows=made, totals=counts.totals, errors=counts.errors, costs=counts.costs, peers=peers)


def _places(address: str) -> tuple[str, str, str, str]:
    """Return the /24 of IPv4, or the /64, /56 and /48 of IPv6; of what is no address, nothing."""
    try:
        net24, net64 = networks(address)
        whole = ip_network(net64) if net64 else None
    except ValueError:
        return "", "", "", ""
    if whole is None:
        return net24, "", "", ""
    return net24, net64, str(whole.supernet(new_prefix=56)), str(whole.supernet(new_prefix=48))
