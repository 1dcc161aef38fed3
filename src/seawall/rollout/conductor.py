"""Conductor: the rollout machine of one perimeter. Events in, actions out.

Pure: time arrives inside events; the same events lead to the same actions, and so does a state that was put away between.

    Proposed ─▶ waits ─▶ (nothing else under way, nothing pinned) ─▶ guards ─▶ sandbox ─▶ canary ─▶ … ─▶ bake ─▶ good
                  └ a newer one takes its place

One rollout at a time. The rooms: `course` (one rollout), `edges` (what edges say), `commands` (what people say), `obstacles`
(why not yet), `waves` and `stages` (the tables), `memory` (all that is known). Next room: `app.rollouts` carries out.
"""

from collections.abc import Mapping
from typing import assert_never

import msgspec

from seawall.kit.units import Instant, Seconds, duration
from seawall.rollout import course as one
from seawall.rollout import edges, stages
from seawall.rollout.change import ChangeReport, Override
from seawall.rollout.commands import command
from seawall.rollout.drills import Stand, stands
from seawall.rollout.events import (
    Action,
    Commanded,
    Compare,
    Configured,
    Counted,
    Decide,
    EdgeApplied,
    EdgeDied,
    EdgePlace,
    EdgeRefused,
    EdgeTasted,
    Event,
    Finish,
    Joined,
    Lost,
    Proposed,
    SandboxFinished,
    Ticked,
)
from seawall.rollout.freeze import frozen_because
from seawall.rollout.memory import FORGOTTEN_AFTER, Memory, note, short
from seawall.rollout.obstacles import TIMELESS, arms, lagging, verdict
from seawall.rollout.requests import unexpired
from seawall.rollout.view import View, view

JUMP = Seconds(300.0)
"""A clock that goes so far between two events has jumped, or nobody was watching."""


