"""Deltas: what one edge says of one second of its traffic.

Pure. Totals and the busiest values are exact over what was logged, rows are a sample with weights; each field of a delta has a
size that traffic cannot exceed. What was left out is in `dropped`. Next room: `traffic.window` merges the edges.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate

import msgspec

from seawall.kit.units import Instant
from seawall.traffic.entry import COLUMNS, Entries, Head, networks
from seawall.traffic.sketch import EMPTY, sketch

MOST_ROUTES = 500
MOST_ROWS = 2_000
MOST_BUSY = 200
FLOOR = 2
"""A value that came up less often in a second is not among the busiest."""
BUSY_FIELDS = ("address", "net24", "net64", "ja4", "agent", "path", "host")
OTHER = "(other)"
"""Where routes beyond the limit are counted: totals stay exact."""


class WindowDelta(msgspec.Struct, frozen=True, kw_only=True):
    """One second of event time on one edge.

    Args:
        edge: who says so; with `run` (its agent's process) and `number` the name of the delta: one that comes twice counts once.
        at: the second, a whole number.
        totals: requests by route.
        errors: answers 5xx by route.
        costs: seconds that answers took, by route.
        busy: by field, the values that came up most, with how often.
        clients: a sketch of the addresses.
        columns, weights, seconds: distinct requests by column, how many each stands for, how long one took on average.
        dropped: what is not in here, by reason.
        heads: a few requests that only read, as they were written.
    """

    edge: str
    run: str
    number: int
    at: Instant
    totals: dict[str, float] = {}
    errors: dict[str, float] = {}
    costs: dict[str, float] = {}
    busy: dict[str, dict[str, float]] = {}
    clients: bytes = EMPTY
    columns: dict[str, tuple[str, ...]] = {}
    weights: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()
    dropped: dict[str, float] = {}
    heads: tuple[Head, ...] = ()


def seconds_of(entries: Entries) -> dict[int, Entries]:
    """Part entries by the second in which they ended."""
    places: defaultdict[int, list[int]] = defaultdict(list)
    for place, ended in enumerate(entries.ended):
        places[int(ended)].append(place)
    if len(places) == 1:
        return {next(iter(places)): entries}
    return {second: _some(entries, chosen) for second, chosen in sorted(places.items())}


def _some(entries: Entries, places: Sequence[int]) -> Entries:
    return Entries(
        columns={field: [column[place] for place in places] for field, column in entries.columns.items()},
        ended=[entries.ended[place] for place in places],
        seconds=[entries.seconds[place] for place in places],
        heads=entries.heads if places and places[-1] == len(entries.ended) - 1 else (),
    )


def delta(entries: Entries, *, edge: str, run: str, number: int, at: Instant, weight: float = 1.0) -> WindowDelta:
    """Count one second. `weight` is how many requests each entry stands for."""
    totals, errors, costs = _by_route(entries, weight)
    clients = Counter(entries.columns["address"])
    columns, weights, seconds = _rows(entries, weight)
    busy = {field: _busiest(counts, weight) for field, counts in _counts(entries, clients).items()}
    dropped = {"lines": float(entries.refused)} if entries.refused else {}
    return WindowDelta(
        edge=edge,
        run=run,
        number=number,
        at=at,
        totals=totals,
        errors=errors,
        costs=costs,
        busy=busy,
        clients=sketch(clients),
        columns=columns,
        weights=weights,
        seconds=seconds,
        dropped=dropped,
        heads=entries.heads,
    )


def _by_route(entries: Entries, weight: float) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    routes = entries.columns["route"]
    took: defaultdict[str, float] = defaultdict(float)
    for route, seconds in zip(routes, entries.seconds, strict=True):
        took[route] += seconds
    failed = [
        route
        for route, status in zip(routes, entries.columns["status"], strict=True)
        if len(status) == 3 and status[0] == "5"
    ]
    totals = Counter(routes)
    kept = {route for route, _ in totals.most_common(MOST_ROUTES)}
    return _bounded(totals, kept, weight), _bounded(Counter(failed), kept, weight), _bounded(took, kept, weight)


def _bounded(counts: Mapping[str, float], kept: set[str], weight: float) -> dict[str, float]:
    found: defaultdict[str, float] = defaultdict(float)
    for route, count in counts.items():
        found[route if route in kept else OTHER] += count * weight
    return dict(found)


def _counts(entries: Entries, clients: Counter[str]) -> dict[str, Counter[str]]:
    found = {field: Counter(entries.columns[field]) for field in ("ja4", "agent", "path", "host")}
    found |= {"address": clients, "net24": Counter(), "net64": Counter()}
    for address, count in clients.items():
        net24, net64 = networks(address)
        found["net24" if net24 else "net64"][net24 or net64] += count
    return found


def _busiest(counts: Counter[str], weight: float) -> dict[str, float]:
    return {value: count * weight for value, count in counts.most_common(MOST_BUSY) if count >= FLOOR}


Rows = tuple[dict[str, tuple[str, ...]], tuple[float, ...], tuple[float, ...]]


def _rows(entries: Entries, weight: float) -> Rows:
    """Group requests that are alike, and take at most so many groups."""
    keys = list(zip(*(entries.columns[field] for field in COLUMNS), strict=True))
    counts = Counter(keys)
    took: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for key, seconds in zip(keys, entries.seconds, strict=True):
        took[key] += seconds
    chosen = sampled(counts, MOST_ROWS)
    columns = zip(*chosen, strict=True) if chosen else ((),) * len(COLUMNS)
    return (
        dict(zip(COLUMNS, columns, strict=True)),
        tuple(share * weight for share in chosen.values()),
        tuple(took[key] / counts[key] for key in chosen),
    )


def sampled(counts: Mapping[tuple[str, ...], int], most: int) -> dict[tuple[str, ...], float]:
    """Choose at most so many groups, the larger the likelier, so that the weights add up to all requests."""
    if len(counts) <= most:
        return {key: float(count) for key, count in counts.items()}
    keys, ends = list(counts), list(accumulate(counts.values()))
    step = ends[-1] / most
    chosen: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for number in range(most):
        # One of each stretch, at a place without rhythm: every n-th would meet a page's parts always at the same one.
        place = (number + (number * 0.6180339887498949) % 1.0) * step
        chosen[keys[min(bisect_right(ends, place), len(keys) - 1)]] += step
    return dict(chosen)
