"""A fleet under fire: 12 real Envoys in 3 regions × 2 cells, traffic on all of them, one rollout after the other, a third bad.

A real `seawall serve`, twelve real agents, each on a host (network namespace) of its own with clients and an origin beside it
(`tests.support.fleet`). Clients keep their connections, never retry, and forgive nothing. The clocks of the stages go faster
than life by `--pace`; what that means for statistics is said under the table.
"""

import asyncio
import random
import time
from typing import Any

import msgspec
from tests.support.fleet import ORIGIN, PORT, Ask, Counted, Decision, Fleet, Mix, Place
from tests.support.manifests import backend, gateway, route, to
from tests.support.rolling import native, view

from bench.options import Options, say
from bench.report import Result, Table, goal
from bench.support import faults
from bench.support.faults import CLIENT, RARE, Change

Json = dict[str, Any]
QUESTION = "12 Envoys, one rollout after the other, a third of them bad: is every bad one stopped, and no good one?"
RATE = 20.0
"""Requests per second on each edge."""
TENANTS = tuple(f"t{number:02}" for number in range(6))
PLACES = tuple(
    Place(edge=f"{region}-{cell}-{letter}", region=region, cell=f"{region}-{cell}")
    for region in ("eu", "us", "as")
    for cell in (1, 2)
    for letter in "ab"
)
FEW, NONE = 50, 0
"""Requests that may fail: in the canary, and where sandbox, taster or a guard stopped it."""
_OUTCOMES = {"roll_back": "rolled back", "refuse": "refused", "hold": "held", "undecided": "undecided"}
_EARLY = ("guards", "sandbox", "taster")
_PATIENCE = 420.0
_READ = 1.5


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """One rollout and what came of it. Seconds: `decided` since the first request failed (or since the change was written where
    none did), `recovered` from the first failed request to the last, `took` from the write to the end."""

    number: int
    change: Change
    outcome: str
    stage: str
    said: str
    sent: int
    failed: dict[str, int]
    decided: float
    recovered: float
    took: float

    @property
    def failures(self) -> int:
        return sum(self.failed.values())

    @property
    def is_stopped(self) -> bool:
        """What nobody decided counts against us, whichever way: a bad one was not stopped, a good one was."""
        if self.outcome == "undecided":
            return not self.change.is_bad
        return self.outcome not in ("completed", "superseded")

    @property
    def allowed(self) -> int:
        return NONE if self.stage in _EARLY or not self.change.is_bad else FEW

    def row(self) -> tuple[str, ...]:
        return (
            str(self.number + 1),
            self.change.kind,
            "bad" if self.change.is_bad else "good",
            self.outcome,
            self.stage if self.is_stopped else "",
            f"{self.failures} of {self.sent}",
            f"{self.decided:.1f}" if self.is_stopped else "",
            f"{self.recovered:.1f}" if self.failures else "",
            f"{self.took:.0f}",
        )


async def run(options: Options) -> Result:
    """Bring the fleet up, and fire."""
    count, pace = options.rollouts or options.pick(60, 3), options.pace
    luck = random.Random(options.seed)
    changes = faults.series(count, luck.choice, pace)
    shots: list[Shot] = []
    async with Fleet(_files(0.0001), places=PLACES) as fleet:
        battle = _Battle(fleet, pace)
        await battle.begin()
        for number, change in enumerate(changes):
            shot = await battle.fire(number, change)
            shots.append(shot)
            say(f"{number + 1}/{count} {' | '.join(shot.row()[1:])} | {shot.said[:110] if shot.is_stopped else ''}")
    return _result(shots, options.seed, pace)


