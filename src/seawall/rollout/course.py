"""Course: one rollout from its proposal to its end.

Pure: works on the machine's memory and answers with actions. The page in one table:

    stage       begins with            ends when                                        fails when
    guards                             nobody refuses or holds                          a guard refuses
    sandbox     RunSandbox             SandboxFinished(passed)                          SandboxFinished(failed), silence
    canary…half Assign(wave, taste)    all applied, minimum time, looks, soft gates     death, refusal, NACK, silence,
    all         Assign(the rest)       all applied                                      a gate trips, the time limit
    bake                               minimum time, looks, soft gates → MarkGood       the same, but for the time limit

`rollout.obstacles` says what "ends when" lacks. Failure means rollback at once, without a person.
"""

from typing import Literal

import msgspec

from seawall.gateway.resources.perimeter import seconds
from seawall.kit.units import Instant, Seconds, duration
from seawall.rollout import stages, waves
from seawall.rollout.events import (
    Action,
    Counted,
    Decide,
    Finish,
    MarkGood,
    Proposed,
    Quarantine,
    RunSandbox,
)
from seawall.rollout.gates import Gates
from seawall.rollout.memory import MOST_SHOWN, Course, Memory, Step, listed, many, short
from seawall.rollout.obstacles import TIMELESS, is_tolerable, minimum, obstacle, silent, verdict

Outcome = Literal["completed", "rolled_back", "aborted", "refused", "superseded"]
SANDBOX_GRACE = 60.0
"""Beyond its limit a sandbox gets so long to come up and to go down; then it has failed."""


def begin(memory: Memory, proposal: Proposed, at: Instant) -> list[Action]:
    """Start a rollout of a proposal; its base is what runs."""
    is_staged = memory.spec.rollout.strategy == "staged"
    report = msgspec.structs.replace(proposal.report, differences=proposal.report.differences[:MOST_SHOWN])
    for edge in memory.edges.values():
        edge.assigned = edge.assigned or memory.running
    memory.course = Course(
        rollout=proposal.rollout,
        candidate=report.candidate,
        base=memory.running,
        report=report,
        author=proposal.author,
        reason=proposal.reason,
        is_staged=is_staged,
        begun_at=at,
        steps=[Step(stage=stage) for stage in stages.STAGES],
        emergency_until=memory.urgent_until if memory.urgent == proposal.rollout else Instant(0.0),
        policy=memory.spec.rollout.gates,
    )
    memory.urgent = ""
    memory.course.step.state = "running"
    memory.course.step.began_at = at
    how = f"in stages, as {report.risk}" if is_staged else "at once (strategy: immediate)"
    said = f"{short(report.candidate)} instead of {short(memory.running)}, {how}, by {proposal.author}."
    return [_decide(memory.course, "begin", f"{said} {' '.join(report.why)}".strip())]


def go_on(memory: Memory, at: Instant) -> list[Action]:
    """Take the present rollout as far as it may go now."""
    actions: list[Action] = []
    while (course := memory.course) is not None:
        if stopped := _failure(memory, course, at):
            return [*actions, *stopped]
        found = obstacle(memory, course, at)
        if found is None:
            course.held = course.held_because = ""
            actions += _advance(memory, course, at)
            continue
        course.held_because = found.reason
        if course.held != found.kind:
            course.held = found.kind
            if found.is_hold:
                actions.append(_decide(course, "hold", found.reason, course.evidence))
        break
    return actions


def look(memory: Memory, event: Counted) -> list[Action]:
    """Weigh what both arms have counted."""
    course = memory.course
    if course is None or course.rollout != event.rollout or not course.is_staged or course.gates is None:
        return []
    gates = Gates.restore(course.policy, course.gates)
    found = gates.look(event.new, event.old, event.at)
    course.gates = gates.state()
    course.soft, course.evidence = found.holding, found.evidence
    if found.tripped:
        said = " ".join(f"gate {trip.gate}: {trip.reason}" for trip in found.tripped)
        return fail(memory, said, event.at)
    if event.new.edges:
        course.step.looked = course.step.watched
    return []


def fail(memory: Memory, reason: str, at: Instant) -> list[Action]:
    """The candidate has failed: go back, wherever it is. With nothing to go back to, all that can be done is to say so."""
    course = memory.course
    if course is None:
        return []
    if not _has_way_back(memory, course) and any(each.runs == course.candidate for each in memory.edges.values()):
        step = course.step
        step.watched, step.looked = Seconds(0.0), Seconds(-1.0)
        said = f"{reason} There is no version to go back to, so it stays; its bake begins anew."
        told, step.note = step.note, "it has failed, and there is no version to go back to"
        return [_decide(course, "hold", said, course.evidence)] if told != step.note else []
    return roll_back(memory, reason, at)


