"""Serve: the control plane, one asyncio process: source, deliver, edges, plain ADS, console.

Crash-only: a task that dies takes the process down. What must survive lies in the state folder, the rest is built again
from the manifests; the edges go on serving meanwhile.
"""

import asyncio
import contextlib
import datetime
import time
from collections.abc import AsyncIterator, Callable

import structlog

from seawall.app.config import ServeSettings
from seawall.app.deliver import Deliver, Delivered
from seawall.app.instance import Parts, RunningInstance
from seawall.app.offline import Offline
from seawall.app.plain_ads import NODE, PlainAds
from seawall.app.problems import ProblemBook
from seawall.app.proposals import Surroundings
from seawall.app.protecting import settings_of
from seawall.app.protection import Protection
from seawall.app.quotas import Quotas
from seawall.app.restores import Restores
from seawall.app.rollouting import Rollouting
from seawall.app.rundir import RunDir
from seawall.app.shelf import Item
from seawall.app.standins import Demos, StandIns
from seawall.app.traffic import Traffic
from seawall.app.watch_desk import WatchDesk
from seawall.console.api import api
from seawall.console.server import serving
from seawall.envoy.build import Builder
from seawall.envoy.native import check, unreadable
from seawall.fleet.wire import Held, Hello, Up, Used
from seawall.fleet.wire import Traffic as TrafficMessage
from seawall.gateway.graph import ObjectKey
from seawall.gateway.resolve import Resolver
from seawall.gateway.resources.perimeter import Approvals, PerimeterSpec
from seawall.kit.units import Instant
from seawall.rollout.drills import positions
from seawall.rollout.events import Quarantine
from seawall.rollout.guards.question import Drill, EdgeFact
from seawall.server.edges import EdgeService, serve_edges
from seawall.server.tls import ReloadingIdentity
from seawall.source.change import SourceChange
from seawall.source.files import FileSource
from seawall.xds.snapshot import Change, Snapshot

log = structlog.get_logger(__name__)

EDGES_SOCKET = "edges.sock"
_FORGET_INTERVAL = 30.0
_ALONE = PerimeterSpec(approvals=Approvals(required=1))
"""Where nobody has described a perimeter there is no second person to ask."""


class ControlPlane:
    """The parts, wired. `serving_control_plane` makes one and lets it run."""

    def __init__(self, settings: ServeSettings) -> None:
        journal = settings.state_dir / "objects.journal" if settings.state_dir is not None else None
        self.source = FileSource(settings.path, settings=settings.source, journal=journal, check=unreadable)
        self.problems = ProblemBook(self.source.place, self.source.file_of)
        self.edges = EdgeService(on_report=self._reported)
        self.deliver = Deliver(
            Resolver(settings.gateway, check),
            self._publish,
            builder=Builder(settings.door),
            on_delivered=self._delivered,
        )
        self.traffic = Traffic()
        self.rollouting = Rollouting.make(
            settings, self.edges, self._surroundings, self.deliver.builder.origins, self.traffic, self._newest
        )
        self.rollouts = self.rollouting.rollouts
        self.restores = Restores(self.rollouting.scribe, lambda: next(iter(self.rollouts.conductor.goods), ""))
        self.rollouts.hooks.quarantine = self._hold_back
        self.rollouts.hooks.settled = self._settled
        self.rollouts.hooks.offline = lambda path: Offline(
            path, settings.gateway, dict(self._stand_ins.certificates), self._demos.ports, settings.door
        )
        self.instance = RunningInstance(
            Parts(
                name=settings.name,
                path=str(settings.path),
                deliver=self.deliver,
                edges=self.edges,
                problems=self.problems,
                rollouts=self.rollouts,
                scribe=self.rollouting.scribe,
            )
        )
        self.plain_ads = PlainAds(self.deliver.edge_reported)
        self.quotas = Quotas(self.edges, lambda: self.deliver.resolver.graph.quotas)
        self._has_read = False
        """Whether manifests have been taken in; before, no policy does not mean that there is none."""
        self.protection = Protection(
            self.edges,
            self.traffic,
            settings.state_dir,
            settings=lambda: settings_of(self.deliver.resolver.graph.protection) if self._has_read else None,
        )
        self.addresses: tuple[str, ...] = ()
        self.on_delivered: Callable[[Delivered], None] = lambda delivered: None
        self.on_report: Callable[[str, Up], None] = lambda edge, message: None
        self._demos = Demos()
        self._stand_ins = StandIns()

    async def follow_source(self) -> None:
        """Hand on what the manifests say, for ever."""
        async with self._demos, contextlib.aclosing(self.source.changes()) as changes:
            async for change in changes:
                await self._take(change)

    async def forget_lost_edges(self) -> None:
        """Let go of what edges said that have been gone for long, for ever: their ports are nobody's business now."""
        while True:
            await asyncio.sleep(_FORGET_INTERVAL)
            known = {edge.edge for edge in self.edges.edges.list(Instant(time.time()))}
            for edge in self.deliver.blame.edges:
                if edge not in known and not edge.startswith(NODE):
                    self.deliver.edge_gone(edge)

    async def _take(self, change: SourceChange) -> None:
        await self._demos.follow(change.put, change.remove)
        now = datetime.datetime.now(datetime.UTC)
        put, remove = self._stand_ins.fill(change.put, change.remove, self._demos.ports, now)
        self.problems.note_files(change.problems)
        self.deliver.objects_changed(put, remove)

    def _publish(self, snapshot: Snapshot, change: Change) -> None:
        self._configure()
        self.rollouts.compiled(snapshot)

    def _configure(self) -> None:
        described = self.deliver.resolver.graph.perimeter
        self.rollouts.configured(described.spec if described is not None else _ALONE)

    def _settled(self, item: Item) -> None:
        """All edges are told to run this: so are Envoys without an agent, and what it was built from stands."""
        self.deliver.undo.settled(item.bundle.version)
        self.plain_ads.publish(item.snapshot)

    def _hold_back(self, wish: Quarantine) -> None:
        held, released = self.deliver.suspect([ObjectKey(origin) for origin in wish.origins], wish.base, wish.reason)
        if released:
            log.warning("objects_let_go", objects=released, reason="without them it failed all the same")
        log.warning("objects_held_back", objects=held, reason=wish.reason)

    def _newest(self, origins: tuple[str, ...], version: str) -> tuple[str, ...]:
        return self.deliver.undo.newest(map(ObjectKey, origins), version)

    def _surroundings(self) -> Surroundings:
        edges = tuple(
            EdgeFact(
                name=edge.edge,
                region=edge.region,
                memory_limit=int(edge.tally.gauges.get("memory_limit", 0)) if edge.tally is not None else 0,
            )
            for edge in self.edges.edges.list(Instant(time.time()))
        )
        return Surroundings(
            overrides=self.rollouts.conductor.overrides,
            edges=edges,
            proven=self.restores.proven,
            drills=tuple(
                Drill(switch=name, is_on=is_on, at=at)
                for name, stand in self.rollouts.conductor.stands.items()
                for is_on, at in positions(stand).items()
            ),
            is_described=self.deliver.resolver.graph.perimeter is not None,
        )

    def _delivered(self, delivered: Delivered) -> None:
        self._has_read = True
        if delivered.graph.perimeter and not delivered.is_published:
            self._configure()
            self.rollouts.compiled(self.deliver.builder.snapshot)
        if delivered.is_published:
            log.info(
                "snapshot_published",
                version=delivered.version,
                objects=len(delivered.put) + len(delivered.removed),
                took=round(delivered.resolved_in + delivered.built_in, 6),
            )
        self.on_delivered(delivered)

    def _reported(self, edge: str, message: Up) -> None:
        if isinstance(message, Used):
            self.quotas.heard(edge, message)
            return
        if isinstance(message, TrafficMessage):
            self.traffic.heard(edge, message, Instant(time.time()))
            return
        if isinstance(message, Held):
            self.protection.heard(edge, message)
            return
        if isinstance(message, Hello):
            self.protection.greeted(edge)
        self.deliver.edge_reported(edge, message)
        self.rollouts.heard(edge, message)
        self.on_report(edge, message)


