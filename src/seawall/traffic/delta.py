"""Deltas: what one edge says of one second of its traffic.

Pure. Totals and the busiest values are exact over what was logged, rows are a sample with weights; each field of a delta has a
size that traffic cannot exceed. What was left out is in `dropped`. Next room: `traffic.window` merges the edges.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate, compress
from typing import TypeVar

import msgspec

from seawall.kit.units import Instant
from seawall.traffic.entry import COLUMNS, NONE, Entries, Head, networks
from seawall.traffic.peers import Counts, behaviour, conspicuous
from seawall.traffic.sketch import EMPTY, sketch

MOST_ROUTES = 500
MOST_ROWS = 2_000
MOST_BUSY = 200
FLOOR = 2
"""A value that came up less often in a second is not among the busiest."""
BUSY_FIELDS = ("address", "net24", "net64", "ja4", "agent", "path", "host")
OTHER = "(other)"
"""Where routes beyond the limit are counted: totals stay exact."""

K = TypeVar("K", int, bool)


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
        peers: of addresses that are conspicuous below HTTP, the counts of `traffic.peers`.
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
    peers: dict[str, Counts] = {}


def seconds_of(entries: Entries) -> dict[int, Entries]:
    """Part entries by the second in which they ended."""
    return _parted(entries, list(map(int, entries.ended)))


def before_and_after(entries: Entries, at: Instant) -> tuple[Entries, Entries]:
    """Part entries by an instant: those that ended before it, and the others."""
    parts = _parted(entries, [ended >= at for ended in entries.ended])
    return parts.get(False, NONE), parts.get(True, NONE)


def _parted(entries: Entries, keys: Sequence[K]) -> dict[K, Entries]:
    """Part entries by the keys that they have; what is counted but once goes with the last."""
    distinct = sorted(set(keys))
    if len(distinct) <= 1:
        return dict.fromkeys(distinct, entries)
    parts = {key: _some(entries, [one == key for one in keys]) for key in distinct}
    if entries.sample is not None:
        known = dict(zip(entries.ended, keys, strict=True))
        for key, part in parts.items():
            chosen = [known[ended] == key for ended in entries.sample.ended]
            parts[key] = msgspec.structs.replace(part, sample=_some(entries.sample, chosen))
    last = msgspec.structs.replace(parts[distinct[-1]], heads=entries.heads, refused=entries.refused)
    return parts | {distinct[-1]: last}


def _some(entries: Entries, chosen: Sequence[bool]) -> Entries:
    return Entries(
        columns={field: list(compress(column, chosen)) for field, column in entries.columns.items()},
        ended=list(compress(entries.ended, chosen)),
        seconds=list(compress(entries.seconds, chosen)),
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
        peers=conspicuous(behaviour(entries, weight)),
    )


def _by_route(entries: Entries, weight: float) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    routes, statuses = entries.columns["route"], entries.columns["status"]
    totals = Counter(routes)
    took: dict[str, float] = dict.fromkeys(totals, 0.0)
    for route, seconds in zip(routes, entries.seconds, strict=True):
        took[route] += seconds
    bad = {status for status in set(statuses) if len(status) == 3 and status[0] == "5"}
    failed = Counter(compress(routes, [status in bad for status in statuses])) if bad else Counter[str]()
    kept = {route for route, _ in totals.most_common(MOST_ROUTES)}
    return _bounded(totals, kept, weight), _bounded(failed, kept, weight), _bounded(took, kept, weight)


def _bounded(counts: Mapping[str, float], kept: set[str], weight: float) -> dict[str, float]:
    found: defaultdict[str, float] = defaultdict(float)
    for route, count in counts.items():
        found[route if route in kept else OTHER] += count * weight
    return dict(found)


def _counts(entries: Entries, clients: Counter[str]) -> dict[str, Counter[str]]:
    found = {field: Counter(entries.columns[field]) for field in ("ja4", "agent", "host")}
    found |= {"address": clients, "net24": Counter(), "net64": Counter(), "path": _paths(entries)}
    for address, count in clients.items():
        net24, net64 = networks(address)
        found["net24" if net24 else "net64"][net24 or net64] += count
    return found


def _paths(entries: Entries) -> Counter[str]:
    """Count the paths; where there are too many to take apart, say what the sample says of them."""
    if "path" in entries.columns:
        return Counter(entries.columns["path"])
    sample, each = _sample(entries)
    return Counter(
        {path: round(count * each) for path, count in Counter(sample.columns["path"]).items() if count >= FLOOR}
    )


def _sample(entries: Entries) -> tuple[Entries, float]:
    """Return the entries that have all columns, and for how many each of them stands."""
    if entries.sample is None:
        return entries, 1.0
    return entries.sample, len(entries) / max(len(entries.sample), 1)


def _busiest(counts: Counter[str], weight: float) -> dict[str, float]:
    return {value: count * weight for value, count in counts.most_common(MOST_BUSY) if count >= FLOOR}


Rows = tuple[dict[str, tuple[str, ...]], tuple[float, ...], tuple[float, ...]]


def _rows(entries: Entries, weight: float) -> Rows:
    """Group requests that are alike, and take at most so many groups."""
    sample, each = _sample(entries)
    keys = list(zip(*(sample.columns[field] for field in COLUMNS), strict=True))
    counts = Counter(keys)
    took: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for key, seconds in zip(keys, sample.seconds, strict=True):
        took[key] += seconds
    chosen = sampled(counts, MOST_ROWS)
    columns = zip(*chosen, strict=True) if chosen else ((),) * len(COLUMNS)
    return (
        dict(zip(COLUMNS, columns, strict=True)),
        tuple(share * each * weight for share in chosen.values()),
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
