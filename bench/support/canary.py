"""Canary: made-up counts of a candidate and its control, as `rollout.tallies` would hand them out. Seeded, no clock."""

import random
from math import exp, log

import msgspec

from seawall.gateway.resources.perimeter import Gates as GatePolicy
from seawall.kit.units import Instant
from seawall.rollout.events import Counts
from seawall.rollout.gates import Gates

LOOK = 5
"""Seconds between two looks."""
LIMIT, LEAST_LIMIT = 4, 60
"""After so many times its looks, and so many at least, a stage that is still held goes back."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A stage: how many looks it takes at least, and how many edges have the candidate, how many have not."""

    stage: str
    looks: int
    new: int
    old: int


R2 = (
    Step(stage="canary", looks=36, new=1, old=1),
    Step(stage="cell", looks=60, new=2, old=22),
    Step(stage="region", looks=120, new=4, old=20),
    Step(stage="quarter", looks=120, new=6, old=18),
    Step(stage="half", looks=120, new=12, old=12),
    Step(stage="all", looks=24, new=24, old=0),
)
"""Minimum times of an R2 rollout on 24 edges; of the bake, which has no control, two minutes."""

RATES = {
    "errors": ("requests", 0.0005),
    "slow": ("requests", 0.005),
    "not_found": ("requests", 0.02),
    "denied": ("requests", 0.03),
    "filter_errors": ("requests", 0.00002),
    "connect_failures": ("upstream_requests", 0.0002),
    "retries": ("upstream_requests", 0.003),
    "handshake_failures": ("handshakes", 0.005),
}


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """What the traffic is like: `rate` requests/s and edge, failures that come in bursts of this mean size."""

    rate: float = 100.0
    burst: float = 1.0
    journey_failures: float = 1e-4


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """How one rollout went: who tripped first, how many stages were held beyond their time, and how many to their end."""

    tripped: tuple[str, ...] = ()
    stages: int = 0
    held: int = 0
    stuck: int = 0


def poisson(rng: random.Random, mean: float) -> int:
    """Draw a count; above 50 the normal approximation does."""
    if mean > 50:
        return max(0, round(rng.gauss(mean, mean**0.5)))
    floor, product, count = exp(-mean), rng.random(), 0
    while product > floor:
        product *= rng.random()
        count += 1
    return count


def binomial(rng: random.Random, tries: int, share: float) -> int:
    """Draw a count of failures among so many tries."""
    mean = tries * share
    if share >= 1 or not tries:
        return tries if share > 0 else 0
    if mean > 50:
        return min(tries, max(0, round(rng.gauss(mean, (mean * (1 - share)) ** 0.5))))
    return min(tries, poisson(rng, mean))


def bursts(rng: random.Random, mean: float, size: float) -> int:
    """Draw a count of events that come in bursts of geometric size with this mean: its dispersion is 2 · size - 1."""
    if size == 1:
        return poisson(rng, mean)
    rest = log(1 - 1 / size)
    return sum(1 + int(log(1 - rng.random()) / rest) for _ in range(poisson(rng, mean / size)))


class Arm:
    """Edges that run the same."""

    def __init__(self, rng: random.Random, edges: int, weather: Weather) -> None:
        self._rng = rng
        self._edges = edges
        self._weather = weather
        self._failed = [False] * edges

    def look(self, storm: float) -> Counts:
        """Count for five seconds; `storm` multiplies what fails by itself, in both arms."""
        rng = self._rng
        requests = poisson(rng, self._weather.rate * self._edges * LOOK)
        totals = {"requests": requests, "upstream_requests": requests, "handshakes": requests // 10}
        counts: dict[str, float] = dict(totals)
        for name, (total, share) in RATES.items():
            counts[name] = bursts(rng, totals[total] * min(share * storm, 0.5), self._weather.burst)
        failed = [rng.random() < self._weather.journey_failures for _ in range(self._edges)]
        again = any(now and before for now, before in zip(failed, self._failed, strict=True))
        self._failed = failed
        counts |= {
            "journeys": self._edges,
            "journey_failures": sum(failed),
            "journey_failures_again": float(again),
            "open_connections": requests * rng.lognormvariate(0, 0.1),
            "memory": self._edges * 8e7 * rng.lognormvariate(0, 0.05),
        }
        return Counts(
            edges=self._edges,
            counts=counts,
            memory_share=0.2,
            memory_forecast=0.2,
            cpu_per_request=1.2e-4 * rng.lognormvariate(0, 0.1),
        )


NOBODY = Counts(edges=0, counts={})


def rollout(seed: int, policy: GatePolicy, weather: Weather, steps: tuple[Step, ...] = R2) -> Found:
    """Roll out a change that changes nothing. A stage that is held gets four times its time, five minutes at least."""
    rng, gates, looks = random.Random(seed), Gates(policy), 0
    storm, held, stuck = 1.0, 0, 0
    for step in steps:
        gates.begin(step.stage)
        new, old = Arm(rng, step.new, weather), Arm(rng, step.old, weather)
        for number in range(max(LIMIT * step.looks, LEAST_LIMIT)):
            storm = _next_storm(rng, storm)
            looks += 1
            look = gates.look(new.look(storm), old.look(storm) if step.old else NOBODY, Instant(looks * float(LOOK)))
            if look.tripped:
                return Found(tripped=tuple(trip.gate for trip in look.tripped), stages=len(steps), held=held)
            if number + 1 == step.looks:
                held += bool(look.holding)
            if number + 1 >= step.looks and not look.holding:
                break
        else:
            stuck += 1
    return Found(stages=len(steps), held=held, stuck=stuck)


def _next_storm(rng: random.Random, storm: float) -> float:
    """Now and then a backend ails for half a minute, and both arms see ten times the failures."""
    if storm > 1:
        return 1.0 if rng.random() < 1 / 6 else storm
    return 10.0 if rng.random() < 1 / 200 else 1.0
