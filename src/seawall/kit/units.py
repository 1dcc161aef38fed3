"""Units as types, so that a signature says what a number counts. Pure."""

from typing import NewType

Seconds = NewType("Seconds", float)
"""A duration in seconds."""
Instant = NewType("Instant", float)
"""A point in time, in seconds since the epoch of the clock that made it; fields that hold one are named `at`."""


def duration(seconds: float) -> str:
    """Write a length of time for a sentence: 45 s, 12 min, 24 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
