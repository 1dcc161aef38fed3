"""Seen: which clients were there before, in bounded memory.

Pure. Two sets of hashes, the older one thrown away when the newer is full; a client counts as known only after a while, so that
an attack's first seconds do not vouch for the next. Next room: `detect.sight`, for guards that tell a retry from a flood.
"""

from collections.abc import Iterable

from seawall.kit.units import Instant, Seconds

MOST = 100_000
RIPENS = Seconds(30.0)


class Seen:
    """Remembers clients."""

    def __init__(self) -> None:
        self._older: set[str] = set()
        self._old: set[str] = set()
        self._fresh: set[str] = set()
        self._turned_at = Instant(0.0)

    def __len__(self) -> int:
        return len(self._older) + len(self._old) + len(self._fresh)

    def __contains__(self, client: str) -> bool:
        return client in self._old or client in self._older

    def add(self, clients: Iterable[str], at: Instant) -> None:
        """Take in the clients of a second."""
        if not 0 <= at - self._turned_at < RIPENS:
            self._turned_at = at
            self._old |= self._fresh
            self._fresh = set()
            if len(self._old) >= MOST:
                self._older, self._old = self._old, set()
        for client in clients:
            if len(self._fresh) >= MOST:
                return
            if client not in self._old:
                self._fresh.add(client)
