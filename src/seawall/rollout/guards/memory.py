"""G7: the heap must fit into what the edge really has. Pure."""

from seawall.gateway.resources.perimeter import bytes_of
from seawall.rollout.guards.question import Guard, Objection, Question, listed

SHARE = 0.80
SPARE = 256 << 20


def allowed(limit: int) -> int:
    """How much heap an edge with this live limit may be given: 0.8 of it, and 256 MiB must be left."""
    return min(int(SHARE * limit), limit - SPARE)


def check(question: Question) -> Objection | None:
    """Refuse a heap that some edge cannot hold."""
    wanted = question.spec.memory.max_heap
    if wanted is None:
        return None
    heap = bytes_of(wanted)
    tight = [one for one in question.edges if one.memory_limit and heap > allowed(one.memory_limit)]
    if not tight:
        return None
    smallest = min(one.memory_limit for one in tight)
    names = listed(tuple(f"{one.name} (limit {one.memory_limit >> 20} MiB)" for one in tight))
    room = allowed(smallest) >> 20
    what = f"Set spec.memory.maxHeap to {room}Mi or less" if room > 0 else "Give the edges more memory"
    return Objection(
        verdict="refuse",
        message=f"The Perimeter's maxHeap of {heap >> 20} MiB does not fit on {names}: it would be killed under load.",
        remedy=f"{what}, or leave it out: each edge then takes what its own limit allows.",
    )


GUARD = Guard(
    id="G7",
    title="memory",
    rule="max_heap ≤ 0.80 × the edge's live limit and ≤ limit − 256 MiB.",
    where="`envoy.bootstrap` sets the overload actions; `agent` reads the live cgroup and will not start without room",
    outage="Spotify 2025: the heap limit was above the container's, so that each Envoy was killed as it came back.",
    check=check,
)
