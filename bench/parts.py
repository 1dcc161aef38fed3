"""Parts: what each part of the control plane and of the agent takes for one more route, by how many there are.

In this process, without sockets: the answer to where the time of `bench.propagation` goes, and whether a part grows with the
number of routes though the change does not.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from statistics import median
from typing import TypeVar

import msgspec

from bench.options import Options, say
from bench.report import Result, Table
from bench.support import manifests
from bench.support.numbers import short
from seawall.envoy.build import Builder
from seawall.fleet.bundle import EVERY_EDGE, Assignment, Bundle, Signed, SigningKey
from seawall.fleet.wire import Down
from seawall.gateway.decode import decode
from seawall.gateway.objects import Object
from seawall.gateway.resolve import Resolver
from seawall.gateway.settings import Settings
from seawall.kit.secret import Secret
from seawall.kit.units import Instant
from seawall.server.orders import Orders
from seawall.source.parse import parse
from seawall.xds.events import Acked, Action, Send, SnapshotChanged, Subscribed
from seawall.xds.resource import CLUSTER, ENDPOINTS, LISTENER, RUNTIME, SCOPE, ResourceName
from seawall.xds.snapshot import Snapshot
from seawall.xds.stream import DeltaStream

Got = TypeVar("Got")

QUESTION = "what does each part take for one more route, by size?"
_decode = msgspec.msgpack.Decoder(Down).decode
_KEY = SigningKey(Secret(b"a key that signs nothing of worth"[:32]))
ONE = (
    "parse the file",
    "decode the object",
    "resolve",
    "build",
    "name the bundle",
    "sign bundle and order",
    "encode for agents",
    "decode at the agent",
    "apply to the agent's snapshot",
    "delta stream: decide and acknowledge",
)
WHOLE = ("parse all", "decode all", "resolve all", "build all", "a full garbage collection")


class Timer:
    """Gathers times in milliseconds by name."""

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}

    def time(self, name: str, work: Callable[[], Got]) -> Got:
        """Do it, note how long it took, return what it gave."""
        begun = time.perf_counter()
        result = work()
        self._times.setdefault(name, []).append((time.perf_counter() - begun) * 1000)
        return result

    def median(self, name: str) -> float:
        return median(self._times[name])


async def run(options: Options) -> Result:
    """Measure at each size."""
    sizes = (1000, 5000, 20_000) if not options.quick else (50,)
    timers = [await asyncio.to_thread(measure, size, options.pick(50, 3)) for size in sizes]
    figures = {f"{name}, {size}": timer.median(name) for size, timer in zip(sizes, timers, strict=True) for name in ONE}
    return Result(
        bench="parts",
        question=QUESTION,
        tables=(
            _table("One route added, median ms", ONE, sizes, timers),
            _table("Everything at once, ms", WHOLE, sizes, timers),
        ),
        figures=figures,
    )


def measure(size: int, turns: int) -> Timer:
    """Load `size` routes, then add some one by one."""
    say(f"{size:,} routes")
    # As in the control plane, which runs without the automatic collector (`seawall.app.collector`).
    gc.disable()
    timer = Timer()
    texts = [manifests.route(number, second=manifests.BACKEND) for number in range(size)]
    raw = "---".join([manifests.base(8080, 9000), *texts]).encode()
    documents = timer.time("parse all", lambda: parse("all.yaml", raw))
    objects = timer.time("decode all", lambda: [_decoded(document) for document in documents])
    resolver, builder, office = Resolver(Settings()), Builder(), _Office()
    change = timer.time("resolve all", lambda: resolver.update(put=objects, at=Instant(1.0)))
    timer.time("build all", lambda: builder.update(resolver.graph, change))
    office.give(Timer(), Snapshot.of(()), builder.snapshot)
    agent = _Agent(builder.snapshot)
    timer.time("a full garbage collection", gc.collect)
    for turn in range(turns):
        _add_one(timer, resolver, builder, office, agent, size + turn)
    gc.enable()
    return timer


def _add_one(
    timer: Timer, resolver: Resolver, builder: Builder, office: "_Office", agent: "_Agent", number: int
) -> None:
    raw = manifests.route(number).encode()
    (document,) = timer.time("parse the file", lambda: parse("one.yaml", raw))
    route = timer.time("decode the object", lambda: _decoded(document))
    graph_change = timer.time("resolve", lambda: resolver.update(put=[route], at=Instant(1.0)))
    base = builder.snapshot
    change = timer.time("build", lambda: builder.update(resolver.graph, graph_change))
    (body,) = office.give(timer, base, builder.snapshot)
    timer.time("decode at the agent", lambda: _decode(body))
    snapshot = timer.time("apply to the agent's snapshot", lambda: agent.snapshot.apply(change))
    event = SnapshotChanged(at=Instant(2.0), snapshot=snapshot, change=change)
    timer.time("delta stream: decide and acknowledge", lambda: agent.hear(event))
    agent.snapshot = snapshot


class _Office:
    """Signs, and keeps what is to go out."""

    def __init__(self) -> None:
        self._orders = Orders()
        self._fence = 0

    def give(self, timer: Timer, base: Snapshot, snapshot: Snapshot) -> list[bytes]:
        """Make what an edge that holds `base` is sent."""
        self._fence += 1
        bundle = timer.time("name the bundle", lambda: Bundle(content=snapshot.digest, version=snapshot.version))
        order = Assignment(edge=EVERY_EDGE, bundle=bundle.name, fence=self._fence)
        signed = timer.time("sign bundle and order", lambda: (_KEY.sign(bundle), _KEY.sign(order)))
        return timer.time("encode for agents", lambda: self._encoded(base, snapshot, *signed))

    def _encoded(self, base: Snapshot, snapshot: Snapshot, bundle: Signed, order: Signed) -> list[bytes]:
        self._orders.offer(bundle, snapshot)
        self._orders.assign(order)
        target = self._orders.target("e1")
        assert target is not None
        return list(self._orders.messages(base, target))


class _Agent:
    """The agent's side: its snapshot, and the stream to an Envoy that holds all of it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._stream = DeltaStream(snapshot)
        clusters = tuple(snapshot.resources(CLUSTER))
        for type_url in (CLUSTER, ENDPOINTS, LISTENER, SCOPE, RUNTIME):
            names = clusters if type_url == ENDPOINTS else (ResourceName("*"),)
            self.hear(Subscribed(at=Instant(1.0), type_url=type_url, subscribe=names))

    def hear(self, event: Subscribed | SnapshotChanged) -> None:
        """Tell the stream, and acknowledge what it sends until it is content."""
        actions: list[Action] = self._stream.handle(event)
        while actions:
            action = actions.pop(0)
            if isinstance(action, Send):
                ack = Acked(at=event.at, type_url=action.type_url, nonce=action.nonce)
                actions += self._stream.handle(ack)


def _decoded(document: object) -> Object:
    found = decode(document)
    assert isinstance(found, Object), found
    return found


def _table(title: str, names: tuple[str, ...], sizes: tuple[int, ...], timers: list[Timer]) -> Table:
    rows = [(name, *(short(timer.median(name)) for timer in timers)) for name in names]
    rows.append(("together", *(short(sum(timer.median(name) for name in names)) for timer in timers)))
    return Table(title=title, heads=("part", *(f"{size:,} routes" for size in sizes)), rows=tuple(rows))
