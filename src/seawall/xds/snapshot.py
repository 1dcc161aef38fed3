"""Snapshot: the whole configuration of one edge, as a value.

Pure. Immutable to its users: `Snapshot.apply` makes the next one at the cost of the change plus a shallow copy of the
indexes of the types that changed. The version does not depend on the order of changes: it is a sum over the members.
Next room: `xds.stream`.
"""

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from seawall.xds.resource import ALL_TYPES, Ref, Resource, ResourceName, TypeUrl

_MODULUS = 1 << 128


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What to do to a snapshot: put these, remove those. A name stands in at most one of the two."""

    put: tuple[Resource, ...] = ()
    remove: tuple[Ref, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.put and not self.remove


class Snapshot:
    """Resources by type and name. Compare by `version`: equal content, equal version, however it came about."""

    __slots__ = ("_sum", "_types")

    def __init__(self, types: Mapping[TypeUrl, Mapping[ResourceName, Resource]], total: int) -> None:
        """Use `Snapshot.of` or `apply`; this takes the parts as they are."""
        self._types = types
        self._sum = total

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> "Snapshot":
        """Build a snapshot from nothing."""
        return EMPTY.apply(Change(put=tuple(resources)))

    @property
    def version(self) -> str:
        return f"{self._sum:032x}"

    def __len__(self) -> int:
        return sum(len(members) for members in self._types.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Snapshot) and other._sum == self._sum

    def __hash__(self) -> int:
        return self._sum

    def resources(self, type_url: TypeUrl) -> Mapping[ResourceName, Resource]:
        return self._types.get(type_url, {})

    def get(self, ref: Ref) -> Resource | None:
        return self._types.get(ref.type_url, {}).get(ref.name)

    def all(self) -> Iterable[Resource]:
        """Every resource, types in sending order, names in the order they came."""
        for type_url in ALL_TYPES:
            yield from self.resources(type_url).values()

    def apply(self, change: Change) -> "Snapshot":
        """Make the next snapshot. Puts of equal content and removals of absent names change nothing."""
        types = dict(self._types)
        total = self._sum
        copied: dict[TypeUrl, dict[ResourceName, Resource]] = {}

        def members(type_url: TypeUrl) -> dict[ResourceName, Resource]:
            if type_url not in copied:
                copied[type_url] = dict(types.get(type_url, {}))
                types[type_url] = copied[type_url]
            return copied[type_url]

        for resource in change.put:
            old = members(resource.type_url).get(resource.name)
            if old is not None:
                total -= _weight(old)
            members(resource.type_url)[resource.name] = resource
            total += _weight(resource)
        for ref in change.remove:
            gone = members(ref.type_url).pop(ref.name, None)
            if gone is not None:
                total -= _weight(gone)
        return Snapshot(types, total % _MODULUS)

    def difference(self, older: "Snapshot") -> Change:
        """Say what turns `older` into this one. Costs O(size); pass `Change`s along where they are known."""
        put = tuple(r for r in self.all() if (o := older.get(r.ref)) is None or o.version != r.version)
        remove = tuple(o.ref for o in older.all() if self.get(o.ref) is None)
        return Change(put=put, remove=remove)


def _weight(resource: Resource) -> int:
    key = f"{resource.type_url}\0{resource.name}\0{resource.version}".encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:16], "big")


EMPTY = Snapshot({}, 0)
