"""Hub: the snapshot that a group of clients should have, and who to wake when it changes.

Nothing is queued: each stream has a mailbox for the newest snapshot and the sum of the changes that it has not seen.
All calls are made in one event loop. Next room: `server.ads`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from seawall.xds.resource import Ref, Resource
from seawall.xds.snapshot import EMPTY, Change, Snapshot

_MOST_KEPT = 10_000
_MOST_KEPT_BYTES = 16 << 20
"""Of the resources that were replaced, so many are remembered."""


class Mailbox:
    """What one stream has not seen yet."""

    def __init__(self, snapshot: Snapshot, wake: Callable[[], object]) -> None:
        self.snapshot = snapshot
        self._wake = wake
        self._unseen: dict[Ref, Resource | None] = {}

    def put(self, snapshot: Snapshot, change: Change) -> None:
        """Merge a change into what is unseen: of each name only the last counts."""
        self.snapshot = snapshot
        self._unseen.update((resource.ref, resource) for resource in change.put)
        self._unseen.update(dict.fromkeys(change.remove))
        self._wake()

    def take(self) -> Change:
        """Return, once, all that changed up to `snapshot` since the last call."""
        unseen, self._unseen = self._unseen, {}
        put = tuple(resource for resource in unseen.values() if resource is not None)
        return Change(put=put, remove=tuple(ref for ref, resource in unseen.items() if resource is None))


class Hub:
    """Holds the newest snapshot of a group.

    Before the first `publish` streams are accepted but not answered: whoever is told "there is nothing" drops what he
    serves, and a control plane that has just started does not know better yet.
    """

    def __init__(self) -> None:
        self._snapshot = EMPTY
        self._replaced: OrderedDict[tuple[Ref, str], Resource] = OrderedDict()
        self._replaced_bytes = 0
        self._published = asyncio.Event()
        self._mailboxes: set[Mailbox] = set()

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    def publish(self, snapshot: Snapshot, change: Change | None = None) -> None:
        """Make `snapshot` the one to have. Pass the change where it is known: finding it costs the whole."""
        if change is None:
            change = snapshot.difference(self._snapshot)
        for ref in (*(resource.ref for resource in change.put), *change.remove):
            self._keep(self._snapshot.get(ref))
        self._snapshot = snapshot
        self._published.set()
        for mailbox in self._mailboxes:
            mailbox.put(snapshot, change)

    def recall(self, ref: Ref, version: str) -> Resource | None:
        """Return an older version, for a client that comes back with it; what was replaced long ago is forgotten."""
        return self._replaced.get((ref, version))

    def _keep(self, resource: Resource | None) -> None:
        if resource is None or len(resource.body) > _MOST_KEPT_BYTES:
            return
        before = self._replaced.pop((resource.ref, resource.version), None)
        self._replaced_bytes += len(resource.body) - (len(before.body) if before else 0)
        self._replaced[(resource.ref, resource.version)] = resource
        while self._replaced_bytes > _MOST_KEPT_BYTES or len(self._replaced) > _MOST_KEPT:
            self._replaced_bytes -= len(self._replaced.popitem(last=False)[1].body)

    async def first(self) -> None:
        """Wait until there is something to serve."""
        await self._published.wait()

    @contextmanager
    def mailbox(self, wake: Callable[[], object]) -> Iterator[Mailbox]:
        """Open a mailbox; `wake` is called whenever something comes in."""
        mailbox = Mailbox(self._snapshot, wake)
        self._mailboxes.add(mailbox)
        try:
            yield mailbox
        finally:
            self._mailboxes.discard(mailbox)
