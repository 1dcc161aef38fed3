"""A sea in which anything may happen, in virtual time: control planes, their database, agents and Envoys die at random moments.

What decides is real: `app.rollouts` with its ledger, scribe, shelf and replicas, a SQLite history on disk, the edge service with
its orders; on each edge the intake and the guardian (`chaos_edge`). Made up are the network, Envoy, and time.

    sea = Sea(folder, luck, edges=6, planes=2)
    virtual.run(sea.story(), luck)

Laws are checked while it happens (`Plane`, `chaos_edge`), and in `test_chaos_simulated` when all is calm again.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, cast

import msgspec
from tests.envoy.graphs import host, route
from tests.rollout.chaos_edge import BoatEdge
from tests.rollout.play import START, places, spec
from tests.support.candidates import HOSTS, candidate, lua
from tests.support.control import KEY

from seawall.app.ledger import Ledger
from seawall.app.proposals import Proposals
from seawall.app.rollouts import Rollouts
from seawall.app.scribe import Scribe
from seawall.app.shelf import Item, Shelf
from seawall.app.signer import Signer
from seawall.fleet.bundle import Assignment, Signed
from seawall.fleet.wire import Up
from seawall.gateway.resources.perimeter import PerimeterSpec
from seawall.kit.errors import UnavailableError
from seawall.kit.units import Instant, Seconds
from seawall.rollout.change import ChangeReport
from seawall.rollout.conductor import Conductor
from seawall.rollout.events import Action, Assign, Commanded, Finish, Verb
from seawall.rollout.memory import Memory
from seawall.rollout.stages import WAVES
from seawall.server.edges import EdgeService
from seawall.server.limits import Callers, EdgeLimits
from seawall.store.history import RolloutHistory
from seawall.store.sqlite_history import SqliteHistory


def _perimeter(pace: float) -> PerimeterSpec:
    gates = '{"minimumRequests": 20}'
    rollout = f'{{"strategy": "staged", "pace": {pace}, "gates": {gates}}}'
    return spec(f'{{"rollout": {rollout}, "approvals": {{"required": 1}}}}')


FIRST, FAST = _perimeter(0.0005), _perimeter(0.02)
"""The first version is R3, and bakes for a day."""
KINDS = ("fine", "fine", "fine", "fine", "sandbox", "taster", "nack", "kills", "errors", "mute")
PEOPLE = ("ann", "ben")
VERBS: tuple[Verb, ...] = ("promote", "pause", "resume", "abort", "back", "unpin", "freeze", "thaw")
FAULTS = (
    *("plane",) * 4,
    *("database",) * 3,
    *("agent",) * 3,
    *("envoy",) * 2,
    *("command",) * 3,
    "cut",
    "echo",
    "forge",
    "replay",
)
_action: msgspec.json.Decoder[Action] = msgspec.json.Decoder(Action)


class Away:
    """A history that may be away: calls fail before they are made, or after (their answer is lost)."""

    def __init__(self, history: SqliteHistory, sea: "Sea") -> None:
        self.history = history
        self._sea = sea

    def __getattr__(self, name: str) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(self.history, name)

        def call(*args: Any, **fields: Any) -> Any:
            if not self._sea.is_away:
                return found(*args, **fields)
            if self._sea.luck.random() < self._sea.lost_answers:
                found(*args, **fields)
            raise UnavailableError("the database is away.")

        return call


class Service(EdgeService):
    """The edge service, with a law: no order that goes forward leaves before it is in the history."""

    def __init__(self, sea: "Sea", on_report: Callable[[str, Up], None]) -> None:
        super().__init__(clock=sea.clock, on_report=on_report)
        self.callers = Callers(EdgeLimits(greetings=1000, messages=10_000), sea.clock)
        self._sea = sea

    def assign(self, assignment: Signed) -> None:
        order = msgspec.msgpack.decode(assignment.body, type=Assignment)
        if order.stage in WAVES and not self._sea.is_written(order):
            self._sea.broken.append(
                f"{order.edge} is told {order.bundle[:6]} ({order.stage}), which is not in the history"
            )
        super().assign(assignment)


class Plane:
    """A control plane's process."""

    def __init__(self, sea: "Sea", number: int) -> None:
        self.name = f"plane-{number}"
        self.is_alive = False
        self.rollouts: Rollouts
        self._sea = sea
        self._count = 0

    def start(self, group: asyncio.TaskGroup) -> None:
        sea, self._count = self._sea, self._count + 1
        self.history = Away(SqliteHistory(sea.file), sea)
        self.service = Service(sea, self._heard)
        scribe = Scribe(cast(RolloutHistory, self.history), f"{self.name}.{self._count}", sea.clock)
        ledger = Ledger(scribe, is_shared=sea.is_shared)
        shelf = Shelf(KEY, software="chaos")
        proposals = Proposals(shelf, lambda ref: ("HTTPRoute/shop/web",))
        self.rollouts = Rollouts(shelf, ledger, Signer(KEY), self.service, proposals, sea.clock)
        self.rollouts.hooks.sandbox = self._sandbox
        self.is_alive = True
        self.rollouts.configured(sea.spec)
        self.rollouts.compiled(sea.newest)
        self.task = group.create_task(self._run(), name=self.name)

    def kill(self) -> None:
        """As SIGKILL: what it did not write is lost, and so are its streams."""
        self.is_alive = False
        self.task.cancel()
        self.history.history.close()
        for edge in self._sea.edges:
            edge.cut(self)

    def _heard(self, edge: str, message: Up) -> None:
        self.rollouts.heard(edge, message)

    async def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self.rollouts.run()

    async def _sandbox(
        self, base: Item | None, candidate: Item, report: ChangeReport, length: Seconds
    ) -> tuple[bool, str]:
        del base, report
        await asyncio.sleep(length)
        is_fine = self._sea.kind(candidate.bundle.version) != "sandbox"
        return is_fine, "" if is_fine else "two routes answer 500."


