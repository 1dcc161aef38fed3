"""Cache busting: one path, a query that nobody has asked before each time, and the origin has to answer them all.

Pure. Measured in misses with distinct queries on one path. The excess is mined; whatever is done about it, the query may also be
left out of the cache's key. Where the traffic says nothing of caches, distinct queries are counted alone.
"""

from seawall.detect.attribution import Cause, attribute
from seawall.detect.columns import Rows
from seawall.detect.detector import Detector
from seawall.detect.finding import Evidence, Finding
from seawall.detect.scope import scope
from seawall.detect.sight import Sight
from seawall.detect.trigger import bound
from seawall.kit.units import Seconds

WINDOW = 2
DISTINCT = 0.8
"""The share of a path's queries that are asked once: people's searches repeat."""
MOST_PATHS = 20


def look(sight: Sight) -> list[Finding]:
    """Name who asks for what is not in the cache, on paths where that is far more than ever."""
    if sight.is_cold or len(sight.slots) < WINDOW:
        return []
    rows = sight.last(WINDOW)
    span = float(sight.span(WINDOW))
    found: list[Finding] = []
    busted = sorted(_busted(rows).items(), key=lambda item: (-item[1][0], item[0]))[:MOST_PATHS]
    for (route, path), (missed, distinct) in busted:
        rate = missed / span
        normal = sight.baseline.normal("misses", "path", path, sight.at)
        if rate <= bound(normal, sight.settings.floor, sight.settings.sensitivity) or distinct < DISTINCT * missed:
            continue
        found += _finding(sight, (route, path), rows, (rate, normal.mean, span))
    return found


def _busted(rows: Rows) -> dict[tuple[str, str], tuple[float, float]]:
    """Count for each path its misses with a query, and the distinct queries among them."""
    queries: dict[tuple[str, str], set[str]] = {}
    misses: dict[tuple[str, str], float] = {}
    columns = [rows.column(field) for field in ("route", "path", "query", "cache")]
    for route, path, query, cache, weight in zip(*columns, rows.each_weight, strict=True):
        if query and cache != "hit":
            misses[route, path] = misses.get((route, path), 0.0) + weight
            queries.setdefault((route, path), set()).add(query)
    # A sampled request stands for others like it: with other queries, as far as anybody knows.
    scale = rows.total / len(rows) if len(rows) else 1.0
    return {key: (count, len(queries[key]) * scale) for key, count in misses.items()}


def _finding(sight: Sight, key: tuple[str, str], rows: Rows, numbers: tuple[float, float, float]) -> list[Finding]:
    (route, path), (rate, mean, span) = key, numbers
    theirs = rows.where(
        [
            (one, at) == (path, route) and query != "" and cache != "hit"
            for one, at, query, cache in zip(
                rows.column("path"), rows.column("route"), rows.column("query"), rows.column("cache"), strict=True
            )
        ]
    )
    cause = Cause(
        detector="cache-busting",
        name="misses",
        scope=scope(route),
        rows=theirs,
        weights=None,
        seconds=span,
        normal=mean,
        certainty=0.9,
    )
    whole = Finding(
        detector="cache-busting",
        scope=scope(route, {"path": path}),
        score=0.7,
        reason=f"{path} is asked {rate:.0f} times a second with queries that nobody has asked before",
        evidence=(Evidence(what="distinct misses/s", value=rate, baseline=mean, window=Seconds(span)),),
        excess=rate - mean,
        most=2,
        allowed=max(3 * mean, 5.0),
        ignore_query=True,
    )
    return attribute(sight, cause) or [whole]


DETECTOR = Detector(name="cache-busting", title="queries made up to miss the cache", look=look)
