"""Admission: how many streams may be open, and how many may begin in a second.

The first answer to a client is the dear one; when a thousand come back at once they take turns.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from seawall.kit.errors import UnavailableError
from seawall.kit.units import Seconds

_BURST = Seconds(0.25)
"""So much of a second's streams may begin at once after quiet."""


class Admission:
    """Hands out turns."""

    def __init__(self, *, most: int, rate: float, longest_wait: Seconds) -> None:
        self._most = most
        self._interval = 1 / rate
        self._longest_wait = longest_wait
        self._open = 0
        self._next = 0.0

    @contextmanager
    def stream(self) -> Iterator[Seconds]:
        """Count a stream while it is open; yields how long it must wait for its turn.

        Raises UnavailableError, with a sentence for the client, when there is no place.
        """
        if self._open >= self._most:
            raise UnavailableError(f"this control plane carries {self._most} streams already: try another or later")
        now = time.monotonic()
        turn = max(self._next, now - _BURST)
        wait = Seconds(max(turn - now, 0.0))
        if wait > self._longest_wait:
            raise UnavailableError(f"too many streams are beginning: the next turn is in {wait:.0f} s")
        self._next = turn + self._interval
        self._open += 1
        try:
            yield wait
        finally:
            self._open -= 1
