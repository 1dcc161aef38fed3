"""G17: our own interface must work when everybody wants it. Pure."""

from seawall.rollout.guards.question import Guard, Objection, Question


def check(question: Question) -> Objection | None:
    """Warn where one client may take all, or nothing is kept for operators."""
    api = question.api
    if api.requests_per_second > 0 and 0 < api.operator_share < 1:
        return None
    return Objection(
        verdict="warn",
        message="The control interface has no limit for one client, or keeps nothing free for operators.",
        remedy="Set both: in an outage everybody asks at once, and the one who mends it must get through.",
    )


GUARD = Guard(
    id="G17",
    title="limits of our own interface",
    rule="Each client has a limit, and a part is kept for operators.",
    where="`server.admission` for edges; the control socket is open to its owner alone",
    outage="Cloudflare Sept 2025: a dashboard's retries overwhelmed the API that would have mended it.",
    check=check,
)
