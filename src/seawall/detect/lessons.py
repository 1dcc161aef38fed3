"""Lessons: what of the traffic the baseline learns, and when.

Pure. Nothing is learned at once: a second waits until somebody would have objected to it, and then only what no verdict explains
is read, of routes that were not in excess. What is in excess for a quarter of an hour and is nobody's attack is the new normal.
Previous room: `detect.guard` hands seconds over. Next room: `detect.baseline`.
"""

from collections import Counter
from heapq import nlargest

from seawall.detect.baseline import MOST_SAMPLED_ROUTES, VALUE_WINDOW, Baseline
from seawall.detect.columns import CLIENT, Rows, joined, totals
from seawall.detect.detectors.logins import REFUSED
from seawall.detect.matcher import Matcher
from seawall.detect.seen import Seen
from seawall.detect.sight import Slot
from seawall.kit.units import Instant

RATES_WAIT, VALUES_WAIT = 10, 30
"""Seconds that rates of routes and rates of values wait: a low attack shows in its values only after a quarter of a minute."""
SOON = 60.0
"""At the beginning requests are kept early: without any, nothing can be replayed."""
MOST_PATHS = 200
NEW_NORMAL = 900.0
LEAST_FAILURES = 1
KEPT_FIELDS = (
    "route",
    "address",
    "net24",
    "net64",
    "net56",
    "net48",
    "host",
    "method",
    "path",
    "query_shape",
    "ja4",
    "alpn",
    "protocol",
    "agent",
    "headers",
    "language",
    "referer",
    "fetch",
    "token",
    "account",
    "verified",
)


class Lessons:
    """Seconds that wait to be learned."""

    def __init__(self, baseline: Baseline, seen: Seen) -> None:
        self._baseline, self._seen = baseline, seen
        self._rates: list[Slot] = []
        self._values: list[Slot] = []
        self._tripped: dict[str, tuple[Instant, Instant]] = {}
        self.watched = 0.0
        """Seconds of which the values have been learned."""

    def note(self, routes: tuple[str, ...], at: Instant) -> None:
        """Remember which routes are in excess, and since when."""
        for route in routes:
            since, last = self._tripped.get(route, (at, at))
            self._tripped[route] = (since if at - last <= RATES_WAIT else at, at)
        for route in [route for route, (_, last) in self._tripped.items() if at - last > 2 * VALUES_WAIT]:
            del self._tripped[route]

    def take(self, slot: Slot, matcher: Matcher) -> None:
        """Let a second wait; learn those that have waited for long enough."""
        self._rates.append(slot)
        while len(self._rates) > RATES_WAIT:
            ripe = self._rates.pop(0)
            self._learn_rates(self._clean(ripe, matcher))
            self._values.append(ripe)
        if len(self._values) >= VALUES_WAIT - RATES_WAIT + VALUE_WINDOW:
            ripe_ones, self._values = self._values[:VALUE_WINDOW], self._values[VALUE_WINDOW:]
            self._learn_values([self._clean(one, matcher) for one in ripe_ones])

    def _clean(self, slot: Slot, matcher: Matcher) -> Slot:
        """Take out what a verdict explains, and routes in excess."""
        cut = {route for route in slot.totals if self._is_cut(route, slot.at)}
        if not cut and not matcher:
            return slot
        held = matcher.look_up(slot.rows)
        return without(slot, held, cut)

    def _is_cut(self, route: str, at: Instant) -> bool:
        since, last = self._tripped.get(route, (Instant(0.0), Instant(-1e9)))
        return since - 2 <= at <= last + 2 and last - since < NEW_NORMAL

    def _learn_rates(self, slot: Slot) -> None:
        for route, total in slot.totals.items():
            self._baseline.read("requests", "route", route, total, slot.at)
            self._baseline.read("cost", "route", route, slot.costs.get(route, 0.0), slot.at)
        self._baseline.read("requests", "route", "", sum(slot.totals.values()), slot.at)
        if self.watched < SOON:
            self._keep(slot)
        columns = [slot.rows.column(field) for field in CLIENT]
        self._seen.add({" ".join(client) for client in zip(*columns, strict=True)}, slot.at)
        self._seen.add(set(slot.rows.column("address")), slot.at)

    def _keep(self, slot: Slot) -> None:
        """Keep a few requests, to replay verdicts on."""
        busiest = Counter(slot.rows.column("route")).most_common(MOST_SAMPLED_ROUTES - 1)
        for route, _ in sorted(busiest):
            self._baseline.keep(route, slot.rows.having("route", route), KEPT_FIELDS, slot.at)
        if busiest:
            self._baseline.keep("", slot.rows, KEPT_FIELDS, slot.at)

    def _learn_values(self, slots: list[Slot]) -> None:
        rows, at = joined([slot.rows for slot in slots]), slots[-1].at
        seconds = float(len(slots))
        if self.watched >= SOON:
            for slot in slots:
                self._keep(slot)
        self.watched += seconds
        self._baseline.read_values(rows, at, seconds)
        missed: dict[str, float] = {}
        failed: dict[str, float] = {}
        spent: dict[str, float] = {}
        columns = [rows.column(field) for field in ("path", "query", "cache", "method", "status", "address")]
        weighed = zip(rows.seconds, rows.each_weight, strict=True)
        for path, query, cache, method, status, address, (took, weight) in zip(*columns, weighed, strict=True):
            missed[path] = missed.get(path, 0.0) + (weight if query != "" and cache != "hit" else 0.0)
            if method == "POST":
                failed[path] = failed.get(path, 0.0) + (weight if status in REFUSED else 0.0)
            spent[address] = spent.get(address, 0.0) + took * weight
        for path, count in nlargest(MOST_PATHS, missed.items(), key=_by_count):
            self._baseline.read("misses", "path", path, count / seconds, at, seconds=seconds)
        for path, count in nlargest(MOST_PATHS, failed.items(), key=_by_count):
            self._baseline.read("failures", "path", path, count / seconds, at, seconds=seconds)
        self._learn_clients("cost", spent, at, seconds)
        self._learn_clients("requests", totals(rows, "address"), at, seconds)

    def _learn_clients(self, measure: str, by_client: dict[str, float], at: Instant, seconds: float) -> None:
        """Learn what a client takes that takes much: the 99th percentile of all of them."""
        if by_client:
            ordered = sorted(by_client.values())
            rate = ordered[int(0.99 * (len(ordered) - 1))] / seconds
            self._baseline.read(measure, "client", "", rate, at, seconds=seconds)


def _by_count(one: tuple[str, float]) -> tuple[float, str]:
    return one[1], one[0]


def without(slot: Slot, held: list[str], cut: set[str]) -> Slot:
    """Take requests out of a second: those that are held, and all of some routes. The exact totals follow."""
    rows: Rows = slot.rows
    gone: dict[str, float] = {}
    spent: dict[str, float] = {}
    routes = rows.column("route")
    keep = []
    for name, route, weight, took in zip(held, routes, rows.each_weight, rows.seconds, strict=True):
        keep.append(not name and route not in cut)
        if name:
            gone[route] = gone.get(route, 0.0) + weight
            spent[route] = spent.get(route, 0.0) + weight * took
    return Slot(
        at=slot.at,
        rows=rows.where(keep),
        totals={route: max(n - gone.get(route, 0.0), 0.0) for route, n in slot.totals.items() if route not in cut},
        errors={route: n for route, n in slot.errors.items() if route not in cut},
        costs={route: max(n - spent.get(route, 0.0), 0.0) for route, n in slot.costs.items() if route not in cut},
        peers=slot.peers,
    )
