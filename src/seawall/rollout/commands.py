"""Commands: what people say to the rollout machine, and what becomes of it.

Pure: works on the machine's memory and answers with actions. Every command gets one Answer: a sentence for whoever gave it.
What cannot be obeyed raises RefusedError with that sentence, and changes nothing.
"""

from typing import assert_never

import msgspec

from seawall.rollout import requests
from seawall.rollout.change import Override
from seawall.rollout.course import complete, roll_back
from seawall.rollout.events import Action, Answer, Commanded, Compare, Finish
from seawall.rollout.freeze import Freeze, frozen_because
from seawall.rollout.memory import MOST_OVERRIDES, Course, Memory, Pin, note, short
from seawall.rollout.obstacles import verdict
from seawall.rollout.requests import RefusedError

SHORTEST_NAME = 6
"""A bundle may be named by so many of its first digits."""


def command(memory: Memory, event: Commanded) -> list[Action]:
    """Obey, or say why not."""
    try:
        if event.verb == "approve":
            memory.requests, approved = requests.approve(memory.requests, event)
            said, actions = _obey(memory, approved)
            return [*actions, _answer(event, f"approved: {said}", request=event.request)]
        if requests.is_needed(memory.spec.approvals, event):
            return _ask(memory, event)
        said, actions = _obey(memory, event)
    except RefusedError as exc:
        return [_answer(event, str(exc), is_accepted=False)]
    return [*actions, _answer(event, said)]


def _ask(memory: Memory, event: Commanded) -> list[Action]:
    _check(memory, event)
    memory.asked += 1
    memory.requests, request = requests.ask(memory.requests, memory.asked, event)
    said = f"{event.verb} needs a second person. Somebody else says: seawall rollout approve {request.id}."
    told = f"{event.who} asks to {event.verb}: {event.reason or 'no reason given'}. It waits as {request.id}."
    return [note(told, event.rollout), _answer(event, said, request=request.id)]


def _check(memory: Memory, event: Commanded) -> None:
    """What is said in a hurry and lifts a guard says why, and when it ends."""
    if event.verb not in ("emergency", "override"):
        return
    until = event.override.until if event.override is not None else event.until
    if not event.reason and not (event.override and event.override.reason):
        raise RefusedError(f"{event.verb} needs a reason: it will be read when somebody asks why.")
    if until <= event.at:
        raise RefusedError(f"{event.verb} needs a time in the future at which it ends.")


def _obey(memory: Memory, event: Commanded) -> tuple[str, list[Action]]:
    match event.verb:
        case "promote":
            return _promote(memory, event)
        case "pause" | "resume":
            return _pause(memory, event)
        case "abort":
            course = _course(memory, event)
            reason = f"{event.who} has aborted it: {event.reason or 'no reason given'}."
            return f"{course.rollout} is aborted.", roll_back(memory, reason, event.at, "aborted")
        case "back":
            return _back(memory, event)
        case "unpin":
            return _unpin(memory, event)
        case "override":
            return _override(memory, event)
        case "freeze":
            return _freeze(memory, event)
        case "thaw":
            return _thaw(memory, event)
        case "emergency":
            return _emergency(memory, event)
        case "approve":
            raise RefusedError("an approval approves a request; it cannot be one.")
        case _:
            assert_never(event.verb)


def _promote(memory: Memory, event: Commanded) -> tuple[str, list[Action]]:
    """Skip what is left of a wait, let it pass guards that hold, or try once more what has failed."""
    course = memory.course
    if event.rollout and (course is None or course.rollout != event.rollout):
        return _retry(memory, event)
    course = _course(memory, event)
    frozen = frozen_because(memory.spec.freeze, memory.freezes, event.at)
    if frozen and not course.is_emergency(event.at):
        raise RefusedError(f"{frozen} To promote all the same, thaw it first, or declare an emergency.")
    match course.step.stage:
        case "guards":
            course.allowed_by = event.who
            said = f"{event.who} lets {course.rollout} pass the guards that hold."
        case "sandbox":
            raise RefusedError("the sandbox cannot be skipped; it ends by itself.")
        case "bake":
            said = f"{event.who} has ended the bake of {course.rollout}: it stays, but it is not last-known-good."
            return said, complete(memory, said, event.at, is_good=False)
        case _:
            course.step.is_hurried = event.who
            said = f"{event.who} skips the rest of the wait in {course.step.stage}. All edges of it must have applied."
    return said, [note(said, course.rollout, course.step.stage)]


