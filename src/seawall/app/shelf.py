"""Shelf: the bundles that this control plane has at hand, signed and ready to be sent.

In memory: what runs, what may run next, and what it would go back to; snapshots share their members, so twenty of them
cost little more than one. All others lie in the history.
"""

from collections.abc import Iterable

import msgspec

from seawall.fleet.bundle import Bundle, Limits, Signed, SigningKey
from seawall.kit.units import Instant
from seawall.xds.snapshot import Snapshot


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle with its bytes."""

    bundle: Bundle
    signed: Signed
    snapshot: Snapshot

    @property
    def name(self) -> str:
        return self.bundle.name


class Shelf:
    """Bundles by name. Nobody takes one away but `keep_only`."""

    def __init__(self, key: SigningKey, software: str) -> None:
        self._key = key
        self._software = software
        self._items: dict[str, Item] = {}
        self._versions: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._items)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._items)

    def get(self, name: str) -> Item | None:
        return self._items.get(name)

    def by_version(self, version: str) -> str:
        """Name the bundle that holds this version of the snapshot; empty: none of these."""
        return self._versions.get(version, "")

    def make(self, snapshot: Snapshot, limits: Limits, at: Instant, reason: str = "") -> Item:
        """Make the bundle of a snapshot, or return the one that is there: equal content, equal name."""
        bundle = Bundle(
            content=snapshot.digest,
            version=snapshot.version,
            limits=limits,
            created_at=at,
            software=self._software,
            reason=reason,
        )
        known = self._items.get(bundle.name)
        if known is not None:
            return known
        return self.put(Item(bundle=bundle, signed=self._key.sign(bundle), snapshot=snapshot))

    def load(self, kept: Bundle, snapshot: Snapshot) -> Item:
        """Put one back that the history kept, and has proven to be what it was; signed anew, for keys change."""
        return self.put(Item(bundle=kept, signed=self._key.sign(kept), snapshot=snapshot))

    def put(self, item: Item) -> Item:
        self._items[item.name] = item
        self._versions[item.bundle.version] = item.name
        return item

    def keep_only(self, names: Iterable[str]) -> tuple[str, ...]:
        """Let go of all others; return which went."""
        wanted = set(names)
        gone = tuple(name for name in self._items if name not in wanted)
        for name in gone:
            version = self._items.pop(name).bundle.version
            if self._versions.get(version) == name:
                del self._versions[version]
        return gone
