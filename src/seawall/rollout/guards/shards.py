"""G19: one tenant's configuration reaches at most its shard. Pure."""

from seawall.rollout.guards.question import Guard, Objection, Question, listed


def check(question: Question) -> Objection | None:
    """Hold a tenant without a shard; say once that there is no sharding at all."""
    tenants = question.report.blast.tenants
    if question.shards is None:
        cells = sum(len(region.cells) for region in question.spec.regions)
        if cells < 2 or len(tenants) < 2 or GUARD.id in question.warned:
            return None
        return Objection(
            verdict="warn",
            message=f"Tenants are not spread over the {cells} cells: each one's configuration reaches every edge.",
            remedy="Nothing to do now; a staged rollout meets one cell first all the same.",
        )
    every = frozenset(one.name for one in question.edges)
    loose = tuple(one for one in tenants if not question.shards.get(one) or question.shards[one] >= every > set())
    if not loose:
        return None
    return Objection(
        verdict="hold",
        message=f"{listed(loose)} would reach every edge, though tenants have shards.",
        remedy="Give it a shard of some of the edges.",
    )


GUARD = Guard(
    id="G19",
    title="shuffle sharding",
    rule="Where tenants have shards, each one's configuration stays in its own.",
    where="static; without sharding it warns once",
    outage="Fastly 2021: one customer's valid configuration took 85 % of all requests down.",
    check=check,
)
