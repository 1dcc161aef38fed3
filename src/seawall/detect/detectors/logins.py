"""Logins: refusals of a login far above normal, from many addresses or for many accounts: credential stuffing.

Pure, over a minute: each source tries once. What the failing requests have in common is mined with the refusals as weights; where
it is nothing but the path, the path is limited.
"""

from seawall.detect.attribution import Cause, attribute
from seawall.detect.columns import Rows
from seawall.detect.detector import Detector
from seawall.detect.finding import Evidence, Finding
from seawall.detect.scope import scope
from seawall.detect.sight import Sight
from seawall.detect.trigger import FACTOR
from seawall.kit.units import Seconds

WINDOWS = (10, 60)
"""Seconds: the shorter one for many tries a second, the longer one for few."""
REFUSED = frozenset({"401", "403", "422"})
FEWEST = 30
FAIL_SHARE = 0.5
FAN_OUT = 0.2
"""Distinct sources, or accounts, for each refusal: one person who has forgotten a password is not many."""
MOST_PATHS = 10


def look(sight: Sight) -> list[Finding]:
    """Name who tries passwords."""
    return next((found for window in WINDOWS if (found := _look(sight, window))), [])


def _look(sight: Sight, window: int) -> list[Finding]:
    rows = sight.last(window)
    span = float(sight.span(window))
    found: list[Finding] = []
    for (route, path), (tried, failed, sources) in sorted(_tried(rows).items())[: 50 * MOST_PATHS]:
        rate = failed / span
        normal = sight.baseline.normal("failures", "path", path, sight.at)
        most = max(sight.settings.failure_floor, FACTOR * normal.mean) / sight.settings.sensitivity
        is_fan = sources >= FAN_OUT * failed
        if failed >= FEWEST and rate > most and failed >= FAIL_SHARE * tried and is_fan:
            found += _stuffers(sight, (route, path), rows, (rate, normal.mean, tried / span, span))
    return found[:MOST_PATHS]


def _tried(rows: Rows) -> dict[tuple[str, str], tuple[float, float, int]]:
    """Count for each path that is posted to: tries, refusals, and distinct sources or accounts of these."""
    tries: dict[tuple[str, str], float] = {}
    failures: dict[tuple[str, str], float] = {}
    sources: dict[tuple[str, str], set[str]] = {}
    accounts: dict[tuple[str, str], set[str]] = {}
    columns = [rows.column(field) for field in ("route", "path", "method", "status", "address", "login")]
    for route, path, method, status, address, login, weight in zip(*columns, rows.each_weight, strict=True):
        if method != "POST":
            continue
        key = (route, path)
        tries[key] = tries.get(key, 0.0) + weight
        if status in REFUSED:
            failures[key] = failures.get(key, 0.0) + weight
            sources.setdefault(key, set()).add(address)
            if login:
                accounts.setdefault(key, set()).add(login)
    return {
        key: (tries[key], count, max(len(sources[key]), len(accounts.get(key, ())))) for key, count in failures.items()
    }


def _stuffers(
    sight: Sight, key: tuple[str, str], rows: Rows, numbers: tuple[float, float, float, float]
) -> list[Finding]:
    (route, path), (rate, mean, tried, span) = key, numbers
    theirs = rows.where(
        [
            (one, at, method) == (path, route, "POST")
            for one, at, method in zip(rows.column("path"), rows.column("route"), rows.column("method"), strict=True)
        ]
    )
    weights = [
        weight if status in REFUSED else 0.0
        for status, weight in zip(theirs.column("status"), theirs.each_weight, strict=True)
    ]
    cause = Cause(
        detector="logins",
        name="refused logins",
        scope=scope(route),
        rows=theirs,
        weights=weights,
        seconds=span,
        normal=mean,
        certainty=0.93,
    )
    whole = Finding(
        detector="logins",
        scope=scope(route, {"path": path, "method": "POST"}),
        score=0.7,
        reason=f"{rate:.1f} logins a second are refused on {path}, {mean:.1f} normally, from many sources",
        evidence=(Evidence(what="refused logins/s", value=rate, baseline=mean, window=Seconds(span)),),
        excess=rate - mean,
        most=2,
        allowed=max(tried - rate, 0.5),
    )
    return attribute(sight, cause) or [whole]


DETECTOR = Detector(name="logins", title="passwords tried from many sources", look=look)