def roll_back(
    memory: Memory, reason: str, at: Instant, outcome: Literal["rolled_back", "aborted"] = "rolled_back"
) -> list[Action]:
    """Bring every edge that has the candidate back to what ran before, all at once."""
    course = memory.course
    if course is None:
        return []
    back = course.base or (memory.goods[0] if memory.goods else "")
    had = memory.carriers(course.candidate)
    memory.block(course.candidate, course.rollout, reason)
    memory.running = back
    actions: list[Action] = []
    if had and back:
        said = f"{reason} Back to {short(back)} on {many(had)}: {listed(had)}."
        actions = [_decide(course, "roll_back", said, course.evidence), memory.assign(had, back, "rollback")]
    elif had:
        said = f"{reason} There is no version to go back to."
        actions = [_decide(course, "roll_back", said, course.evidence)]
    else:
        actions = [_decide(course, "refuse", f"{reason} No edge has had it.", course.evidence)]
    if outcome == "rolled_back":
        actions += _quarantine(memory, course, reason)
    over: Outcome = outcome if had or outcome == "aborted" else "refused"
    return [*actions, _finish(memory, course, over, reason, at)]


def complete(memory: Memory, reason: str, at: Instant, *, is_good: bool) -> list[Action]:
    """It runs everywhere. Only a bake that was watched to its end makes it last-known-good."""
    course = memory.course
    if course is None:
        return []
    memory.running = course.candidate
    actions: list[Action] = [_decide(course, "complete", reason, course.evidence)]
    if is_good:
        kept = [each for each in memory.goods if each != course.candidate]
        memory.goods = [course.candidate, *kept][: memory.spec.rollout.keep]
        actions.append(MarkGood(bundle=course.candidate))
    return [*actions, _finish(memory, course, "completed", reason, at)]


def supersede(memory: Memory, by: str, at: Instant) -> list[Action]:
    """Something newer takes its place. What has reached edges stays on them: it is what runs now."""
    course = memory.course
    if course is None:
        return []
    if memory.carriers(course.candidate) or course.step.stage in ("all", "bake"):
        memory.running = course.candidate
    reason = f"{by} has taken its place before it was proven; it is not last-known-good."
    return [_finish(memory, course, "superseded", reason, at)]


def again(course: Course, memory: Memory, at: Instant) -> list[Action]:
    """Say once more what is still wished for: after a restart, somebody else carries it out."""
    if course.step.stage == "sandbox" and not course.is_sandboxed:
        return [_run_sandbox(memory, course, at)]
    return []


def _advance(memory: Memory, course: Course, at: Instant) -> list[Action]:
    """End this stage and begin the next one that has anything to do."""
    step = course.step
    step.state = "done"
    if step.stage == "bake":
        said = f"{short(course.candidate)} has baked for {duration(step.watched)}: it is last-known-good now."
        return complete(memory, said, at, is_good=True)
    actions: list[Action] = []
    if step.stage == "sandbox" or (step.stage == "guards" and not course.is_staged):
        actions += _plan(memory, course)
    course.index += 1
    while course.step.stage in stages.WAVES[:-1] and not course.step.edges:
        course.step.state = "skipped"
        course.index += 1
    return [*actions, *_enter(memory, course, at)]


def _plan(memory: Memory, course: Course) -> list[Action]:
    places = tuple(memory.edges[name].place for name in memory.present())
    if not course.is_staged:
        for step in course.steps[1:-2]:
            step.state, step.note = "skipped", "strategy: immediate"
        course.steps[-2].edges = sorted(place.edge for place in places)
        course.index = len(course.steps) - 3
        return []
    made = waves.plan(places, memory.spec.regions, course.report.risk, is_first=not course.base)
    course.control = made.control
    for wave in made.waves:
        step = next(each for each in course.steps if each.stage == wave.stage)
        step.edges, step.note = list(wave.edges), wave.note
    skipped = [f"{wave.stage} ({wave.note})" for wave in made.waves if not wave.edges]
    said = [*made.notes, *((f"skipped: {', '.join(skipped)}",) if skipped and not made.notes else ())]
    return [_decide(course, "note", f"{each}.") for each in said]


def _enter(memory: Memory, course: Course, at: Instant) -> list[Action]:
    step = course.step
    step.state, step.began_at = "running", at
    if course.is_staged and step.stage in (*stages.WAVES, "bake"):
        gates = Gates(course.policy) if course.gates is None else Gates.restore(course.policy, course.gates)
        gates.begin(step.stage)
        course.gates = gates.state()
        course.soft = ()
    match step.stage:
        case "sandbox":
            return [
                _decide(course, "advance", "the guards let it pass; a sandbox tries it."),
                _run_sandbox(memory, course, at),
            ]
        case "bake":
            left = minimum(memory, course, step, at)
            said = f"every edge has it. It bakes for {duration(left)} before it counts as last-known-good."
            return [_decide(course, "advance", said)]
        case _:
            return _begin_wave(memory, course, step, at)


