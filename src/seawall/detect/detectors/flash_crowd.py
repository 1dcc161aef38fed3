"""Flash crowd: everybody comes at once, because of an article or a sale. The benign twin of a botnet.

Pure. New clients, but each of them fetches what its pages need, none of them asks much, and no one tool makes most of it. Who reads
the finding protects them: shed by priority, deny nobody.
"""

from seawall.detect.detector import Detector
from seawall.detect.finding import Evidence, Finding
from seawall.detect.scope import Scope
from seawall.detect.shape import shape
from seawall.detect.sight import Sight
from seawall.kit.units import Seconds

WINDOW = 4
PEOPLE = 0.6
FEWEST = 20


def look(sight: Sight) -> list[Finding]:
    """Name the routes whose excess looks like people."""
    return [found for route in sight.tripped if (found := _crowd(sight, route)) is not None]


def _crowd(sight: Sight, route: str) -> Finding | None:
    looks = shape(sight, Scope(route=route), WINDOW)
    if looks.clients < FEWEST or looks.people < PEOPLE or looks.busiest > sight.settings.client_floor:
        return None
    return Finding(
        detector="flash-crowd",
        scope=Scope(route=route),
        score=looks.people,
        reason=f"{looks.clients} clients of {route or 'the edge'} fetch what their pages need: people, and more of them than ever",
        evidence=(
            Evidence(what="share of people", value=looks.people, baseline=1.0, window=Seconds(float(WINDOW))),
            Evidence(
                what="requests/s of the busiest", value=looks.busiest, baseline=0.0, window=Seconds(float(WINDOW))
            ),
        ),
        most=0,
        twin="flash-crowd",
    )


DETECTOR = Detector(name="flash-crowd", title="people come at once", look=look)
