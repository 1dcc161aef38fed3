"""Outlier: one client asks far more than its peers, than itself before, or than its quota.

Pure. 99.9 % of clients behave: only those far out are looked at, so a million clients cost one count. What is far is what clients
asked before, not what they ask now: a botnet would be its own measure. While a route is in excess less is far; an address with
somebody's token is judged by the token, for who shares the address has nothing to do with it.
"""

from math import log2

from seawall.detect.columns import Rows, totals
from seawall.detect.detector import Detector
from seawall.detect.finding import Evidence, Finding
from seawall.detect.scope import scope
from seawall.detect.sight import Sight
from seawall.detect.trigger import FACTOR
from seawall.kit.units import Seconds

KEYS = ("token", "account", "address", "net64")
PERSONS = ("token", "account")
WINDOWS = ((8, 1.0), (2, 4.0))
"""Seconds, and how many times the bound in them is too much: in two instead of eight, four times."""
PEERS, IN_EXCESS = 10.0, 3.0
"""So many times what the 99th percentile of clients asks; in a route that is in excess, fewer."""
LEAST_IN_EXCESS = 3.0
MOST = 400
SOURCE_RPS = 500.0
VOUCHED = 0.8
LEARNED = 24.0
"""Seconds of its own past that say more of a client than its peers do."""
LEFT = 0.2
"""The share of the bound that a limit leaves a client that nobody knows."""


def look(sight: Sight) -> list[Finding]:
    """Name the clients that are far out, the worst first."""
    found: dict[tuple[str, str], Finding] = {}
    for seconds, factor in WINDOWS:
        if len(sight.slots) < seconds:
            continue
        rows = sight.last(seconds)
        for field in KEYS:
            for one in _far_out(sight, rows, field, (float(seconds), factor)):
                key = (field, one.scope.match[0].value)
                if key not in found or one.score > found[key].score:
                    found[key] = one
    return sorted(found.values(), key=lambda one: (-one.excess, str(one.scope)))[:MOST]


def _far_out(sight: Sight, rows: Rows, field: str, window: tuple[float, float]) -> list[Finding]:
    seconds, factor = window
    least, floor = _least(sight), sight.settings.client_floor / sight.settings.sensitivity
    counts = totals(rows, field)
    far = sorted(
        (-count, value)
        for value, count in counts.items()
        if count > factor * min(least, floor) * seconds or value in sight.settings.quotas
    )
    keys = {}
    for count, value in far[:MOST]:
        most, usual = _bound(sight, (field, value), least, floor)
        if _is_key(field, value) and -count / seconds > factor * most:
            keys[value] = (-count / seconds, most, usual, seconds)
    if field not in PERSONS and keys:
        keys = _without_vouched(rows, field, keys)
    found = [_finding(sight, (field, value), numbers) for value, numbers in keys.items()]
    return [one for one in found if one is not None]


def _least(sight: Sight) -> float:
    """Say how much no client needs."""
    usual = sight.baseline.normal("requests", "client", "", sight.at).p99
    least = max(sight.settings.client_floor, PEERS * usual)
    if sight.tripped and usual:
        least = min(least, max(LEAST_IN_EXCESS, IN_EXCESS * usual))
    return least / sight.settings.sensitivity


def _is_key(field: str, value: str) -> bool:
    """An address of IPv6 is no client: its /64 is."""
    return bool(value) and not (field == "address" and ":" in value)


def _bound(sight: Sight, key: tuple[str, str], least: float, floor: float) -> tuple[float, float]:
    """Return what a client may ask, and what it usually asks. A quota beats all; its own past beats that of its peers."""
    field, value = key
    if field == "token" and value in sight.settings.quotas:
        quota = sight.settings.quotas[value]
        return quota, quota
    normal = sight.baseline.normal("requests", field, value, sight.at)
    if normal.learned >= LEARNED:
        return max(floor, FACTOR * normal.p99), normal.p99
    return max(least, FACTOR * normal.p99), normal.p99


Numbers = tuple[float, float, float, float]


def _finding(sight: Sight, key: tuple[str, str], numbers: Numbers) -> Finding | None:
    (field, value), (rate, most, usual, seconds) = key, numbers
    is_person = field in PERSONS
    if is_person and not usual and not sight.is_ill:
        # A valid key that nobody has seen before is a new customer until it hurts somebody.
        return None
    return Finding(
        detector="outlier",
        scope=scope("", {field: value}),
        score=min(0.6 + 0.08 * log2(max(rate / most, 1.0)), 0.99),
        reason=f"{field} {value} asks {rate:.0f} times a second; {most:.0f} would be much",
        evidence=(Evidence(what="requests/s", value=rate, baseline=usual, window=Seconds(seconds)),),
        excess=rate - usual,
        most=2 if is_person else 6 if rate > SOURCE_RPS else 5,
        allowed=max(usual, LEFT * most),
    )


def _without_vouched(rows: Rows, field: str, keys: dict[str, Numbers]) -> dict[str, Numbers]:
    """Leave out addresses almost all of whose requests come with a token or an account: those are judged."""
    counts = {value: [0.0, 0.0] for value in keys}
    for value, is_vouched, weight in zip(rows.column(field), rows.vouched(), rows.each_weight, strict=True):
        entry = counts.get(value)
        if entry is not None:
            entry[0] += weight
            entry[1] += weight if is_vouched else 0.0
    return {value: numbers for value, numbers in keys.items() if counts[value][1] < VOUCHED * counts[value][0]}


DETECTOR = Detector(name="outlier", title="a client far out of its peers", look=look)