def _begin_wave(memory: Memory, course: Course, step: Step, at: Instant) -> list[Action]:
    """Tell the wave's edges. One that is away now is told when it is back."""
    there = [name for name in step.edges if memory.edges[name].is_present]
    said = f"{step.stage}: {many(there)} take {short(course.candidate)}: {listed(there)}."
    if step.stage == "canary" and course.control:
        said += f" Control: {course.control}."
    told = memory.assign(there, course.candidate, step.stage, taste=taste(memory, course, at))
    return [_decide(course, "advance", said), *([told] if there else [])]


def taste(memory: Memory, course: Course, at: Instant) -> float:
    """Say how long a taster must live with the candidate; without stages there is none."""
    if not course.is_staged:
        return 0.0
    return stages.taste(course.tempo, memory.pace, is_emergency=course.is_emergency(at))


def _run_sandbox(memory: Memory, course: Course, at: Instant) -> RunSandbox:
    long = minimum(memory, course, course.steps[1], at)
    return RunSandbox(rollout=course.rollout, base=course.base, candidate=course.candidate, seconds=long)


def _failure(memory: Memory, course: Course, at: Instant) -> list[Action]:
    """What fails by itself: a guard's refusal, silence, time."""
    step = course.step
    if step.stage == "guards":
        return _refused(memory, course, at)
    if not course.is_staged:
        return []
    if not _has_way_back(memory, course) and memory.carriers(course.candidate):
        return []
    silence = seconds(course.policy.silence)
    gone = silent(memory, course, silence, at)
    if gone and not is_tolerable(memory, course, gone):
        return fail(memory, f"silence: {listed(gone)} with the candidate not heard of for {silence:.0f} s.", at)
    return _overdue(memory, course, step, at)


def _overdue(memory: Memory, course: Course, step: Step, at: Instant) -> list[Action]:
    found = obstacle(memory, course, at)
    if found is None or found.kind in TIMELESS:
        return []
    longest = stages.limit(step.stage, course.tempo, memory.pace, is_emergency=course.is_emergency(at))
    if step.stage == "sandbox":
        longest = Seconds(longest + SANDBOX_GRACE)
    if step.waited <= longest:
        return []
    if step.stage == "bake":
        if found.kind == "clock":
            return []
        said = (
            f"the bake could not come to an end in {longest:.0f} s: {found.reason} It runs everywhere, but it is not "
        )
        return complete(memory, f"{said}last-known-good.", at, is_good=False)
    return fail(
        memory, f"{step.stage} could not be decided in {longest:.0f} s: {found.reason} Time never promotes.", at
    )


def _has_way_back(memory: Memory, course: Course) -> bool:
    return bool(course.base or memory.goods)


def _refused(memory: Memory, course: Course, at: Instant) -> list[Action]:
    word, who = verdict(memory, course.report, at)
    if word != "refuse":
        return []
    said = " ".join(f"{one.guard} ({one.title}): {one.message} {one.remedy}".strip() for one in who)
    return [_decide(course, "refuse", said), _finish(memory, course, "refused", said, at)]


def _quarantine(memory: Memory, course: Course, reason: str) -> list[Action]:
    """Suspect the riskiest differences. Of those the newest are held (`app.deliver` knows which), so that the rest goes on."""
    differences = course.report.differences
    if not memory.spec.rollout.quarantine or not differences:
        return []
    worst = max(each.risk for each in differences)
    suspects = dict.fromkeys(origin for each in differences if each.risk == worst for origin in each.origins)
    known = {*course.report.origins, *(origin for each in differences for origin in each.origins)}
    are_all = known <= set(suspects)
    if not suspects or (are_all and len(suspects) == 1):
        return []
    return [
        Quarantine(rollout=course.rollout, base=course.base, origins=tuple(suspects), reason=reason, are_all=are_all)
    ]


def _decide(
    course: Course,
    decision: Literal["begin", "advance", "hold", "roll_back", "complete", "refuse", "queue", "note"],
    reason: str,
    evidence: dict[str, float] | None = None,
) -> Decide:
    return Decide(
        rollout=course.rollout, stage=course.step.stage, decision=decision, reason=reason, evidence=evidence or {}
    )


def _finish(
    memory: Memory,
    course: Course,
    outcome: Outcome,
    reason: str,
    at: Instant,
) -> Finish:
    memory.course = None
    finish = Finish(rollout=course.rollout, outcome=outcome, reason=reason)
    return memory.finish(finish, course.candidate, course.base, at)
