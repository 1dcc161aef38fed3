"""Sight: what detectors look at: the last second of traffic, the minute behind it, and what is normal.

Pure. Columns, not records: a field is a list with one value for each request, as `traffic` hands them over. Requests that a
verdict in force explains are not in it: nobody finds the same attack twice. Next room: `detect.detectors`.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from seawall.detect.baseline import Baseline
from seawall.detect.columns import Rows, joined
from seawall.detect.crowd import Crowd
from seawall.detect.settings import Settings
from seawall.detect.trigger import bound, has_tripped
from seawall.kit.units import Instant, Seconds

MOST_ROWS = 60_000
CROWD_ROWS = 10_000
WARM = 20.0
"""Seconds of traffic that a route must have been seen before anything is said of it."""
UNHEALTHY = 0.2
DEFAULTS = Settings()


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """What one address did below HTTP in a second: connections, TLS handshakes, those that never asked anything, HTTP/2 abuse."""

    opened: float = 0.0
    handshakes: float = 0.0
    failed_handshakes: float = 0.0
    without_request: float = 0.0
    resets: float = 0.0
    floods: float = 0.0
    requests: float = 0.0

    def plus(self, other: "Peer") -> "Peer":
        """Add another second of the same address."""
        return Peer(**{field: getattr(self, field) + getattr(other, field) for field in self.__struct_fields__})


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A second. `totals` are exact requests by route, though `rows` may be a sample; `errors` those that the origin failed,
    `costs` the seconds that it took."""

    at: Instant
    rows: Rows = Rows()
    totals: Mapping[str, float] = {}
    errors: Mapping[str, float] = {}
    costs: Mapping[str, float] = {}
    peers: Mapping[str, Peer] = {}


def slot_of(at: Instant, rows: Rows, peers: Mapping[str, Peer] | None = None) -> Slot:
    """Make a second of its requests; whoever has exact totals beside a sample puts them in instead."""
    totals: dict[str, float] = {}
    errors: dict[str, float] = {}
    costs: dict[str, float] = {}
    columns = (rows.column("route"), rows.column("status"), rows.column("refused"), rows.seconds, rows.each_weight)
    for route, status, refused, took, weight in zip(*columns, strict=True):
        totals[route] = totals.get(route, 0.0) + weight
        if refused:
            continue
        costs[route] = costs.get(route, 0.0) + took * weight
        if status >= "500":
            errors[route] = errors.get(route, 0.0) + weight
    return Slot(at=at, rows=rows, totals=totals, errors=errors, costs=costs, peers=peers or {})


class Sight:
    """A second, with its past and what is normal."""

    def __init__(
        self,
        slots: Sequence[Slot],
        *,
        baseline: Baseline,
        settings: Settings = DEFAULTS,
        is_known: Callable[[str], bool] = lambda client: False,
        watched: float = 0.0,
    ) -> None:
        self.slots = slots
        self.baseline = baseline
        self.settings = settings
        self.is_known = is_known
        """Whether a client was there before the last half minute."""
        self._watched = watched
        self._windows: dict[int, Rows] = {}
        self._crowds: dict[int, Crowd] = {}
        self.tripped: tuple[str, ...] = tuple(route for route in sorted(self.slot.totals) if self._has_tripped(route))
        """Routes that are asked more than ever at this hour."""

    @property
    def at(self) -> Instant:
        return self.slots[-1].at

    @property
    def slot(self) -> Slot:
        return self.slots[-1]

    @property
    def is_cold(self) -> bool:
        """Say whether there has been no time yet to learn anything."""
        return self._watched < WARM

    @property
    def is_ill(self) -> bool:
        """Say whether the origin of any route fails much of what it is asked."""
        return any(self.is_unhealthy(route) for route in self.slot.totals)

    def span(self, seconds: int) -> Seconds:
        """Say how much of a window has been seen."""
        return Seconds(float(max(min(seconds, len(self.slots)), 1)))

    def last(self, seconds: int) -> Rows:
        """Return the requests of the last seconds."""
        if seconds not in self._windows:
            rows = joined([slot.rows for slot in self.slots[-seconds:]])
            self._windows[seconds] = rows.thinned(MOST_ROWS)
        return self._windows[seconds]

    def crowd(self, seconds: int) -> Crowd:
        """Return the clients of the last seconds."""
        if seconds not in self._crowds:
            self._crowds[seconds] = Crowd(self.last(seconds).thinned(CROWD_ROWS))
        return self._crowds[seconds]

    def routes(self) -> list[str]:
        """Name the routes that were asked for."""
        return sorted(self.slot.totals)

    def rates(self, route: str) -> list[float]:
        """Return the requests of a route in the last two seconds."""
        return [slot.totals.get(route, 0.0) for slot in self.slots[-2:]]

    def costs(self, route: str) -> list[float]:
        """Return how much of the origin's time a route took, second by second."""
        return [slot.costs.get(route, 0.0) for slot in self.slots]

    def bound(self, route: str) -> float:
        """Return the rate of a route beyond which it is no more normal."""
        normal = self.baseline.normal("requests", "route", route, self.at)
        return bound(normal, self.settings.floor, self.settings.sensitivity, is_ill=self.is_unhealthy(route))

    def is_sudden(self, route: str) -> bool:
        """Say whether one second of a route is enough."""
        return has_tripped(self.rates(route)[-1:], self.bound(route))

    def error_share(self, route: str, last: int = 5) -> float:
        """Return the share of a route's requests that its origin failed lately."""
        return _share(self.slots[-last:], route)

    def worst_errors(self, route: str, last: int) -> float:
        """Return the worst share of errors of any five seconds."""
        slots = self.slots[-last:]
        return max(_share(slots[max(end - 5, 0) : end], route) for end in range(min(5, len(slots)), len(slots) + 1))

    def is_unhealthy(self, route: str) -> bool:
        """Say whether the origin of a route fails much of what it is asked: less evidence is needed then."""
        return self.error_share(route) > UNHEALTHY

    def _has_tripped(self, route: str) -> bool:
        learned = self.baseline.normal("requests", "route", route, self.at).learned
        return learned >= WARM and has_tripped(self.rates(route), self.bound(route))


def _share(slots: Sequence[Slot], route: str) -> float:
    total = sum(slot.totals.get(route, 0.0) for slot in slots)
    return sum(slot.errors.get(route, 0.0) for slot in slots) / total if total else 0.0


def peers_of(slots: Sequence[Slot]) -> dict[str, Peer]:
    """Add up what each address did below HTTP."""
    found: dict[str, Peer] = {}
    for slot in slots:
        for address, peer in slot.peers.items():
            before = found.get(address)
            found[address] = peer if before is None else before.plus(peer)
    return found
