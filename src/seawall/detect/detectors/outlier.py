"""Outlier: one client asks far more than its peers, than itself before, or than its quota.

Pure. 99.9 % of clients behave: only those far out are looked at, so a million clients cost one count. An address with somebody's
token is judged by the token: who shares the address is not its concern.
"""

from collections import Counter
from math import log2

from seawall.detect.columns import Rows
from seawall.detect.detector import Detector
from seawall.detect.finding import Evidence, Finding
from seawall.detect.scope import scope
from seawall.detect.sight import Sight
from seawall.detect.trigger import FACTOR
from seawall.kit.units import Seconds

KEYS = ("token", "account", "address", "net64")
WINDOW, BURST = 8, 2
PEERS = 10.0
"""So many times what the 99th percentile of clients asks."""
FEWEST_PEERS = 20
MOST = 200
BURST_FACTOR = 4.0
"""In two seconds instead of eight, so many times the bound."""
SOURCE_RPS = 500.0
VOUCHED = 0.8


def look(sight: Sight) -> list[Finding]:
    """Name the clients that are far out, the worst first."""
    found: dict[tuple[str, str], Finding] = {}
    for seconds, factor in ((WINDOW, 1.0), (BURST, BURST_FACTOR)):
        if len(sight.slots) < seconds:
            continue
        rows = sight.last(seconds)
        for field in KEYS:
            for one in _far_out(sight, rows, field, seconds, factor):
                found.setdefault((field, one.scope.match[0].value), one)
    return sorted(found.values(), key=lambda one: (-one.excess, str(one.scope)))[:MOST]


def _far_out(sight: Sight, rows: Rows, field: str, seconds: int, factor: float) -> list[Finding]:
    column = [value if _is_key(field, value) else "" for value in rows.column(field)]
    counts: Counter[str] = Counter()
    for value, weight in zip(column, rows.each_weight, strict=True):
        counts[value] += weight  # type: ignore[assignment]  # a Counter of floats
    del counts[""]
    if not counts:
        return []
    ordered = sorted(counts.values())
    peers = ordered[int(0.99 * (len(ordered) - 1))] / seconds if len(ordered) >= FEWEST_PEERS else 0.0
    least = max(sight.settings.client_floor, PEERS * peers) / sight.settings.sensitivity
    found = []
    for value, count in counts.most_common(MOST):
        rate = count / seconds
        most, usual = _bound(sight, field, value, least)
        if rate <= factor * most:
            if rate <= factor * least:
                break
            continue
        found.append(_finding(sight, rows, (field, value), (rate, most, usual, seconds)))
    return [one for one in found if one is not None]


def _is_key(field: str, value: str) -> bool:
    """An address of IPv6 is no client: its /64 is."""
    return bool(value) and not (field == "address" and ":" in value)


def _bound(sight: Sight, field: str, value: str, least: float) -> tuple[float, float]:
    """Return what a client may ask, and what it usually asks. A quota beats all."""
    if field == "token" and value in sight.settings.quotas:
        quota = sight.settings.quotas[value]
        return quota, quota
    normal = sight.baseline.normal("requests", field, value, sight.at)
    return max(least, FACTOR * normal.p99), normal.p99


def _finding(
    sight: Sight, rows: Rows, key: tuple[str, str], numbers: tuple[float, float, float, int]
) -> Finding | None:
    (field, value), (rate, most, usual, seconds) = key, numbers
    is_person = field in ("token", "account")
    if not is_person and _is_vouched(rows, field, value):
        return None
    if is_person and not usual and not sight.is_ill:
        # A valid key that nobody has seen before is a new customer until it hurts somebody.
        return None
    return Finding(
        detector="outlier",
        scope=scope("", {field: value}),
        score=min(0.6 + 0.1 * log2(max(rate / most, 1.0)), 0.99),
        reason=f"{field} {value} asks {rate:.0f} times a second; {most:.0f} would be much",
        evidence=(Evidence(what="requests/s", value=rate, baseline=usual, window=Seconds(float(seconds))),),
        excess=rate - usual,
        most=2 if is_person else 6 if rate > SOURCE_RPS else 5,
        allowed=max(usual, 1.0),
    )


def _is_vouched(rows: Rows, field: str, value: str) -> bool:
    """Say whether almost all that an address asks comes with a token or an account: then those are judged."""
    theirs = [
        bool(token or account)
        for one, token, account in zip(rows.column(field), rows.column("token"), rows.column("account"), strict=True)
        if one == value
    ]
    return sum(theirs) >= VOUCHED * len(theirs)


DETECTOR = Detector(name="outlier", title="a client far out of its peers", look=look)
