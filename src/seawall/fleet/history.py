"""History: the last changes, so that an edge that holds an earlier version is sent only what it lacks.

Pure. Used by `seawall.server.edges`.
"""

from collections import deque
from itertools import islice

from seawall.xds.resource import Ref, Resource
from seawall.xds.snapshot import Change, Snapshot

_MOST_CHANGES = 4096
_MOST_MEMBERS = 200_000


class History:
    """Where we are, and the way there."""

    def __init__(self) -> None:
        self.current: Snapshot | None = None
        self._changes: deque[Change] = deque()
        self._first = 0
        self._positions: dict[str, int] = {}
        self._members = 0

    def advance(self, snapshot: Snapshot, change: Change | None) -> None:
        """Move on to `snapshot`. `change` leads there from the one before; None if that is not known."""
        if self.current is not None and snapshot == self.current:
            return
        if change is None or self.current is None:
            self._changes.clear()
            self._positions.clear()
            self._first, self._members = 0, 0
        else:
            self._changes.append(change)
            self._members += _size(change)
        self.current = snapshot
        self._positions[snapshot.version] = self._first + len(self._changes)
        while len(self._changes) > _MOST_CHANGES or self._members > _MOST_MEMBERS:
            self._members -= _size(self._changes.popleft())
            self._first += 1
        if len(self._positions) > 2 * _MOST_CHANGES:
            self._positions = {v: at for v, at in self._positions.items() if at >= self._first}

    def since(self, version: str) -> Change | None:
        """Merge the changes since `version`; None if we do not know that version (any more)."""
        position = self._positions.get(version)
        if position is None or position < self._first:
            return None
        merged: dict[Ref, Resource | None] = {}
        for change in islice(self._changes, position - self._first, None):
            for resource in change.put:
                merged[resource.ref] = resource
            for ref in change.remove:
                merged[ref] = None
        return Change(
            put=tuple(resource for resource in merged.values() if resource is not None),
            remove=tuple(ref for ref, resource in merged.items() if resource is None),
        )


def _size(change: Change) -> int:
    return len(change.put) + len(change.remove)
