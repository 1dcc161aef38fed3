"""Connections: addresses that open connections or make TLS handshakes and ask nothing, or fail them one after the other.

Pure. A full handshake costs the edge ten requests. Next to it stands what the same address asked: who asks is no handshake flood.
"""

from seawall.detect.detector import Detector
from seawall.detect.finding import Evidence, Finding
from seawall.detect.scope import scope
from seawall.detect.sight import Peer, Sight, peers_of
from seawall.kit.units import Seconds

WINDOW = 3
LEAST = 10.0
"""Connections a second from one address that nobody needs who asks nothing on them."""
IDLE_SHARE = 0.8
SURE = 15.0
"""From here on only the kernel helps, which needs a confidence of 0.95: Envoy refuses requests, and there are none."""
MOST = 500


def look(sight: Sight) -> list[Finding]:
    """Name the addresses that connect for nothing."""
    if len(sight.slots) < 2:
        return []
    span = float(sight.span(WINDOW))
    found = []
    for address, peer in peers_of(sight.slots[-WINDOW:]).items():
        connected = max(peer.opened, peer.handshakes) / span
        wasted = max(peer.without_request, peer.failed_handshakes) / span
        if wasted > LEAST / sight.settings.sensitivity and wasted >= IDLE_SHARE * connected:
            found.append(_finding(address, peer, (connected, wasted, span)))
    return sorted(found, key=lambda one: (-one.excess, str(one.scope)))[:MOST]


def _finding(address: str, peer: Peer, numbers: tuple[float, float, float]) -> Finding:
    connected, wasted, span = numbers
    return Finding(
        detector="connections",
        scope=scope("", {"address": address}),
        score=min(0.85 + 0.1 * wasted / SURE, 0.97),
        reason=f"{address} opens {connected:.0f} connections a second and asks nothing on {wasted:.0f} of them",
        evidence=(
            Evidence(what="connections without a request/s", value=wasted, baseline=0.0, window=Seconds(span)),
            Evidence(
                what="failed handshakes/s", value=peer.failed_handshakes / span, baseline=0.0, window=Seconds(span)
            ),
        ),
        excess=connected,
        needs_baseline=False,
        most=6,
        allowed=1.0,
    )


DETECTOR = Detector(name="connections", title="connections for nothing", look=look)
