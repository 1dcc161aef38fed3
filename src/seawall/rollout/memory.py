"""Memory: all that the rollout machine knows, as one record that can be put away and taken up again.

Pure. These records change in place, and only in the files of this room that decide: `rollout.conductor` (which event goes
where), `rollout.course` (one rollout), `rollout.reports` (what edges say), `rollout.commands` (what people say).
"""

from typing import Literal

import msgspec

from seawall.gateway.resources.perimeter import Gates as GatePolicy
from seawall.gateway.resources.perimeter import PerimeterSpec
from seawall.kit.units import Instant, Seconds
from seawall.rollout.change import ChangeReport, Override, Risk
from seawall.rollout.drills import Stand
from seawall.rollout.events import Assign, Decide, EdgePlace, Finish, Proposed, Stage
from seawall.rollout.freeze import Freeze
from seawall.rollout.gates import GatesState
from seawall.rollout.requests import Request

MOST_FINISHED = 20
MOST_BLOCKED = 100
MOST_OVERRIDES = 100
MOST_SHOWN = 20
"""Differences that the memory keeps of a report; all of them are in the history."""
FORGOTTEN_AFTER = Seconds(7 * 86400.0)
"""An edge that was away for so long is no part of the fleet any more."""


class Edge(msgspec.Struct, kw_only=True):
    """An edge as far as it is known. `runs` is what it says, `assigned` what it was told, `before` what it was told before
    that, `lie` what it said to run though nobody had told it so."""

    place: EdgePlace
    is_present: bool = True
    lost_at: Instant = Instant(0.0)
    runs: str = ""
    assigned: str = ""
    before: str = ""
    lie: str = ""
    is_pinned: bool = False
    """Its local operator has chosen for it."""


class Step(msgspec.Struct, kw_only=True):
    """A stage of one rollout. `waited` counts since it began, `watched` since all of its edges have applied; neither counts
    what nobody watched."""

    stage: Stage
    state: Literal["waiting", "running", "done", "skipped"] = "waiting"
    edges: list[str] = msgspec.field(default_factory=list)
    note: str = ""
    began_at: Instant = Instant(0.0)
    waited: Seconds = Seconds(0.0)
    watched: Seconds = Seconds(0.0)
    looked: Seconds = Seconds(-1.0)
    """`watched` at the last look at the gates; negative: there was none."""
    is_hurried: str = ""
    """Who has skipped the rest of the wait."""


class Course(msgspec.Struct, kw_only=True):
    """The rollout that is under way."""

    rollout: str
    candidate: str
    base: str
    report: ChangeReport
    author: str
    reason: str
    is_staged: bool
    begun_at: Instant
    steps: list[Step]
    index: int = 0
    control: str = ""
    is_sandboxed: bool = False
    allowed_by: str = ""
    """Who has let it pass guards that hold."""
    paused_by: list[str] = []
    emergency_until: Instant = Instant(0.0)
    policy: GatePolicy = GatePolicy()
    """The gates' bounds as they were when it began."""
    gates: GatesState | None = None
    soft: tuple[str, ...] = ()
    evidence: dict[str, float] = {}
    held: str = ""
    held_because: str = ""

    @property
    def tempo(self) -> Risk:
        """Which column of the table of times counts. The first configuration of all changes everything, so it is R3, and
        serves nobody yet: it goes as fast as an R1."""
        return self.report.risk if self.base else min(self.report.risk, "R1")

    @property
    def step(self) -> Step:
        return self.steps[self.index]

    def is_emergency(self, at: Instant) -> bool:
        return at < self.emergency_until


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody went back: the whole fleet stays on this bundle until somebody unpins it."""

    bundle: str
    who: str
    reason: str
    at: Instant


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that failed is not tried again until a person says so."""

    rollout: str
    reason: str


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout that is over."""

    rollout: str
    candidate: str
    base: str
    outcome: str
    reason: str
    at: Instant


class Memory(msgspec.Struct, kw_only=True):
    """Everything. `running` is the bundle of the fleet: what edges run that no rollout has changed."""

    at: Instant = Instant(0.0)
    spec: PerimeterSpec = msgspec.field(default_factory=PerimeterSpec)
    edges: dict[str, Edge] = {}
    running: str = ""
    goods: list[str] = []
    """Last-known-good bundles, newest first."""
    pin: Pin | None = None
    course: Course | None = None
    waiting: Proposed | None = None
    compared_with: str = ""
    """The base for which the waiting one was asked to be compared anew."""
    urgent: str = ""
    urgent_until: Instant = Instant(0.0)
    """The rollout whose emergency was declared while it waited."""
    blocked: dict[str, Blocked] = {}
    retries: int = 0
    freezes: list[Freeze] = []
    overrides: list[Override] = []
    requests: list[Request] = []
    asked: int = 0
    finished: list[Finished] = []
    stands: dict[str, Stand] = {}
    """Of the kill switches, by name."""

    @property
    def pace(self) -> float:
        return self.spec.rollout.pace

    def present(self) -> list[str]:
        return [name for name, edge in self.edges.items() if edge.is_present]

    def carriers(self, bundle: str) -> list[str]:
        """Name the edges that were told to run a bundle, present or not."""
        return [name for name, edge in self.edges.items() if edge.assigned == bundle]

    def assign(self, edges: list[str], bundle: str, stage: str, *, taste: float = 0.0) -> Assign:
        """Tell edges what to run, and remember it."""
        for name in edges:
            edge = self.edges[name]
            if edge.assigned != bundle:
                edge.before, edge.assigned = edge.assigned, bundle
        is_good = bundle in self.goods
        return Assign(
            edges=tuple(edges),
            bundle=bundle,
            stage=stage,
            rollout=self.course.rollout if self.course else "",
            taste=Seconds(0.0 if is_good else taste),
            is_proven=is_good,
        )

    def block(self, candidate: str, rollout: str, reason: str) -> None:
        self.blocked.pop(candidate, None)
        self.blocked[candidate] = Blocked(rollout=rollout, reason=reason)
        while len(self.blocked) > MOST_BLOCKED:
            del self.blocked[next(iter(self.blocked))]

    def finish(self, finish: Finish, candidate: str, base: str, at: Instant) -> Finish:
        """Keep the outcome for people to read."""
        over = Finished(
            rollout=finish.rollout,
            candidate=candidate,
            base=base,
            outcome=finish.outcome,
            reason=finish.reason,
            at=at,
        )
        self.finished = [over, *self.finished][:MOST_FINISHED]
        return finish


def note(sentence: str, rollout: str = "", stage: str = "") -> Decide:
    return Decide(rollout=rollout, stage=stage, decision="note", reason=sentence)


def short(bundle: str) -> str:
    """Write a bundle as people read it."""
    return bundle[:12] or "nothing"


def listed(names: list[str] | tuple[str, ...], most: int = 3) -> str:
    """Write names: all of few, some of many."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def many(edges: list[str]) -> str:
    return "1 edge" if len(edges) == 1 else f"{len(edges)} edges"
