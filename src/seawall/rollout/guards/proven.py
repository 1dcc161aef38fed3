"""G8: last-known-good is what was good, byte for byte. Pure."""

from seawall.rollout.guards.question import Guard, Objection, Question, listed


def check(question: Question) -> Objection | None:
    """Refuse to go forward when the way back is spoilt."""
    changed = tuple(one.bundle[:12] for one in question.proven if one.content != one.content_now)
    raw = tuple(one.bundle[:12] for one in question.proven if not one.is_baked)
    if not changed and not raw:
        return None
    what = f"{listed(changed)} changed after it was kept" if changed else f"{listed(raw)} never finished its bake"
    return Objection(
        verdict="refuse",
        message=f"Of the last-known-good versions, {what}: there would be no safe way back from this change.",
        remedy="Run `seawall rollout history` and let a healthy version bake; no bundle becomes good by hand.",
    )


GUARD = Guard(
    id="G8",
    title="last-known-good is immutable",
    rule="Only what finished its bake is last-known-good; it is named by its content and never made again.",
    where="`rollout.course` marks it after the bake; `store` and `agent` check its digest when they read it",
    outage="Azure Front Door 29 Oct 2025: the bad configuration was written into last-known-good before the crash showed.",
    check=check,
)