class Sea:
    """All of it. `broken` lists the laws that did not hold, in the words of a test's failure."""

    def __init__(self, folder: Path, luck: Random, *, edges: int, planes: int) -> None:
        self.luck = luck
        self.file = folder / "history.db"
        self.broken: list[str] = []
        self.is_away = False
        self.lost_answers = 0.0
        self.is_shared = planes > 1
        self.newest = candidate()
        self.spec = FIRST
        self.kinds: dict[str, str] = {}
        self._versions = [self.newest]
        self._reader: SqliteHistory | None = None
        self.end: Conductor | None = None
        """The leader's machine at the end."""
        self.ended_at = Instant(0.0)
        self.edges = [BoatEdge(place, self) for place in places(3, 2, 2)[:edges]]
        self.planes = [Plane(self, number) for number in range(planes)]

    def clock(self) -> float:
        return START + asyncio.get_running_loop().time()

    def kind(self, version: str) -> str:
        return self.kinds.get(version, "fine")

    @property
    def leader(self) -> Plane | None:
        return next((one for one in self.planes if one.is_alive and one.rollouts.is_leader), None)

    def history(self) -> SqliteHistory:
        """A look from beside, whatever happens to the planes' own."""
        if self._reader is None:
            self._reader = SqliteHistory(self.file)
        return self._reader

    def is_written(self, order: Assignment) -> bool:
        """Say whether the log tells this edge to run this bundle in this rollout."""
        entries = self.history().log(stream=order.rollout, limit=100_000)
        actions = (_action.decode(entry.body) for entry in entries if entry.kind == "action")
        return any(
            isinstance(one, Assign) and one.bundle == order.bundle and order.edge in one.edges for one in actions
        )

    # ── the story ────────────────────────────────────────────────────────────────────────────────────────────────

    async def story(self, *, changes: int, faults: int, calm: float = 3000.0) -> None:
        """Let it happen, then let it calm down: at the end all are there again and nothing is under way."""
        async with asyncio.TaskGroup() as self.group:
            for plane in self.planes:
                plane.start(self.group)
            for edge in self.edges:
                edge.start(self.group)
            watch = self.group.create_task(self._watch(), name="watch")
            await self._until(
                lambda: self.leader is not None and self._is_calm(), "the first version is everywhere", 900
            )
            self.spec = FAST
            for plane in self.planes:
                plane.rollouts.configured(FAST)
            async with asyncio.TaskGroup() as weather:
                weather.create_task(self._change(changes), name="changes")
                weather.create_task(self._blow(faults), name="faults")
            await self._heal()
            await self._until(self._is_calm, "all edges run what they should", calm)
            assert self.leader is not None
            self.end, self.ended_at = self.leader.rollouts.conductor, Instant(self.clock())
            watch.cancel()
            for edge in self.edges:
                edge.kill()
            for plane in self.planes:
                plane.task.cancel()

    async def _change(self, count: int) -> None:
        for number in range(count):
            await asyncio.sleep(self.luck.expovariate(1 / 25))
            self.propose(number)

    def propose(self, number: int) -> None:
        """The manifests change; now and then back to what they were."""
        if self.luck.random() < 0.15:
            self.newest = self.luck.choice(self._versions)
        else:
            kind = self.luck.choice(KINDS)
            hosts = (*HOSTS, *(host(f"v{each}.example", route()) for each in range(number + 1)))
            filters = (lua(f"-- {number}"),) if self.luck.random() < 0.3 else ()
            self.newest = candidate(*filters, hosts=hosts)
            self.kinds.setdefault(self.newest.version, kind)
            self._versions.append(self.newest)
        for plane in self.planes:
            if plane.is_alive:
                plane.rollouts.compiled(self.newest)

    async def _blow(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(self.luck.expovariate(1 / 8))
            getattr(self, f"_{self.luck.choice(FAULTS)}")()

    def _plane(self) -> None:
        plane = self.luck.choice([self.leader or self.planes[0], *self.planes])
        if plane.is_alive:
            plane.kill()
            self.group.create_task(self._later(lambda: plane.start(self.group), 12), name="plane-starts")

    def _database(self) -> None:
        if not self.is_away:
            self.is_away, self.lost_answers = True, self.luck.choice((0.0, 0.0, 0.5))
            self.group.create_task(self._later(self._bring_back, 25), name="database-starts")

    def _bring_back(self) -> None:
        self.is_away = False

    def _agent(self) -> None:
        edge = self.luck.choice(self.edges)
        if edge.is_alive:
            edge.kill()
            self.group.create_task(self._later(lambda: edge.start(self.group), 15), name="agent-starts")

    def _envoy(self) -> None:
        self.luck.choice(self.edges).die("signal 9.")

    def _cut(self) -> None:
        self.luck.choice(self.edges).cut()

    def _echo(self) -> None:
        self.luck.choice(self.edges).repeat()

    def _forge(self) -> None:
        self.luck.choice(self.edges).forge()

    def _replay(self) -> None:
        self.luck.choice(self.edges).replay()

    def _command(self) -> None:
        alive = [one for one in self.planes if one.is_alive]
        if alive:
            verb = self.luck.choice(VERBS)
            said = self._say(self.luck.choice(alive), verb, self.luck.choice(PEOPLE))
            self.group.create_task(said, name=f"say-{verb}")

    async def _say(self, plane: Plane, verb: Verb, who: str) -> bool:
        """Say it; false if nobody could hear it just now."""
        command = Commanded(at=Instant(self.clock()), verb=verb, who=who, reason="chaos")
        with contextlib.suppress(TimeoutError, UnavailableError):
            async with asyncio.timeout(20):
                await plane.rollouts.command(command)
                return True
        return False

    async def _later(self, do: Callable[[], None], longest: float) -> None:
        await asyncio.sleep(self.luck.uniform(0.0, longest))
        do()

    async def _heal(self) -> None:
        """Wait until everybody is there again, and take back what people have said."""
        await self._until(self._are_back, "all are back", 120)
        await self._until(lambda: self.leader is not None, "somebody leads", 60)
        verbs: tuple[Verb, ...] = ("resume", "thaw", "thaw", "thaw", "unpin")
        for verb in verbs:
            for who in PEOPLE:
                # Who leads may change in the very moment: then it is said once more, as a person would.
                for _ in range(10):
                    await self._until(lambda: self.leader is not None, "somebody leads", 60)
                    if self.leader is not None and await self._say(self.leader, verb, who):
                        break
                    await asyncio.sleep(1.0)

    def _are_back(self) -> bool:
        is_whole = all(plane.is_alive for plane in self.planes) and all(edge.is_alive for edge in self.edges)
        return is_whole and not self.is_away

    def _is_calm(self) -> bool:
        if self.leader is None:
            return False
        view = self.leader.rollouts.conductor.view(Instant(self.clock()))
        wanted = view.running
        is_idle = bool(wanted) and view.rollout is None and not view.waiting
        return is_idle and all(
            not edge.is_tasting and (edge.runs == wanted or edge.has_fallen_back) for edge in self.edges
        )

    async def _until(self, is_so: Callable[[], bool], what: str, longest: float) -> None:
        end = self.clock() + longest
        while not is_so():
            if self.clock() > end:
                raise AssertionError(f"not within {longest} s: {what}\n{self.tell()}")
            await asyncio.sleep(0.5)

    async def _watch(self) -> None:
        """Every edge is in exactly one wave."""
        while True:
            await asyncio.sleep(0.5)
            if self.leader is None:
                continue
            current = self.leader.rollouts.conductor.view(Instant(self.clock())).rollout
            named = [name for stage in (current.stages if current else ()) for name in stage.names]
            if len(named) != len(set(named)):
                self.broken.append(f"an edge is in two waves: {named}")
            if current is not None and current.stage in (*WAVES, "bake"):
                memory = msgspec.msgpack.decode(self.leader.rollouts.conductor.state(), type=Memory)
                if forgotten := set(memory.present()) - set(named):
                    self.broken.append(f"edges are in no wave of {current.rollout}: {sorted(forgotten)}")

    def tell(self) -> str:
        """Describe the state of things."""
        lines = [f"{edge.place.edge}: {edge.tell()}" for edge in self.edges]
        if self.leader is not None:
            view = self.leader.rollouts.conductor.view(Instant(self.clock()))
            held = view.rollout.held if view.rollout else ""
            lines.append(
                f"running {view.running[:6]}, {view.rollout and view.rollout.stage}: {held}, waits: {view.waiting}"
            )
        finished = [
            one
            for entry in self.history().log(limit=100_000)
            if entry.kind == "action"
            if isinstance(one := _action.decode(entry.body), Finish)
        ]
        return "\n".join([*lines, *(f"{one.rollout}: {one.outcome}: {one.reason}" for one in finished)])
