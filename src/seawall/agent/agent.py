"""Agent: keeps one edge serving: Envoy up, its snapshot right, the control plane informed.

The flow, top to bottom: load what is on disk, start the relay and Envoy on it, then listen to the control plane.
What to do when is decided by `fleet.guardian`; this file hears events, asks it, and carries out its actions.

    control plane ──Publish──▶ uplink ─▶ guardian ─Take─▶ keeper (disk), relay ──ADS──▶ Envoy
                  ◀─Applied, Rejected, Heartbeat─ uplink ◀── relay ◀────ACK, NACK────────┘
"""

import asyncio
import random
import time
from collections.abc import Coroutine, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from seawall.agent.keeper import Keeper
from seawall.agent.relay import Relay
from seawall.agent.settings import AgentSettings
from seawall.agent.supervisor import RunFolder, Supervisor
from seawall.agent.uplink import OutOfStepError, Uplink
from seawall.agent.web import serve_web
from seawall.fleet.guardian import (
    Action,
    Booted,
    Died,
    Guardian,
    Offered,
    Promote,
    Refuse,
    Remember,
    Restore,
    Settled,
    Start,
    Started,
    Take,
    Ticked,
)
from seawall.fleet.metrics import bounded, own
from seawall.fleet.wire import Applied, Heartbeat, Hello, Order, Publish, Rejected
from seawall.kit.errors import ConfigError, UnavailableError
from seawall.kit.units import Instant, Seconds
from seawall.xds.resource import LISTENER, ResourceName
from seawall.xds.snapshot import EMPTY, Change, Snapshot

log = structlog.get_logger(__name__)

_PAUSE = Seconds(0.05)
"""How often to look whether Envoy is live while it boots, and whether it has answered; at all else once a second."""