def _retry(memory: Memory, event: Commanded) -> tuple[str, list[Action]]:
    found = next(
        (
            (bundle, each)
            for bundle, each in memory.blocked.items()
            if event.rollout == each.rollout or _is_name(event.rollout, bundle)
        ),
        None,
    )
    if found is None:
        raise RefusedError(f"there is no rollout {event.rollout} that is under way or that failed.")
    bundle, blocked = found
    del memory.blocked[bundle]
    memory.retries += 1
    rollout = f"{blocked.rollout or short(bundle)}.{memory.retries + 1}"
    said = f"{event.who} has {short(bundle)} tried once more, as {rollout}. It had failed: {blocked.reason}"
    return said, [note(said, rollout), Compare(rollout=rollout, base=memory.running, candidate=bundle)]


def _pause(memory: Memory, event: Commanded) -> tuple[str, list[Action]]:
    """Whoever paused it takes back that word only; the `resume` of somebody else counts for all."""
    course = _course(memory, event)
    others = [each for each in course.paused_by if each != event.who]
    if event.verb == "pause":
        course.paused_by = [*others, event.who]
    else:
        course.paused_by = others if event.who in course.paused_by else []
    word = "paused" if event.verb == "pause" else "resumed"
    still = f" {' and '.join(course.paused_by)} paused it, too." if course.paused_by and event.verb == "resume" else ""
    said = f"{event.who} has {word} {course.rollout}{f': {event.reason}' if event.reason else ''}.{still}"
    return said, [note(said, course.rollout, course.step.stage)]


_WHOLE_NAME = 32


def _back(memory: Memory, event: Commanded) -> tuple[str, list[Action]]:
    """The big red button: every edge, at once, to a proven bundle. It stays there until somebody unpins it."""
    bundle = _good(memory, event.bundle)
    everywhere = _everywhere(memory)
    if bundle == everywhere and memory.course is None:
        raise RefusedError(f"every edge runs {short(bundle)} already; nothing was done.")
    actions: list[Action] = []
    reason = f"{event.who} went back to {short(bundle)}: {event.reason or 'no reason given'}."
    course = memory.course
    if course is not None:
        memory.course = None
        memory.block(course.candidate, course.rollout, reason)
        finish = Finish(rollout=course.rollout, outcome="aborted", reason=reason)
        actions.append(memory.finish(finish, course.candidate, course.base, event.at))
    elif memory.running not in ("", bundle):
        memory.block(memory.running, _rollout_of(memory, memory.running), reason)
    memory.blocked.pop(bundle, None)
    memory.pin = Pin(bundle=bundle, who=event.who, reason=event.reason, at=event.at)
    memory.running = bundle
    said = (
        f"all {len(memory.edges)} edges go back to {short(bundle)} and stay there. Afterwards: seawall rollout unpin."
    )
    return said, [memory.assign(list(memory.edges), bundle, "back"), *actions, note(reason, stage="back")]


def _good(memory: Memory, wanted: str) -> str:
    """Choose what to go back to: what was named; else the newest proven one before what runs everywhere."""
    kept = ", ".join(short(each) for each in memory.goods) or "none"
    if wanted:
        found = [each for each in memory.goods if _is_name(wanted, each)]
        if len(found) == 1:
            return found[0]
        if len(wanted) == _WHOLE_NAME:
            # Any version that the history keeps; whoever asks has looked it up there.
            return wanted
        raise RefusedError(f"{wanted} is not the name of one proven bundle; kept are: {kept}.")
    everywhere = _everywhere(memory)
    later = memory.goods.index(everywhere) + 1 if everywhere in memory.goods else 0
    # What somebody has just gone back from is blocked: pressing twice must not return to it.
    proven = [each for each in memory.goods[later:] if each not in memory.blocked]
    if proven:
        return proven[0]
    if before := _before(memory):
        return before
    raise RefusedError(f"there is no version to go back to; proven are: {kept}.")


def _before(memory: Memory) -> str:
    """Name what ran before, where nothing has baked for long enough to be proven."""
    if memory.course is not None:
        return memory.course.base
    return next((each.base for each in reversed(memory.finished) if each.candidate == memory.running and each.base), "")


