"""Units as types, so that a signature says what a number counts. Pure."""

from typing import NewType

Seconds = NewType("Seconds", float)
"""A duration in seconds."""
Instant = NewType("Instant", float)
"""A point in time, in seconds since the epoch of the clock that made it; fields that hold one are named `at`."""
