"""Mining: the few fields that an excess has in common, on a route that floods, or in a value that swells slowly.

Pure. A flood trips its route within two seconds. What is low and wide never does: there a single value (a path, a query shape,
a fingerprint) is far above what it is normally, over a minute. Both are mined the same way.
"""

from heapq import nlargest
from math import sqrt

from seawall.detect.attribution import Cause, attribute
from seawall.detect.columns import Rows, totals
from seawall.detect.detector import Detector
from seawall.detect.finding import Finding
from seawall.detect.scope import Scope
from seawall.detect.sight import Sight
from seawall.detect.trigger import bound

SWELLING = ("path", "query_shape", "ja4", "agent", "headers", "language", "net24", "net48")
WINDOWS = ((8, 2, 0.5), (60, 5, 0.1))
"""Seconds of a window, how often it is looked at, and its floor as a share of a route's."""
MOST_ROWS = 20_000
MOST_VALUES = 6
MANY = 30
MOST_LOOKED_AT = 50
LEAST_SHARE = 0.3
"""Of what swells; less of it is noise with a name."""
SINGLE = frozenset({"address", "token", "account", "net64"})
CAUSE, SWELLING_CAUSE = 0.95, 0.79
"""What swells overloads nobody yet: a limit at most."""


def look(sight: Sight) -> list[Finding]:
    """Mine the routes in excess, then the values in excess."""
    found: list[Finding] = []
    for route in sight.tripped:
        seconds = 1 if len(sight.slots) < 2 or sight.is_sudden(route) else 2
        rows = sight.last(seconds).having("route", route)
        normal = sight.baseline.normal("requests", "route", route, sight.at)
        found += attribute(sight, _cause(Scope(route=route), rows, float(seconds), normal.mean))
    if found or sight.is_cold:
        return found
    for seconds, every, share in WINDOWS:
        if int(sight.at) % every == 0 and len(sight.slots) * 2 >= seconds:
            found += _swelling(sight, seconds, share)
    return found


def _swelling(sight: Sight, seconds: int, share: float) -> list[Finding]:
    """Mine the values that are far above what they are normally."""
    rows = sight.last(seconds).thinned(MOST_ROWS)
    span = float(sight.span(seconds))
    floor = sight.settings.floor * share
    tripped: list[tuple[float, str, str, float]] = []
    for field in SWELLING:
        counts = totals(rows, field)
        for value in nlargest(MOST_LOOKED_AT, counts, key=lambda one: (counts[one], one)):
            rate = counts[value] / span
            if rate <= floor:
                break
            normal = sight.baseline.normal("requests", field, value, sight.at)
            if value and rate > bound(normal, floor, sight.settings.sensitivity):
                tripped.append((rate - normal.mean, field, value, normal.mean))
    surplus = _surplus(sight, rows.total / span, span)
    found: list[Finding] = []
    for excess, field, value, mean in sorted(tripped, reverse=True)[:MOST_VALUES]:
        if excess > 2 * surplus:
            # It is asked instead of something else, not besides: a new release, not an attack.
            continue
        causes = attribute(sight, _cause(Scope(), rows.having(field, value), span, mean, floor / 2))
        # One client that swells is for `outlier` to judge: it knows how much one may ask.
        large = [one for one in causes if one.coverage >= LEAST_SHARE and not one.scope.fields & SINGLE]
        found += [one for one in large if _are_strangers(sight, one.scope, seconds)]
    return found


def _are_strangers(sight: Sight, scope: Scope, seconds: int) -> bool:
    """Say whether many addresses ask, most of them never seen before. Two partners, or a new release of our own program, swell as
    well, and overload nobody."""
    crowd = sight.crowd(seconds)
    column = crowd.rows.column("address")
    addresses = {column[number] for number in crowd.inside(scope)}
    return len(addresses) >= MANY and 2 * sum(map(sight.is_known, sorted(addresses))) < len(addresses)


def _surplus(sight: Sight, rate: float, span: float) -> float:
    """Say how much more than normally is asked at all, with the benefit of noise."""
    return rate - sight.baseline.normal("requests", "route", "", sight.at).mean + 2 * sqrt(rate / span)


def _cause(scope: Scope, rows: Rows, seconds: float, normal: float, least: float = 0.0) -> Cause:
    return Cause(
        detector="signature",
        name="requests",
        scope=scope,
        rows=rows,
        weights=None,
        seconds=seconds,
        normal=normal,
        certainty=CAUSE if scope.route else SWELLING_CAUSE,
        least=least,
    )


DETECTOR = Detector(name="signature", title="fields that an excess has in common", look=look)
