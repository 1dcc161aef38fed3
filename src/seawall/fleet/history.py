"""History: the snapshots that edges were sent lately, so that an edge that holds one of them is sent only what it lacks.

Pure. Neighbours share all but what changed between them, so a thousand cost a few MiB. Used by `seawall.server.edges`.
"""

from collections import OrderedDict

from seawall.xds.snapshot import Snapshot

_MOST = 1024


class History:
    """Snapshots by version; the one longest unused goes first."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._snapshots: OrderedDict[str, Snapshot] = OrderedDict()

    def __len__(self) -> int:
        return len(self._snapshots)

    def remember(self, snapshot: Snapshot) -> None:
        self._snapshots[snapshot.version] = snapshot
        self._snapshots.move_to_end(snapshot.version)
        while len(self._snapshots) > self._most:
            self._snapshots.popitem(last=False)

    def find(self, version: str) -> Snapshot | None:
        found = self._snapshots.get(version)
        if found is not None:
            self._snapshots.move_to_end(version)
        return found
