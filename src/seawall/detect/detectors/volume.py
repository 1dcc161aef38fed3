"""Volume: a route is asked more than it ever is at this hour. It says so; who asks is for its siblings to say. Pure."""

from seawall.detect.detector import Detector
from seawall.detect.finding import Evidence, Finding
from seawall.detect.scope import Scope
from seawall.detect.sight import Sight
from seawall.kit.units import Seconds


def look(sight: Sight) -> list[Finding]:
    """Name the routes in excess."""
    return [_finding(sight, route) for route in sight.tripped]


def _finding(sight: Sight, route: str) -> Finding:
    rate = sight.slot.totals[route]
    normal = sight.baseline.normal("requests", "route", route, sight.at)
    return Finding(
        detector="volume",
        scope=Scope(route=route),
        score=0.4,
        reason=f"{route or 'everything'} is asked {rate:.0f} times a second, {normal.p99:.0f} at most normally",
        evidence=(Evidence(what="requests/s", value=rate, baseline=normal.p99, window=Seconds(1.0)),),
        excess=rate - normal.mean,
        most=1,
        allowed=normal.p99,
    )


DETECTOR = Detector(name="volume", title="a route in excess", look=look)
