"""Risk: the class of a change is that of its riskiest difference.

Pure. `envoy.diff` gives each difference its class and the reason for it; this room sums up. Next room: `rollout.guards`.
"""

from collections.abc import Iterable, Sequence

from seawall.rollout.change import Difference, Risk

RISKS: tuple[Risk, ...] = ("R0", "R1", "R2", "R3")
_MOST_REASONS = 5


def higher(one: Risk, other: Risk) -> Risk:
    return max(one, other, key=RISKS.index)


def sum_up(differences: Iterable[Difference], tenants: Sequence[str] = ()) -> tuple[Risk, tuple[str, ...]]:
    """Return the class of the whole, and why: the reasons of that class, each once, and how many tenants it touches."""
    risk: Risk = "R0"
    reasons: dict[Risk, dict[str, int]] = {each: {} for each in RISKS}
    for one in differences:
        risk = higher(risk, one.risk)
        reasons[one.risk][one.why] = reasons[one.risk].get(one.why, 0) + 1
    counted = reasons[risk]
    if not counted:
        return "R0", ("Nothing changes.",)
    why = [f"{reason} ({count} times)" if count > 1 else reason for reason, count in counted.items()]
    if len(why) > _MOST_REASONS:
        why = [*why[:_MOST_REASONS], f"and {len(why) - _MOST_REASONS} reasons more"]
    if len(tenants) > 1:
        shown = ", ".join(tenants[:_MOST_REASONS]) + (", …" if len(tenants) > _MOST_REASONS else "")
        why.append(f"it touches {len(tenants)} tenants at once: {shown}")
    return risk, tuple(why)
