"""Snapshot: the whole configuration of one edge, as a value.

Pure. Immutable to its users: `Snapshot.apply` makes the next one at the cost of the change: what did not change is shared
with the one before, in buckets. The version does not depend on the order of changes: it is a sum over the members.
Next room: `xds.stream`.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from seawall.xds.resource import ALL_TYPES, Ref, Resource, ResourceName, TypeUrl

_MODULUS = 1 << 128
_BUCKETS = 256
"""So many parts has a type. A change copies the list of parts and one part: with 20,000 members 3 µs, not 300."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What to do to a snapshot: put these, remove those. A name stands in at most one of the two."""

    put: tuple[Resource, ...] = ()
    remove: tuple[Ref, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.put and not self.remove


class Members(Mapping[ResourceName, Resource]):
    """The resources of one type by name. The order is that of the buckets, the same in every process."""

    __slots__ = ("_buckets", "_size")

    def __init__(self, buckets: list[dict[ResourceName, Resource]], size: int) -> None:
        self._buckets = buckets
        self._size = size

    def __getitem__(self, name: ResourceName) -> Resource:
        return self._buckets[_bucket(name)][name]

    def find(self, name: ResourceName) -> Resource | None:
        """Return a resource or None: `get`, without an exception on the way."""
        return self._buckets[_bucket(name)].get(name)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[ResourceName]:
        for bucket in self._buckets:
            yield from bucket


_NONE = Members([{}] * _BUCKETS, 0)


class _Draft:
    """The next `Members`: copies a bucket when it is first written to."""

    def __init__(self, before: Members) -> None:
        self._buckets = list(before._buckets)
        self._size = len(before)
        self._own: set[int] = set()

    def swap(self, name: ResourceName, new: Resource | None) -> Resource | None:
        """Put a resource, or remove one; return what was there."""
        number = _bucket(name)
        if number not in self._own:
            self._own.add(number)
            self._buckets[number] = dict(self._buckets[number])
        bucket = self._buckets[number]
        old = bucket.pop(name, None) if new is None else bucket.get(name)
        if new is not None:
            bucket[name] = new
        self._size += (new is not None) - (old is not None)
        return old

    def done(self) -> Members:
        return Members(self._buckets, self._size)


def _bucket(name: ResourceName) -> int:
    # Not `hash`: Python salts it for each process.
    return zlib.crc32(name.encode()) % _BUCKETS


class Snapshot:
    """Resources by type and name. Compare by `version`: equal content, equal version, however it came about."""

    __slots__ = ("_sum", "_types")

    def __init__(self, types: Mapping[TypeUrl, Members], total: int) -> None:
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
        return self._types.get(type_url, _NONE)

    def get(self, ref: Ref) -> Resource | None:
        return self._types.get(ref.type_url, _NONE).find(ref.name)

    def all(self) -> Iterable[Resource]:
        """Every resource, types in sending order."""
        for type_url in ALL_TYPES:
            yield from self.resources(type_url).values()

    def apply(self, change: Change) -> "Snapshot":
        """Make the next snapshot. Puts of equal content and removals of absent names change nothing."""
        total = self._sum
        drafts: dict[TypeUrl, _Draft] = {}
        writes: Iterable[tuple[Ref, Resource | None]] = (
            *((resource.ref, resource) for resource in change.put),
            *((ref, None) for ref in change.remove),
        )
        for ref, new in writes:
            draft = drafts.get(ref.type_url)
            if draft is None:
                draft = drafts[ref.type_url] = _Draft(self._types.get(ref.type_url, _NONE))
            old = draft.swap(ref.name, new)
            total += (_weight(new) if new is not None else 0) - (_weight(old) if old is not None else 0)
        types = {**self._types, **{type_url: draft.done() for type_url, draft in drafts.items()}}
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
