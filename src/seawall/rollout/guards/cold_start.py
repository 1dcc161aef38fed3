"""G9: an edge starts from its disk, alone. Pure."""

from seawall.rollout.guards.question import Guard, Objection, Question, listed


def check(question: Question) -> Objection | None:
    """Refuse a configuration that needs what is not in it."""
    missing = question.facts.missing
    if missing:
        pairs = tuple(f"{one.user.name} needs {one.needs.name}" for one in missing)
        return Objection(
            verdict="refuse",
            message=f"The configuration is not whole: {listed(pairs)}, which is not in it.",
            remedy="This is a fault of Seawall's build, not of the manifests: report it. What runs now stays.",
        )
    if question.facts.named_sockets:
        return Objection(
            verdict="refuse",
            message=f"The listeners {listed(question.facts.named_sockets)} have a name for an address: to start needs DNS.",
            remedy="Give IP addresses in the Gateway's spec.addresses.",
        )
    return None


GUARD = Guard(
    id="G9",
    title="cold start",
    rule="Every resource that another one names is in the bundle, and no listener needs DNS to open.",
    where="`agent.keeper` keeps bundles on disk; `agent` starts from them without the control plane",
    outage="Spotify 2022 (the xDS server failed), Azure Front Door 2025 (reload took hours).",
    check=check,
)
