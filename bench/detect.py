"""Detect: the scenarios of attacks and their benign twins against the protection machine, on event time; and what it costs.

No network and no Envoy: what is measured is how soon a verdict stands, whom it names, and what it would have done to good clients.
The edge that obeys is a stand-in (`bench.support.theatre`). Times are seconds of the traffic, the cost is of this machine.
"""

import asyncio
import time
from random import Random
from statistics import median

from bench.options import Options, say
from bench.report import Result, Table
from bench.support.numbers import short
from bench.support.people import Second, crowd
from bench.support.scenarios import SCENARIOS, Scenario
from bench.support.theatre import Outcome, play, slot_of, warmed
from seawall.detect.events import Observed
from seawall.detect.sample import Sample
from seawall.detect.signature import Excess, mine
from seawall.kit.units import Instant

QUESTION = "how soon is an attack named, what of it leaks, and which good clients are touched?"


async def run(options: Options) -> Result:
    """Play every scenario with several seeds, then measure."""
    seeds = options.pick(3, 1)
    chosen = SCENARIOS if not options.quick else SCENARIOS[:1]
    outcomes: dict[str, list[Outcome]] = {}
    for one in chosen:
        say(f"{one.id} {one.name}")
        outcomes[one.id] = [await asyncio.to_thread(play, one, options.seed + seed) for seed in range(seeds)]
    rates = options.pick(4, 1)
    mined = await asyncio.to_thread(_mining, options.pick(300_000, 3_000))
    ticks = {
        rate: await asyncio.to_thread(_tick, float(rate), options.pick(15, 2))
        for rate in (300, 2000, 10_000, 20_000)[:rates]
    }
    figures = {"mining, events a second": mined, **{f"a second of {rate}, ms": took for rate, took in ticks.items()}}
    return Result(
        bench="detect",
        question=QUESTION,
        tables=(_scenarios(chosen, outcomes), _cost(mined, ticks)),
        figures=figures,
    )


def _scenarios(chosen: tuple[Scenario, ...], outcomes: dict[str, list[Outcome]]) -> Table:
    rows = []
    for one in chosen:
        played = outcomes[one.id]
        sent, passed = sum(each.sent for each in played), sum(each.passed for each in played)
        good = max(sum(each.good for each in played), 1)
        rows.append(
            (
                f"{one.id} {one.name}",
                _worst([each.enforced for each in played])
                if one.is_attack
                else "none"
                if not _acted(played)
                else "wrong",
                _worst([each.mitigated for each in played]) if sent else "",
                f"{passed / sent:.1%}" if sent else "",
                f"{min(each.precision(one.planted) for each in played):.0%}" if one.is_attack else "",
                f"{sum(each.good_denied for each in played)}",
                f"{sum(each.good_limited for each in played) / good:.2%}",
            )
        )
    heads = (
        "scenario",
        "acting after s",
        "under 10 % after s",
        "leaked",
        "fields right",
        "good denied",
        "good limited",
    )
    return Table(title="Scenarios, worst of the seeds", heads=heads, rows=tuple(rows))


def _worst(times: list[float]) -> str:
    return "never" if min(times) < 0 else short(max(times))


def _acted(played: list[Outcome]) -> bool:
    return any(each.acting for each in played)


def _cost(mined: float, ticks: dict[int, float]) -> Table:
    rows = [("mining step, events a second", f"{mined:,.0f}")]
    rows += [(f"a second of {rate:,} requests in excess, median ms", short(took)) for rate, took in ticks.items()]
    return Table(title="Cost on one core", heads=("what", "how much"), rows=tuple(rows))


def _mining(count: int) -> float:
    """Measure the mining step: counting, projecting, growing."""
    rng = Random(1)
    usual = crowd(rng)
    sample = Sample(slot_of(usual(rng, 0), Instant(0.0))[0].rows.records())
    attack = next(one for one in SCENARIOS if one.id == "A2").begin(rng)
    asked = [*attack(rng, 0).requests, *usual(rng, 0).requests]
    columns = slot_of(Second(requests=asked), Instant(0.0))[0].rows.columns
    many = {field: (list(column) * (count // len(column) + 1))[:count] for field, column in columns.items()}
    begun = time.perf_counter()
    mine(Excess(columns=many, expected=count * 0.1), sample)
    return count / (time.perf_counter() - begun)


def _tick(rate: float, turns: int) -> float:
    """Measure a second of the machine while a route is in excess: the worst it has to do."""
    guard, _, rng, at = warmed(0)
    busy = crowd(Random(5), people=20_000, rate=rate)
    times = []
    for number in range(turns):
        at = Instant(at + 1)
        slot, _ = slot_of(busy(rng, number), at)
        begun = time.perf_counter()
        guard.handle(Observed(at=at, slot=slot))
        times.append((time.perf_counter() - begun) * 1000)
    return median(times)
