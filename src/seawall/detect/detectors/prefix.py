"""Prefix: many neighbouring addresses that ask like one: an IPv6 /56 or /48 (or an IPv4 /24) in one hand.

Pure. Whoever has a /48 has 65,536 networks of /64: each of them asks little. A wider network is named only with evidence from four
children at least, none of which explains half of it, and only if they all look the same.
"""

from seawall.detect.columns import Rows, totals
from seawall.detect.detector import Detector
from seawall.detect.finding import Evidence, Finding
from seawall.detect.scope import scope
from seawall.detect.sight import Sight
from seawall.detect.trigger import FACTOR
from seawall.kit.units import Seconds

PARENTS = (("net56", "net64"), ("net48", "net56"), ("net24", "address"))
WINDOW = 8
FEWEST_CHILDREN = 4
UNIFORM = 0.9
PEERS = 10.0
MOST = 50


def look(sight: Sight) -> list[Finding]:
    """Name the networks that ask like one client: the narrowest that holds them all."""
    if len(sight.slots) < 2 or sight.is_cold:
        return []
    rows = sight.last(WINDOW)
    span = float(sight.span(WINDOW))
    found: list[Finding] = []
    for parent, child in PARENTS:
        found += _networks(sight, rows, (parent, child), span)
    return found[:MOST]


def _networks(sight: Sight, rows: Rows, fields: tuple[str, str], span: float) -> list[Finding]:
    parent, child = fields
    counts = {value: count for value, count in totals(rows, parent).items() if value}
    ordered = sorted(counts.values())
    peers = ordered[int(0.99 * (len(ordered) - 1))] / span if len(ordered) >= 20 else 0.0
    least = max(2 * sight.settings.client_floor, PEERS * peers) / sight.settings.sensitivity
    found = []
    for network, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:MOST]:
        rate = count / span
        if rate <= least:
            break
        normal = sight.baseline.normal("requests", parent, network, sight.at)
        theirs = rows.having(parent, network)
        children = totals(theirs, child)
        prints: dict[tuple[str, ...], float] = {}
        tools = zip(theirs.column("ja4"), theirs.column("agent"), theirs.column("headers"), strict=True)
        for tool, weight in zip(tools, theirs.each_weight, strict=True):
            prints[tool] = prints.get(tool, 0.0) + weight
        is_one_hand = max(prints.values()) >= UNIFORM * count and max(children.values()) <= 0.5 * count
        if rate <= FACTOR * normal.p99 or len(children) < FEWEST_CHILDREN or not is_one_hand:
            continue
        found.append(
            Finding(
                detector="prefix",
                scope=scope("", {parent: network}),
                score=0.9,
                reason=f"{len(children)} networks of {network} ask {rate:.0f} times a second, all alike",
                evidence=(
                    Evidence(what="requests/s", value=rate, baseline=normal.p99, window=Seconds(span)),
                    Evidence(what="children", value=len(children), baseline=FEWEST_CHILDREN, window=Seconds(span)),
                ),
                excess=rate - normal.mean,
                most=5,
                allowed=max(normal.p99, 1.0),
            )
        )
    return found


DETECTOR = Detector(name="prefix", title="neighbouring networks in one hand", look=look)
