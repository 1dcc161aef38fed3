"""P2: who is never touched, and who is never denied without a person. Pure."""

from seawall.detect.guards.question import Answer, Guard, Question, capped, passed, refused

SAFE_RUNG = 2
MOST_VOUCHED = 0.01


def check(question: Question) -> Answer:
    """Refuse what is allow-listed; keep denies away from the protected set and from whom somebody vouches for."""
    for one in (*question.settings.allow, *question.standing.allowed):
        if one.contains(question.scope):
            return refused(f"{one} is allowed by policy or by a person")
    if question.rung <= SAFE_RUNG:
        return passed("it denies nobody")
    for one in question.settings.protected:
        if one.contains(question.scope):
            return capped(SAFE_RUNG, f"{one} is protected: to deny it, a person has to say so")
    vouched = question.shape().vouched
    if vouched > MOST_VOUCHED:
        return capped(
            SAFE_RUNG, f"{vouched:.0%} of its requests have a valid token, a login or a verified bot's address"
        )
    return passed("nobody in it is protected")


GUARD = Guard(
    id="P2",
    title="protected set",
    rule="What is allow-listed is never touched; verified bots, valid keys and logins are never denied without a person.",
    where="the data plane looks at allows before all else but a person's deny",
    check=check,
)
