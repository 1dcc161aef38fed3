"""P8: our own clients, asking again because we failed them, are no attack. Pure."""

from seawall.detect.guards.question import Answer, Guard, Question, capped, passed

KNOWN = 0.5
TIMES = 20.0
"""A client that asks more often than this many times a second does not merely retry."""


def check(question: Question) -> Answer:
    """Only watch known clients of a route that has failed them."""
    if question.rung < 2:
        return passed("it refuses nobody")
    storms = [one for one in question.twins if one.twin == "retry-storm"]
    storm = next((one for one in storms if not question.scope.route or one.scope.route == question.scope.route), None)
    if storm is None:
        return passed("no origin has failed its clients lately")
    looks = question.shape()
    if looks.known >= KNOWN and looks.busiest <= TIMES:
        return capped(1, f"{storm.reason}; {looks.known:.0%} of these are known clients: shed by priority instead")
    return passed(f"an origin fails, but only {looks.known:.0%} of these are known clients")


GUARD = Guard(
    id="P8",
    title="own retries",
    rule="Clients that retry because the origin failed are shed by priority, never banned.",
    where="`detect.detectors.retry_storm` names the route",
    check=check,
)