class Agent:
    """One edge. `run` returns after `stop` or `leave`; cancelling it stops Envoy without draining."""

    def __init__(self, settings: AgentSettings) -> None:
        """Raises ConfigError for settings that cannot work."""
        self.metrics_address = ""
        self._settings = settings
        self._keeper = Keeper(Path(settings.state_dir) / "snapshots.db", on_saved=self._announce)
        self._uplink = Uplink(settings, self._greeting, self._on_message)
        self._stop = asyncio.Event()
        self._beat = asyncio.Event()
        self._orders: asyncio.Queue[Order] = asyncio.Queue()
        self._is_running = False
        self._leaves_envoy = False
        self._is_draining = False
        self._is_live = False
        self._wanted: Snapshot | None = None
        self._taken_at = time.monotonic()
        self._settled = ""
        self._announced = ""
        self._dropped_series = 0

    @property
    def envoy_pid(self) -> int:
        """The process id of the Envoy that runs, 0 for none."""
        return self._supervisor.pid if self._is_running else 0

    @property
    def deaths(self) -> int:
        """How often Envoy has died under this agent."""
        return self._guardian.deaths if self._is_running else 0

    def stop(self) -> None:
        """Drain Envoy, stop it, and let `run` return."""
        self._stop.set()

    def leave(self) -> None:
        """Let `run` return and Envoy serve on, for the next agent to adopt: how an agent is updated."""
        self._leaves_envoy = True
        self._stop.set()

    # ── the flow ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Serve until told to stop. Raises ConfigError for what the operator must change first."""
        with RunFolder(self._settings.run_dir) as folder:
            try:
                async with asyncio.TaskGroup() as group:
                    making = group.create_task(Supervisor.make(self._settings, folder.path), name="agent-envoy-found")
                    group.create_task(self._keeper.load(), name="agent-snapshot-loaded")
            except* ConfigError as several:
                raise several.exceptions[0] from None
            self._supervisor = making.result()
            self._guardian = _guardian(self._keeper)
            self._is_running = True
            self._relay = Relay(self._supervisor, on_settled=self._on_settled, on_rejections=self._report_rejections)
            try:
                async with self._relay.serving(folder.path / "ads.sock"), asyncio.TaskGroup() as group:
                    tasks = [group.create_task(flow, name=name) for name, flow in self._flows()]
                    await self._stop.wait()
                    if not self._leaves_envoy:
                        self._is_draining = True
                        self._send_heartbeat()
                        await self._supervisor.stop()
                    for task in tasks:
                        task.cancel()
            finally:
                await asyncio.shield(self._clean_up())

    def _flows(self) -> Iterable[tuple[str, Coroutine[None, None, None]]]:
        yield "agent-keeper", self._keeper.run()
        yield "agent-envoy", self._keep_envoy()
        yield "agent-look", self._look()
        yield "agent-heartbeat", self._send_heartbeats()
        yield "agent-orders", self._obey()
        yield "agent-uplink", self._uplink.run()
        if self._settings.metrics:
            yield "agent-web", self._serve_web()

    async def _keep_envoy(self) -> None:
        """Have an Envoy run, whatever happens to it."""
        was_running = self._keeper.memo().is_running
        is_adopted = await self._supervisor.adopt()
        held = await self._listeners_of_adopted() if is_adopted else frozenset()
        self._relay.renew(self._keeper.current(), held)
        actions = self._guardian.handle(Booted(at=_now(), is_adopted=is_adopted, was_running=was_running))
        await self._start(actions)
        while True:
            cause, was_asked = await self._supervisor.ended()
            self._is_live, self._settled = False, ""
            if self._stop.is_set():
                return
            if was_asked:
                log.info("envoy_stopped", cause=cause)
                await self._start([Start(after=Seconds(0.0))])
                continue
            log.error("envoy_died", cause=cause, deaths=self._guardian.deaths + 1)
            await self._start(self._died(cause))

    async def _start(self, actions: Sequence[Action]) -> None:
        """Carry out what the guardian says until an Envoy runs."""
        while (delay := self._carry_out(actions)) is not None:
            self._send_heartbeat()
            await asyncio.sleep(delay)
            self._relay.renew(self._keeper.current())
            try:
                self._supervisor.start()
            except ConfigError as exc:
                log.error("envoy_not_started", reason=str(exc))
                actions = self._died(str(exc))
                continue
            self._remember(is_running=True)
            actions = self._guardian.handle(Started(at=_now()))

    def _died(self, cause: str) -> Sequence[Action]:
        return self._guardian.handle(Died(at=_now(), reason=cause, luck=random.random()))  # noqa: S311

    def _carry_out(self, actions: Iterable[Action]) -> Seconds | None:
        """Carry out all actions but a start, whose delay is returned."""
        delay = None
        for action in actions:
            match action:
                case Restore(reason=reason):
                    restored = self._keeper.restore()
                    log.error("snapshot_restored", version=restored.version, reason=reason)
                case Promote(mark=mark):
                    self._keeper.promote(mark)
                case Remember(refused=refused, deaths=deaths):
                    self._remember(refused=refused, deaths=deaths)
                case Start(after=after):
                    delay = after
        return delay

    async def _look(self) -> None:
        """Look after what sends no events: Envoy's health, ports that were in use, the passing of time."""
        looked_at = 0.0
        while True:
            is_due = time.monotonic() - looked_at >= 1.0
            if is_due or not self._is_live:
                await self._look_at_envoy()
            if self._settled != self._keeper.current().version:
                self._relay.look()
            if is_due:
                looked_at = time.monotonic()
                self._carry_out(self._guardian.handle(Ticked(at=_now())))
                self._offer()
                self._relay.retry(self._keeper.current())
                self._supervisor.trim_log()
            await asyncio.sleep(_PAUSE)

    async def _look_at_envoy(self) -> None:
        was_ready, self._is_live = not self._unready(), await self._supervisor.is_live()
        if was_ready != (not self._unready()):
            self._beat.set()

    # ── what the control plane says ──────────────────────────────────────────────────────────────────────────────

    def _on_message(self, message: Publish | Order) -> None:
        if isinstance(message, Order):
            self._orders.put_nowait(message)
            return
        change = Change(put=message.put, remove=message.remove)
        held = self._held() if message.base else EMPTY
        if message.base and message.base != held.version:
            raise OutOfStepError(f"the control plane builds on {message.base}, we hold {held.version}.")
        wanted = held.apply(change)
        if wanted.version != message.version:
            raise OutOfStepError(f"what was published as {message.version} makes {wanted.version} here.")
        self._wanted = wanted
        self._offer(change if message.base == self._keeper.current().version else None)

    def _held(self) -> Snapshot:
        """What the control plane may build on: what it wants here, even if Envoy does not run it."""
        return self._keeper.current() if self._wanted is None else self._wanted

    def _offer(self, change: Change | None = None) -> None:
        """Ask the guardian whether to run what is wanted. `change` leads there from what we have, if that is known."""
        if self._wanted is None:
            return
        current = self._keeper.current()
        had_fallback = self._guardian.fallback
        for action in self._guardian.handle(Offered(at=_now(), version=self._wanted.version)):
            match action:
                case Take(version=version, mark=mark):
                    change = self._wanted.difference(current) if change is None else change
                    self._taken_at = time.monotonic()
                    self._keeper.save(change, version, mark)
                    self._relay.take(change, version)
                case Refuse(reason=reason) if reason != had_fallback:
                    log.error("snapshot_refused", version=self._wanted.version, reason=reason)
        if self._guardian.fallback != had_fallback:
            self._beat.set()

    async def _obey(self) -> None:
        """Carry out orders, one after the other."""
        while True:
            order = await self._orders.get()
            log.info("order_received", verb=order.verb, reason=order.reason)
            try:
                match order.verb:
                    case "drain":
                        self._is_draining = True
                        await self._supervisor.admin.fail_health_checks()
                    case "undrain":
                        self._is_draining = False
                        await self._supervisor.admin.pass_health_checks()
                    case "restart":
                        await self._supervisor.stop()
            except UnavailableError as exc:
                log.warning("order_not_carried_out", verb=order.verb, reason=str(exc))
            self._beat.set()

    # ── what Envoy says ──────────────────────────────────────────────────────────────────────────────────────────

    def _on_settled(self, version: str) -> None:
        """Envoy has answered to everything of `version`."""
        if version == self._settled:
            return
        self._settled = version
        is_serving = bool(self._relay.listeners)
        self._carry_out(self._guardian.handle(Settled(at=_now(), version=version, is_serving=is_serving)))
        self._announce()

    def _announce(self) -> None:
        """Say that a version is applied: Envoy runs it, and the disk holds it or has complained."""
        is_kept = self._keeper.is_saved or bool(self._keeper.problem)
        if is_kept and self._settled != self._announced and self._settled == self._keeper.current().version:
            self._announced = self._settled
            took = time.monotonic() - self._taken_at
            self._uplink.say(Applied(version=self._settled, at=time.time(), took=took))
            log.info("snapshot_applied", version=self._settled, took=round(took, 4))

    def _report_rejections(self) -> None:
        rejections = self._relay.rejections
        for rejection in rejections[:10]:
            log.warning("resource_rejected", name=rejection.ref.name, reason=rejection.message[:500])
        self._uplink.say(Rejected(version=self._keeper.current().version, rejections=rejections))

    # ── what we say ──────────────────────────────────────────────────────────────────────────────────────────────

    def _greeting(self) -> Hello:
        return Hello(
            edge=self._settings.edge,
            held=self._held().version if len(self._held()) else "",
            software=_software(),
            envoy=self._supervisor.binary.version,
            labels=self._settings.labels,
        )

    async def _send_heartbeats(self) -> None:
        while True:
            self._send_heartbeat()
            self._beat.clear()
            try:
                async with asyncio.timeout(self._settings.heartbeat):
                    await self._beat.wait()
            except TimeoutError:
                continue

    def _send_heartbeat(self) -> None:
        self._uplink.say(
            Heartbeat(
                at=time.time(),
                running=self._settled,
                is_ready=not self._unready(),
                envoy=self._state(),
                deaths=self._guardian.deaths,
                fallback=self._guardian.fallback,
                problem=self._keeper.problem or self._uplink.problem,
            )
        )

    def _state(self) -> Literal["starting", "live", "draining", "down", "fallback"]:
        if self._is_draining:
            return "draining"
        if self._guardian.fallback:
            return "fallback"
        if not self._supervisor.pid:
            return "down"
        return "live" if self._is_live else "starting"

    def _unready(self) -> str:
        """Say why this edge should not be sent traffic; empty if it should."""
        if self._is_draining:
            return "draining"
        if not self._supervisor.pid:
            return "Envoy is down"
        if not self._guardian.has_settled:
            return "Envoy has not acknowledged its listeners yet" if len(self._held()) else "no configuration yet"
        return "" if self._is_live else "Envoy is not live"

    async def _serve_web(self) -> None:
        async with serve_web(self._settings.metrics, self._metrics, self._unready) as address:
            self.metrics_address = address
            log.info("agent_metrics_served", address=address)
            await asyncio.Event().wait()

    async def _metrics(self) -> str:
        try:
            envoys, self._dropped_series = bounded(await self._supervisor.admin.metrics(), self._settings.max_series)
        except UnavailableError:
            envoys = ""
        mine = own(
            {
                "ready": ("gauge", float(not self._unready())),
                "connected": ("gauge", float(self._uplink.is_connected)),
                "fallback": ("gauge", float(bool(self._guardian.fallback))),
                "envoy_deaths_total": ("counter", float(self._guardian.deaths)),
                "rejected_resources": ("gauge", float(len(self._relay.rejections))),
                "resources": ("gauge", float(len(self._keeper.current()))),
                "disk_refuses": ("gauge", float(bool(self._keeper.problem))),
                "series_dropped": ("gauge", float(self._dropped_series)),
            }
        )
        return envoys + mine

    # ── helpers ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _listeners_of_adopted(self) -> frozenset[ResourceName]:
        try:
            return frozenset(ResourceName(name) for name in await self._supervisor.admin.listeners())
        except UnavailableError:
            return frozenset()

    def _remember(self, **fields: object) -> None:
        self._keeper.remember(msgspec.structs.replace(self._keeper.memo(), **fields))

    async def _clean_up(self) -> None:
        """Leave no process behind that nobody watches, and no file that nobody needs."""
        if self._leaves_envoy:
            self._supervisor.leave()
        else:
            await self._supervisor.kill()
            self._supervisor.forget()
        await self._supervisor.admin.close()


def _guardian(keeper: Keeper) -> Guardian:
    good = keeper.good()
    return Guardian(
        mark=keeper.mark(),
        version=keeper.current().version,
        good=good.version if good.resources(LISTENER) else "",
        refused=keeper.memo().refused,
        deaths=keeper.memo().deaths,
    )


def _software() -> str:
    try:
        return metadata.version("seawall")
    except metadata.PackageNotFoundError:
        return "from source"


def _now() -> Instant:
    """Read a clock that nobody sets: a jump of the wall clock must not prove a state or undo one."""
    return Instant(time.monotonic())
