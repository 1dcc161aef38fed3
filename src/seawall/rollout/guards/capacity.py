"""G20: the peak must fit with the largest region lost. Pure."""

from collections import Counter

from seawall.rollout.guards.question import Guard, Objection, Question

RETRIES = 2.0
"""When a region is lost, clients try again: so many times the load."""


def check(question: Question) -> Objection | None:
    """Hold a change while the fleet would not survive the loss of a region: not the time to change anything."""
    capacity = question.spec.capacity
    if capacity is None or not question.edges:
        return None
    peak = capacity.peak_requests_per_second or question.peak
    if peak is None:
        return None
    regions = Counter(one.region for one in question.edges)
    region, lost = regions.most_common(1)[0] if len(regions) > 1 else ("", 0)
    left = len(question.edges) - lost
    room = left * capacity.requests_per_second_per_edge
    if RETRIES * peak <= room:
        return None
    without = f"without region {region} " if lost else ""
    return Objection(
        verdict="hold",
        message=f"The peak of {peak:g} requests/s, doubled by retries, needs {RETRIES * peak:g}; {without}"
        f"{left} edges carry {room:g}.",
        remedy="Add edges, or correct spec.capacity of the Perimeter.",
    )


GUARD = Guard(
    id="G20",
    title="capacity",
    rule="The peak fits with the largest region lost and retries doubled.",
    where="static, before each rollout",
    outage="Spotify 2025: one region was left, and the clients' retries with it.",
    check=check,
)
