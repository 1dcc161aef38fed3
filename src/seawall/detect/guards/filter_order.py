"""P10: a verdict never changes the order of filters. Pure."""

from typing import get_args

from seawall.detect.guards.question import Answer, Guard, Question, passed, refused
from seawall.detect.verdict import Kind

PLACE = "act"
"""The filter of the constant chain that does what verdicts say; it is a constant, too."""
FILLED: frozenset[Kind] = frozenset(get_args(Kind))


def check(question: Question) -> Answer:
    """Refuse an action that would need a filter of its own."""
    if question.action not in FILLED:
        return refused(f"{question.action} has no place in the chain of filters")
    return passed(f"{question.action} is done by the chain's {PLACE}; the order stays")


GUARD = Guard(
    id="P10",
    title="filter order",
    rule="The order of filters is a constant; verdicts change none of it.",
    where="a test holds the order of `envoy.filters` fast",
    check=check,
)
