"""Cost: few requests that take most of the origin's time.

Pure. What counts is the origin's seconds a second, not requests: sixty searches of two seconds each keep 120 workers busy and
would never trip a count. The excess is mined with each request's duration as its weight; what the costly clients have in
common is named, or the clients themselves where it is nothing.
"""

from seawall.detect.attribution import Cause, attribute
from seawall.detect.columns import Rows
from seawall.detect.detector import Detector
from seawall.detect.finding import Evidence, Finding
from seawall.detect.scope import scope
from seawall.detect.sight import Sight
from seawall.detect.trigger import bound
from seawall.kit.units import Seconds

WINDOW = 4
CLIENT_FACTOR = 5.0
LEAST_PATH_SHARE = 0.3
MOST = 200
MOST_ROWS = 10_000


def look(sight: Sight) -> list[Finding]:
    """Name who takes the origin's time, on routes where more of it is taken than ever."""
    found: list[Finding] = []
    if sight.is_cold or len(sight.slots) < 2:
        return found
    for route in sight.routes():
        normal = sight.baseline.normal("cost", "route", route, sight.at)
        most = bound(normal, sight.settings.cost_floor, sight.settings.sensitivity, is_ill=sight.is_unhealthy(route))
        if normal.learned and all(spent > most for spent in sight.costs(route)[-2:]):
            found += _spenders(sight, route, normal.mean)
    return found


def _spenders(sight: Sight, route: str, normal: float) -> list[Finding]:
    rows = sight.last(WINDOW).having("route", route).thinned(MOST_ROWS)
    span = float(sight.span(WINDOW))
    weights = [one * weight for one, weight in zip(rows.seconds, rows.each_weight, strict=True)]
    cause = Cause(
        detector="cost",
        name="seconds of the origin",
        scope=scope(route),
        rows=rows,
        weights=weights,
        seconds=span,
        normal=normal,
        certainty=0.92,
    )
    found = attribute(sight, cause)
    if any(one.most > 2 for one in found):
        return found
    return [*_clients(sight, route, rows, weights, span), *found]


def _clients(sight: Sight, route: str, rows: Rows, weights: list[float], span: float) -> list[Finding]:
    """Name the clients that spend far more than the median of those on the route did before."""
    spent: dict[tuple[str, str], float] = {}
    asked: dict[tuple[str, str], float] = {}
    columns = (rows.column("address"), rows.column("path"), weights, rows.each_weight)
    for address, path, weight, count in zip(*columns, strict=True):
        spent[address, path] = spent.get((address, path), 0.0) + weight / span
        asked[address, path] = asked.get((address, path), 0.0) + count / span
    total = sum(spent.values())
    usual = sight.baseline.normal("cost", "client", "", sight.at).p99
    least = max(CLIENT_FACTOR * usual, 0.5 * sight.settings.cost_floor / 8.0) / sight.settings.sensitivity
    heavy = sorted(((cost, key) for key, cost in spent.items() if cost > least), reverse=True)[:MOST]
    if sum(cost for cost, _ in heavy) < LEAST_PATH_SHARE * total:
        return []
    return [
        Finding(
            detector="cost",
            scope=scope(route, {"address": address, "path": path}),
            score=0.75,
            reason=f"{address} takes {cost:.1f} s of the origin's time in each second with {path}",
            evidence=(Evidence(what="seconds of the origin/s", value=cost, baseline=usual, window=Seconds(span)),),
            excess=asked[address, path],
            coverage=cost / total,
            most=2,
            allowed=max(0.1 * asked[address, path], 0.05),
        )
        for cost, (address, path) in heavy
    ]


DETECTOR = Detector(name="cost", title="requests that take the origin's time", look=look)
