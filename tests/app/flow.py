"""A control plane's rollouts with a fleet that obeys: real machine, real history, real edge service; clock and edges are made up.

async with Flow(SqliteHistory(file)) as flow:
    flow.join("e1")
    flow.compile(snapshot("a.example"))
    await flow.until(lambda: flow.runs == {"e1": …})
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec

from seawall.app.desk import Desk
from seawall.app.ledger import Ledger
from seawall.app.proposals import Proposals, Surroundings
from seawall.app.rollouts import Rollouts
from seawall.app.scribe import Scribe
from seawall.app.shelf import Item, Shelf
from seawall.app.signer import Signer
from seawall.fleet.bundle import EVERY_EDGE, Assignment, Bundle, Signed
from seawall.fleet.wire import Applied, Heartbeat, Hello, Tally, Tasted
from seawall.gateway.resources.perimeter import PerimeterSpec
from seawall.kit.units import Instant, Seconds
from seawall.rollout.change import ChangeReport
from seawall.rollout.events import Answer, Commanded, Quarantine, Verb
from seawall.server.edges import EdgeService
from seawall.store.history import RolloutHistory
from seawall.xds.snapshot import Snapshot
from tests.envoy.graphs import host, route
from tests.rollout.play import START, spec
from tests.support.candidates import candidate
from tests.support.control import KEY

IMMEDIATE = spec('{"rollout": {"strategy": "immediate"}, "approvals": {"required": 1}}')
STAGED = spec(
    '{"rollout": {"strategy": "staged", "pace": 0.001, "gates": {"minimumRequests": 1}}, "approvals": {"required": 1}}'
)
PATIENCE = 20.0


def snapshot(*hosts: str) -> Snapshot:
    """One listener, these hosts, one backend."""
    return candidate(hosts=tuple(host(name, route()) for name in hosts))


def many(count: int, *more: str) -> Snapshot:
    return snapshot(*(f"h{number}.example" for number in range(count)), *more)


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Listening(EdgeService):
    """The edge service, and edges that hear what it is told."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.clock = clock
        self.told: list[Assignment] = []
        self.runs: dict[str, str] = {}
        self.deaf: set[str] = set()
        self.fences: dict[str, int] = {}
        self.heard: Callable[[str, Applied | Tasted], None] = lambda edge, message: None
        self._versions: dict[str, str] = {}
        self._waiting: list[Assignment] = []

    def offer(self, bundle: Signed, snapshot: Snapshot) -> str:
        name = super().offer(bundle, snapshot)
        self._versions[name] = snapshot.version
        return name

    def publish(self, snapshot: Snapshot, bundle: Signed, assignment: Signed) -> None:
        self._versions[msgspec.msgpack.decode(bundle.body, type=Bundle).name] = snapshot.version
        super().publish(snapshot, bundle, assignment)

    def assign(self, assignment: Signed) -> None:
        super().assign(assignment)
        order = msgspec.msgpack.decode(assignment.body, type=Assignment)
        self.told.append(order)
        for edge in self.runs:
            if order.edge in (edge, EVERY_EDGE) and edge not in self.deaf:
                asyncio.get_running_loop().call_soon(self._obey, edge, order)

    def version(self, edge: str) -> str:
        return self._versions.get(self.runs[edge], "")

    def _obey(self, edge: str, order: Assignment) -> None:
        version = self._versions.get(order.bundle)
        if version is None or edge not in self.runs or order.fence <= self.fences.get(edge, 0):
            return
        self.fences[edge] = order.fence
        self.runs[edge] = order.bundle
        if order.taste:
            self.heard(edge, Tasted(bundle=order.bundle))
        self.heard(edge, Applied(version=version, at=self.clock()))


