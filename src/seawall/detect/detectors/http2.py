"""HTTP/2: streams that are reset as soon as they are opened, and frames that only cost: rapid reset and its kin.

Pure. Envoy closes the connection by itself; this sees who comes back. A browser that leaves a page resets some streams, once.
"""

from seawall.detect.detector import Detector
from seawall.detect.finding import Evidence, Finding
from seawall.detect.scope import scope
from seawall.detect.sight import Sight, peers_of
from seawall.kit.units import Seconds

WINDOW = 3
LEAST_RESETS = 50.0
RESET_SHARE = 0.5
LEAST_FLOODS = 1.0
FLOOD_SHARE = 0.5
MOST = 500


def look(sight: Sight) -> list[Finding]:
    """Name the addresses whose streams are mostly reset, or whose connections Envoy closed for what was said on them."""
    span = float(sight.span(WINDOW))
    found = []
    for address, peer in peers_of(sight.slots[-WINDOW:]).items():
        resets, floods = peer.resets / span, peer.floods / span
        is_reset = resets > LEAST_RESETS / sight.settings.sensitivity and peer.resets >= RESET_SHARE * peer.requests
        # One program of an office may speak gibberish all day, while the others' connections are sound.
        is_flood = floods >= LEAST_FLOODS and peer.floods >= FLOOD_SHARE * peer.opened
        if not is_reset and not is_flood:
            continue
        found.append(
            Finding(
                detector="http2",
                scope=scope("", {"address": address}),
                score=0.96 if is_flood else min(0.86 + resets / 10_000, 0.96),
                reason=f"{address} resets {resets:.0f} streams a second and breaks the protocol on {floods:.1f} connections",
                evidence=(
                    Evidence(what="resets/s", value=resets, baseline=0.0, window=Seconds(span)),
                    Evidence(what="floods/s", value=floods, baseline=0.0, window=Seconds(span)),
                ),
                excess=max(resets, floods),
                needs_baseline=False,
                most=6,
                allowed=1.0,
            )
        )
    return sorted(found, key=lambda one: (-one.excess, str(one.scope)))[:MOST]


DETECTOR = Detector(name="http2", title="streams opened to be reset", look=look)
