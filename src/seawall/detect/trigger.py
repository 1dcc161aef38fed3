"""Trigger: is a rate more than normal, so much and for so long that somebody should look?

Pure. `rate > max(floor, 3 * p99)` in two seconds on end, in one if it is tenfold; `rate > 1.3 * p95` where the origin is ill.
Next room: `detect.detectors`.
"""

from collections.abc import Sequence

from seawall.detect.baseline import Normal

FACTOR, HARD_FACTOR, ILL_FACTOR = 3.0, 10.0, 1.3


def bound(normal: Normal, floor: float, sensitivity: float = 1.0, *, is_ill: bool = False) -> float:
    """Return the rate beyond which it is no more normal."""
    most = max(floor, FACTOR * normal.p99)
    if is_ill and normal.p95 > 0:
        most = min(most, max(floor, ILL_FACTOR * normal.p95))
    return most / max(sensitivity, 0.01)


def has_tripped(rates: Sequence[float], most: float) -> bool:
    """Say whether the last rates are an excess: two beyond the bound, or one far beyond it."""
    if not rates:
        return False
    if rates[-1] > most * HARD_FACTOR / FACTOR:
        return True
    return len(rates) >= 2 and rates[-1] > most and rates[-2] > most