@contextlib.asynccontextmanager
async def serving_control_plane(settings: ServeSettings, run: RunDir) -> AsyncIterator[ControlPlane]:
    """Run a control plane while the block runs."""
    began = time.perf_counter()
    plane = ControlPlane(settings)
    plane.instance.more = plane.traffic.metrics
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(plane.rollouting.scribe.close)
        unix = await stack.enter_async_context(serve_edges(plane.edges, f"unix:{run.path / EDGES_SOCKET}"))
        addresses = [unix]
        identity = ReloadingIdentity(settings.tls) if settings.tls is not None else None
        if settings.xds:
            listening_xds = plane.plain_ads.serving(settings.xds, identity, is_insecure=settings.is_insecure)
            addresses.append(await stack.enter_async_context(listening_xds))
        if settings.edges:
            listening = serve_edges(plane.edges, settings.edges, identity, is_insecure=settings.is_insecure)
            addresses.append(await stack.enter_async_context(listening))
        console = serving(
            api(plane.instance, plane.rollouting.desk, WatchDesk(plane.protection, plane.traffic)),
            run.control_socket,
            settings.console,
        )
        plane.addresses = (*addresses, *await stack.enter_async_context(console))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running = [
            tasks.create_task(plane.follow_source(), name="source"),
            tasks.create_task(plane.deliver.run(), name="deliver"),
            tasks.create_task(plane.rollouts.run(), name="rollouts"),
            tasks.create_task(plane.quotas.run(), name="quotas"),
            tasks.create_task(plane.protection.run(), name="protection"),
            tasks.create_task(plane.forget_lost_edges(), name="forget-edges"),
            tasks.create_task(plane.restores.run(), name="restores"),
        ]
        took = round(time.perf_counter() - began, 3)
        log.info("control_plane_started", addresses=plane.addresses, key=plane.rollouting.public_key, took=took)
        try:
            yield plane
        finally:
            for task in running:
                task.cancel()


async def serve(settings: ServeSettings, run: RunDir, stop: asyncio.Event) -> None:
    """Run a control plane until told to stop."""
    async with serving_control_plane(settings, run) as plane:
        run.announce(plane.addresses)
        await stop.wait()
        log.info("control_plane_stopping")
