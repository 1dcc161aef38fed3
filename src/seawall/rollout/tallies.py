"""Tallies: what the edges count, cumulative and as they please, made into looks at two arms.

Pure. An edge sends sums since its Envoy began (`fleet.wire.Tally`); a look wants what both arms have counted since the look
before. Next room: `rollout.gates`.

Whose counts are whose: a tally says which bundle Envoy runs. What was counted between the last tally with one bundle and
the first with another belongs to nobody and is dropped; so the candidate never pays for what its edge did before.

What cannot be (not a number, below zero, less than before without a new run) is left out and counted in `ignored`; its edge
has then said nothing, and is `silent` if it goes on so.
"""

from collections import deque
from collections.abc import Collection
from math import isfinite

import msgspec

from seawall.fleet.wire import Tally
from seawall.kit.units import Instant, Seconds
from seawall.rollout.events import Counts

MOST_EDGES = 10_000
MOST_NAMES = 64
CONCURRENT = Seconds(30.0)
"""Counts that began longer before a look are not of its time: they are dropped."""
SAMPLE_EVERY, MOST_SAMPLES = Seconds(2.0), 150
"""Memory is remembered so often, and for five minutes."""
FEWEST_SAMPLES, SHORTEST = 12, Seconds(30.0)
HORIZON = Seconds(30 * 60.0)
LINGERING = Seconds(5.0)
"""So long after an edge was given a bundle, requests that end slowly are those that had begun before it, and are nobody's."""


class _Sample(msgspec.Struct, frozen=True, kw_only=True):
    at: Instant
    share: float


class _Edge:
    """What is known of one edge. `pending` has been counted under `last.bundle` since `began`, for the next look."""

    def __init__(self, tally: Tally, at: Instant) -> None:
        self.last = tally
        self.at = at
        self.began = at
        self.pending: dict[str, float] = {}
        self.has_failed_journeys = False
        self.samples: deque[_Sample] = deque(maxlen=MOST_SAMPLES)
        self.taken_at = Instant(float("-inf"))
        self.held_before = 0.0
        """Memory, in bytes, that this run of Envoy held when it was given the bundle that it has now."""

    def take(self, tally: Tally, at: Instant) -> None:
        before, self.last, self.at = self.last, tally, at
        if before.run != tally.run or before.bundle != tally.bundle:
            self.samples.clear()
            self.held_before = before.gauges.get("memory", 0.0) if before.run == tally.run else 0.0
        if before.bundle != tally.bundle:
            self.pending, self.began, self.has_failed_journeys = {}, at, False
            self.taken_at = at
            return
        earlier = before if before.run == tally.run else None
        for name, now in tally.counts.items():
            if name == "slow" and at - self.taken_at < LINGERING:
                continue
            self._add(name, now - (earlier.counts.get(name, 0.0) if earlier else 0.0))
        if (cpu := tally.gauges.get("cpu_seconds")) is not None:
            self._add("cpu_seconds", cpu - (earlier.gauges.get("cpu_seconds", cpu) if earlier else 0.0))

    def sample(self, at: Instant) -> None:
        limit = self.last.gauges.get("memory_limit", 0.0)
        if limit and (not self.samples or at - self.samples[-1].at >= SAMPLE_EVERY):
            self.samples.append(_Sample(at=at, share=self.last.gauges.get("memory", 0.0) / limit))

    def _add(self, name: str, more: float) -> None:
        self.pending[name] = self.pending.get(name, 0.0) + more

    def counted(self, at: Instant) -> dict[str, float]:
        """Hand out what is pending; journeys that fail at two looks running make `journey_failures_again`."""
        pending, is_concurrent = self.pending, at - self.began <= CONCURRENT
        self.pending, self.began = {}, self.at
        if not is_concurrent:
            return {}
        if pending.get("journeys"):
            has_failed = pending.get("journey_failures", 0.0) > 0
            pending["journey_failures_again"] = float(has_failed and self.has_failed_journeys)
            self.has_failed_journeys = has_failed
        return pending


