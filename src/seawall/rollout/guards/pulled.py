"""G4: data from elsewhere is a change like any other. Pure."""

from seawall.rollout.guards.question import Guard, Objection, Pulled, Question, listed

_SHRUNK = 0.5


def check(question: Question) -> Objection | None:
    """Refuse what does not fit its schema; hold what is of another size than ever before."""
    broken = tuple(f"{one.name} ({one.problem})" for one in question.pulled if one.problem)
    if broken:
        return Objection(
            verdict="refuse",
            message=f"Pulled data is invalid: {listed(broken)}.",
            remedy="The last good version stays in use. Mend it where it comes from.",
        )
    odd = tuple(_told(one) for one in question.pulled if _is_odd(one, question.spec.guards.growth))
    if not odd:
        return None
    return Objection(
        verdict="hold",
        message=f"Pulled data is unlike what it was: {listed(odd)}.",
        remedy="Look at it where it comes from; promote the change if it is meant.",
    )


def _is_odd(one: Pulled, growth: float) -> bool:
    return bool(one.previous_size) and not _SHRUNK * one.previous_size <= one.size <= growth * one.previous_size


def _told(one: Pulled) -> str:
    return f"{one.name}: {one.previous_size} → {one.size} bytes"


GUARD = Guard(
    id="G4",
    title="pulled data is validated",
    rule="Data fits its schema and its history (size 0.5 to 1.5 times the last), else the last good stays.",
    where="`gateway` keeps the last good version of every object, `source` alarms",
    outage="Spotify 2023 (a Git server came back with an invalid configuration), Google Cloud June 2025 (blank fields).",
    check=check,
)