class Flow:
    """One control plane. `edges.told` are its orders, `edges.runs` what its edges run."""

    def __init__(
        self,
        history: RolloutHistory,
        *,
        perimeter: PerimeterSpec = IMMEDIATE,
        clock: Clock | None = None,
        name: str = "here",
        is_shared: bool = False,
    ) -> None:
        self.clock = clock or Clock()
        self.history = history
        self.edges = Listening(self.clock)
        self.scribe = Scribe(history, name, self.clock)
        self.ledger = Ledger(self.scribe, is_shared=is_shared)
        self.shelf = Shelf(KEY, "seawall")
        self.quarantined: list[Quarantine] = []
        self.settled: list[str] = []
        self.is_sandbox_fine = True
        proposals = Proposals(self.shelf, lambda ref: (f"HTTPRoute/test/{ref.name}",), self._surroundings)
        self.rollouts = Rollouts(self.shelf, self.ledger, Signer(KEY), self.edges, proposals, self.clock)
        self.rollouts.hooks.sandbox = self._sandbox
        self.rollouts.hooks.quarantine = self.quarantined.append
        self.rollouts.hooks.settled = lambda item: self.settled.append(item.name)
        self.edges.heard = self.rollouts.heard
        self.desk = Desk(self.rollouts, self.ledger, self.shelf, name, self.clock)
        self.rollouts.configured(perimeter)
        self._beats = 0
        self._group = asyncio.TaskGroup()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._task = self._group.create_task(self.rollouts.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()
        await self._group.__aexit__(None, None, None)

    async def stop(self) -> None:
        """Stop at once, as by SIGKILL; only the thread of the history is ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
            await self.scribe.close()

    @property
    def runs(self) -> dict[str, str]:
        return self.edges.runs

    @property
    def running(self) -> str:
        return self.rollouts.conductor.running

    def name_of(self, of: Snapshot) -> str:
        return self.rollouts._shelf.by_version(of.version)

    def join(self, *names: str, runs: str = "") -> None:
        for name in names:
            self.edges.runs[name] = runs
            self.rollouts.heard(name, Hello(edge=name, labels={"region": "eu", "cell": f"cell-{name}"}))
            self.beat(name)

    def beat(self, *names: str) -> None:
        """These edges say that they live, and what they have counted."""
        self._beats += 1
        for name in names or tuple(self.runs):
            beat = Heartbeat(
                at=self.clock(), running=self.edges.version(name), is_ready=True, envoy="live", bundle=self.runs[name]
            )
            counts = dict.fromkeys(("requests", "upstream_requests", "connections"), self._beats * 500.0)
            tally = Tally(at=self.clock(), run="r", bundle=self.runs[name], counts=counts)
            self.rollouts.heard(name, beat)
            self.rollouts.heard(name, tally)

    def compile(self, of: Snapshot) -> None:
        self.rollouts.compiled(of)

    async def say(
        self, verb: Verb, who: str = "ann", bundle: str = "", rollout: str = "", seconds: float = 0
    ) -> Answer:
        at = Instant(self.clock())
        until = Instant(at + seconds) if seconds else Instant(0.0)
        said = Commanded(at=at, verb=verb, who=who, reason="because", bundle=bundle, rollout=rollout, until=until)
        return await self.rollouts.command(said)

    async def until(self, is_so: Callable[[], object], step: float = 0.0) -> None:
        """Wait until something is so; let the clock go on by `step` at each look."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not is_so():
                    if step:
                        self.clock.now += step
                        self.beat()
                    await asyncio.sleep(0.01)
        except TimeoutError:
            view = self.rollouts.conductor.view(Instant(self.clock()))
            said = [one.reason for _, one in list(self.rollouts.said)[-5:]]
            raise AssertionError(
                f"it did not come to be so: {self.runs} {view.running} {view.rollout} {said}"
            ) from None

    async def recorded(self, of: str) -> None:
        """Wait until the machine and the history know that all edges run this, though it may still bake."""
        await self.until(lambda: of in (self.running, self._baking()) and not self.scribe.waiting, step=0.3)

    def _baking(self) -> str:
        conductor = self.rollouts.conductor
        return conductor.candidate if conductor.stage == "bake" else ""

    def _surroundings(self) -> Surroundings:
        return Surroundings(overrides=self.rollouts.conductor.overrides)

    async def _sandbox(
        self, base: Item | None, candidate: Item, report: ChangeReport, length: Seconds
    ) -> tuple[bool, str]:
        return self.is_sandbox_fine, "" if self.is_sandbox_fine else "a route answered 500."
