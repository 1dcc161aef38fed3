"""G18: truth by probe. Pure."""

from seawall.rollout.guards.question import Guard, Objection, Question, listed


def check(question: Question) -> Objection | None:
    """Warn of tenants that a staged change touches and that nobody looks at from outside."""
    if question.facts.is_first or not question.is_staged:
        return None
    seen = {journey.tenant for journey in question.spec.rollout.journeys} | question.probed
    blind = tuple(one for one in question.report.blast.tenants if one not in seen)
    if not blind:
        return None
    return Objection(
        verdict="warn",
        message=f"Nothing probes {listed(blind)}: were they alone broken, no gate would see it.",
        remedy="Add a journey with this tenant to the Perimeter's rollout.journeys.",
    )


GUARD = Guard(
    id="G18",
    title="truth by probe",
    rule="Each tenant that a change touches has a journey or synthetic requests.",
    where="`agent` makes the journeys' requests of its own Envoy; `rollout.gates` fails on them",
    outage="Google Cloud LB 2023: the canary looked at the wrong component; alert after 5 h 21 min.",
    check=check,
)
