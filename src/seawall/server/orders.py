"""Orders: which bundle each edge is to run, and the bytes that bring it there.

Pure bookkeeping of `server.edges`. An order is signed for one edge or for all; the one with the newest fence counts. Edges
that lack the same share the bytes; only the signed order at the end is each one's own.
"""

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Sequence, Set

import msgspec

from seawall.fleet.bundle import EVERY_EDGE, Assignment, Bundle, Signed
from seawall.fleet.history import History
from seawall.fleet.wire import Publish
from seawall.kit.errors import InvariantError
from seawall.xds.resource import Resource
from seawall.xds.snapshot import EMPTY, Snapshot

PART = 2 << 20
_MOST_ENCODED_BYTES = 64 << 20
_MOST_ENCODED = 1024
_MOST_ORDERS = 50_000
_encode = msgspec.msgpack.Encoder().encode


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What one edge is to run now."""

    fence: int
    bundle: str
    signed: Signed
    assignment: Signed
    snapshot: Snapshot
    is_for_all: bool


class _Order(msgspec.Struct, frozen=True, kw_only=True):
    assignment: Assignment
    signed: Signed


class _End(msgspec.Struct, frozen=True, kw_only=True, tag="publish"):
    """The last part of a Publish, with the resources encoded already: edges share those, whatever their orders."""

    version: str
    base: str
    put: msgspec.Raw
    remove: msgspec.Raw
    bundle: Signed
    assignment: Signed


class _Way(msgspec.Struct, kw_only=True):
    """What leads from one version to another, encoded. `end` is the last message for whoever has the order `order`."""

    parts: tuple[bytes, ...]
    put: msgspec.Raw
    remove: msgspec.Raw
    size: int
    order: bytes = b""
    end: bytes = b""


class Orders:
    """Bundles on offer, and the newest order to each edge."""

    def __init__(self, most_bytes: int = _MOST_ENCODED_BYTES) -> None:
        self._bundles: dict[str, tuple[Signed, Snapshot]] = {}
        self._orders: dict[str, _Order] = {}
        self._uses: Counter[str] = Counter()
        """How many orders name a bundle: such a one stays, whoever lets go of it."""
        self._offered: set[str] = set()
        self._history = History()
        self._ways: OrderedDict[tuple[str, str], _Way] = OrderedDict()
        self._most_bytes = most_bytes
        self._bytes = 0

    @property
    def encoded_bytes(self) -> int:
        """How much is kept encoded."""
        return self._bytes

    @property
    def names(self) -> Set[str]:
        """Name the bundles at hand."""
        return self._bundles.keys()

    def offer(self, signed: Signed, snapshot: Snapshot) -> str:
        """Keep a bundle that edges may be told to run, until it is retired; return its name."""
        name = self.put(signed, snapshot)
        self._offered.add(name)
        return name

    def put(self, signed: Signed, snapshot: Snapshot) -> str:
        """Keep a bundle for as long as an order names it; return its name."""
        bundle = msgspec.msgpack.decode(signed.body, type=Bundle)
        if bundle.version != snapshot.version:
            raise InvariantError(f"bundle {bundle.name} is of version {bundle.version}, not of {snapshot.version}")
        self._bundles[bundle.name] = (signed, snapshot)
        self._history.remember(snapshot)
        return bundle.name

    def retire(self, names: Collection[str]) -> None:
        """Let go of bundles that will not be assigned any more; of those that an order names, when none does."""
        self._offered.difference_update(names)
        for name in names:
            self._drop(name)

    def assign(self, signed: Signed) -> Assignment | None:
        """Take an order; return it, or None if a newer one stands."""
        assignment = msgspec.msgpack.decode(signed.body, type=Assignment)
        known = self._orders.get(assignment.edge)
        if known is not None and known.assignment.fence > assignment.fence:
            return None
        self._forget(assignment.edge)
        if assignment.edge == EVERY_EDGE:
            # Older orders to single edges are overruled, for good: fences only grow.
            for edge in [one for one, each in self._orders.items() if each.assignment.fence < assignment.fence]:
                self._forget(edge)
        elif len(self._orders) >= _MOST_ORDERS:
            # An edge long gone: if it comes back, it is told again by who decides.
            self._forget(next(edge for edge in self._orders if edge != EVERY_EDGE))
        self._orders[assignment.edge] = _Order(assignment=assignment, signed=signed)
        self._uses[assignment.bundle] += 1
        for name in [one for one in self._bundles if one not in self._offered and not self._uses[one]]:
            self._drop(name)
        return assignment

    def _forget(self, edge: str) -> None:
        order = self._orders.pop(edge, None)
        if order is not None:
            self._uses[order.assignment.bundle] -= 1

    def _drop(self, name: str) -> None:
        if name not in self._offered and not self._uses[name]:
            self._bundles.pop(name, None)
            del self._uses[name]

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
            is_for_all=newest.assignment.edge == EVERY_EDGE,
        )

    def find(self, version: str) -> Snapshot | None:
        """Return a snapshot that an edge may hold, if we know it."""
        found = self._history.find(version)
        if found is not None:
            return found
        return next((snapshot for _, snapshot in self._bundles.values() if snapshot.version == version), None)

    def base(self, held: Snapshot, kept: Collection[str], target: Target) -> Snapshot:
        """Choose what to build on, of what an edge holds and the bundles that it keeps: EMPTY if we know none of it."""
        if target.bundle in kept:
            return target.snapshot
        if len(held):
            return held
        return next((self._bundles[name][1] for name in kept if name in self._bundles), EMPTY)

    def messages(self, base: Snapshot, target: Target) -> Iterator[bytes]:
        """Encode what leads an edge from `base` to its target: what it lacks, and with the last part the order."""
        way = self._way(base, target.snapshot)
        yield from way.parts
        if way.order == target.assignment.signature:
            yield way.end
            return
        end = _encode(
            _End(
                version=target.snapshot.version,
                base=base.version if len(base) else "",
                put=way.put,
                remove=way.remove,
                bundle=target.signed,
                assignment=target.assignment,
            )
        )
        if target.is_for_all:
            way.order, way.end = target.assignment.signature, end
        yield end

    def _way(self, base: Snapshot, newest: Snapshot) -> _Way:
        key = (base.version, newest.version)
        way = self._ways.get(key)
        if way is not None:
            self._ways.move_to_end(key)
            return way
        way = self._ways[key] = _encoded(base, newest)
        self._bytes += way.size
        while len(self._ways) > 1 and (self._bytes > self._most_bytes or len(self._ways) > _MOST_ENCODED):
            self._bytes -= self._ways.popitem(last=False)[1].size
        return way


def _encoded(base: Snapshot, newest: Snapshot) -> _Way:
    change = newest.difference(base)
    name = base.version if len(base) else ""
    *firsts, last = cut(change.put)
    parts = tuple(_encode(Publish(version=newest.version, base=name, put=part, more=True)) for part in firsts)
    put, remove = msgspec.Raw(_encode(last)), msgspec.Raw(_encode(change.remove))
    # The end holds them once more.
    size = sum(len(part) for part in parts) + 2 * (len(bytes(put)) + len(bytes(remove))) + 1024
    return _Way(parts=parts, put=put, remove=remove, size=size)


def cut(put: Sequence[Resource]) -> list[tuple[Resource, ...]]:
    """Cut what is put into messages of moderate size; at least one."""
    parts: list[tuple[Resource, ...]] = []
    members: list[Resource] = []
    size = 0
    for resource in put:
        if members and size + len(resource.body) > PART:
            parts.append(tuple(members))
            members, size = [], 0
        members.append(resource)
        size += len(resource.body) + 200
    return [*parts, tuple(members)]
