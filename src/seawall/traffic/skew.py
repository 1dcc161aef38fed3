"""Skew: how far the clocks of edges are from ours, told from when their seconds come in.

Pure. A second that is told a minute after it has ended is late; if all of them are, for seconds on end, the clock is behind.
Without this an edge whose clock is three seconds behind would tell of each second after it has been looked at, and be protected
by nobody.
Next room: `traffic.window` takes deltas at the second that they are of by our clock.
"""

from collections import deque
from math import floor

from seawall.kit.units import Instant

REMEMBERED = 60
"""Seconds over which the shortest way of a delta is looked for: a stream that was away brings old ones first."""
SURE = 5
"""Seconds of ours that an edge must have been heard in before its clock is doubted."""
MOST = 600
"""Seconds that a clock is put right by at most; of one further off, the window drops what it says, and counts it."""
MOST_EDGES = 10_000


class Clocks:
    """The edges' clocks."""

    def __init__(self) -> None:
        self._shortest: dict[str, deque[tuple[int, float]]] = {}

    def shift(self, edge: str, at: Instant, now: Instant) -> int:
        """Take in that an edge tells of the second `at` now; return by how many seconds its clock has to be put forward."""
        seen = self._shortest.pop(edge, None) or deque(maxlen=REMEMBERED)
        # Whoever spoke last stands last, so the first one is the one to forget.
        self._shortest[edge] = seen
        if len(self._shortest) > MOST_EDGES:
            del self._shortest[next(iter(self._shortest))]
        took, second = now - at, int(now)
        if seen and seen[-1][0] == second:
            seen[-1] = (second, min(took, seen[-1][1]))
        else:
            seen.append((second, took))
        while seen[0][0] <= second - REMEMBERED:
            seen.popleft()
        return self.skew(edge)

    def skew(self, edge: str) -> int:
        """Return by how many whole seconds an edge's clock is behind ours; negative: ahead."""
        seen = self._shortest.get(edge, ())
        if len(seen) < SURE:
            return 0
        found = floor(min(took for _, took in seen))
        return found if abs(found) <= MOST else 0

    @property
    def worst(self) -> int:
        """Return the largest skew of an edge, either way."""
        return max((abs(self.skew(edge)) for edge in self._shortest), default=0)
