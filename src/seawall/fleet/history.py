"""History: the snapshots that edges were sent lately, so that an edge that holds one of them is sent only what it lacks.

Pure. Neighbours share all but what changed between them, so a thousand cost a few MiB; where changes are large, fewer are
kept. Used by `seawall.server.orders`.
"""

from collections import OrderedDict

from seawall.xds.snapshot import Snapshot

_MOST = 1024
_MOST_BYTES = 64 << 20


class History:
    """Snapshots by version; the one longest unused goes first, the newest never."""

    def __init__(self, most: int = _MOST, most_bytes: int = _MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._snapshots: OrderedDict[str, tuple[Snapshot, int]] = OrderedDict()
        self._newest: Snapshot | None = None
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._snapshots)

    def remember(self, snapshot: Snapshot) -> None:
        """Keep it. Costs what it does not share with the one remembered before."""
        if self.find(snapshot.version) is None:
            size = _size(snapshot, self._newest)
            self._snapshots[snapshot.version] = (snapshot, size)
            self._bytes += size
            while len(self._snapshots) > 1 and (len(self._snapshots) > self._most or self._bytes > self._most_bytes):
                _, (_, size) = self._snapshots.popitem(last=False)
                self._bytes -= size
        self._newest = snapshot

    def find(self, version: str) -> Snapshot | None:
        found = self._snapshots.get(version)
        if found is None:
            return None
        self._snapshots.move_to_end(version)
        return found[0]


def _size(snapshot: Snapshot, before: Snapshot | None) -> int:
    """Estimate what keeping it costs: what its neighbour has not. Nothing for the first: somebody holds that anyway."""
    return 0 if before is None else sum(len(one.body) for one in snapshot.difference(before).put)
