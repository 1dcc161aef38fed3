"""P7: people who come at once are no attack. Pure."""

from seawall.detect.guards.question import Answer, Guard, Question, capped, passed

PEOPLE = 0.5


def check(question: Question) -> Answer:
    """Only watch a scope whose clients fetch what their pages need."""
    if question.rung < 2:
        return passed("it refuses nobody")
    looks = question.shape()
    crowd = next(
        (one for one in question.twins if one.twin == "flash-crowd" and one.scope.contains(question.scope)), None
    )
    if looks.people < PEOPLE:
        beside = ", beside a crowd of people" if crowd is not None else ""
        return passed(f"{looks.people:.0%} of its requests come from clients that fetch what pages need{beside}")
    said = f"{looks.people:.0%} of its requests come from clients that fetch what their pages need: people"
    return capped(1, f"{said}; shed by priority instead")


GUARD = Guard(
    id="P7",
    title="flash crowd",
    rule="Who looks like people is shed by priority, not refused.",
    where="`detect.detectors.flash_crowd` names the route",
    check=check,
)
