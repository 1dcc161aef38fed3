"""Retry storm: the origin fails, and our own clients ask again. The benign twin of a flood.

Pure. It begins with errors, its clients were there before, and each of them asks a few times more, not a thousand times. Who reads
the finding protects these clients: shed by priority, say when to come back, ban nobody.
"""

from seawall.detect.detector import Detector
from seawall.detect.finding import Evidence, Finding
from seawall.detect.scope import Scope
from seawall.detect.shape import shape
from seawall.detect.sight import Sight
from seawall.kit.units import Seconds

LOOK_BACK = 60
ERRORS = 0.3
KNOWN = 0.5
WINDOW = 3


def look(sight: Sight) -> list[Finding]:
    """Name the routes that have failed their own clients."""
    return [found for route in sight.routes() if (found := _storm(sight, route)) is not None]


def _storm(sight: Sight, route: str) -> Finding | None:
    if not any(slot.errors.get(route) for slot in sight.slots):
        return None
    worst = sight.worst_errors(route, LOOK_BACK)
    if worst < ERRORS:
        return None
    looks = shape(sight, Scope(route=route), WINDOW)
    if looks.known < KNOWN:
        return None
    return Finding(
        detector="retry-storm",
        scope=Scope(route=route),
        score=min(0.5 + 0.5 * looks.known, 1.0),
        reason=f"{worst:.0%} of the answers of {route or 'the origin'} were errors before its own clients asked more",
        evidence=(
            Evidence(what="error share", value=worst, baseline=0.0, window=Seconds(float(LOOK_BACK))),
            Evidence(what="share of known clients", value=looks.known, baseline=1.0, window=Seconds(float(WINDOW))),
        ),
        most=0,
        twin="retry-storm",
    )


DETECTOR = Detector(name="retry-storm", title="our own clients retry", look=look)
