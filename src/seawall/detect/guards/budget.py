"""P5: all automatic verdicts together may touch so much and no more. Pure."""

from seawall.detect.guards.question import Answer, Guard, Question, capped, passed, refused

ALARM = 0.8
SAFE_RUNG = 2


def check(question: Question) -> Answer:
    """Refuse what does not fit in the list; deny no more of a route's normal requests than the budget says."""
    standing, settings = question.standing, question.settings
    if standing.entries >= settings.most_entries:
        return refused(f"{standing.entries} verdicts are in force, {settings.most_entries} allowed")
    share = standing.denied.get(question.scope.route, 0.0) + question.impact
    if question.rung > SAFE_RUNG and share > settings.denied_share:
        return capped(
            SAFE_RUNG,
            f"all denies together would touch {share:.1%} of normal requests, {settings.denied_share:.1%} allowed",
        )
    full = standing.entries / settings.most_entries
    alarm = ": soon full" if full > ALARM else ""
    return passed(
        f"{standing.entries} of {settings.most_entries} verdicts{alarm}; denies touch {share:.2%} of normal requests"
    )


GUARD = Guard(
    id="P5",
    title="budget",
    rule="Denies touch at most 5 % of a route's normal requests together, and the list has an end.",
    where="`detect.ledger` bounds itself; the edge refuses an oversize list",
    check=check,
)
