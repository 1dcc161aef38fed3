"""G1: order is semantics. Pure."""

from seawall.rollout.change import Difference
from seawall.rollout.guards.question import Guard, Objection, Question, blamed, listed
from seawall.rollout.risk import RISKS

_FLOOR = RISKS.index("R2")


def check(question: Question) -> Objection | None:
    """Whoever compared must have seen each reorder as R2 or more; and where no stages follow, a person must want it."""
    reorders = [one for one in question.report.differences if one.action == "reordered"]
    low = [one for one in reorders if RISKS.index(one.risk) < _FLOOR]
    if low or (reorders and RISKS.index(question.report.risk) < _FLOOR):
        return Objection(
            verdict="refuse",
            message=f"The order of {_names(low or reorders)} changes, and it was classed below R2.",
            remedy="This is a fault of the comparison, not of the change: report it.",
        )
    filters = [one for one in reorders if one.subject == "filter"]
    if not filters or question.is_staged:
        return None
    origins = tuple(dict.fromkeys(each for one in filters for each in one.origins))
    return Objection(
        verdict=question.unstaged,
        message=f"The order of {_names(filters)} changes{blamed(origins)}, and would on every edge at once.",
        remedy="Use strategy: staged in the Perimeter; or promote it, if an edge may fail.",
    )


def _names(differences: list[Difference]) -> str:
    return listed(tuple(one.name for one in differences))


GUARD = Guard(
    id="G1",
    title="order-aware diff",
    rule="Any reorder of filters or rules is R2 or more; filters are not reordered on several edges at once.",
    where="`envoy.diff` finds reorders, `rollout.stages` gives R2 its longer clocks",
    outage="Spotify 2025 reordered Envoy filters in all regions; Cloudflare 2022 reordered terms of a BGP policy.",
    check=check,
)
