"""Numbers: medians, percentiles, and how they are written."""

import math
import statistics
from collections.abc import Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of times says, in the unit of the list."""

    count: int
    mean: float
    median: float
    p99: float
    max: float


def spread(values: Sequence[float]) -> Spread:
    """Summarise; at least one value."""
    ordered = sorted(values)
    return Spread(
        count=len(ordered),
        mean=statistics.fmean(ordered),
        median=statistics.median(ordered),
        p99=percentile(ordered, 99),
        max=ordered[-1],
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest value that `percent` of an ascending list do not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def short(value: float) -> str:
    """Write a number with three figures that count: 0.135, 2.81, 16.6, 570, 15,374."""
    if value != 0 and abs(value) < 0.01:
        return f"{value:.2g}"
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{digits}f}"


def times(value: float) -> str:
    """Write a ratio: 0.97×."""
    return f"{value:.2f}×"
