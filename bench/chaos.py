"""Chaos: rollouts of real processes, and in each of them something is killed with SIGKILL at a moment that chance picks.

Two `seawall serve` on one PostgreSQL, three agents with their Envoys, clients that never retry. Victims: the control plane that
leads, the one that follows, the database, an agent, an Envoy. After each rollout the fleet must come to rest, and the laws
are asked of the history that is left. The same laws, hundreds of times in virtual time: `tests/rollout/test_chaos_simulated.py`.
"""

import asyncio
import contextlib
import json
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec
from tests.support import rolling
from tests.support.postgres import Postgres, running
from tests.support.rolling import PLACES, added, native
from tests.support.twins import NAMES, Twins, numbers, steps

from bench.options import Options, say
from bench.report import Result, Table, goal
from seawall.app.ledger import replay
from seawall.store.history import Entry

Json = dict[str, Any]
QUESTION = (
    "two control planes, a database, three edges: whichever is killed whenever, does every rollout end as it should?"
)
VICTIMS = ("leader", "follower", "database", "agent", "envoy")
_FIRST_PACE, _PACE = 0.00001, 0.004
_PATIENCE = 150.0
_ONCE = ("begin", "advance", "complete", "roll_back")


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One change and one death. `stage`: where the rollout stood then; `rest`: seconds from the write until all was calm."""

    change: str
    victim: str
    stage: str
    outcome: str
    failed: int
    rest: float
    broken: tuple[str, ...]

    def row(self) -> tuple[str, ...]:
        broken = "; ".join(self.broken)
        return (self.change, self.victim, self.stage, self.outcome, str(self.failed), f"{self.rest:.0f}", broken)


async def run(options: Options) -> Result:
    """Play the rounds, one after the other, with one fleet."""
    luck = random.Random(options.seed)
    count = options.rollouts or options.pick(36, 3)
    rounds: list[Round] = []
    with running() as database:
        url = f"postgresql://seawall@/postgres?host={database.root}"
        async with Twins(rolling.files(_FIRST_PACE), PLACES, url) as twins:
            stage = _Stage(twins, database, luck)
            await stage.begin()
            for number in range(count):
                rounds.append(await stage.play(number, VICTIMS[number % len(VICTIMS)]))
                say(f"{number + 1}/{count} {' | '.join(rounds[-1].row())}")
    return _result(rounds, options.seed)


class _Stage:
    """The fleet, and who is killed in it."""

    def __init__(self, twins: Twins, database: Postgres, luck: random.Random) -> None:
        self._twins = twins
        self._database = database
        self._luck = luck
        self._last = 0

    async def begin(self) -> None:
        await self._twins.fleet.load(rolling.mix(rate=30))
        await self._calm()
        self._twins.fleet.write("perimeter", rolling.perimeter(_PACE))

    async def play(self, number: int, victim: str) -> Round:
        """Write a change, kill somebody a moment later, have them come back, and wait for rest."""
        is_bad = self._luck.random() < 0.25
        await self._twins.fleet.recount()
        began = time.monotonic()
        self._last = self._twins.log()[-1].number
        if is_bad:
            self._twins.fleet.write("bad", *native(f"bad-{number}", f"-- {number}\n{rolling.CRASH_ON_RARE}"))
        else:
            self._twins.fleet.write(f"new-{number}", *added(number))
        await asyncio.sleep(self._luck.uniform(0.2, 8.0))
        stage = await self._stage()
        await self._kill(victim)
        # Whoever leads now reads the manifests within a second.
        await asyncio.sleep(2.0)
        with contextlib.suppress(AssertionError):
            await self._calm()
        rest = time.monotonic() - began
        counted = await self._twins.fleet.counted()
        broken = await self._broken(is_bad=is_bad)
        outcome = ", ".join(self._outcomes()) or "none"
        if is_bad:
            self._twins.fleet.remove("bad")
            with contextlib.suppress(AssertionError):
                await self._calm()
        kind = "crash on a rare header" if is_bad else "host added"
        return Round(
            change=kind, victim=victim, stage=stage, outcome=outcome, failed=counted.failures, rest=rest, broken=broken
        )

    async def _stage(self) -> str:
        with contextlib.suppress(AssertionError, httpx.HTTPError):
            current = (await self._twins.view())["rollout"]
            return str(current["stage"]) if current is not None else "idle"
        return "?"

    async def _kill(self, victim: str) -> None:
        pause, twins = self._luck.uniform(0.0, 5.0), self._twins
        if victim in ("leader", "follower"):
            leader = await twins.leader()
            name = leader if victim == "leader" else next(one for one in NAMES if one != leader)
            await twins.kill(name)
            await asyncio.sleep(pause)
            await twins.start(name)
        elif victim == "database":
            self._database.stop(signal.SIGKILL)
            await asyncio.sleep(pause)
            self._database.start()
        else:
            host = twins.fleet.hosts[self._luck.choice(PLACES).edge]
            await host.order("kill", what=victim)
            if victim == "agent":
                await asyncio.sleep(pause)
                await host.order("start")

    async def _calm(self) -> None:
        """Wait until the newest state of the manifests has been decided, and every edge runs what it should."""

        async def is_calm() -> bool:
            found = await self._twins.view()
            newest = (await self._twins.ask(await self._twins.leader(), "/v1/diff"))["candidate"]
            if newest != found["running"] and newest not in found["blocked"]:
                return False
            is_one = set(found["bundles"]) == {found["running"]} and sum(found["bundles"].values()) == len(PLACES)
            return bool(is_one and found["rollout"] is None and not found["waiting"])

        await self._twins.until(is_calm, "the fleet is at rest", _PATIENCE)
        await self._twins.fleet.serving()

    # ── the laws ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _broken(self, *, is_bad: bool) -> tuple[str, ...]:
        entries = self._twins.log()
        said = []
        if numbers(entries) != list(range(entries[0].number, entries[-1].number + 1)):
            said.append("the history has a gap")
        for rollout in self._streams(entries):
            taken = Counter(step for step in steps(entries, rollout) if step[1] in _ONCE)
            said += [f"{rollout}: {step} {times} times" for step, times in taken.items() if times > 1]
            own = _of(rollout, entries)
            if own and not (found := replay(own, rollout)).is_same:
                said.append(f"{rollout} is decided otherwise when it is replayed: {found.difference}")
        view = await self._twins.view()
        if set(view["bundles"]) != {view["running"]} or view["rollout"] is not None:
            said.append(f"no rest: {view['bundles']}, should be {view['running'][:12]}")
        if is_bad and "completed" in self._outcomes():
            said.append("a bad change is everywhere")
        return tuple(said)

    def _streams(self, entries: Sequence[Entry]) -> list[str]:
        return sorted({one.stream for one in entries if one.number > self._last and one.kind == "state"})

    def _outcomes(self) -> list[str]:
        """How the rollouts of this round ended, in order; those that only gave way to the same are left out."""
        actions = [
            json.loads(one.body) for one in self._twins.log() if one.number > self._last and one.kind == "action"
        ]
        ends = [one for one in actions if one["type"] == "finish"]
        return [
            one["outcome"] for one in ends if one["outcome"] != "superseded" and "nothing differs" not in one["reason"]
        ]


def _of(rollout: str, entries: Sequence[Entry]) -> list[Entry]:
    own = [one.number for one in entries if one.stream == rollout]
    first = next((one.number for one in entries if one.stream == rollout and one.kind == "state"), 0)
    return [one for one in entries if first and first <= one.number <= own[-1]]


def _result(rounds: list[Round], seed: int) -> Result:
    heads = ("change", "killed", "in stage", "outcome", "requests failed", "at rest after s", "laws broken")
    by_victim = Counter(one.victim for one in rounds)
    quiet = [one for one in rounds if one.change == "host added" and one.victim != "envoy"]
    table = Table(
        title=f"{len(rounds)} rollouts with a death in each, seed {seed}, clocks at {_PACE:g} of the table",
        heads=heads,
        rows=tuple(one.row() for one in rounds),
        note="Laws: the history has no gap; no step is taken twice; a replay decides the same; all edges run the same version in "
        "the end; a bad one is nowhere. Who kills an Envoy that runs the candidate has the candidate blamed, as it must be: "
        "a good change can be rolled back there. Deaths: "
        + ", ".join(f"{victim} {times}" for victim, times in by_victim.items())
        + ".",
    )
    verdicts = (
        goal("laws broken", sum(len(one.broken) for one in rounds), 0, ""),
        goal(
            "requests failed where a control plane, the database or an agent died",
            sum(one.failed for one in quiet),
            0,
            "",
        ),
    )
    return Result(
        bench="chaos", question=QUESTION, tables=(table,), verdicts=verdicts, figures={"rounds": float(len(rounds))}
    )
