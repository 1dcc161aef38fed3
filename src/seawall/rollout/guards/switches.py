"""G14: a switch that was never tried is a new code path in the worst hour. Pure."""

from seawall.gateway.resources.perimeter import Switch, instant
from seawall.rollout.guards.question import Guard, Objection, Question, listed


def check(question: Question) -> Objection | None:
    """Hold switches that are thrown but would never fall back, have run out, or were not drilled in both positions."""
    thrown = [one for one in question.spec.switches if one.is_on]
    told = tuple(f"{one.name} {said}" for one in thrown if (said := _flaw(one, question)))
    if not told:
        return None
    keys = {one.key for one in thrown if _flaw(one, question)}
    is_touched = any(one.subject == "runtime" and one.name in keys for one in question.report.differences)
    # One that stands already is no news: people are told, and other changes are not held up.
    return Objection(
        verdict="hold" if is_touched else "warn",
        message=f"Switches are on that should not be: {listed(told)}.",
        remedy="Give it an `until`, and throw it to and fro once in a quiet hour; its `drilledAt` says when that was.",
    )


def _flaw(switch: Switch, question: Question) -> str:
    if switch.until is None:
        return "never ends by itself"
    if instant(switch.until) <= question.at:
        return f"has run out at {switch.until}"
    positions = {one.is_on for one in question.drills if one.switch == switch.name}
    if switch.drilled_at is None and len(positions) < 2:
        return "was not drilled in both positions"
    return ""


GUARD = Guard(
    id="G14",
    title="switches are drilled and expire",
    rule="A kill switch that is thrown was drilled in both positions and ends by itself.",
    where="`gateway` turns it off when its time is over; it goes through the stages as every change does",
    outage="Cloudflare 5 Dec 2025: a kill switch took a second path and met a bug of seven years.",
    check=check,
)
