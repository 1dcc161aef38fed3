"""Edges: what the edges say, and what that means for the rollout that is under way.

Pure: works on the machine's memory and answers with actions. What an edge that runs the candidate suffers is held against
the candidate; what any other edge suffers is not.
"""

from seawall.gateway.resources.perimeter import seconds
from seawall.kit.units import Instant
from seawall.rollout import stages
from seawall.rollout.course import fail, taste
from seawall.rollout.events import Action, Assign, EdgeApplied, EdgeDied, EdgePlace, EdgeRefused, Joined, Lost
from seawall.rollout.memory import Course, Edge, Memory, note, short


def joined(memory: Memory, event: Joined) -> list[Action]:
    """An edge is there (again): tell it what its place should run."""
    name = event.place.edge
    edge = memory.edges.get(name)
    said: list[Action] = []
    if edge is None:
        edge = memory.edges[name] = Edge(place=event.place, runs=event.bundle)
    else:
        edge.place, edge.is_present = event.place, True
        if event.bundle:
            said = _hear(memory, name, edge, event.bundle)
    edge.is_present = True
    _enrol(memory, name)
    wanted = target(memory, name)
    if wanted and (edge.assigned != wanted or edge.runs != wanted):
        return [*said[:1], _tell(memory, name, wanted, event.at)]
    return said


def lost(memory: Memory, event: Lost) -> list[Action]:
    """Silence. `rollout.course` holds it against the candidate where the edge has it and does not come back in time."""
    edge = memory.edges.get(event.edge)
    if edge is None or not edge.is_present:
        return []
    edge.is_present = False
    silence = seconds(memory.spec.rollout.gates.silence)
    edge.lost_at = event.heard_at or Instant(event.at - silence)
    return []


def applied(memory: Memory, event: EdgeApplied) -> list[Action]:
    """The barrier has passed on one edge; or Envoy there has refused a part."""
    edge, course = memory.edges.get(event.edge), memory.course
    if edge is None:
        return []
    said = _hear(memory, event.edge, edge, event.bundle)
    if not event.rejections:
        return said
    words = "; ".join(event.rejections[:3])
    if course is not None and course.is_staged and event.bundle == course.candidate:
        return [*said, *fail(memory, f"Envoy on {event.edge} refused a part: {words}.", event.at)]
    return [*said, note(f"Envoy on {event.edge} refused a part of {short(event.bundle)}: {words}.", *_where(course))]


def refused(memory: Memory, event: EdgeRefused) -> list[Action]:
    """An edge does not run what it was told, and keeps what it ran."""
    edge, course = memory.edges.get(event.edge), memory.course
    if edge is None or event.by == "fence":
        # An order older than the newest was sent twice; the newest stands.
        return []
    reason = f"the {event.by} of {event.edge} refused {short(event.bundle)}: {event.reason}"
    if event.by == "operator":
        edge.is_pinned = True
        return [note(f"{reason} The rollout goes on without this edge.", *_where(course))]
    if course is not None and event.bundle == course.candidate and (course.is_staged or event.by == "guardian"):
        if edge.runs == course.candidate:
            edge.runs = ""
        return fail(memory, reason, event.at)
    return [note(reason, *_where(course))]


def died(memory: Memory, event: EdgeDied) -> list[Action]:
    """Envoy died. Blame is with what it ran, not with what is under way elsewhere."""
    edge, course = memory.edges.get(event.edge), memory.course
    if edge is None:
        return []
    ran = event.bundle or edge.runs
    if course is not None and course.candidate in (ran, edge.runs):
        return fail(memory, f"Envoy on {event.edge} died: {event.reason}", event.at)
    said = f"Envoy on {event.edge} died on {short(ran)}: {event.reason}"
    if course is not None:
        said += " It does not run the candidate, which is not blamed."
    return [note(said, *_where(course))]


def target(memory: Memory, name: str) -> str:
    """Say what an edge should run now."""
    course = memory.course
    if memory.pin is not None:
        return memory.pin.bundle
    if course is None:
        return memory.running
    at = next((index for index, step in enumerate(course.steps) if name in step.edges), None)
    return course.candidate if at is not None and at <= course.index else course.base


def forget(memory: Memory, longest: float) -> None:
    """Strike out edges that went away long ago, while nothing is under way."""
    for name, edge in list(memory.edges.items()):
        if not edge.is_present and memory.at - edge.lost_at > longest:
            del memory.edges[name]


def place_of(memory: Memory, place: EdgePlace) -> str:
    """Say what an edge runs that nobody has seen yet: what its cell runs."""
    course = memory.course
    if memory.pin is not None or course is None:
        return memory.pin.bundle if memory.pin else memory.running
    index = _wave_of(memory, course, place)
    return course.candidate if index is not None and index <= course.index else course.base


def _enrol(memory: Memory, name: str) -> None:
    """A newcomer belongs to the wave of its cell, and so does an edge that was away when waves were planned. Before they are
    planned it belongs to none."""
    course = memory.course
    if course is None or any(name in step.edges for step in course.steps):
        return
    index = _wave_of(memory, course, memory.edges[name].place)
    if index is not None:
        course.steps[index].edges.append(name)


def _wave_of(memory: Memory, course: Course, place: EdgePlace) -> int | None:
    """The last wave that has an edge of the same cell, but never the canary; else the last of all."""
    last = next(index for index, step in enumerate(course.steps) if step.stage == "all")
    if not any(step.edges for step in course.steps) and course.index < last:
        return None
    for index in range(last, 0, -1):
        step = course.steps[index]
        if step.stage != "canary" and any(_is_mate(memory, name, place) for name in step.edges):
            return index
    return last


def _is_mate(memory: Memory, name: str, place: EdgePlace) -> bool:
    other = memory.edges.get(name)
    return (
        other is not None
        and name != place.edge
        and (other.place.region, other.place.cell) == (place.region, place.cell)
    )


def _hear(memory: Memory, name: str, edge: Edge, bundle: str) -> list[Action]:
    """Take in what an edge says that it runs. What nobody has told it, it is told again, once for each such word."""
    edge.runs = bundle
    if bundle == edge.assigned:
        edge.lie, edge.is_pinned = "", False
        return []
    if not _is_staged(memory):
        # Without stages a change is on its way before the machine hears of it.
        return []
    if edge.is_pinned or bundle in (edge.before, edge.lie) or bundle in memory.goods or not edge.assigned:
        return []
    edge.lie = bundle
    said = (
        f"{name} says that it runs {short(bundle)}, which nobody has told it to run; it is told {short(edge.assigned)} "
        "once more. If it goes on, look at that host."
    )
    return [note(said, *_where(memory.course)), _tell(memory, name, edge.assigned, memory.at)]


def _tell(memory: Memory, name: str, bundle: str, at: Instant) -> Assign:
    course = memory.course
    if course is not None and bundle == course.candidate:
        return memory.assign([name], bundle, course.step.stage, taste=taste(memory, course, at))
    return memory.assign([name], bundle, "join", taste=stages.taste("R1", memory.pace) if _is_staged(memory) else 0.0)


def _is_staged(memory: Memory) -> bool:
    return memory.course.is_staged if memory.course is not None else memory.spec.rollout.strategy == "staged"


def _where(course: Course | None) -> tuple[str, str]:
    return (course.rollout, course.step.stage) if course else ("", "")
