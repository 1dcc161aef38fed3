"""P3: an address may be a thousand people. Pure."""

from seawall.detect.guards.question import Answer, Guard, Question, capped, narrowed, passed

MANY_PRINTS, MANY_ACCOUNTS = 8, 3
MAIN_PRINT = 0.6
WINDOW = 20
PEOPLE = 0.3


def check(question: Question) -> Answer:
    """Narrow a verdict on a shared address to the one fingerprint that makes most of it; where there is none, do not act."""
    if not question.scope.is_by_network or question.rung < 2:
        return passed("it is not about an address alone")
    looks = question.shape(WINDOW)
    if looks.prints < MANY_PRINTS and looks.accounts < MANY_ACCOUNTS:
        return passed(f"{looks.prints} fingerprints and {looks.accounts} accounts on it: not shared")
    said = f"it is shared: {looks.prints} fingerprints and {looks.accounts} accounts"
    if looks.main_print >= MAIN_PRINT and any(looks.main):
        ja4, agent = looks.main
        values = {name: value for name, value in (("ja4", ja4), ("agent", agent)) if value}
        return narrowed(question.scope.with_(**values), f"{said}; one of these makes {looks.main_print:.0%}")
    if looks.people < PEOPLE and looks.accounts < MANY_ACCOUNTS:
        if question.rung > 2:
            return capped(2, f"{said}; none of them fetches what pages need")
        return passed(f"{said}; a limit at most")
    return capped(1, f"{said}; no one of these makes most of it")


GUARD = Guard(
    id="P3",
    title="shared address",
    rule="Behind eight fingerprints or three accounts nobody is denied by address.",
    where="`detect.detectors.outlier` looks past addresses whose requests have tokens",
    check=check,
)
