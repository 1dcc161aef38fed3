"""Gates: how often a change that changes nothing is thrown back, and how soon one that hurts is.

Made-up traffic with fixed seeds, the real `seawall.rollout.gates`, no clock. The detection times stand beside those of
the design, which were simulated for one e-process that has the whole of α; ours has it to share with all the other gates.
"""

import asyncio
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from math import log
from typing import Protocol

import msgspec

from bench.options import Options, say
from bench.report import Result, Table, goal
from bench.support.canary import LOOK, RATES, Found, Weather, binomial, bursts, rollout
from seawall.gateway.resources.perimeter import Gates as GatePolicy
from seawall.kit.units import Instant
from seawall.rollout import evidence
from seawall.rollout.events import Counts
from seawall.rollout.evidence import learn_dispersion
from seawall.rollout.gates import Gates

QUESTION = "how often is a good change thrown back, how soon a bad one?"
CAP = 720
"""Looks in the hour after which nobody waits any more."""
NEVER = CAP * LOOK + 1
SHARES = ((0.0005, 0.005), (0.0005, 0.05), (0.0005, 1.0), (0.01, 0.02))
DESIGN = {
    5: ((1158, 2031), (80, 125), (5, 5), (NEVER, NEVER)),
    20: ((270, 490), (20, 30), (5, 5), (1395, 2782)),
    100: ((60, 100), (5, 10), (5, 5), (300, 541)),
    500: ((15, 25), (5, 5), (5, 5), (60, 115)),
}
"""Seconds until half and 95 % of the runs were stopped, by requests/s and arm, as the design has them."""
DESIGN_RUNS = 400
BURST = 5.0


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A fault: the share that fails goes from `before` to `after` at look `since`, in the candidate's arm."""

    rate: float
    before: float
    after: float
    since: int = 0
    burst: float = 1.0
    dispersion: float = 1.0


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """When the runs of one case were stopped, in order, in seconds."""

    seconds: tuple[int, ...]

    @property
    def half(self) -> int:
        return _part(self.seconds, 0.5)

    @property
    def most(self) -> int:
        return _part(self.seconds, 0.95)

    @property
    def share(self) -> float:
        return sum(each < NEVER for each in self.seconds) / len(self.seconds)

    def luckiest(self) -> tuple[int, int]:
        """Say what 400 runs, as many as the design has, show with luck: the best of forty in half and in 95 %."""
        rng = random.Random(1)
        drawn = [sorted(rng.choices(self.seconds, k=DESIGN_RUNS)) for _ in range(200)]
        half, most = (sorted(_part(each, part) for each in drawn)[5] for part in (0.5, 0.95))
        return half, most


async def run(options: Options) -> Result:
    """Simulate all of it, on two cores."""
    return await asyncio.to_thread(_run, options)


