"""P7: people who come at once are no attack. Pure."""

from seawall.detect.guards.question import Answer, Guard, Question, capped, passed

PEOPLE = 0.5
BESIDE = 0.3
"""Parts of pages that its clients fetch for each of its requests, all taken together. Of a sample, and where caches are warm, most
clients of a crowd are seen with a page and without its parts; together they are still seen with many. Who floods and would pass for
them has to fetch twice what the rule above asks of him."""
FEWEST = 20


def check(question: Question) -> Answer:
    """Only watch a scope whose clients fetch what their pages need."""
    if question.rung < 2:
        return passed("it refuses nobody")
    looks = question.shape()
    crowd = next(
        (one for one in question.twins if one.twin == "flash-crowd" and one.scope.contains(question.scope)), None
    )
    is_crowd = (
        looks.beside >= BESIDE and looks.clients >= FEWEST and looks.busiest <= question.sight.settings.client_floor
    )
    if looks.people < PEOPLE and not is_crowd:
        beside = ", beside a crowd of people" if crowd is not None else ""
        return passed(f"{looks.people:.0%} of its requests come from clients that fetch what pages need{beside}")
    said = f"{looks.people:.0%} of its requests come from clients that fetch what their pages need: people"
    if looks.people < PEOPLE:
        said = f"its {looks.clients} clients fetch {looks.beside:.1f} parts of pages for each of its requests: people"
    return capped(1, f"{said}; shed by priority instead")


GUARD = Guard(
    id="P7",
    title="flash crowd",
    rule="Who looks like people is shed by priority, not refused.",
    where="`detect.detectors.flash_crowd` names the route",
    check=check,
)
