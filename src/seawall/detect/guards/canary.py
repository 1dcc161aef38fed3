"""P6: one edge first. Pure."""

from seawall.detect.guards.question import Answer, Guard, Question, capped, passed


def check(question: Question) -> Answer:
    """Let a scope whose canary has hurt good clients only be watched."""
    if question.scope in question.standing.aborted and question.rung > 1:
        return capped(1, "its canary has hurt good clients a short while ago")
    if question.rung <= 1:
        return passed("it refuses nobody: it needs no canary")
    edges = question.standing.edges
    where = f"on one edge of {len(edges)}" if len(edges) > 1 else "on a share of requests"
    return passed(f"it begins {where}, and goes on if nobody that is vouched for is hit")


GUARD = Guard(
    id="P6",
    title="canary",
    rule="A verdict acts on one edge, or on 5 % of requests, for a second before it acts everywhere.",
    where="`detect.stage` aborts it if more than 0.5 % of vouched requests are hit",
    check=check,
)