def _run(options: Options) -> Result:
    rollouts, runs = options.pick(2000, 4), options.pick(1000, 4)
    with ProcessPoolExecutor(max_workers=2) as pool:
        quiet = list(pool.map(partial(rollout, policy=GatePolicy(), weather=Weather()), range(rollouts), chunksize=20))
        say(f"{rollouts:,} rollouts of nothing: {_thrown_back(quiet)} thrown back")
        bursty = Weather(burst=BURST)
        learned = learn_dispersion(_nothing_happens(options.pick(4000, 64)))
        told = GatePolicy(dispersion=learned)
        some = range(rollouts // 4)
        naive = list(pool.map(partial(rollout, policy=GatePolicy(), weather=bursty), some, chunksize=20))
        wise = list(pool.map(partial(rollout, policy=told, weather=bursty), some, chunksize=20))
        say(f"in bursts: {_thrown_back(naive)} thrown back, {_thrown_back(wise)} with a dispersion of {learned:.1f}")
        known = {rate: [_times(pool, who_knows, _case(rate, each), runs) for each in SHARES] for rate in DESIGN}
        alone = {rate: [_times(pool, one_process, _case(rate, each), runs) for each in SHARES] for rate in DESIGN}
        say("one e-process alone: done")
        whole = {rate: [_times(pool, all_gates, _case(rate, each), runs) for each in SHARES] for rate in DESIGN}
        say("all gates: done")
        special = [
            (name, _times(pool, all_gates, case, runs))
            for name, case in (
                ("0.05 % → 0.5 % from the first look", _case(100, SHARES[0])),
                ("the same, after 2 quiet minutes", Case(rate=100, before=0.0005, after=0.005, since=24)),
                ("the same, after 10 quiet minutes", Case(rate=100, before=0.0005, after=0.005, since=120)),
                ("in bursts of 5 on average, dispersion as learned", _bursty(learned)),
            )
        ]
    false = (("independent", 1.0, quiet), ("in bursts of 5", 1.0, naive), ("in bursts of 5", learned, wise))
    return Result(
        bench="gates",
        question=QUESTION,
        tables=(_false_alarms(false), _detection(known, alone, whole), _special(special)),
        verdicts=_verdicts(quiet, wise, alone, whole),
        figures={"false": _thrown_back(quiet), "dispersion": learned},
    )


def one_process(seed: int, case: Case) -> int:
    """Say when one e-process with all of α stops the candidate, in seconds; NEVER if it does not within the hour."""
    rng, served, seen = random.Random(seed), round(case.rate * LOOK), evidence.begin(1.5)
    for look in range(1, CAP + 1):
        seen = seen.after(_failed(rng, served, case, look), served, binomial(rng, served, case.before), served)
        if seen.log >= log(1000):
            return look * LOOK
    return NEVER


def who_knows(seed: int, case: Case) -> int:
    """Say when a test would that knows the fault: one bet, at the true ratio."""
    rng, served, wealth = random.Random(seed), round(case.rate * LOOK), 0.0
    ratio = case.after / case.before
    for look in range(1, CAP + 1):
        failed, control = _failed(rng, served, case, look), binomial(rng, served, case.before)
        wealth += failed * log(ratio / 1.5) + (failed + control) * log(2.5 / (1 + ratio))
        if wealth >= log(1000):
            return look * LOOK
    return NEVER


def all_gates(seed: int, case: Case) -> int:
    """Say when the whole of the gates does; counted from when the fault begins. 0: before it did."""
    rng, served = random.Random(seed), round(case.rate * LOOK)
    gates = Gates(GatePolicy(dispersion=case.dispersion))
    gates.begin("canary")
    for look in range(1, case.since + CAP + 1):
        failed = _failed(rng, served, case, look)
        control = (
            bursts(rng, served * case.before, case.burst) if case.burst > 1 else binomial(rng, served, case.before)
        )
        found = gates.look(_counts(failed, served), _counts(control, served), Instant(look * float(LOOK)))
        if found.tripped:
            return max(0, look - case.since) * LOOK
    return NEVER


def _failed(rng: random.Random, served: int, case: Case, look: int) -> int:
    share = case.after if look > case.since else case.before
    return bursts(rng, served * share, case.burst) if case.burst > 1 else binomial(rng, served, share)


def _counts(failed: int, served: int) -> Counts:
    return Counts(edges=1, counts={"requests": served, "errors": failed})


def _case(rate: float, shares: tuple[float, float]) -> Case:
    return Case(rate=rate, before=shares[0], after=shares[1])


def _bursty(dispersion: float) -> Case:
    return Case(rate=100, before=0.0005, after=0.005, burst=BURST, dispersion=dispersion)


def _nothing_happens(looks: int) -> list[tuple[float, float, float, float]]:
    """The log of an A/A run with bursts: two arms of the same version."""
    rng, served = random.Random(7), 500
    share = RATES["denied"][1]
    return [
        (bursts(rng, served * share, BURST), served, bursts(rng, served * share, BURST), served) for _ in range(looks)
    ]


class _Trial(Protocol):
    def __call__(self, seed: int, case: Case) -> int: ...


def _times(pool: ProcessPoolExecutor, what: _Trial, case: Case, runs: int) -> Times:
    found = pool.map(partial(what, case=case), range(runs), chunksize=max(1, runs // 20))
    return Times(seconds=tuple(sorted(found)))


def _part(seconds: Sequence[int], part: float) -> int:
    return seconds[min(len(seconds) - 1, int(part * len(seconds)))]


_ByRate = dict[int, list[Times]]


def _thrown_back(found: list[Found]) -> int:
    return sum(bool(each.tripped) for each in found)


def _false_alarms(kinds: tuple[tuple[str, float, list[Found]], ...]) -> Table:
    rows = []
    for name, dispersion, found in kinds:
        stages = sum(each.stages for each in found)
        held, stuck = sum(each.held for each in found), sum(each.stuck for each in found)
        rows.append(
            (name, f"{dispersion:.1f}", f"{len(found):,}", str(_thrown_back(found)), f"{held / stages:.2%}", str(stuck))
        )
    return Table(
        title="Rollouts of a change that changes nothing",
        heads=("failures", "dispersion", "rollouts", "thrown back", "stages held beyond their time", "to their end"),
        rows=tuple(rows),
        note="R2, 24 edges, 100 requests/s and edge, every gate fed, a look each 5 s, now and then ten times the failures "
        "on both arms.",
    )


def _detection(known: _ByRate, alone: _ByRate, whole: _ByRate) -> Table:
    rows = []
    for rate, design in DESIGN.items():
        for number, (before, after) in enumerate(SHARES):
            rows.append(
                (
                    str(rate),
                    f"{before * 100:g} % → {after * 100:g} %",
                    _pair(*design[number]),
                    *(_pair(each[rate][number].half, each[rate][number].most) for each in (known, alone, whole)),
                    f"{whole[rate][number].share:.0%}",
                )
            )
    return Table(
        title="Seconds until half / 95 % of bad candidates are stopped",
        heads=("requests/s and arm", "5xx", "design", "who knows the fault", "one e-process", "all gates", "in 1 h"),
        rows=tuple(rows),
        note="Equal arms, tolerance 1.5, α = 0.001. The design and `one e-process` spend all of α on one metric; so does a test "
        "that knows by how much the candidate is worse (Wald's), which on average no test beats by much.",
    )


def _special(special: list[tuple[str, Times]]) -> Table:
    return Table(
        title="Faults that wake late, and faults in bursts (100 requests/s and arm, all gates)",
        heads=("fault", "seconds, half / 95 %", "stopped in 1 h"),
        rows=tuple((name, _pair(each.half, each.most), f"{each.share:.0%}") for name, each in special),
    )


def _pair(half: int, most: int) -> str:
    return " / ".join("–" if each >= NEVER else str(each) for each in (half, most))


def _verdicts(
    quiet: list[Found],
    wise: list[Found],
    alone: _ByRate,
    whole: _ByRate,
) -> tuple[str, ...]:
    ratios, beyond = [], 0
    for rate, design in DESIGN.items():
        for found, wanted in zip(alone[rate], design, strict=True):
            ratios += [found.half / wanted[0], found.most / wanted[1]]
            beyond += sum(ours > theirs for ours, theirs in zip(found.luckiest(), wanted, strict=True))
    return (
        goal("good changes thrown back in 1,000", 1000 * _thrown_back(quiet) / len(quiet), 1, ""),
        goal("the same in bursts, dispersion learned", 1000 * _thrown_back(wise) / len(wise), 1, ""),
        goal("mean ratio to the times of the design, one e-process", sum(ratios) / len(ratios), 1, ""),
        goal("worst ratio to a time of the design, one e-process", max(ratios), 1, ""),
        goal("times of the design beyond the luck of its 400 runs, of 32", beyond, 0, ""),
        goal("tenfold 5xx at 100 requests/s, all gates, 95 %", whole[100][0].most, 120, "s"),
        goal("all requests fail, all gates, 95 %", max(whole[rate][2].most for rate in DESIGN), 10, "s"),
    )
