"""Stages: in which order a change goes out, and how long each step takes at least.

Pure: the table of the documentation. Next room: `rollout.waves` says which edges a stage has.
"""

from typing import Final

from seawall.kit.units import Seconds
from seawall.rollout.change import Risk
from seawall.rollout.events import Stage

STAGES: Final[tuple[Stage, ...]] = (
    "guards",  # S0
    "sandbox",  # S1
    "canary",  # S3; the taster, S2, runs on each edge before its Envoy gets the bundle
    "cell",  # S4
    "region",  # S5
    "quarter",  # S6
    "half",  # S7
    "all",  # S8
    "bake",  # S9
)
WAVES: Final[tuple[Stage, ...]] = ("canary", "cell", "region", "quarter", "half", "all")
"""The stages that bring the candidate to edges."""
WATCHED: Final[frozenset[Stage]] = frozenset({"canary", "cell", "region", "quarter", "half", "bake"})
"""The stages that end only after a look at the gates: S8 is over when every edge has applied, then the bake begins."""

_MINUTE, _HOUR = 60.0, 3600.0
_COLUMNS: Final[dict[Risk, int]] = {"R0": 0, "R1": 1, "R2": 2, "R3": 3}
_MINIMUM: Final[dict[str, tuple[float, float, float, float]]] = {
    #           R0           R1            R2            R3
    "sandbox": (5, 30, 60, 5 * _MINUTE),
    "taster": (5, 5, 15, 60),
    "canary": (0, 1 * _MINUTE, 3 * _MINUTE, 15 * _MINUTE),
    "cell": (0, 1 * _MINUTE, 5 * _MINUTE, 15 * _MINUTE),
    "region": (0, 2 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE),
    "quarter": (0, 2 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE),
    "half": (0, 2 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE),
    "bake": (30 * _MINUTE, 30 * _MINUTE, 1 * _HOUR, 24 * _HOUR),
}

CANARY_FLOOR: Final = Seconds(30.0)
"""Neither a person nor an emergency makes the canary shorter (unless the pace makes all of it shorter)."""
LIMIT: Final = 4.0
"""A stage that cannot decide within so many times its minimum goes back: never promote by timeout."""
LEAST_LIMIT: Final = Seconds(300.0)
"""But edges get this long to take a bundle, and gates to come to a word, however fast the pace."""
LONGEST_STEP: Final = Seconds(30.0)
"""Between two events at most so much time counts. Time that nobody watched proves nothing: a clock that jumps, a control
plane that was away."""
STALE_LOOK: Final = Seconds(45.0)
"""A look at the gates says nothing about what came so long after it."""
RETURN: Final = Seconds(30.0)
"""Waves are not planned while an edge has been away for less than this: most that go are back at once."""


def minimum(stage: Stage, risk: Risk, pace: float, *, is_emergency: bool = False) -> Seconds:
    """Say how long a stage takes at least."""
    listed = _MINIMUM.get(stage)
    if listed is None:
        return Seconds(0.0)
    usual = listed[_COLUMNS[risk]] * pace
    match stage:
        case "canary" if is_emergency:
            return Seconds(min(usual, CANARY_FLOOR))
        case "sandbox" if is_emergency:
            return Seconds(min(usual, listed[_COLUMNS["R1"]] * pace))
        case "cell" | "region" | "quarter" | "half" if is_emergency:
            return Seconds(0.0)
        case _:
            return Seconds(usual)


def floor(stage: Stage, risk: Risk, pace: float) -> Seconds:
    """Say what is left of a stage's minimum where a person skips the wait."""
    return Seconds(min(minimum(stage, risk, pace), CANARY_FLOOR)) if stage == "canary" else Seconds(0.0)


def taste(risk: Risk, pace: float, *, is_emergency: bool = False) -> Seconds:
    """Say how long a sacrificial Envoy must live with the bundle on each edge. Never nothing."""
    return Seconds(_MINIMUM["taster"][_COLUMNS["R1" if is_emergency else risk]] * pace)


def limit(stage: Stage, risk: Risk, pace: float, *, is_emergency: bool = False) -> Seconds:
    """Say after which time an undecided stage goes back."""
    least = minimum(stage, risk, pace, is_emergency=is_emergency) + taste(risk, pace, is_emergency=is_emergency)
    return Seconds(max(LIMIT * least, LEAST_LIMIT))
