"""G2: what has never run here is switched on by stages. Pure."""

from seawall.rollout.guards.question import Guard, Objection, Question, blamed, listed


def check(question: Question) -> Objection | None:
    """Hold a kind of filter that is new to this perimeter where no stages follow and several edges would take it."""
    if question.facts.is_first or question.is_staged:
        return None
    new = [one for one in question.facts.new_filters if one.kind not in question.known_filters]
    if not new:
        return None
    kinds = listed(tuple(dict.fromkeys(one.kind for one in new)))
    origins = tuple(dict.fromkeys(each for one in new for each in one.origins))
    return Objection(
        verdict=question.unstaged,
        message=f"{kinds} has never run on this perimeter, and would start on every edge at once{blamed(origins)}.",
        remedy="Use strategy: staged, or attach it to one tenant's Gateway first; or promote it.",
    )


GUARD = Guard(
    id="G2",
    title="new features by stage",
    rule="A kind of filter that never ran on this perimeter goes out by stages, even if its code shipped long ago.",
    where="`rollout.conductor` stages it",
    outage="Google Cloud June 2025 and Fastly 2021: code that had shipped weeks before woke up everywhere at once.",
    check=check,
)
