"""An edge of the simulated sea: the real intake and guardian, a disk, and an Envoy that lives or dies as the bundle's kind says.

It does what `agent.delivery` does, without files and processes. The stream to the control plane is made of queues.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import grpc
import msgspec
from tests.support.control import KEY, STRANGER

from seawall.agent.intake import Accepted, Intake, RefusedError, Trust
from seawall.agent.settings import AgentSettings
from seawall.agent.uplink import OutOfStepError
from seawall.fleet.bundle import Assignment, Bundle, Signed
from seawall.fleet.guardian import Action as GuardianAction
from seawall.fleet.guardian import (
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
    Vouched,
)
from seawall.fleet.wire import (
    METHOD,
    SERVICE,
    Applied,
    Down,
    Heartbeat,
    Hello,
    Publish,
    Refused,
    Rejected,
    Rejection,
    Tally,
    Tasted,
    Up,
)
from seawall.kit.units import Instant
from seawall.rollout.events import EdgePlace
from seawall.server.edges import EOF
from seawall.xds.resource import CLUSTER, Ref, ResourceName
from seawall.xds.snapshot import EMPTY, Snapshot

if TYPE_CHECKING:
    from tests.rollout.chaos import Plane, Sea

_RATE = 100.0
_FAR = 0.1


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle on the disk."""

    bundle: Bundle
    signed: Signed
    snapshot: Snapshot


class Disk(msgspec.Struct, kw_only=True):
    """What survives the agent."""

    fence: int = 0
    running: Kept | None = None
    good: Kept | None = None
    """What Envoy has lived with for a minute, or the fleet has."""
    kept: dict[str, Kept] = {}
    mark: int = 0
    refused: str = ""
    deaths: int = 0
    haven: str = ""


class _Context:
    """The server's side of a stream."""

    def __init__(self, name: str) -> None:
        self.up: asyncio.Queue[Any] = asyncio.Queue()
        self.down: asyncio.Queue[Any] = asyncio.Queue()
        self._name = name

    def peer(self) -> str:
        return f"unix:{self._name}"

    def auth_context(self) -> dict[str, tuple[bytes, ...]]:
        return {}

    async def read(self) -> Any:
        return await self.up.get()

    async def write(self, body: bytes) -> None:
        self.down.put_nowait(body)

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise ConnectionError(f"{code.name}: {details}")


