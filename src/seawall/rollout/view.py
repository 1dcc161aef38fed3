"""View: the rollout machine as people see it (`seawall rollout status`). Pure; bounded."""

import msgspec

from seawall.kit.units import Instant, Seconds
from seawall.rollout.change import Override
from seawall.rollout.freeze import Freeze, frozen_because
from seawall.rollout.memory import Course, Finished, Memory, Pin
from seawall.rollout.obstacles import lagging, minimum, obstacle

MOST_EDGES = 50


class StageView(msgspec.Struct, frozen=True, kw_only=True):
    """One stage. `names` are cut at MOST_EDGES; `edges` counts all. `remaining` is the least time left, 0 if unknown."""

    stage: str
    state: str
    edges: int
    names: tuple[str, ...]
    applied: int
    note: str
    began_at: Instant
    minimum: Seconds
    remaining: Seconds


class RolloutView(msgspec.Struct, frozen=True, kw_only=True):
    """The rollout under way. `held` says what it waits for, as a sentence; `is_held`: more than its clock."""

    rollout: str
    base: str
    candidate: str
    risk: str
    author: str
    reason: str
    strategy: str
    stage: str
    begun_at: Instant
    control: str
    held: str
    is_held: bool
    paused_by: tuple[str, ...]
    emergency_until: Instant
    evidence: dict[str, float]
    stages: tuple[StageView, ...]


class RequestView(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for a second person."""

    id: str
    who: str
    verb: str
    reason: str
    rollout: str
    expires_at: Instant


class View(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `frozen` is a sentence, empty if changes may go out. `bundles` counts the edges told to run each bundle."""

    at: Instant
    strategy: str
    running: str
    rollout: RolloutView | None
    waiting: str
    waiting_candidate: str
    goods: tuple[str, ...]
    pin: Pin | None
    frozen: str
    freezes: tuple[Freeze, ...]
    overrides: tuple[Override, ...]
    requests: tuple[RequestView, ...]
    finished: tuple[Finished, ...]
    blocked: dict[str, str]
    edges: int
    present: int
    bundles: dict[str, int]


def view(memory: Memory, at: Instant) -> View:
    """Read everything; change nothing."""
    bundles: dict[str, int] = {}
    for edge in memory.edges.values():
        bundles[edge.assigned] = bundles.get(edge.assigned, 0) + 1
    waiting = memory.waiting
    return View(
        at=at,
        strategy=memory.spec.rollout.strategy,
        running=memory.running,
        rollout=_rollout(memory, memory.course, at) if memory.course else None,
        waiting=waiting.rollout if waiting else "",
        waiting_candidate=waiting.report.candidate if waiting else "",
        goods=tuple(memory.goods),
        pin=memory.pin,
        frozen=frozen_because(memory.spec.freeze, memory.freezes, at),
        freezes=tuple(memory.freezes),
        overrides=tuple(memory.overrides),
        requests=_requests(memory),
        finished=tuple(memory.finished),
        blocked={bundle: each.reason for bundle, each in memory.blocked.items()},
        edges=len(memory.edges),
        present=len(memory.present()),
        bundles=bundles,
    )


def _requests(memory: Memory) -> tuple[RequestView, ...]:
    return tuple(
        RequestView(
            id=each.id,
            who=each.command.who,
            verb=each.command.verb,
            reason=each.command.reason,
            rollout=each.command.rollout,
            expires_at=each.expires_at,
        )
        for each in memory.requests
    )


def _rollout(memory: Memory, course: Course, at: Instant) -> RolloutView:
    found = obstacle(memory, course, at)
    return RolloutView(
        rollout=course.rollout,
        base=course.base,
        candidate=course.candidate,
        risk=course.report.risk,
        author=course.author,
        reason=course.reason,
        strategy="staged" if course.is_staged else "immediate",
        stage=course.step.stage,
        begun_at=course.begun_at,
        control=course.control,
        held=found.reason if found else "",
        is_held=found.is_hold if found else False,
        paused_by=tuple(course.paused_by),
        emergency_until=course.emergency_until,
        evidence=course.evidence,
        stages=_stages(memory, course, at),
    )


def _stages(memory: Memory, course: Course, at: Instant) -> tuple[StageView, ...]:
    late = frozenset(lagging(memory, course))
    shown = []
    for step in course.steps:
        least = minimum(memory, course, step, at)
        spent = step.waited if step.stage == "sandbox" else step.watched
        has_begun = step.state in ("running", "done")
        shown.append(
            StageView(
                stage=step.stage,
                state=step.state,
                edges=len(step.edges),
                names=tuple(step.edges[:MOST_EDGES]),
                applied=sum(1 for name in step.edges if name not in late) if has_begun else 0,
                note=step.note,
                began_at=step.began_at,
                minimum=least,
                remaining=Seconds(max(0.0, least - spent) if step.state in ("running", "waiting") else 0.0),
            )
        )
    return tuple(shown)
