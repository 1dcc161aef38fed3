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

    __slots__ = ("_buckets", "_digests", "_size")

    def __init__(
        self, buckets: list[dict[ResourceName, Resource]], size: int, digests: list[bytes] | None = None
    ) -> None:
        self._buckets = buckets
        self._size = size
        # One for each bucket, empty where nobody has asked yet.
        self._digests = [b""] * _BUCKETS if digests is None else digests

    def __getitem__(self, name: ResourceName) -> Resource:
        return self._buckets[_bucket(name)][name]

    def find(self, name: ResourceName) -> Resource | None:
        """Return a resource or None: `get`, without an exception on the way."""
        return self._buckets[_bucket(name)].get(name)

    def digest(self) -> bytes:
        """Digest every name and version."""
        for number, known in enumerate(self._digests):
            if not known:
                lines = sorted(f"{name}\0{one.version}\n" for name, one in self._buckets[number].items())
                self._digests[number] = hashlib.sha256("".join(lines).encode()).digest()
        return hashlib.sha256(b"".join(self._digests)).digest()

    def changed(self, older: "Members") -> Iterator[tuple[Resource | None, Resource | None]]:
        """Yield (old, new) for each name whose version differs. Costs the buckets that are not shared."""
        for mine, theirs in zip(self._buckets, older._buckets, strict=True):
            if mine is theirs:
                continue
            for name, new in mine.items():
                old = theirs.get(name)
                if old is None or old.version != new.version:
                    yield old, new
            for name, old in theirs.items():
                if name not in mine:
                    yield old, None

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
        self._digests = list(before._digests)
        self._size = len(before)
        self._own: set[int] = set()

    def swap(self, name: ResourceName, new: Resource | None) -> Resource | None:
        """Put a resource, or remove one; return what was there."""
        number = _bucket(name)
        if number not in self._own:
            self._own.add(number)
            self._buckets[number] = dict(self._buckets[number])
            self._digests[number] = b""
        bucket = self._buckets[number]
        old = bucket.pop(name, None) if new is None else bucket.get(name)
        if new is not None:
            bucket[name] = new
        self._size += (new is not None) - (old is not None)
        return old

    def done(self) -> Members:
        return Members(self._buckets, self._size, self._digests)


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

    @property
    def digest(self) -> str:
        """Name the content by a SHA-256 over all of it, for signatures: `version` is a sum, which is quick to keep and easy
        to forge. Costs the buckets that changed since it was last asked of a snapshot that shares them."""
        hasher = hashlib.sha256()
        for type_url in ALL_TYPES:
            members = self._types.get(type_url)
            if members is not None and len(members):
                hasher.update(type_url.encode())
                hasher.update(members.digest())
        return hasher.hexdigest()

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
        """Say what turns `older` into this one. Costs the buckets that the two do not share."""
        put: list[Resource] = []
        remove: list[Ref] = []
        for type_url in ALL_TYPES:
            mine, theirs = self._types.get(type_url, _NONE), older._types.get(type_url, _NONE)
            if mine is theirs:
                continue
            for old, new in mine.changed(theirs):
                if new is not None:
                    put.append(new)
                elif old is not None:
                    remove.append(old.ref)
        return Change(put=tuple(put), remove=tuple(remove))


def _weight(resource: Resource) -> int:
    key = f"{resource.type_url}\0{resource.name}\0{resource.version}".encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:16], "big")


EMPTY = Snapshot({}, 0)