class BoatEdge:
    """One edge: `start` and `kill` are its agent's, `die` is its Envoy's."""

    def __init__(self, place: EdgePlace, sea: "Sea") -> None:
        self.place = place
        self.is_alive = False
        self.disk = Disk()
        self.is_tasting = False
        self._sea = sea
        self._trust = Trust(AgentSettings(edge=place.edge, control=(), run_dir="", state_dir="", trusted=(KEY.public,)))
        self._seen: list[Publish] = []
        self._said: list[Up] = []
        self._stream: tuple[Plane, _Context, asyncio.Task[None]] | None = None
        self._run = 0
        self._served = 0.0
        self._failed = 0.0
        self._envoy: asyncio.Task[None] | None = None

    @property
    def runs(self) -> str:
        return self.disk.running.bundle.name if self.disk.running is not None else ""

    @property
    def has_fallen_back(self) -> bool:
        """Envoy has died twice on what it should run, whoever killed it: the guardian takes it only as a proven one."""
        return bool(self._guardian.fallback) and self.disk.good is not None and self.runs == self.disk.good.bundle.name

    def tell(self) -> str:
        wanted = self._wanted.bundle.name[:6] if self._wanted is not None else ""
        kind = self._sea.kind(self.disk.running.bundle.version) if self.disk.running else ""
        return f"runs {self.runs[:6]} ({kind}), wants {wanted}, fence {self.disk.fence}, {self._guardian.fallback}"

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, group: asyncio.TaskGroup) -> None:
        """Start the agent; it finds Envoy alive, or starts it."""
        disk, self.is_alive = self.disk, True
        self._intake = Intake(self.place.edge, self._trust)
        self._wanted: Accepted | None = None
        self._is_cleared = False
        self._taste: asyncio.Task[None] | None = None
        self._latest: dict[type[Up], Up] = {}
        self._holds_nothing = False
        self._group = group
        self._guardian = Guardian(
            mark=disk.mark,
            version=disk.running.bundle.version if disk.running else "",
            good=disk.good.bundle.version if disk.good else "",
            remembered=Remember(refused=disk.refused, deaths=disk.deaths, haven=disk.haven),
        )
        self._carry_out(self._guardian.handle(Booted(at=self._now(), is_adopted=self._run > 0, was_running=False)))
        self._tasks = [
            group.create_task(self._connect(), name=f"{self.place.edge}-uplink"),
            group.create_task(self._beat(), name=f"{self.place.edge}-beat"),
        ]

    def kill(self) -> None:
        """Kill the agent: what lies on its disk stays, and its Envoy lives on."""
        self.is_alive = self.is_tasting = False
        for task in (*self._tasks, *((self._taste,) if self._taste else ())):
            task.cancel()
        self.cut()

    def die(self, reason: str) -> None:
        """Envoy dies; an agent that is away finds it dead when it comes back."""
        self._run += 1
        self._served = self._failed = 0.0
        if self._envoy is not None:
            self._envoy.cancel()
            self._envoy = None
        if self.is_alive:
            self._carry_out(self._guardian.handle(Died(at=self._now(), reason=reason, luck=self._sea.luck.random())))
            self._say(self._heartbeat())

    def cut(self, plane: "Plane | None" = None) -> None:
        """The stream breaks (if it is with this plane)."""
        if self._stream is not None and plane in (None, self._stream[0]):
            self._stream[2].cancel()
            self._stream[1].down.put_nowait(EOF)
            self._stream = None

    # ── strangers, and what comes twice ──────────────────────────────────────────────────────────────────────────

    def repeat(self) -> None:
        """Something that was said comes once more, late."""
        if self._stream is not None and self._said:
            self._stream[1].up.put_nowait(msgspec.msgpack.encode(self._sea.luck.choice(self._said)))

    def replay(self) -> None:
        """Somebody sends once more what the control plane has sent once."""
        if self.is_alive and self._seen:
            with contextlib.suppress(OutOfStepError):
                self._publish(self._sea.luck.choice(self._seen))

    def forge(self) -> None:
        """Somebody else signs, or signs nothing, or changes a byte."""
        if not self.is_alive or not self._seen:
            return
        genuine = self._sea.luck.choice(self._seen)
        assert genuine.assignment is not None
        order = msgspec.msgpack.decode(genuine.assignment.body, type=Assignment)
        newer = msgspec.structs.replace(order, fence=order.fence + (1 << 40))
        body = msgspec.msgpack.encode(newer)
        forged = self._sea.luck.choice(
            (
                msgspec.structs.replace(genuine, assignment=STRANGER.sign(newer)),
                msgspec.structs.replace(genuine, assignment=msgspec.structs.replace(genuine.assignment, body=body)),
                msgspec.structs.replace(genuine, bundle=None, assignment=None),
                msgspec.structs.replace(genuine, put=genuine.put[:-1]),
            )
        )
        before = (self.disk.fence, self._wanted)
        with contextlib.suppress(OutOfStepError):
            self._publish(forged)
        if (self.disk.fence, self._wanted) != before and forged != genuine:
            self._sea.broken.append(f"{self.place.edge} obeyed what was forged")

    # ── the stream ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _connect(self) -> None:
        while True:
            await asyncio.sleep(self._sea.luck.uniform(0.0, 0.5))
            plane = self._sea.luck.choice(self._sea.planes)
            if not plane.is_alive:
                continue
            context = _Context(self.place.edge)
            handler: Any = plane.service.handler().service(_Details(f"/{SERVICE}/{METHOD}"))
            serving = self._group.create_task(_served(handler.stream_stream(None, context)), name="stream")
            self._stream = (plane, context, serving)
            context.up.put_nowait(msgspec.msgpack.encode(self._greeting()))
            self._holds_nothing = False
            for message in list(self._latest.values()):
                self._say(message)
            with contextlib.suppress(OutOfStepError):
                await self._listen(context)
            serving.cancel()

    async def _listen(self, context: _Context) -> None:
        while (raw := await context.down.get()) is not EOF:
            await asyncio.sleep(self._sea.luck.uniform(0.0, _FAR))
            message = msgspec.msgpack.decode(raw, type=Down)
            if isinstance(message, Publish):
                try:
                    self._publish(message)
                except OutOfStepError:
                    self._holds_nothing = True
                    raise

    def _greeting(self) -> Hello:
        held = self._intake.received
        if held is None:
            held = self.disk.running.snapshot if self.disk.running else EMPTY
        version = "" if self._holds_nothing or not len(held) else held.version
        labels = {"region": self.place.region, "cell": self.place.cell}
        return Hello(edge=self.place.edge, held=version, labels=labels, kept=tuple(self.disk.kept))

    def _say(self, message: Up) -> None:
        self._latest[type(message)] = message
        self._said = [*self._said, message][-12:]
        if self._stream is not None:
            self._group.create_task(_put(self._stream[1], message, self._sea.luck.uniform(0.0, _FAR)), name="up")

    async def _beat(self) -> None:
        """Say what is, every second; a bundle that makes the agent mute lets nothing through."""
        count = 0
        while True:
            if self.disk.running is None or self._sea.kind(self.disk.running.bundle.version) != "mute":
                if count % 5 == 0:
                    self._say(self._heartbeat())
                self._say(self._tally())
            await asyncio.sleep(1.0)
            count += 1
            self._carry_out(self._guardian.handle(Ticked(at=self._now())))
            self._offer()

    def _heartbeat(self) -> Heartbeat:
        running = self.disk.running
        return Heartbeat(
            at=self._now(),
            running=running.bundle.version if running else "",
            is_ready=running is not None,
            envoy="live",
            deaths=self._guardian.deaths,
            fallback=self._guardian.fallback,
            bundle=self.runs,
            kept=tuple(self.disk.kept),
            fence=self.disk.fence,
        )

    def _tally(self) -> Tally:
        self._served += _RATE
        if self.disk.running is not None and self._sea.kind(self.disk.running.bundle.version) == "errors":
            self._failed += 0.3 * _RATE
        counts = {"requests": self._served, "errors": self._failed, "upstream_requests": self._served}
        gauges = {"memory": 1e8, "memory_limit": 1e9, "cpu_seconds": self._served * 1e-4}
        return Tally(at=self._now(), run=str(self._run), bundle=self.runs, counts=counts, gauges=gauges)

    # ── from the control plane to Envoy ──────────────────────────────────────────────────────────────────────────

    def _publish(self, message: Publish) -> None:
        try:
            accepted = self._intake.take(message, self._find, self.disk.fence)
        except RefusedError as exc:
            self._say(Refused(bundle=exc.bundle, by=exc.by, reason=str(exc)))
            return
        self._seen = [*self._seen, message][-8:]
        self.disk.fence = accepted.assignment.fence
        self._wanted, self._is_cleared = accepted, False
        for kind in (Refused, Tasted):
            self._latest.pop(kind, None)
        held = next((one for name in accepted.assignment.keep if (one := self.disk.kept.get(name))), None)
        self._guardian.handle(Vouched(version=held.bundle.version if held and accepted.assignment.rollout else ""))
        if self._taste is not None:
            self._taste.cancel()
        order = accepted.assignment
        self.is_tasting = not (order.taste <= 0 or order.is_proven or self.runs == accepted.bundle.name)
        if self.is_tasting:
            self._taste = self._group.create_task(self._try(accepted), name="taste")
        else:
            self._is_cleared = True
            self._offer()

    def _find(self, version: str) -> Snapshot | None:
        kept = [*self.disk.kept.values(), *((self.disk.running,) if self.disk.running else ())]
        return next((one.snapshot for one in kept if one.bundle.version == version), None)

    async def _try(self, accepted: Accepted) -> None:
        await asyncio.sleep(accepted.assignment.taste + self._sea.luck.uniform(0.1, 0.8))
        self.is_tasting = False
        if self._sea.kind(accepted.bundle.version) == "taster":
            self._say(Refused(bundle=accepted.bundle.name, by="taster", reason="The sacrificial Envoy died."))
            return
        self._say(Tasted(bundle=accepted.bundle.name))
        self._is_cleared = True
        self._offer()

    def _offer(self) -> None:
        wanted = self._wanted
        if wanted is None or not self._is_cleared:
            return
        offered = Offered(at=self._now(), version=wanted.bundle.version, is_proven=wanted.assignment.is_proven)
        self._carry_out(self._guardian.handle(offered))
        if self.runs == wanted.bundle.name and Applied not in self._latest:
            self._group.create_task(self._settle(wanted.bundle.version), name="settle")

    def _carry_out(self, actions: "list[GuardianAction] | Any") -> None:
        for action in actions:
            match action:
                case Take(mark=mark):
                    self._take(mark)
                case Promote():
                    self.disk.mark, self.disk.good = 0, self.disk.running
                    if self.disk.running is not None:
                        self.disk.kept[self.runs] = self.disk.running
                case Restore(version=version, refused=refused, reason=reason):
                    self._restore(version, refused, reason)
                case Remember(refused=refused, deaths=deaths, haven=haven):
                    self.disk.refused, self.disk.deaths, self.disk.haven = refused, deaths, haven
                case Refuse(reason=reason):
                    assert self._wanted is not None
                    self._say(Refused(bundle=self._wanted.bundle.name, by="guardian", reason=reason))
                case Start(after=after):
                    self._group.create_task(self._boot(after), name="envoy-starts")

    def _take(self, mark: int) -> None:
        """The bundle is Envoy's now: the laws of the edge."""
        wanted = self._wanted
        assert wanted is not None
        kind = self._sea.kind(wanted.bundle.version)
        if kind in ("sandbox", "taster") and self.disk.running is not None:
            self._sea.broken.append(f"{self.place.edge} runs what the {kind} has refused")
        if wanted.signed.key != KEY.public:
            self._sea.broken.append(f"{self.place.edge} runs what a stranger signed")
        kept = Kept(bundle=wanted.bundle, signed=wanted.signed, snapshot=wanted.snapshot)
        self.disk.running, self.disk.mark = kept, mark
        self._latest.pop(Applied, None)
        self._haunt()
        self._group.create_task(self._settle(wanted.bundle.version), name="settle")

    async def _settle(self, version: str) -> None:
        """Envoy answers a moment later."""
        await asyncio.sleep(self._sea.luck.uniform(0.05, 0.5))
        running = self.disk.running
        if running is None or running.bundle.version != version or not self.is_alive:
            return
        self._carry_out(self._guardian.handle(Settled(at=self._now(), version=version, is_serving=True)))
        kind = self._sea.kind(version)
        if kind == "nack":
            rejection = Rejection(ref=Ref(type_url=CLUSTER, name=ResourceName("c")), version="1", message="no.")
            self._say(Rejected(version=version, rejections=(rejection,)))
        elif kind != "mute":
            self._say(Applied(version=version, at=self._now()))

    def _restore(self, version: str, refused: str, reason: str) -> None:
        found = [*self.disk.kept.values(), *((self.disk.good,) if self.disk.good else ())]
        before = self.runs
        self.disk.running = next(one for one in found if one.bundle.version == version)
        self.disk.mark = 0
        del refused
        self._say(Refused(bundle=before, by="guardian", reason=reason))
        self._say(self._heartbeat())

    # ── Envoy ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _boot(self, after: float) -> None:
        await asyncio.sleep(after)
        self._run += 1
        self._carry_out(self._guardian.handle(Started(at=self._now())))
        self._haunt()
        if self.disk.running is not None:
            await self._settle(self.disk.running.bundle.version)

    def _haunt(self) -> None:
        """What kills Envoy kills it soon, whenever it runs."""
        if self._envoy is not None:
            self._envoy.cancel()
            self._envoy = None
        if self.disk.running is not None and self._sea.kind(self.disk.running.bundle.version) == "kills":
            self._envoy = self._group.create_task(self._doom(), name="doom")

    async def _doom(self) -> None:
        await asyncio.sleep(self._sea.luck.uniform(0.1, 4.0))
        self._envoy = None
        self.die("signal 11.")

    def _now(self) -> Instant:
        return Instant(self._sea.clock())


class _Details(grpc.HandlerCallDetails):
    """Which method is called."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.invocation_metadata = ()


async def _put(context: _Context, message: Up, after: float) -> None:
    await asyncio.sleep(after)
    context.up.put_nowait(msgspec.msgpack.encode(message))


async def _served(serving: Any) -> None:
    """Serve a stream; how it ends is the client's business."""
    with contextlib.suppress(ConnectionError):
        await serving
