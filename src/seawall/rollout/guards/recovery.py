"""G15: coming back must not be the second outage. Pure."""

from seawall.gateway.resources.perimeter import Memory
from seawall.rollout.guards.question import Guard, Objection, Question, listed

_HERD = 50.0
"""Reconnects a second that nothing needs to spread."""


def check(question: Question) -> Objection | None:
    """Warn of a ramp that is none; hold clusters whose retries multiply."""
    if question.facts.unbudgeted:
        return Objection(
            verdict="hold",
            message=f"Retries to {listed(question.facts.unbudgeted)} have no budget: a failing backend would be buried.",
            remedy="This is a fault of Seawall's build: report it.",
        )
    ramp, edges = question.recovery, len(question.edges)
    if edges / max(ramp.jitter, 1.0) > _HERD or ramp.streams_per_second <= 0:
        return Objection(
            verdict="warn",
            message=f"{edges} edges come back within {ramp.jitter:g} s: more than {_HERD:g} a second.",
            remedy="Let the agents' reconnects spread over more time.",
        )
    if question.spec.recovery.ramp == "off" and question.spec.memory != Memory():
        return Objection(
            verdict="warn",
            message="The recovery ramp is off while Envoy's memory is bounded: after deaths all clients come back at once.",
            remedy="Leave `recovery.ramp` at `evidence`; where no death says anything, it turns nobody away.",
        )
    return None


GUARD = Guard(
    id="G15",
    title="recovery ramp",
    rule="Reconnects and restarts are spread, retries have a budget, an edge whose Envoy keeps dying opens in steps.",
    where="`agent` jitters and opens the door in steps (`fleet.ramp`), `server.admission` admits streams at a rate, "
    "`envoy.clusters` sets the retry budget",
    outage="Spotify 2025, Google June 2025, AWS Oct 2025: retries and herds set how long it took.",
    check=check,
)
