"""G10: what is in use never becomes empty. Pure."""

from seawall.rollout.guards.question import Guard, Objection, Question, blamed, listed


def check(question: Question) -> Objection | None:
    """Hold what would leave a used thing with nothing in it. What was empty before, or goes as a whole, is no matter of ours."""
    if question.facts.is_first:
        return None
    told: list[str] = []
    gone = [one for one in question.facts.removed if one.total and not one.left and one.kind != "clusters"]
    told += [f"all {one.total} {one.kind} would be gone" for one in gone]
    for one in question.facts.emptied:
        told.append(f"{one.name} would have no {one.what} left (had {one.had}){blamed(one.origins)}")
    if not told:
        return None
    emptied = question.facts.emptied
    keep = dict.fromkeys([ref for one in gone for ref in one.refs] + [ref for one in emptied for ref in one.refs])
    return Objection(
        verdict="hold",
        message=f"Something in use becomes empty: {listed(tuple(told))}.",
        remedy="It stays as it was until it has something in it again. If empty is meant, override G10 or promote.",
        keep=tuple(keep),
    )


GUARD = Guard(
    id="G10",
    title="never empty",
    rule="No cluster in use, host's routes, trust bundle, and not the hosts or listeners as a whole may become empty.",
    where="the rest of a change can go out: the result names what to keep as it was",
    outage="AWS Oct 2025 (an empty DNS record), Google Cloud LB 2023 (empty customer configurations).",
    check=check,
)