class _Battle:
    """The fleet, and what has been fired at it."""

    def __init__(self, fleet: Fleet, pace: float) -> None:
        self._fleet = fleet
        self._pace = pace
        self._rate = RATE

    async def begin(self) -> None:
        """Let the first version bake, so that there is a last-known-good; then set the pace."""
        await self._fleet.load(_mix(RATE))
        await self._until_idle(within=180)
        self._fleet.write("perimeter", _perimeter(self._pace))
        await self._until_idle()

    async def fire(self, number: int, change: Change) -> Shot:
        """Write one change, wait what becomes of it, and take it back if it was bad."""
        fleet = self._fleet
        await self._set(change.pace or self._pace, change.rate or RATE)
        await fleet.recount()
        since = time.time()
        if change.files:
            fleet.write_all(change.files)
        else:
            fleet.remove(*TENANTS)
        decision = await self._ended(since)
        if change.is_bad:
            await self._quiet()
        counted = await self._counted()
        took = time.time() - since
        if change.is_bad:
            fleet.remove("bad") if change.files else fleet.write_all(_tenants())
        await self._until_idle()
        first = counted.first_failed_at or since
        return Shot(
            number=number,
            change=change,
            outcome=_OUTCOMES.get(decision.decision, "completed"),
            stage="taster" if "the taster of" in decision.reason else decision.stage,
            said=decision.reason,
            sent=counted.sent,
            failed=counted.failed,
            decided=max(0.0, decision.at - first),
            recovered=max(0.0, counted.last_failed_at - counted.first_failed_at),
            took=took,
        )

    async def _ended(self, since: float) -> Decision:
        """Wait until somebody says no, or it runs everywhere. A guard that holds has stopped it; a gate that holds has not yet."""

        def find() -> Decision | None:
            for one in self._fleet.decisions(since):
                is_no = one.decision in ("roll_back", "refuse") or (one.decision == "hold" and one.stage == "guards")
                if is_no or one.decision == "complete" or (one.decision, one.stage) == ("advance", "bake"):
                    return one
            return None

        try:
            found: Decision = await self._fleet.until(find, "the rollout is decided", _PATIENCE)
        except AssertionError:
            last = self._fleet.decisions(since)[-1:]
            await self._fleet.command("abort", reason="nobody decides")
            stage, reason = (last[0].stage, last[0].reason) if last else ("", "nothing was said of it")
            return Decision(at=time.time(), rollout="", stage=stage, decision="undecided", reason=reason)
        return found

    async def _quiet(self) -> None:
        """Wait until requests fail no more."""
        while True:
            before = (await self._counted(is_last=False)).failures
            await asyncio.sleep(2.0)
            if (await self._counted(is_last=False)).failures == before:
                return

    async def _counted(self, *, is_last: bool = True) -> Counted:
        if not is_last:
            return await self._fleet.counted()
        total = Counted()
        for each in (await self._fleet.recount()).values():
            total.add(each)
        return total

    async def _set(self, pace: float, rate: float) -> None:
        if rate != self._rate:
            self._rate = rate
            await self._fleet.load(_mix(rate), edges=[place.edge for place in PLACES if place.cell == PLACES[0].cell])
        self._fleet.write("perimeter", _perimeter(pace))

    async def _until_idle(self, within: float = 240.0) -> None:
        """Wait until nothing is under way; a bake ends early, as somebody may who has more to bring out.

        A good change that was stopped stays in the manifests, blocked: that is told in the table, and ends no fire."""
        # The control plane reads the manifests within a second: before that, the newest is what was the newest before.
        await asyncio.sleep(_READ)

        async def is_idle() -> bool:
            found = await view(self._fleet)
            current = found["rollout"]
            if current is not None and current["stage"] == "bake" and found["goods"]:
                await self._fleet.command("promote", reason="the next one waits")
            newest = (await self._fleet.get("/v1/diff"))["candidate"]
            is_settled = newest == found["running"] or newest in found["blocked"]
            return (
                current is None and not found["waiting"] and is_settled and set(found["bundles"]) == {found["running"]}
            )

        await self._fleet.until(is_idle, "nothing is under way", within)
        await self._fleet.serving(within)


def _files(pace: float) -> dict[str, list[Json]]:
    calm = native("mark", "function envoy_on_response(h) end")
    spare = {"spare": [backend("spare", ORIGIN)], "mark": calm}
    return {
        "perimeter": [_perimeter(pace)],
        "gateway": gateway(PORT),
        "origin": [backend("origin", ORIGIN)],
        **spare,
        **_tenants(),
    }


def _tenants() -> dict[str, list[Json]]:
    backends = {TENANTS[0]: "spare"}
    return {name: [route(name, [f"{name}.example"], [to(backends.get(name, "origin"))])] for name in TENANTS}


def _perimeter(pace: float) -> Json:
    regions = [
        {"name": name, "continent": continent, "cells": [{"name": f"{name}-{cell}"} for cell in (1, 2)]}
        for name, continent in (("eu", "europe"), ("us", "america"), ("as", "asia"))
    ]
    rollout = {"strategy": "staged", "pace": pace}
    return {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "Perimeter",
        "metadata": {"name": "default"},
        "spec": {"rollout": rollout, "regions": regions, "approvals": {"required": 1}},
    }


def _mix(rate: float) -> Mix:
    usual = [Ask(host=f"{name}.example", headers=CLIENT) for name in TENANTS for _ in range(3)]
    return Mix(asks=(*usual, Ask(host=f"{TENANTS[0]}.example", headers=RARE)), rate=rate)


def _result(shots: list[Shot], seed: int, pace: float) -> Result:
    bads, goods = [each for each in shots if each.change.is_bad], [each for each in shots if not each.change.is_bad]
    late = [each for each in bads if each.is_stopped and each.stage not in _EARLY]
    early = [each for each in bads if each.stage in _EARLY]
    table = Table(
        title=f"{len(shots)} rollouts on 12 Envoys, seed {seed}, clocks at {pace:g} of the table",
        heads=("", "change", "is", "outcome", "stopped by", "requests failed", "decided s", "recovered s", "took s"),
        rows=tuple(each.row() for each in shots),
        note=f"The minimum times of the stages are multiplied by {pace:g} and the gates look twice a second instead of every 5 s; "
        "silence (10 s), tasters' and sandboxes' own work, and the requests that evidence needs are not scaled. So a canary "
        f"sees fewer requests here than in life ({RATE:g}/s on each edge): a fault that shows in all requests is found as soon as "
        "in life, one that shows in few is found in a later stage, or needs the canary's own time: for `1 % more 5xx` the "
        "pace is 0.2 and the canary's cell has 120 requests/s. `decided` counts from the first failed request, or from the "
        "write where none failed. Bakes are cut short by the next change.",
    )
    verdicts = (
        goal("bad changes that were stopped", sum(each.is_stopped for each in bads), len(bads), "", at_least=True),
        goal("good changes that were stopped", sum(each.is_stopped for each in goods), 0, ""),
        goal("requests failed in a change that a canary or later stage stopped, most", _most(late), FEW, ""),
        goal("requests failed in a change that guards, sandbox or taster stopped, most", _most(early), NONE, ""),
        goal("requests failed in good changes", sum(each.failures for each in goods), 0, ""),
    )
    figures = {"bad": float(len(bads)), "stopped": float(sum(each.is_stopped for each in bads))}
    return Result(bench="fire", question=QUESTION, tables=(table,), verdicts=verdicts, figures=figures)


def _most(shots: list[Shot]) -> int:
    return max((each.failures for each in shots), default=0)
