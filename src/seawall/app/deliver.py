"""Deliver: the CONFIG flow, from a change of an object to what every edge is told.

    source ──put, remove──▶ ┐
    edges ──Rejected──────▶ ├─ pending ─▶ resolver ─GraphChange─▶ builder ─Change─▶ publish ─▶ edges
                            ┘  (merged)      └─ statuses ─▶ StatusBook        (agents, and plain ADS clients)

One writer. A change that finds it idle goes through at once; what comes while it works is merged into the next step, so
that a thousand changes cost a few steps and no step waits for a timer.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable

import msgspec
import structlog

from seawall.app.blame import Blame
from seawall.app.statuses import StatusBook
from seawall.app.undo import Undo
from seawall.envoy.build import Builder
from seawall.fleet.wire import Applied, Rejected, Rejection, Up
from seawall.gateway.graph import GraphChange, ObjectKey
from seawall.gateway.objects import Object
from seawall.gateway.resolve import Resolver
from seawall.kit.units import Instant, Seconds
from seawall.xds.snapshot import Change, Snapshot

log = structlog.get_logger(__name__)

Publish = Callable[[Snapshot, Change], None]
_TICK = 60.0
"""So often the resolver is told the time, for certificates expire without any change."""


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """One step: what changed, and how long it took."""

    put: tuple[ObjectKey, ...]
    removed: tuple[ObjectKey, ...]
    graph: GraphChange
    version: str
    is_published: bool
    resolved_in: Seconds
    built_in: Seconds


class Counters(msgspec.Struct):
    """What /metrics says of the flow."""

    steps: int = 0
    published: int = 0
    objects: int = 0
    resolve_seconds: float = 0.0
    build_seconds: float = 0.0
    published_at: float = 0.0


class Deliver:
    """The flow. Feed it with `objects_changed` and `edge_reported`, and let `run` run."""

    def __init__(
        self,
        resolver: Resolver,
        publish: Publish,
        *,
        builder: Builder | None = None,
        clock: Callable[[], float] = time.time,
        on_delivered: Callable[[Delivered], None] = lambda delivered: None,
    ) -> None:
        self.resolver = resolver
        self.builder = builder or Builder()
        self.statuses = StatusBook()
        self.blame = Blame()
        self.undo = Undo()
        self.counters = Counters()
        self.objects: dict[ObjectKey, Object] = {}
        self._publish = publish
        self._clock = clock
        self._on_delivered = on_delivered
        self._put: dict[ObjectKey, Object] = {}
        self._remove: dict[ObjectKey, None] = {}
        self._wake = asyncio.Event()
        self._is_first = True
        self._told_at = Instant(0.0)
        self._suspected: tuple[str, tuple[ObjectKey, ...]] = ("", ())

    @property
    def pending(self) -> int:
        return len(self._put) + len(self._remove)

    def objects_changed(self, put: Iterable[Object], remove: Iterable[ObjectKey]) -> None:
        """Take in changes of objects; the last word on each counts."""
        for key in remove:
            self._write(key, self.undo.written(key, None))
        for obj in put:
            self._write(obj.key, self.undo.written(obj.key, obj))
        self._wake.set()

    def hold_back(self, keys: Iterable[ObjectKey], reason: str) -> tuple[ObjectKey, ...]:
        """Put objects back to what they were before the changes that have not settled; return those that were.

        One that is held back already stays so, and one that somebody has written anew meanwhile is not what is meant.
        """
        meant = [key for key in keys if key not in self.undo.held and key not in self._put and key not in self._remove]
        before = self.undo.before(meant)
        for key, instead in before.items():
            self.undo.hold(key, self.objects.get(key), instead, reason)
            self._write(key, instead)
        self._wake.set()
        return tuple(before)

    def suspect(
        self, keys: Iterable[ObjectKey], base: str, reason: str
    ) -> tuple[tuple[ObjectKey, ...], tuple[ObjectKey, ...]]:
        """Hold objects back that may be at fault, and let those go that were suspected before, on the way from the same base:
        what remained has failed, too. Return who is held now, and who is let go."""
        before = self._suspected[1] if self._suspected[0] == base else ()
        held = self.hold_back(keys, reason)
        if not held:
            return (), ()
        self._suspected = (base, held)
        return held, self.release(key for key in before if key not in held)

    def release(self, keys: Iterable[ObjectKey]) -> tuple[ObjectKey, ...]:
        """Let objects that are held back go, as they were written."""
        released = self.undo.release(keys)
        for key, obj in released.items():
            self._write(key, obj)
        self._wake.set()
        return tuple(released)

    def _write(self, key: ObjectKey, obj: Object | None) -> None:
        if obj is None:
            self._put.pop(key, None)
            self._remove[key] = None
        else:
            self._remove.pop(key, None)
            self._put[key] = obj

    def edge_reported(self, edge: str, message: Up) -> None:
        """Take in what an edge says of what it was told."""
        match message:
            case Applied(version=version):
                self.blame.applied(version)
            case Rejected(version=version, rejections=rejections):
                if self.blame.refused(edge, version, rejections, self.builder.origins, self._is_current):
                    log.warning("edge_refused_resources", edge=edge, resources=[one.ref.name for one in rejections])
                    self._wake.set()
            case _:
                pass

    def _is_current(self, rejection: Rejection) -> bool:
        resource = self.builder.snapshot.get(rejection.ref)
        # Of a secret that nobody uses any more there is nothing newer to wait for.
        return resource is None or resource.version == rejection.version

    def edge_gone(self, edge: str) -> None:
        """Forget the faults of an edge that will not come back."""
        if self.blame.forget_edge(edge):
            self._wake.set()

    async def run(self) -> None:
        """Work for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._wake.wait()
            self._wake.clear()
            self.step()
            # Let what has arrived meanwhile be read, so that it is merged and not queued.
            await asyncio.sleep(0)

    def step(self) -> Delivered:
        """Carry everything that is pending through to the edges."""
        put, remove, before = self._take()
        now = Instant(self._clock())
        began = time.perf_counter()
        graph = self.resolver.update(
            put=put.values(),
            remove=remove,
            quarantine=self.blame.quarantine,
            faults=self.blame.faults,
            at=self._due(now),
        )
        resolved = time.perf_counter()
        change = self.builder.update(self.resolver.graph, graph)
        built = time.perf_counter()
        self.statuses.note(self.resolver.statuses, graph.statuses, now)
        self.undo.step(self.builder.snapshot.version, before)
        is_published = self._is_first or not change.is_empty
        if is_published:
            self._send(change)
        self._count(len(put) + len(remove), resolved - began, built - resolved)
        delivered = Delivered(
            put=tuple(put),
            removed=remove,
            graph=graph,
            version=self.builder.snapshot.version,
            is_published=is_published,
            resolved_in=Seconds(resolved - began),
            built_in=Seconds(built - resolved),
        )
        self._on_delivered(delivered)
        return delivered

    def _due(self, now: Instant) -> Instant | None:
        """Tell the time now and then only: the resolver then looks at every certificate."""
        if abs(now - self._told_at) < _TICK / 2:
            return None
        self._told_at = now
        return now

    def _take(self) -> tuple[dict[ObjectKey, Object], tuple[ObjectKey, ...], dict[ObjectKey, Object | None]]:
        """Take what is pending: what is new, what is gone, and what was there before."""
        put, remove = self._put, tuple(self._remove)
        self._put, self._remove = {}, {}
        before = {key: self.objects.get(key) for key in (*put, *remove)}
        if put or remove:
            self.blame.changed(put, remove)
            self.objects.update(put)
            for key in remove:
                self.objects.pop(key, None)
        return put, remove, before

    def _send(self, change: Change) -> None:
        # Also an empty first one: the edges are to know that this is all there is.
        self._is_first = False
        snapshot = self.builder.snapshot
        self.blame.published(snapshot.version)
        self._publish(snapshot, change)
        self.counters.published += 1
        self.counters.published_at = self._clock()

    def _count(self, objects: int, resolving: float, building: float) -> None:
        self.counters.steps += 1
        self.counters.objects += objects
        self.counters.resolve_seconds += resolving
        self.counters.build_seconds += building
