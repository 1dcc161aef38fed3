"""Obstacles: what stands between a stage and the next one.

Pure; only reads. A wait is no obstacle to speak of; a hold is told to people. `rollout.course` acts on it.
"""

from typing import Literal

import msgspec

from seawall.kit.units import Instant, Seconds, duration
from seawall.rollout import stages
from seawall.rollout.change import ChangeReport, GuardResult
from seawall.rollout.freeze import frozen_because
from seawall.rollout.guards.registry import GUARDS
from seawall.rollout.memory import Course, Edge, Memory, Step, listed

Kind = Literal["barrier", "clock", "looks", "gates", "requests", "absent", "frozen", "paused", "nobody", "guards"]
WAITS: frozenset[Kind] = frozenset({"barrier", "clock"})
"""Part of every stage; all others are holds."""
TIMELESS: frozenset[Kind] = frozenset({"frozen", "paused", "nobody", "guards"})
"""A person, or the first edge, ends these: no time limit runs."""

BAKE_LOSS = 0.05
"""A baking change runs everywhere, for up to a day: of so many edges that fall silent (or one of several) it is more likely
that their hosts went away. More at once are held against it."""


class Obstacle(msgspec.Struct, frozen=True, kw_only=True):
    """Why not yet, as a sentence."""

    kind: Kind
    reason: str

    @property
    def is_hold(self) -> bool:
        return self.kind not in WAITS


def obstacle(memory: Memory, course: Course, at: Instant) -> Obstacle | None:
    """Say why the present stage may not end now; None if it may."""
    step = course.step
    if step.stage == "guards":
        return _guards(memory, course, at) or _stopped(memory, course, at, is_promotion=not course.is_staged)
    if step.stage == "sandbox":
        return _sandbox(course) or _stopped(memory, course, at) or _nobody(memory, at)
    found = _barrier(memory, course, step) or _clock(memory, course, step, at)
    if found is not None:
        return _stopped(memory, course, at) or found
    if course.is_staged and not step.is_hurried:
        found = _proof(memory, course, step, at)
    return found or (None if step.stage == "bake" else _stopped(memory, course, at))


_FIRM = frozenset(guard.id for guard in GUARDS if not guard.is_liftable)
"""Guards that nobody can lift."""


def verdict(memory: Memory, report: ChangeReport, at: Instant) -> tuple[str, tuple[GuardResult, ...]]:
    """Return the strictest word of the guards that nobody has lifted, and those who say it."""
    lifted = {each.guard for each in memory.overrides if at < each.until and each.candidate in ("", report.candidate)}
    standing = [one for one in report.guards if not one.override and one.guard not in lifted - _FIRM]
    for word in ("refuse", "hold"):
        if who := tuple(one for one in standing if one.verdict == word):
            return word, who
    return "pass", ()


def minimum(memory: Memory, course: Course, step: Step, at: Instant) -> Seconds:
    """Say how long this stage takes at least, now."""
    if step.is_hurried:
        return stages.floor(step.stage, course.tempo, memory.pace)
    return stages.minimum(step.stage, course.tempo, memory.pace, is_emergency=course.is_emergency(at))


def lagging(memory: Memory, course: Course) -> list[str]:
    """Name the edges that have been told to take the candidate and have not applied it yet."""
    return [
        name
        for name in memory.carriers(course.candidate)
        if (edge := memory.edges[name]).is_present and not edge.is_pinned and edge.runs != course.candidate
    ]


def silent(memory: Memory, course: Course, silence: Seconds, at: Instant) -> list[str]:
    """Name the edges that have the candidate and have not been heard of for too long."""
    return [
        name
        for name in memory.carriers(course.candidate)
        if not (edge := memory.edges[name]).is_present and at - edge.lost_at >= silence
    ]


def is_tolerable(memory: Memory, course: Course, gone: list[str]) -> bool:
    """Say whether a baking change may lose so many edges."""
    carriers = len(memory.carriers(course.candidate))
    return course.step.stage == "bake" and len(gone) <= min(carriers - 1, max(1, int(carriers * BAKE_LOSS)))


def arms(memory: Memory, course: Course) -> tuple[frozenset[str], frozenset[str]]:
    """Return the edges on the candidate and those to compare them with: the canary's twin; later the edges that have not
    changed yet, of the same cells where there are any, else of the same regions, else all."""
    new = {name: edge for name, edge in memory.edges.items() if _runs(edge, course.candidate)}
    if course.step.stage == "canary":
        control = memory.edges.get(course.control)
        is_there = control is not None and control.is_present and control.assigned != course.candidate
        return frozenset(new), frozenset((course.control,) if is_there else ())
    old = {name: edge for name, edge in memory.edges.items() if course.base and _runs(edge, course.base)}
    cells = {(edge.place.region, edge.place.cell) for edge in new.values()}
    regions = {edge.place.region for edge in new.values()}
    near = [name for name, edge in old.items() if (edge.place.region, edge.place.cell) in cells]
    near = near or [name for name, edge in old.items() if edge.place.region in regions]
    return frozenset(new), frozenset(near or old)


