"""P9: every verdict ends by itself, also when nobody is left to end it. Pure."""

from math import isfinite

from seawall.detect.guards.question import Answer, Guard, Question, passed, refused
from seawall.detect.ladder import LONGEST


def check(question: Question) -> Answer:
    """Refuse a verdict without an end, or with one too far away."""
    if not isfinite(question.expires) or not 0 < question.ttl <= LONGEST:
        return refused("it has no end within a day")
    return passed(f"it ends by itself after {question.ttl:.0f} s, in the data plane too")


GUARD = Guard(
    id="P9",
    title="dead man",
    rule="A verdict carries its end into the data plane.",
    where="`envoy` compares the time of each request with it",
    check=check,
)
