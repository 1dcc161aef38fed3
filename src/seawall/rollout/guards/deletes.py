"""G11: deleting much at once is seldom meant. Pure."""

from seawall.gateway.resources.perimeter import DeleteBudget
from seawall.rollout.guards.question import Guard, Objection, Question, Removed, listed


def budget(total: int, of: DeleteBudget) -> int:
    """How many of so many may go at once: the percentage or the number, whichever is more."""
    return max(of.items, int(total * of.percent / 100))


def check(question: Question) -> Objection | None:
    """Refuse a change that was compared with something else than what runs; hold one that removes too much."""
    stated = question.provenance.stated_base
    if stated and stated != question.report.base:
        return Objection(
            verdict="refuse",
            message=f"The change was made against {stated[:12]}, but {question.report.base[:12]} runs now.",
            remedy="Compare again (seawall diff) and send it once more.",
        )
    spent = [
        one for one in question.facts.removed if len(one.names) > budget(one.total, question.spec.guards.delete_budget)
    ]
    if not spent:
        return None
    return Objection(
        verdict="hold",
        message=f"The change removes {'; '.join(_told(one, question) for one in spent)}.",
        remedy="They stay until somebody says that it is meant: seawall rollout override G11 --reason WHY.",
        keep=tuple(dict.fromkeys(ref for one in spent for ref in one.refs)),
    )


def _told(one: Removed, question: Question) -> str:
    allowed = budget(one.total, question.spec.guards.delete_budget)
    return f"{len(one.names)} of {one.total} {one.kind}, {allowed} may go at once: {listed(one.names)}"


GUARD = Guard(
    id="G11",
    title="delete budget",
    rule="At most 10 % or 5 of the hosts, listeners, clusters, the larger, go at once; a change names the base it was made for.",
    where="the rest of a change can go out; the history keeps the versions before, for `rollout back`",
    outage="Cloudflare 20 Feb 2026: a cleanup job got all prefixes and withdrew 1,100. AWS Oct 2025: an old plan was applied.",
    check=check,
)
