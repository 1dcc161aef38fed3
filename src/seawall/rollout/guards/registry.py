"""Registry: one line a guard; `judge` asks all of them. Pure."""

from seawall.rollout.change import GuardResult, Override
from seawall.rollout.guards import (
    api_limits,
    capacity,
    cold_start,
    cost,
    deletes,
    features,
    memory,
    never_empty,
    order,
    probes,
    proven,
    provenance,
    pulled,
    recovery,
    shards,
    switches,
)
from seawall.rollout.guards.question import Guard, Objection, Question

GUARDS: tuple[Guard, ...] = (
    order.GUARD,
    features.GUARD,
    provenance.GUARD,
    pulled.GUARD,
    cost.GUARD,
    memory.GUARD,
    proven.GUARD,
    cold_start.GUARD,
    never_empty.GUARD,
    deletes.GUARD,
    switches.GUARD,
    recovery.GUARD,
    api_limits.GUARD,
    probes.GUARD,
    shards.GUARD,
    capacity.GUARD,
)


def judge(question: Question) -> tuple[GuardResult, ...]:
    """Ask every guard; one result each, in the order of their numbers."""
    return tuple(_result(guard, question) for guard in GUARDS)


def _result(guard: Guard, question: Question) -> GuardResult:
    objection = guard.check(question)
    if objection is None:
        return GuardResult(guard=guard.id, title=guard.title, verdict="pass")
    lifted = _override(guard, question) if objection.verdict != "warn" else None
    if question.spec.guards.mode == "warn" and guard.is_liftable:
        objection = _softened(objection)
    return GuardResult(
        guard=guard.id,
        title=guard.title,
        verdict=objection.verdict,
        message=objection.message,
        remedy=objection.remedy,
        keep=objection.keep,
        override=f"{lifted.who}: {lifted.reason}" if lifted else "",
    )


def _softened(objection: Objection) -> Objection:
    """Say what would have been done: `guards.mode` is `warn`."""
    if objection.verdict == "warn":
        return objection
    message = f"{objection.message} With guards.mode enforce this would {objection.verdict}."
    return Objection(verdict="warn", message=message, remedy=objection.remedy)


def _override(guard: Guard, question: Question) -> Override | None:
    """Find who lifts it now: with a name and a reason, not expired, and for this candidate."""
    if not guard.is_liftable:
        return None
    for one in question.overrides:
        is_valid = bool(one.who and one.reason) and question.at < one.until
        if is_valid and one.guard == guard.id and one.candidate in ("", question.report.candidate):
            return one
    return None