class Conductor:
    """Decides what every edge runs."""

    def __init__(self) -> None:
        self._memory = Memory()

    def handle(self, event: Event) -> list[Action]:
        """Take in one event; answer with what is to be done now."""
        actions = self._pass_time(event)
        match event:
            case Configured(spec=spec):
                self._memory.spec = spec
                self._memory.stands = stands(self._memory.stands, spec, event.at)
            case Proposed():
                actions += self._proposed(event)
            case SandboxFinished():
                actions += self._sandboxed(event)
            case Joined():
                actions += edges.joined(self._memory, event)
            case Lost():
                actions += edges.lost(self._memory, event)
            case EdgeTasted() | Ticked():
                pass
            case EdgeApplied():
                actions += edges.applied(self._memory, event)
            case EdgeRefused():
                actions += edges.refused(self._memory, event)
            case EdgeDied():
                actions += edges.died(self._memory, event)
            case Counted():
                actions += one.look(self._memory, event)
            case Commanded():
                actions += command(self._memory, event)
            case _:
                assert_never(event)
        return [*actions, *self._settle(event.at)]

    def arms(self, rollout: str) -> tuple[frozenset[str], frozenset[str]]:
        """Return the edges on the candidate, and those to compare them with. Both empty for what is not under way."""
        course = self._memory.course
        if course is None or course.rollout != rollout:
            return frozenset(), frozenset()
        return arms(self._memory, course)

    @property
    def assigned(self) -> dict[str, str]:
        """Say what each edge was told to run."""
        return {name: edge.assigned for name, edge in self._memory.edges.items()}

    def bundle_for(self, place: EdgePlace) -> str:
        """Say what an edge should run, known or not; empty: nothing yet."""
        if place.edge in self._memory.edges:
            return edges.target(self._memory, place.edge)
        return edges.place_of(self._memory, place)

    @property
    def used(self) -> frozenset[str]:
        """Name every bundle that may still be needed: none of them may be thrown away."""
        memory = self._memory
        wanted = {memory.running, *memory.goods, *(edge.assigned for edge in memory.edges.values())}
        if memory.course is not None:
            wanted |= {memory.course.base, memory.course.candidate}
        if memory.waiting is not None:
            wanted.add(memory.waiting.report.candidate)
        return frozenset(wanted - {""})

    @property
    def running(self) -> str:
        """Name what the fleet runs apart from the rollout under way: the base to compare the next candidate with."""
        return self._memory.running

    @property
    def under_way(self) -> str:
        """Name the rollout under way; empty: none is."""
        return self._memory.course.rollout if self._memory.course is not None else ""

    @property
    def stage(self) -> str:
        """Say where the rollout under way stands; empty: none is."""
        return self._memory.course.step.stage if self._memory.course is not None else ""

    @property
    def candidate(self) -> str:
        return self._memory.course.candidate if self._memory.course is not None else ""

    @property
    def is_staged(self) -> bool:
        return self._memory.spec.rollout.strategy == "staged"

    @property
    def report(self) -> ChangeReport | None:
        """What the rollout under way changes; its riskiest differences, not all."""
        return self._memory.course.report if self._memory.course is not None else None

    @property
    def stands(self) -> Mapping[str, Stand]:
        """Which positions the kill switches have stood in."""
        return self._memory.stands

    @property
    def overrides(self) -> tuple[Override, ...]:
        return tuple(self._memory.overrides)

    @property
    def goods(self) -> tuple[str, ...]:
        """Name the last-known-good bundles, newest first."""
        return tuple(self._memory.goods)

    def lets_pass(self, candidate: str, at: Instant) -> bool:
        """Say whether nothing of what people or the past have said stands against sending a candidate to all at once."""
        memory = self._memory
        is_free = memory.pin is None and candidate not in memory.blocked
        is_staged = memory.course is not None and memory.course.is_staged
        is_paused = memory.course is not None and bool(memory.course.paused_by)
        frozen = frozen_because(memory.spec.freeze, memory.freezes, at)
        return is_free and not is_staged and not is_paused and not frozen

    def again(self, at: Instant) -> list[Action]:
        """Repeat the wishes that a restart may have lost: what each edge runs, a sandbox, a comparison."""
        memory = self._memory
        told: dict[str, list[str]] = {}
        for name, edge in memory.edges.items():
            if edge.assigned:
                told.setdefault(edge.assigned, []).append(name)
        actions: list[Action] = [
            memory.assign(names, bundle, "again", taste=self._taste(bundle, at)) for bundle, names in told.items()
        ]
        if memory.course is not None:
            actions += one.again(memory.course, memory, at)
        elif memory.waiting is not None and memory.compared_with:
            actions.append(self._compare(memory.waiting))
        return actions

    def view(self, at: Instant) -> View:
        """Show it to people."""
        return view(self._memory, at)

    def state(self) -> bytes:
        """Put all of it away."""
        return msgspec.msgpack.encode(self._memory)

    @classmethod
    def restore(cls, state: bytes) -> "Conductor":
        """Go on from a state. Raises msgspec.ValidationError for what is none."""
        conductor = cls()
        conductor._memory = msgspec.msgpack.decode(state, type=Memory)
        return conductor

    def _pass_time(self, event: Event) -> list[Action]:
        """Count the time that somebody has watched. Backwards counts nothing, forwards a little at most."""
        memory, at = self._memory, event.at
        passed = at - memory.at if memory.at else 0.0
        memory.at = at
        if passed < 0:
            for edge in memory.edges.values():
                edge.lost_at = min(edge.lost_at, at)
        memory.requests = unexpired(memory.requests, at)
        memory.freezes = [each for each in memory.freezes if not each.is_over(at)]
        memory.overrides = [each for each in memory.overrides if at < each.until]
        course = memory.course
        if course is None:
            edges.forget(memory, FORGOTTEN_AFTER)
            return []
        counted = min(max(passed, 0.0), stages.LONGEST_STEP)
        step = course.step
        if course.held not in TIMELESS:
            step.waited = Seconds(step.waited + counted)
        if memory.carriers(course.candidate) and not lagging(memory, course):
            step.watched = Seconds(step.watched + counted)
        if -stages.LONGEST_STEP <= passed <= JUMP:
            return []
        step.looked = Seconds(-1.0)
        way = f"{passed:.0f} s forwards" if passed > 0 else f"{-passed:.0f} s backwards"
        said = f"the clock has gone {way} at once, or nobody was watching: {counted:.0f} s of it count."
        return [note(said, course.rollout, step.stage)]

    def _proposed(self, event: Proposed) -> list[Action]:
        """The newest proposal is what the source wants; all older ones that wait give way."""
        memory, course, candidate = self._memory, self._memory.course, event.report.candidate
        if course is not None and course.rollout == event.rollout:
            return []
        if any(each.rollout == event.rollout for each in memory.finished):
            # A comparison that was asked for has come when something newer had taken its place already.
            return []
        actions = self._replace_waiting(event)
        if course is not None and candidate == course.candidate:
            return [*actions, self._end(event, "superseded", f"the same is under way as {course.rollout}.")]
        if candidate in memory.blocked:
            blocked = memory.blocked[candidate]
            way = f"To try it all the same: seawall rollout promote {blocked.rollout or short(candidate)}."
            said = f"{short(candidate)} has failed before and is not tried again by itself. {blocked.reason} {way}"
            return [*actions, self._end(event, "refused", said)]
        if course is not None and course.is_staged and candidate == course.base:
            reason = f"{event.author} says again what ran before."
            actions += one.roll_back(memory, reason, event.at, "aborted")
            del memory.blocked[course.candidate]
        elif course is not None and self._gives_way(event):
            actions += one.supersede(memory, event.rollout, event.at)
        memory.waiting, memory.compared_with = event, ""
        if memory.course is not None or memory.pin is not None:
            actions.append(self._queued(event))
        return actions

    def _gives_way(self, event: Proposed) -> bool:
        """Say whether what is under way ends for a newer one: where it has reached nobody yet, or goes out at once anyway.

        A sandbox is let finish: else a source that changes every few seconds would never get anywhere."""
        memory, course = self._memory, self._memory.course
        assert course is not None
        if not course.is_staged:
            return verdict(memory, event.report, event.at)[0] != "refuse"
        return course.step.stage != "sandbox" and not memory.carriers(course.candidate)

    def _replace_waiting(self, event: Proposed) -> list[Action]:
        waiting, self._memory.waiting = self._memory.waiting, None
        if waiting is None or waiting.rollout == event.rollout:
            return []
        return [self._end(waiting, "superseded", f"{event.rollout} is newer; this one had not begun.")]

    def _queued(self, event: Proposed) -> Decide:
        memory = self._memory
        if memory.pin is not None:
            pin = memory.pin
            why = f"{pin.who} has pinned {short(pin.bundle)}. To let changes out: seawall rollout unpin."
        else:
            why = f"{memory.course.rollout if memory.course else ''} is under way; one rollout at a time."
        return Decide(rollout=event.rollout, stage="", decision="queue", reason=f"it waits: {why}")

    def _sandboxed(self, event: SandboxFinished) -> list[Action]:
        course = self._memory.course
        if course is None or course.rollout != event.rollout or course.step.stage != "sandbox":
            return []
        if not event.is_passed:
            return one.fail(self._memory, f"the sandbox: {event.reason}", event.at)
        course.is_sandboxed = True
        return []

    def _settle(self, at: Instant) -> list[Action]:
        """Go on as far as it goes: the rollout under way, then the one that waits."""
        actions: list[Action] = []
        while True:
            actions += one.go_on(self._memory, at)
            actions += self._end_bake(at)
            started = self._start(at) if self._memory.course is None else []
            if not started:
                return actions
            actions += started
            if self._memory.course is None:
                return actions

    def _end_bake(self, at: Instant) -> list[Action]:
        """Let what waits begin, once what bakes has run everywhere for as long as its last wave had to.

        A bake of an hour must not hold up every other change for an hour; what it costs is the rank of last-known-good.
        """
        memory, course = self._memory, self._memory.course
        if course is None or memory.waiting is None or course.step.stage != "bake" or course.paused_by:
            return []
        least = stages.minimum("half", course.report.risk, memory.pace) if course.base else 0.0
        if not course.is_staged or course.step.watched < least:
            return []
        said = (
            f"{short(course.candidate)} has run everywhere for {duration(course.step.watched)} and {memory.waiting.rollout} waits: "
            "it stays, but it has not baked for long enough to be last-known-good."
        )
        return one.complete(memory, said, at, is_good=False)

    def _start(self, at: Instant) -> list[Action]:
        memory, waiting = self._memory, self._memory.waiting
        if waiting is None or memory.pin is not None:
            return []
        memory.running = memory.running or waiting.report.base
        if waiting.report.candidate == memory.running:
            memory.waiting = None
            return [self._end(waiting, "completed", f"nothing differs: {short(memory.running)} is what runs.")]
        if waiting.report.base != memory.running and memory.spec.rollout.strategy == "staged":
            if memory.compared_with == memory.running:
                return []
            memory.compared_with = memory.running
            return [self._compare(waiting)]
        memory.waiting, memory.compared_with = None, ""
        return one.begin(memory, waiting, at)

    def _compare(self, waiting: Proposed) -> Compare:
        return Compare(rollout=waiting.rollout, base=self._memory.compared_with, candidate=waiting.report.candidate)

    def _end(self, proposal: Proposed, outcome: one.Outcome, reason: str) -> Finish:
        """End a proposal that never began."""
        finish = Finish(rollout=proposal.rollout, outcome=outcome, reason=reason)
        return self._memory.finish(finish, proposal.report.candidate, proposal.report.base, proposal.at)

    def _taste(self, bundle: str, at: Instant) -> float:
        course = self._memory.course
        return one.taste(self._memory, course, at) if course is not None and bundle == course.candidate else 0.0
