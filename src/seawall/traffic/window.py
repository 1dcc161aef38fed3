"""Windows: the last 8 s, 60 s and 10 min of the whole fleet, over event time.

Pure. Deltas come in any order, late and twice: each counts once, for the second that it is of. Every dimension is bounded, and
what did not fit is counted in `dropped`. Next room: `detect`.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from heapq import nlargest

import msgspec

from seawall.kit.units import Instant
from seawall.traffic.delta import OTHER, WindowDelta
from seawall.traffic.peers import MOST_PEERS, Counts, added, conspicuous
from seawall.traffic.sketch import EMPTY, distinct, merged

FLOOD, BURST, ABUSE = 8, 60, 600
"""Lengths of the windows, in seconds. Rows are kept for a burst, counts for an abuse."""
AHEAD = 5
"""Seconds that an edge's clock may be ahead of ours."""
MOST_DELTAS = 512
"""Deltas of one second: edges, times the parts in which one may come."""
MOST_ROUTES = 2_000
MOST_BUSY = 1_000
MOST_ROWS = 20_000


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of some seconds."""

    totals: dict[str, float] = {}
    errors: dict[str, float] = {}
    costs: dict[str, float] = {}
    busy: dict[str, dict[str, float]] = {}
    clients: float = 0.0


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Distinct requests of a second by column, with how many each stands for and how long one took."""

    columns: dict[str, tuple[str, ...]] = {}
    weights: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()


class _Slot:
    """One second. Deltas are kept by name until the rows go; then only their sums are left."""

    def __init__(self) -> None:
        self.names: set[tuple[str, str, int]] = set()
        self.parts: dict[tuple[str, str, int], Rows] = {}
        self.totals: dict[str, float] = {}
        self.errors: dict[str, float] = {}
        self.costs: dict[str, float] = {}
        self.busy: dict[str, dict[str, float]] = {}
        self.clients = EMPTY
        self.size = 0
        self.peers: dict[str, Counts] = {}


class WindowSet:
    """What all edges said. `now` is our own clock: it says what is too late and what cannot be yet."""

    def __init__(self) -> None:
        self._slots: dict[int, _Slot] = {}
        self.dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, delta: WindowDelta, now: Instant) -> bool:
        """Take a delta; say whether it counts."""
        second, name = int(delta.at), (delta.edge, delta.run, delta.number)
        self.expire(now)
        if second <= now - ABUSE:
            return self._drop("late")
        if second > now + AHEAD:
            return self._drop("ahead")
        slot = self._slots.setdefault(second, _Slot())
        if name in slot.names:
            return self._drop("repeated")
        if len(slot.names) >= MOST_DELTAS:
            return self._drop("deltas")
        slot.names.add(name)
        for reason, count in delta.dropped.items():
            self.dropped[reason if reason in _REASONS else "other"] += int(count)
        self._count(slot, delta)
        if second > now - BURST:
            self._keep(slot, name, delta)
        return True

    def expire(self, now: Instant) -> None:
        """Forget what is too old: first the rows, then the counts."""
        for second in [second for second in self._slots if second <= now - ABUSE]:
            del self._slots[second]
        for second, slot in self._slots.items():
            if second <= now - BURST and slot.parts:
                slot.parts = {}
            if second <= now - BURST:
                slot.peers = {}

    def window(self, seconds: int, now: Instant) -> Window:
        """Add up the seconds (now - seconds, now]."""
        slots = [slot for second, slot in sorted(self._slots.items()) if now - seconds < second <= now]
        busy: dict[str, dict[str, float]] = {}
        clients = EMPTY
        for slot in slots:
            clients = merged(clients, slot.clients)
            for field, values in slot.busy.items():
                busy[field] = _plus(busy.get(field, {}), values)
        return Window(
            totals=_summed([slot.totals for slot in slots]),
            errors=_summed([slot.errors for slot in slots]),
            costs=_summed([slot.costs for slot in slots]),
            busy={field: _largest(values, MOST_BUSY) for field, values in busy.items()},
            clients=distinct(clients),
        )

    def rows(self, second: int) -> Rows:
        """Return the requests of one second, of all edges."""
        slot = self._slots.get(second)
        parts = [slot.parts[name] for name in sorted(slot.parts)] if slot else []
        fields = sorted({field for part in parts for field in part.columns})
        return Rows(
            columns={
                field: tuple(value for part in parts for value in part.columns.get(field, ("",) * len(part.weights)))
                for field in fields
            },
            weights=tuple(weight for part in parts for weight in part.weights),
            seconds=tuple(one for part in parts for one in part.seconds),
        )

    def peers(self, second: int) -> dict[str, Counts]:
        """Return what addresses did below HTTP in one second, on all edges."""
        slot = self._slots.get(second)
        return slot.peers if slot else {}

    def _count(self, slot: _Slot, delta: WindowDelta) -> None:
        slot.totals = _routes(_plus(slot.totals, delta.totals))
        slot.errors = _routes(_plus(slot.errors, delta.errors))
        slot.costs = _routes(_plus(slot.costs, delta.costs))
        for field, values in list(delta.busy.items())[:_MOST_FIELDS]:
            if field in slot.busy or len(slot.busy) < _MOST_FIELDS:
                slot.busy[field] = _largest(_plus(slot.busy.get(field, {}), values), MOST_BUSY)
        if delta.peers:
            slot.peers = conspicuous(added(slot.peers, dict(list(delta.peers.items())[:MOST_PEERS])))
        if len(delta.clients) == len(EMPTY):
            slot.clients = merged(slot.clients, delta.clients)

    def _keep(self, slot: _Slot, name: tuple[str, str, int], delta: WindowDelta) -> None:
        size = len(delta.weights)
        is_whole = len(delta.seconds) == size and all(len(column) == size for column in delta.columns.values())
        if not is_whole or slot.size + size > MOST_ROWS:
            self.dropped["rows"] += size
            return
        slot.size += size
        slot.parts[name] = Rows(columns=delta.columns, weights=delta.weights, seconds=delta.seconds)

    def _drop(self, reason: str) -> bool:
        self.dropped[reason] += 1
        return False


_MOST_FIELDS = 16
_REASONS = frozenset({"lines", "bytes", "late", "stalled"})


def _plus(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    found = dict(one)
    for key, value in other.items():
        found[key] = found.get(key, 0.0) + value
    return found


def _summed(all_of_them: list[dict[str, float]]) -> dict[str, float]:
    found: defaultdict[str, float] = defaultdict(float)
    for one in all_of_them:
        for key, value in one.items():
            found[key] += value
    return dict(found)


def _largest(values: dict[str, float], most: int) -> dict[str, float]:
    if len(values) <= most:
        return values
    return dict(nlargest(most, values.items(), key=lambda one: (one[1], one[0])))


def _routes(values: dict[str, float]) -> dict[str, float]:
    """Bound the routes; what is beyond goes into one, so that the sum stays right."""
    if len(values) <= MOST_ROUTES:
        return values
    kept = _largest({route: value for route, value in values.items() if route != OTHER}, MOST_ROUTES - 1)
    kept[OTHER] = sum(values.values()) - sum(kept.values())
    return kept