def _runs(edge: Edge, bundle: str) -> bool:
    return edge.is_present and edge.assigned == bundle and edge.runs == bundle


def _guards(memory: Memory, course: Course, at: Instant) -> Obstacle | None:
    word, who = verdict(memory, course.report, at)
    if word != "hold" or course.allowed_by:
        return None
    said = " ".join(f"{one.guard} ({one.title}): {one.message}" for one in who)
    way = f"To let it go: seawall rollout promote {course.rollout}."
    return Obstacle(kind="guards", reason=f"somebody must say yes first. {said} {way}")


def _sandbox(course: Course) -> Obstacle | None:
    return None if course.is_sandboxed else Obstacle(kind="clock", reason="the sandbox is trying it.")


def _nobody(memory: Memory, at: Instant) -> Obstacle | None:
    """The plan of the waves needs the fleet; edges that have just gone may be back at once."""
    if not memory.present():
        return Obstacle(kind="nobody", reason="no edge is connected: it waits for the first one.")
    away = [
        name for name, edge in memory.edges.items() if not edge.is_present and 0 <= at - edge.lost_at < stages.RETURN
    ]
    if away:
        return Obstacle(
            kind="absent", reason=f"{listed(away)} went away a moment ago; waves are planned without haste."
        )
    return None


def _stopped(memory: Memory, course: Course, at: Instant, *, is_promotion: bool = True) -> Obstacle | None:
    if course.paused_by:
        return Obstacle(
            kind="paused", reason=f"{' and '.join(course.paused_by)} paused it. To go on: seawall rollout resume."
        )
    if not is_promotion or course.is_emergency(at):
        return None
    frozen = frozen_because(memory.spec.freeze, memory.freezes, at)
    return Obstacle(kind="frozen", reason=frozen) if frozen else None


def _barrier(memory: Memory, course: Course, step: Step) -> Obstacle | None:
    if not memory.present() or not memory.carriers(course.candidate):
        return Obstacle(kind="nobody", reason="no edge is connected: it waits for the first one.")
    late = lagging(memory, course)
    if late:
        return Obstacle(
            kind="barrier",
            reason=f"{len(late)} of {len(step.edges) or len(late)} have not applied it yet: {listed(late)}.",
        )
    return None


def _clock(memory: Memory, course: Course, step: Step, at: Instant) -> Obstacle | None:
    left = minimum(memory, course, step, at) - step.watched
    return Obstacle(kind="clock", reason=f"{step.stage} takes {duration(left)} more.") if left > 0 else None


def _proof(memory: Memory, course: Course, step: Step, at: Instant) -> Obstacle | None:
    """Time alone proves nothing."""
    if step.stage in stages.WATCHED:
        if step.looked < 0:
            return Obstacle(kind="looks", reason="no counts have come from its edges: no data is no proof.")
        if step.watched - step.looked > stages.STALE_LOOK:
            old = step.watched - step.looked
            return Obstacle(kind="looks", reason=f"the last counts are {old:.0f} s old: no data is no proof.")
        if course.soft:
            return Obstacle(kind="gates", reason=f"the gates are not content: {' '.join(course.soft)}")
    if step.stage == "canary":
        wanted = course.policy.minimum_requests
        served = course.evidence.get("requests.new", 0.0)
        twice = 2 * minimum(memory, course, step, at)
        if served < wanted and step.watched < twice:
            said = f"the canary has served {served:.0f} of {wanted} requests; without them it takes {twice:.0f} s."
            return Obstacle(kind="requests", reason=said)
    away = [name for name, edge in memory.edges.items() if not edge.is_present and _is_planned(course, name)]
    if away and step.stage != "bake":
        return Obstacle(kind="absent", reason=_away(memory, away))
    return None


def _is_planned(course: Course, edge: str) -> bool:
    return any(edge in step.edges for step in course.steps)


def _away(memory: Memory, away: list[str]) -> str:
    regions = sorted({memory.edges[name].place.region or "(none)" for name in away})
    for region in regions:
        there = [edge for edge in memory.edges.values() if (edge.place.region or "(none)") == region]
        if len(there) > 1 and not any(edge.is_present for edge in there):
            return (
                f"all {len(there)} edges of region {region} are silent. They run what ran before, so the candidate is not "
                "blamed; nothing is promoted into an outage."
            )
    return f"{listed(away)} silent, on what ran before: the candidate is not blamed; it waits until they are back."
