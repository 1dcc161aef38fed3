"""Library: every bundle that may be needed is at hand, known to the edge service, and in the history.

Talks to the history through the scribe. The shelf is what is at hand, the history what is kept; this file brings the two
and the edge service together.
"""

from collections.abc import Callable, Iterable

import structlog

from seawall.app.scribe import Scribe
from seawall.app.shelf import Item, Shelf
from seawall.kit.units import Instant
from seawall.server.edges import EdgeService

log = structlog.get_logger(__name__)


class Library:
    """The bundles of one control plane."""

    def __init__(self, shelf: Shelf, scribe: Scribe, edges: EdgeService, clock: Callable[[], float]) -> None:
        self.shelf = shelf
        self._scribe = scribe
        self._edges = edges
        self._clock = clock
        self._saved: set[str] = set()
        self._offered: set[str] = set()

    def begin(self) -> None:
        """We lead now: what we know to be saved, the leader before us may have let go of."""
        self._saved.clear()

    async def offer(self, names: Iterable[str]) -> None:
        """Have these at hand, offered and saved.

        Raises UnavailableError where the history is needed and away; what could be offered is.
        """
        unsaved = []
        for name in names:
            item = await self.find(name)
            if item is None:
                continue
            if name not in self._offered:
                self._offered.add(name)
                self._edges.offer(item.signed, item.snapshot)
            if name not in self._saved:
                unsaved.append(item)
        for item in unsaved:
            await self._save(item)

    async def find(self, name: str) -> Item | None:
        """Return a bundle, from the history if it is not at hand. Raises UnavailableError."""
        item = self.shelf.get(name)
        if item is not None:
            return item
        found = await self._scribe.call(lambda history: history.bundle(name))
        if found is None:
            log.error("bundle_missing", bundle=name)
            return None
        self._saved.add(name)
        return self.shelf.load(found[0].bundle, found[1])

    def keep_only(self, used: frozenset[str]) -> None:
        """Let go of all others; the history decides for itself what it keeps."""
        gone = self.shelf.keep_only(used)
        # If one of them comes back it is saved once more, for the history may have let go of it, too.
        self._saved &= used
        self._offered.difference_update(gone)
        self._edges.retire(gone)

    async def _save(self, item: Item) -> None:
        at = Instant(self._clock())
        await self._scribe.call(lambda history: history.save_bundle(item.signed, item.snapshot, at))
        self._saved.add(item.name)