def _everywhere(memory: Memory) -> str:
    """Name the bundle that every edge was told to run; empty if there is no such."""
    told = {edge.assigned for edge in memory.edges.values()} or {memory.running}
    return told.pop() if len(told) == 1 else ""


def _unpin(memory: Memory, event: Commanded) -> tuple[str, list[Action]]:
    if memory.pin is None:
        raise RefusedError("nothing is pinned.")
    said = f"{event.who} has unpinned {short(memory.pin.bundle)}. It runs on, and changes may go out again."
    memory.pin = None
    return said, [note(said)]


def _override(memory: Memory, event: Commanded) -> tuple[str, list[Action]]:
    _check(memory, event)
    if event.override is None or not event.override.guard:
        raise RefusedError("override needs the name of a guard.")
    given = event.override
    lifted: Override = msgspec.structs.replace(given, who=event.who, reason=given.reason or event.reason)
    memory.overrides = [*memory.overrides, lifted][-MOST_OVERRIDES:]
    said = f"{event.who} overrides guard {lifted.guard}: {lifted.reason}"
    course = memory.course
    if course is not None and course.step.stage == "guards" and verdict(memory, course.report, event.at)[0] == "pass":
        said += f" Nothing holds {course.rollout} any more."
    return said, [note(said, course.rollout if course else "", "guards")]


def _freeze(memory: Memory, event: Commanded) -> tuple[str, list[Action]]:
    if event.until and event.until <= event.at:
        raise RefusedError("a freeze ends in the future, or when somebody thaws it.")
    freeze = Freeze(who=event.who, reason=event.reason, begun_at=event.at, until=event.until)
    memory.freezes = [*memory.freezes, freeze][-MOST_OVERRIDES:]
    said = f"{frozen_because((), [freeze], event.at)} Rollbacks still happen."
    return said, [note(said)]


def _thaw(memory: Memory, event: Commanded) -> tuple[str, list[Action]]:
    if not memory.freezes:
        window = frozen_because(memory.spec.freeze, [], event.at)
        way = f"{window} It stands in the Perimeter: change it there." if window else "nothing is frozen."
        raise RefusedError(way)
    memory.freezes = []
    said = f"{event.who} has thawed the perimeter{f': {event.reason}' if event.reason else ''}."
    return said, [note(said)]


def _emergency(memory: Memory, event: Commanded) -> tuple[str, list[Action]]:
    """Shorter clocks on the same way: the taster and the canary stay."""
    _check(memory, event)
    waiting = memory.waiting
    if waiting is not None and event.rollout == waiting.rollout and memory.course is not None:
        course = memory.course
        if course.step.stage != "bake":
            raise RefusedError(f"{course.rollout} is under way; abort it first, or wait until it bakes.")
        actions = complete(memory, f"an emergency ends its bake: {event.reason}.", event.at, is_good=False)
        memory.urgent, memory.urgent_until = waiting.rollout, event.until
        said = (
            f"{course.rollout} stays, not proven; {waiting.rollout} begins with short clocks. Taster and canary stay."
        )
        return said, actions
    course = _course(memory, event)
    course.emergency_until = event.until
    said = f"{event.who}: emergency for {course.rollout}: {event.reason}. Clocks are short; taster and canary stay."
    return said, [note(said, course.rollout, course.step.stage)]


def _course(memory: Memory, event: Commanded) -> Course:
    course = memory.course
    if course is None:
        raise RefusedError(f"there is nothing to {event.verb}: no rollout is under way.")
    if event.rollout and event.rollout != course.rollout:
        raise RefusedError(f"{event.rollout} is not under way; {course.rollout} is.")
    return course


def _rollout_of(memory: Memory, bundle: str) -> str:
    return next((each.rollout for each in memory.finished if each.candidate == bundle), "")


def _is_name(said: str, bundle: str) -> bool:
    return said == bundle or (len(said) >= SHORTEST_NAME and bundle.startswith(said))


def _answer(event: Commanded, reason: str, *, is_accepted: bool = True, request: str = "") -> Answer:
    return Answer(
        who=event.who,
        verb=event.verb,
        is_accepted=is_accepted,
        reason=reason,
        rollout=event.rollout,
        request=request,
    )
