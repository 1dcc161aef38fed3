"""G14: a switch that was never tried is a new code path in the worst hour. Pure."""

from seawall.gateway.resources.perimeter import Switch, instant
from seawall.rollout.guards.question import Guard, Objection, Question, listed

_DRILL = 3600.0
"""A switch that ends within the hour is being drilled: how else should it ever be?"""


def check(question: Question) -> Objection | None:
    """Hold switches that are thrown and would never fall back, or, where there are stages, that nobody has drilled."""
    thrown = [one for one in question.spec.switches if one.is_on]
    told = tuple(f"{one.name} {said}" for one in thrown if (said := _endless(one, question) or _raw(one, question)))
    if not told:
        return None
    new = {one.name for one in question.report.differences if one.subject == "runtime"}
    # One that stands already is no news: people are told, and other changes are not held up.
    news = [one for one in thrown if one.key in new]
    is_held = any(_endless(one, question) or (_raw(one, question) and question.is_staged) for one in news)
    return Objection(
        verdict="hold" if is_held else "warn",
        message=f"Switches are on that should not be: {listed(told)}.",
        remedy="Give it an `until`, within the hour for a drill; its `drilledAt` says when it was thrown to and fro.",
    )


def _endless(switch: Switch, question: Question) -> str:
    if switch.until is None:
        return "never ends by itself"
    return f"has run out at {switch.until}" if instant(switch.until) <= question.at else ""


def _raw(switch: Switch, question: Question) -> str:
    positions = {one.is_on for one in question.drills if one.switch == switch.name}
    if switch.drilled_at is not None or len(positions) > 1:
        return ""
    if switch.until is not None and instant(switch.until) <= question.at + _DRILL:
        return ""
    return "was not drilled in both positions"


GUARD = Guard(
    id="G14",
    title="switches are drilled and expire",
    rule="A kill switch that is thrown was drilled in both positions and ends by itself.",
    where="`gateway` turns it off when its time is over; it goes through the stages as every change does",
    outage="Cloudflare 5 Dec 2025: a kill switch took a second path and met a bug of seven years.",
    check=check,
)
