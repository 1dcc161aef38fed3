"""Agent: keeps one edge serving: Envoy up, its snapshot right, the control plane informed.

The flow, top to bottom: load what is on disk, start the relay and Envoy on it, then listen to the control plane.
What to do when is decided by `fleet.guardian`; this file hears events, asks it, and carries out its actions.

    control plane ──Publish──▶ uplink ─▶ delivery ─▶ guardian ─Take─▶ keeper (disk), relay ──ADS──▶ Envoy
                  ◀─Applied, Rejected, Heartbeat, Tally─ uplink ◀── relay, tally ◀────ACK, NACK, stats────┘
"""

import asyncio
import random
import shutil
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from importlib import metadata
from pathlib import Path

import structlog

from seawall.agent.admission import Admission
from seawall.agent.cellar import Cellar
from seawall.agent.delivery import Delivery, Taster
from seawall.agent.enforcer import Enforcer
from seawall.agent.firewall import Firewall
from seawall.agent.health import Health
from seawall.agent.intake import Intake, Trust
from seawall.agent.journeys import Journeys
from seawall.agent.keeper import Keeper
from seawall.agent.local import LOCAL_SOCKET, Local, serve_local
from seawall.agent.orders import Orders
from seawall.agent.parts import Parts, now
from seawall.agent.quota import QuotaKeeper
from seawall.agent.relay import Relay
from seawall.agent.settings import AgentSettings
from seawall.agent.sockets import Sockets
from seawall.agent.supervisor import RunFolder, Supervisor
from seawall.agent.tail import Tail, forget, prepare
from seawall.agent.tally import Tallier
from seawall.agent.taster import Taster as SacrificialEnvoy
from seawall.agent.uplink import Uplink
from seawall.agent.web import serve_web
from seawall.fleet.guardian import (
    Action,
    Booted,
    Died,
    Guardian,
    Promote,
    Remember,
    Restore,
    Settled,
    Start,
    Started,
    Ticked,
)
from seawall.fleet.wire import Applied, Down, Hello, Order, Publish, Rejected, Shares, Verdicts, Watch
from seawall.kit.errors import ConfigError, UnavailableError
from seawall.kit.units import Seconds
from seawall.xds.resource import LISTENER, ResourceName

log = structlog.get_logger(__name__)

_PAUSE = Seconds(0.05)
"""How often to look whether Envoy is live while it boots, and whether it has answered; at all else once a second."""


def taster_beside(supervisor: Supervisor, settings: AgentSettings) -> Taster:
    """Make the taster of an edge: the same Envoy, in a folder of its own."""
    return SacrificialEnvoy(settings, _taste_folder(settings), supervisor.binary)


