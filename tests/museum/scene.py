"""Scene: a fleet that serves the world, and the words in which scenarios are told.

since = await scene.begin()                 # clients are content; count from nought
scene.fleet.write("chain", …)               # the bad thing
decision = await scene.stopped(since)       # who said no
finding = await scene.end(decision, …)      # the world again; what clients noticed
"""

import re
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from tests.museum import world
from tests.support.fleet import Counted, Decision, Fleet, Mix

Json = dict[str, Any]
_NO = ("hold", "refuse", "roll_back")
_BREATH = 0.5
"""Seconds of ordinary life before and after each bad thing."""


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """Who has stopped it, when, and what it said."""

    at: float
    stage: str
    guard: str
    said: str
    rollout: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a bad thing. Seconds: `decided` from the injection, or from the first failed request where there was
    one, until somebody had said no; `recovered` from the first failed request to the last."""

    stage: str
    guard: str
    sent: int
    failed: dict[str, int]
    decided: float
    recovered: float
    said: str

    @property
    def failures(self) -> int:
        return sum(self.failed.values())


class Scene:
    """One fleet, for one outage after the other. `begin` makes sure that it is as it was."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.base = ""
        self._files = world.files()
        self._usual = self._mix = world.mix()

    async def settle(self) -> None:
        """Bring the world up: everything runs, and it has baked, so that there is a last-known-good."""
        self.fleet.write("perimeter", world.perimeter(pace=0.00001))
        await self.fleet.load(self._mix)

        async def is_good() -> str:
            view = await self.view()
            return view["running"] if view["goods"][:1] == [view["running"]] and self._is_idle(view) else ""

        self.base = await self.fleet.until(is_good, "the world has baked", within=60)
        self.fleet.write("perimeter", world.perimeter())

    async def begin(self, mix: Mix | None = None) -> float:
        """Wait until clients are content, and count from nought; return the time. `mix`: other clients than usual."""
        if (mix or self._usual) != self._mix:
            self._mix = mix or self._usual
            await self.fleet.load(self._mix)
        await self.pause()
        for _ in range(40):
            counted = await self.recount()
            if not counted.failed:
                return time.time()
            await self.pause()
        raise AssertionError(f"clients are not content to begin with: {counted}")

    async def stopped(self, since: float, within: float = 25.0, kinds: Sequence[str] = _NO) -> Stopped:
        """Wait until the control plane says no. A hold is one only before any edge has the candidate: later it is a wait."""

        def find() -> Decision | None:
            said = self.fleet.decisions(since)
            return next(
                (one for one in said if one.decision in kinds and (one.decision != "hold" or _is_early(one))), None
            )

        decision: Decision = await self.fleet.until(find, f"a decision {' or '.join(kinds)}", within)
        return Stopped(
            at=decision.at,
            stage=decision.stage,
            guard=guard_of(decision),
            said=decision.reason,
            rollout=decision.rollout,
        )

    async def told(self, files: int = 1) -> Stopped:
        """Wait until so many files are said to be wrong; what they said before stays in force (G4)."""

        async def problems() -> list[str]:
            status = await self.fleet.get("/v1/status")
            found = [str(one["message"]) for one in status["fileProblems"]]
            return found if len(found) >= files else []

        said: list[str] = await self.fleet.until(problems, "wrong files are told", within=15)
        return Stopped(at=time.time(), stage="source", guard="G4", said="; ".join(said[:2]))

    async def finding(self, stopped: Stopped, since: float, before: Counted | None = None) -> Finding:
        """Look at what clients noticed since `begin` (`before`: taken away already); they must be content again."""
        counted = await self.recount()
        counted.add(before or Counted())
        for _ in range(20):
            await self.pause()
            more = await self.recount()
            counted.add(more)
            if not more.failed:
                break
        first = counted.first_failed_at or since
        return Finding(
            stage=stopped.stage,
            guard=stopped.guard,
            sent=counted.sent,
            failed=counted.failed,
            decided=max(0.0, stopped.at - first),
            recovered=counted.last_failed_at - counted.first_failed_at,
            said=stopped.said,
        )

    async def everywhere(self, since: float, within: float = 40.0) -> None:
        """Wait until a change that is well has come to every edge. Somebody skips what can be skipped of the waits."""

        async def is_everywhere() -> bool:
            rollout = (await self.view())["rollout"]
            if rollout is not None and rollout["stage"] in ("canary", "cell"):
                await self._hurry(rollout)
            said = self.fleet.decisions(since)
            return any(one.stage == "bake" and one.decision == "advance" for one in said)

        await self.fleet.until(is_everywhere, "every edge has the change", within)

    async def restore(self) -> None:
        """Put the manifests back to what they were, and wait until the fleet runs the base and nothing else."""
        self.fleet.write_all(self._files)
        for path in (self.fleet.root / "manifests").iterdir():
            if path.stem not in self._files:
                path.unlink()

        async def is_base() -> bool:
            view = await self.view()
            if view["rollout"] is not None and view["rollout"]["stage"] == "bake":
                # It has baked before.
                await self._hurry(view["rollout"])
            return self._is_idle(view) and view["running"] == self.base and set(view["bundles"]) == {self.base}

        await self.fleet.until(is_base, "the fleet runs the base again", within=60)
        await self.fleet.serving()

    async def view(self) -> Json:
        """Ask where the rollouts stand."""
        view: Json = (await self.fleet.get("/v1/rollouts"))["view"]
        return view

    async def report(self, rollout: str) -> Json:
        """Ask what a rollout changes."""
        report: Json = (await self.fleet.get(f"/v1/rollouts/{rollout}"))["report"]
        return report

    async def recount(self) -> Counted:
        """Tell what clients of all edges have counted since the last time."""
        total = Counted()
        for counted in (await self.fleet.recount()).values():
            total.add(counted)
        return total

    async def pause(self) -> None:
        """Let clients ask for a moment."""
        wanted = (await self.fleet.counted()).sent + 10

        async def have_asked() -> bool:
            return (await self.fleet.counted()).sent >= wanted

        began = time.monotonic()
        await self.fleet.until(have_asked, "clients ask", within=10)
        await self.fleet.until(lambda: time.monotonic() - began > _BREATH, "a moment passes")

    async def _hurry(self, rollout: Json) -> None:
        await self.fleet.command("promote", rollout=rollout["rollout"], reason="the museum closes soon")

    @staticmethod
    def now() -> float:
        """Return the time of the wall clock, as logs have it."""
        return time.time()

    @staticmethod
    def _is_idle(view: Json) -> bool:
        return view["rollout"] is None and not view["waiting"]


def _is_early(decision: Decision) -> bool:
    return decision.stage == "guards"


def guard_of(decision: Decision) -> str:
    """Name who has said no, from the sentence that the control plane says to people."""
    if found := re.search(r"\bG\d+\b", decision.reason):
        return found.group()
    if re.search(r"\bgate \w+:", decision.reason):
        return "gates"
    if found := re.search(r"the (\w+) of \S+ refused", decision.reason):
        return found.group(1)
    for word, name in (
        ("the sandbox", "sandbox"),
        ("died", "crash"),
        ("silence", "silence"),
        ("refused a part", "NACK"),
    ):
        if word in decision.reason:
            return name
    return "?"
