"""G3: there is one path. Pure."""

from seawall.rollout.guards.question import Guard, Objection, Question


def check(question: Question) -> Objection | None:
    """Refuse what was neither built here nor signed by a key that we trust."""
    came = question.provenance
    if came.is_built_here or came.key in came.trusted:
        return None
    by = f"by the key {came.key[:16]}…, which is not trusted here" if came.key else "by nobody"
    return Objection(
        verdict="refuse",
        message=f"The bundle {question.report.candidate[:12]} was not built here and is signed {by}.",
        remedy="Change the manifests: what is built from them is signed. No other way leads to the edges.",
    )


GUARD = Guard(
    id="G3",
    title="one path",
    rule="Nothing goes out that we have not built from the manifests, or that a trusted key has not signed.",
    where="`agent` refuses the unsigned and what is older than its fence",
    outage="Azure 9 Oct 2025 (by hand past the guard), Cloudflare Dec 2025 (a second, instant path).",
    check=check,
    is_liftable=False,
)