class Agent:
    """One edge. `run` returns after `stop` or `leave`; cancelling it stops Envoy without draining."""

    def __init__(
        self, settings: AgentSettings, make_taster: Callable[[Supervisor, AgentSettings], Taster] = taster_beside
    ) -> None:
        """Raises ConfigError for settings that cannot work."""
        self.metrics_address = ""
        self._settings = settings
        self._make_taster = make_taster
        self._folder = Path(settings.run_dir).absolute()
        self._trust = Trust(settings)
        self._keeper = Keeper(Path(settings.state_dir) / "snapshots.db", on_saved=self._announce)
        self._cellar = Cellar(Path(settings.state_dir) / "bundles.db")
        self._uplink = Uplink(settings, self._greeting, self._on_message)
        self._stop = asyncio.Event()
        self._beat = asyncio.Event()
        self._is_running = False
        self._leaves_envoy = False
        self._announced = ("", "", 0)

    @property
    def envoy_pid(self) -> int:
        """The process id of the Envoy that runs, 0 for none."""
        return self._supervisor.pid if self._is_running else 0

    @property
    def delivery(self) -> Delivery:
        """What this edge was told, what it runs, and what it can go back to; once it runs."""
        return self._delivery

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
                    group.create_task(self._load(), name="agent-snapshot-loaded")
            except* ConfigError as several:
                raise several.exceptions[0] from None
            self._assemble(making.result())
            await self._enforcer.load()
            try:
                async with self._relay.serving(folder.path / "ads.sock"), asyncio.TaskGroup() as group:
                    self._delivery.open(group)
                    tasks = [group.create_task(flow, name=name) for name, flow in self._flows(folder.path)]
                    await self._stop.wait()
                    if not self._leaves_envoy:
                        self._orders.is_draining = True
                        self._send_heartbeat()
                        await self._supervisor.stop()
                    self._delivery.close()
                    for task in tasks:
                        task.cancel()
            finally:
                await asyncio.shield(self._clean_up())

    async def _load(self) -> None:
        await self._keeper.load()
        await self._cellar.load(self._keeper.current)

    def _assemble(self, supervisor: Supervisor) -> None:
        """Put the parts together, once it is known what the disk holds and which Envoy there is."""
        # What a killed agent has left.
        shutil.rmtree(_taste_folder(self._settings), ignore_errors=True)
        self._supervisor, self._guardian = supervisor, _guardian(self._keeper)
        self._relay = Relay(supervisor, on_settled=self._on_settled, on_rejections=self._report_rejections)
        parts = Parts(
            settings=self._settings,
            keeper=self._keeper,
            cellar=self._cellar,
            uplink=self._uplink,
            supervisor=supervisor,
            relay=self._relay,
            guardian=self._guardian,
        )
        self._parts = parts
        self._orders = Orders(supervisor, self._settings.restart_spread, self._beat.set)
        taster = self._make_taster(supervisor, self._settings)
        self.admission = door = Admission(parts, self._folder)
        intake = Intake(self._settings.edge, self._trust)
        self._delivery = Delivery(parts, intake, taster, self._beat.set, on_undone=door.ramp.explained)
        # While a part of all clients is turned away a journey is, too, and says nothing of the configuration.
        self.journeys = Journeys(supervisor.admin, lambda: door.is_open and not self._health.unready())
        firewall = Firewall(self._settings.edge, self._settings.kernel)
        file = Path(self._settings.state_dir) / "verdicts.msgpack"
        self._enforcer = Enforcer(self._relay, firewall, self._uplink.say, file)
        self._health = Health(parts, self._orders, self._delivery, self._problem, self._enforcer.gauges)
        self._tallier = Tallier(
            parts, self.journeys, lambda: self._delivery.name_of(self._health.settled), door.counted
        )
        self._quota = QuotaKeeper(parts, self._folder)
        prepare(self._folder)
        self._tail = Tail(parts, self._folder)
        self._sockets = Sockets(parts)
        self._health.more = self._metrics
        self._is_running = True

    def _problem(self) -> str:
        return self.journeys.problem or self._enforcer.problem or self.admission.problem

    def _metrics(self) -> dict[str, tuple[str, float]]:
        ramp = self.admission.ramp
        door = {"admission": ("gauge", ramp.share), "admission_ramps_total": ("counter", float(ramp.ramps))}
        return {**self._tail.metrics(), **door}

    def _flows(self, folder: Path) -> Iterable[tuple[str, Coroutine[None, None, None]]]:
        yield "agent-keeper", self._keeper.run()
        yield "agent-cellar", self._cellar.run()
        yield "agent-envoy", self._keep_envoy()
        yield "agent-look", self._look()
        yield "agent-renewal", self._renew()
        yield "agent-heartbeat", self._send_heartbeats()
        yield "agent-orders", self._orders.run()
        yield "agent-tally", self._tallier.run()
        yield "agent-quota", self._quota.run()
        yield "agent-admission", self.admission.run()
        yield "agent-tail", self._tail.run()
        yield "agent-sockets", self._sockets.run()
        yield "agent-enforcer", self._enforcer.run()
        yield "agent-journeys", self.journeys.run()
        yield "agent-uplink", self._uplink.run()
        yield (
            "agent-local",
            serve_local(folder / LOCAL_SOCKET, Local(self._parts, self._delivery, self._health, self._trust)),
        )
        if self._settings.metrics:
            yield "agent-web", self._serve_web()

    async def _keep_envoy(self) -> None:
        """Have an Envoy run, whatever happens to it."""
        was_running = self._keeper.memo().is_running
        is_adopted = await self._supervisor.adopt()
        held = await self._listeners_of_adopted() if is_adopted else frozenset()
        self._relay.renew(self._keeper.current(), held)
        actions = self._guardian.handle(Booted(at=now(), is_adopted=is_adopted, was_running=was_running))
        await self._start(actions)
        while True:
            cause, was_asked = await self._supervisor.ended()
            self._health.is_live, self._health.settled = False, ""
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
            self.admission.starting()
            try:
                self._supervisor.start()
            except ConfigError as exc:
                log.error("envoy_not_started", reason=str(exc))
                actions = self._died(str(exc))
                continue
            self._parts.remember(is_running=True)
            actions = self._guardian.handle(Started(at=now()))

    def _died(self, cause: str) -> Sequence[Action]:
        self.admission.died()
        return self._guardian.handle(Died(at=now(), reason=cause, luck=random.random()))  # noqa: S311

    def _carry_out(self, actions: Iterable[Action]) -> Seconds | None:
        """Carry out all actions but a start, whose delay is returned."""
        delay = None
        for action in actions:
            match action:
                case Restore():
                    self._delivery.restore(action)
                case Promote(mark=mark):
                    self._keeper.promote(mark)
                case Remember(refused=refused, deaths=deaths, haven=haven):
                    self._parts.remember(refused=refused, deaths=deaths, haven=haven)
                case Start(after=after):
                    delay = after
        return delay

    async def _look(self) -> None:
        """Look after what sends no events: Envoy's health, ports that were in use, the passing of time."""
        looked_at = 0.0
        while True:
            is_due = time.monotonic() - looked_at >= 1.0
            if is_due or not self._health.is_live:
                await self._look_at_envoy()
            is_settled = self._health.settled == self._keeper.current().version
            if not is_settled:
                self._relay.look()
            if is_due:
                looked_at = time.monotonic()
                self._carry_out(self._guardian.handle(Ticked(at=now())))
                self._delivery.look(is_settled=is_settled)
                self._announce()
                self._relay.retry(self._keeper.current())
                self._supervisor.trim_log()
            await asyncio.sleep(_PAUSE)

    async def _look_at_envoy(self) -> None:
        was_unready, self._health.is_live = self._health.unready(), await self._supervisor.is_live()
        if bool(was_unready) != bool(self._health.unready()):
            self._beat.set()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE)
            if self._supervisor.is_outdated and not self._stop.is_set():
                await self._orders.renew()

    # ── what is heard ────────────────────────────────────────────────────────────────────────────────────────────

    def _on_message(self, message: Down) -> None:
        match message:
            case Publish():
                self._delivery.publish(message)
            case Order():
                self._orders.put(message)
            case Watch():
                self._tallier.watch(message)
                self.journeys.watch(message)
                self.admission.watch(message.recovery)
            case Shares():
                self._quota.take(message)
            case Verdicts():
                self._enforcer.take(message)

    def _on_settled(self, version: str) -> None:
        """Envoy has answered to everything of `version`."""
        if version == self._health.settled:
            return
        self._health.settled = version
        is_serving = bool(self._relay.listeners)
        self._carry_out(self._guardian.handle(Settled(at=now(), version=version, is_serving=is_serving)))
        self._announce()

    def _announce(self) -> None:
        """Say that an order is carried out: Envoy runs it, with its limits, and the disk holds it or has complained."""
        is_kept, settled = self._keeper.is_saved or bool(self._keeper.problem), self._health.settled
        done = (settled, self._delivery.name_of(settled), self._delivery.obeyed)
        is_done = settled == self._keeper.current().version and not self._supervisor.is_outdated
        if is_kept and is_done and done != self._announced:
            is_news, self._announced = settled != self._announced[0], done
            took = time.monotonic() - self._delivery.taken_at
            self._uplink.say(Applied(version=settled, at=time.time(), took=took))
            if is_news:
                log.info("snapshot_applied", version=settled, took=round(took, 4))

    def _report_rejections(self) -> None:
        rejections = self._relay.rejections
        for rejection in rejections[:10]:
            log.warning("resource_rejected", name=rejection.ref.name, reason=rejection.message[:500])
        self._uplink.say(Rejected(version=self._keeper.current().version, rejections=rejections))

    # ── what we say ──────────────────────────────────────────────────────────────────────────────────────────────

    def _greeting(self) -> Hello:
        held = self._delivery.held()
        return Hello(
            edge=self._settings.edge,
            held=held.version if len(held) else "",
            software=_software(),
            envoy=self._supervisor.binary.version,
            labels=self._settings.labels,
            kept=tuple(one.bundle.name for one in self._delivery.kept()),
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
        self._uplink.say(self._health.heartbeat())

    async def _serve_web(self) -> None:
        async with serve_web(self._settings.metrics, self._health.metrics, self._health.unready) as address:
            self.metrics_address = address
            log.info("agent_metrics_served", address=address)
            await asyncio.Event().wait()

    # ── helpers ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _listeners_of_adopted(self) -> frozenset[ResourceName]:
        try:
            return frozenset(ResourceName(name) for name in await self._supervisor.admin.listeners())
        except UnavailableError:
            return frozenset()

    async def _clean_up(self) -> None:
        """Leave no process behind that nobody watches, and no file that nobody needs."""
        if self._leaves_envoy:
            self._supervisor.leave()
        else:
            await self._supervisor.kill()
            self._supervisor.forget()
            forget(self._folder)
            await self._enforcer.close()
        self._tail.close()
        await self._supervisor.admin.close()
        shutil.rmtree(_taste_folder(self._settings), ignore_errors=True)


def _taste_folder(settings: AgentSettings) -> Path:
    return Path(settings.run_dir).absolute() / "taste"


def _guardian(keeper: Keeper) -> Guardian:
    good, memo = keeper.good(), keeper.memo()
    return Guardian(
        mark=keeper.mark(),
        version=keeper.current().version,
        good=good.version if good.resources(LISTENER) else "",
        remembered=Remember(refused=memo.refused, deaths=memo.deaths, haven=memo.haven),
    )


def _software() -> str:
    try:
        return metadata.version("seawall")
    except metadata.PackageNotFoundError:
        return "from source"
