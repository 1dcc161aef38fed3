"""Orders: which bundle each edge is to run, and the bytes that bring it there.

Pure bookkeeping of `server.edges`. An order is signed for one edge or for all; the one with the newest fence counts. Edges
that lack the same share the bytes; only the signed order at the end is each one's own.
"""

from collections.abc import Collection, Iterator

import msgspec

from seawall.fleet.bundle import EVERY_EDGE, Assignment, Bundle, Signed
from seawall.fleet.history import History
from seawall.fleet.wire import Publish
from seawall.kit.errors import InvariantError
from seawall.xds.resource import Resource
from seawall.xds.snapshot import Change, Snapshot

PART = 2 << 20
_MOST_ENCODED = 8
_encode = msgspec.msgpack.Encoder().encode


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What one edge is to run now."""

    fence: int
    bundle: str
    signed: Signed
    assignment: Signed
    snapshot: Snapshot


class _Order(msgspec.Struct, frozen=True, kw_only=True):
    assignment: Assignment
    signed: Signed


class Orders:
    """Bundles on offer, and the newest order to each edge."""

    def __init__(self) -> None:
        self._bundles: dict[str, tuple[Signed, Snapshot]] = {}
        self._orders: dict[str, _Order] = {}
        self._history = History()
        self._encoded: dict[tuple[str, str], tuple[bytes, ...]] = {}

    def offer(self, signed: Signed, snapshot: Snapshot) -> str:
        """A bundle that edges may be told to run; return its name."""
        bundle = msgspec.msgpack.decode(signed.body, type=Bundle)
        if bundle.version != snapshot.version:
            raise InvariantError(f"bundle {bundle.name} is of version {bundle.version}, not of {snapshot.version}")
        self._bundles[bundle.name] = (signed, snapshot)
        self._history.remember(snapshot)
        return bundle.name

    def retire(self, names: Collection[str]) -> None:
        """These will not be assigned any more. What an order still needs stays."""
        needed = {order.assignment.bundle for order in self._orders.values()}
        for name in names:
            if name not in needed:
                self._bundles.pop(name, None)

    def assign(self, signed: Signed) -> Assignment | None:
        """Take an order; return it, or None if a newer one stands."""
        assignment = msgspec.msgpack.decode(signed.body, type=Assignment)
        known = self._orders.get(assignment.edge)
        if known is not None and known.assignment.fence > assignment.fence:
            return None
        self._orders[assignment.edge] = _Order(assignment=assignment, signed=signed)
        return assignment

    def forget(self, edge: str) -> None:
        """An edge has left the fleet."""
        self._orders.pop(edge, None)

    def target(self, edge: str) -> Target | None:
        """Say what an edge is to run: its own order or that for all, whichever is newer. None: nobody has said yet."""
        orders = [order for name in (edge, EVERY_EDGE) if (order := self._orders.get(name)) is not None]
        newest = max(orders, key=lambda order: order.assignment.fence, default=None)
        if newest is None or newest.assignment.bundle not in self._bundles:
            return None
        signed, snapshot = self._bundles[newest.assignment.bundle]
        return Target(
            fence=newest.assignment.fence,
            bundle=newest.assignment.bundle,
            signed=signed,
            assignment=newest.signed,
            snapshot=snapshot,
        )

    def find(self, version: str) -> Snapshot | None:
        """Return a snapshot that an edge may hold, if we know it."""
        return self._history.find(version)

    def messages(self, base: Snapshot, target: Target) -> Iterator[bytes]:
        """Encode what leads an edge from `base` to its target: the parts that it lacks, then the order."""
        version = target.snapshot.version
        yield from self._parts(base, target.snapshot)
        end = Publish(
            version=version,
            base=base.version if len(base) else "",
            remove=target.snapshot.difference(base).remove,
            bundle=target.signed,
            assignment=target.assignment,
        )
        yield _encode(end)

    def _parts(self, base: Snapshot, newest: Snapshot) -> tuple[bytes, ...]:
        key = (base.version, newest.version)
        parts = self._encoded.get(key)
        if parts is None:
            change = newest.difference(base)
            name = base.version if len(base) else ""
            parts = tuple(_encode(part) for part in cut(change, name, newest.version))
            while len(self._encoded) >= _MOST_ENCODED:
                del self._encoded[next(iter(self._encoded))]
            self._encoded[key] = parts
        return parts


def cut(change: Change, base: str, version: str) -> Iterator[Publish]:
    """Cut what is put into messages of moderate size; none of them is the last one."""
    members: list[Resource] = []
    size = 0
    for resource in change.put:
        if members and size + len(resource.body) > PART:
            yield Publish(version=version, base=base, put=tuple(members), more=True)
            members, size = [], 0
        members.append(resource)
        size += len(resource.body) + 200
    if members:
        yield Publish(version=version, base=base, put=tuple(members), more=True)