class Tallies:
    """The last word of each edge, and what it adds to the next look."""

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}
        self.ignored: dict[str, int] = {}

    def heard(self, edge: str, tally: Tally, at: Instant) -> None:
        """Take in a tally; `at` is when it came, by our clock, for an edge's own may jump."""
        known = self._edges.get(edge)
        if _is_nonsense(tally) or (known is not None and _has_fallen(known.last, tally)):
            self.ignored[edge] = self.ignored.get(edge, 0) + 1
            return
        if known is None:
            self._make_room()
            known = self._edges[edge] = _Edge(tally, at)
        else:
            known.take(tally, at)
        known.sample(at)

    def look(
        self, new: Collection[str], old: Collection[str], at: Instant, *, candidate: str = ""
    ) -> tuple[Counts, Counts]:
        """Sum up both arms since the look before.

        With `candidate`, an edge of `new` that does not run it yet (or any more) counts for nobody, nor does one of `old`
        that does. An edge that has said nothing since the last look adds nothing, and is not among the arm's `edges`.
        """
        counted = {name: edge.counted(at) for name, edge in self._edges.items()}
        arms = [
            [name for name in sorted(set(names)) if counted.get(name) and self._is_of(name, candidate, is_new=is_new)]
            for names, is_new in ((new, True), (old, False))
        ]
        one, other = ([(self._edges[name], counted[name]) for name in arm] for arm in arms)
        control = _sum_up(other)
        return _without_remains(_sum_up(one), one, control), control

    def silent(self, at: Instant, after: Seconds) -> tuple[str, ...]:
        """Name the edges of which nothing believable was heard for so long."""
        return tuple(sorted(name for name, edge in self._edges.items() if at - edge.at > after))

    def forget(self, edge: str) -> None:
        """An edge has left the fleet."""
        self._edges.pop(edge, None)
        self.ignored.pop(edge, None)

    def _is_of(self, edge: str, candidate: str, *, is_new: bool) -> bool:
        return not candidate or (self._edges[edge].last.bundle == candidate) == is_new

    def _make_room(self) -> None:
        if len(self._edges) >= MOST_EDGES:
            self.forget(min(self._edges, key=lambda name: self._edges[name].at))


def forecast(samples: Collection[tuple[float, float]], horizon: Seconds = HORIZON) -> float:
    """Say where memory will be, from `(at, share)`: now plus the slope that holds in both halves of the samples.

    Least squares in each half and over all; the smallest slope counts. A configuration that is loaded makes one step, which
    tilts the whole and one half at most; a leak climbs in both. Growth that dies down (caches that fill) is taken at the
    slope of its end.
    """
    times = [at for at, _ in samples]
    shares = [share for _, share in samples]
    if not shares:
        return 0.0
    half = len(times) // 2
    if len(times) < FEWEST_SAMPLES or times[-1] - times[0] < SHORTEST:
        return shares[-1]
    slope = min(_slope(times, shares), _slope(times[:half], shares[:half]), _slope(times[half:], shares[half:]))
    return shares[-1] + max(0.0, slope) * horizon


def _sum_up(arm: Collection[tuple[_Edge, dict[str, float]]]) -> Counts:
    counts: dict[str, float] = {}
    edges = [edge for edge, _ in arm]
    for _, pending in arm:
        for name, value in pending.items():
            counts[name] = counts.get(name, 0.0) + value
    seconds, requests = counts.pop("cpu_seconds", 0.0), counts.get("requests", 0.0)
    if "slow" in counts:
        # A request is counted when it comes, its slowness when it goes: that of earlier ones must not make more than all.
        counts["slow"] = min(counts["slow"], requests)
    for gauge in ("memory", "open_connections"):
        counts[gauge] = sum(edge.last.gauges.get(gauge, 0.0) for edge in edges)
    series = [[(sample.at, sample.share) for sample in edge.samples] for edge in edges]
    return Counts(
        edges=len(edges),
        counts=counts,
        memory_share=max((each[-1][1] for each in series if each), default=0.0),
        memory_forecast=max((forecast(each) for each in series), default=0.0),
        cpu_per_request=seconds / requests if requests else 0.0,
    )


def _without_remains(new: Counts, arm: Collection[tuple[_Edge, dict[str, float]]], control: Counts) -> Counts:
    """Leave out memory that edges held beyond their control's before they got the candidate: Envoy gives little of it back
    after a leak, and whoever comes next must not pay for it."""
    if not control.edges:
        return new
    usual = control.counts["memory"] / control.edges
    memory = sum(_own(edge, usual) for edge, _ in arm)
    return msgspec.structs.replace(new, counts={**new.counts, "memory": memory})


def _own(edge: _Edge, usual: float) -> float:
    """What the edge holds without those remains; of those that it has given back since, nothing is left to take away."""
    held = edge.last.gauges.get("memory", 0.0)
    return max(held - max(0.0, edge.held_before - usual), min(held, usual))


def _is_nonsense(tally: Tally) -> bool:
    numbers = (*tally.counts.values(), *tally.gauges.values())
    return len(tally.counts) > MOST_NAMES or not all(isfinite(number) and number >= 0 for number in numbers)


def _has_fallen(before: Tally, now: Tally) -> bool:
    """A sum that is less than it was, in the same run: a lie, a bug, or a message that comes too late."""
    if before.run != now.run:
        return False
    cpu = now.gauges.get("cpu_seconds")
    return any(now.counts.get(name, 0.0) < earlier for name, earlier in before.counts.items()) or (
        cpu is not None and cpu < before.gauges.get("cpu_seconds", 0.0)
    )


def _slope(times: list[float], shares: list[float]) -> float:
    middle, level = sum(times) / len(times), sum(shares) / len(shares)
    spread = sum((at - middle) ** 2 for at in times)
    return (
        sum((at - middle) * (share - level) for at, share in zip(times, shares, strict=True)) / spread
        if spread
        else 0.0
    )
