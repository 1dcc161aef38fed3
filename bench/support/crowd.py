"""Crowd: a thousand edges in one process, as far as a control plane can tell. Run as a program by `bench.fleet`.

Two kinds: agents (the stream of `seawall.fleet.wire`) and Envoys (delta ADS). They keep names and versions, not bodies,
and acknowledge everything. Agents say what real ones do, a tally a second and a heartbeat each five.

Driven over stdin by lines of JSON, answering on stdout:

    {"do": "connect", "count": 1000, "held": true}    all at once; `held`: they say what they had before
    {"do": "wait", "hosts": 1001, "since": 1.7e9}     until each holds so many hosts, learned after `since`
    {"do": "wait", "bundle": "…", "since": 1.7e9}     until each has acknowledged that bundle, after `since`
    {"do": "bundles"}                                 which bundles they run: name to how many
    {"do": "drop"}                                    all hang up
"""

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any, Protocol

import grpc.aio
import msgspec

from bench.support.numbers import percentile
from seawall.envoy.proto import message
from seawall.fleet.bundle import Bundle, Signed
from seawall.fleet.wire import COUNTS, GAUGES, METHOD, SERVICE, Applied, Heartbeat, Hello, Tally, Up
from seawall.server.edges import EOF, MAX_MESSAGE
from seawall.xds.resource import CLUSTER, ENDPOINTS, LISTENER, RUNTIME, SCOPE

_ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
)


class _PutName(msgspec.Struct, frozen=True):
    """Of a resource only what a crowd looks at; the rest is skipped, not copied."""

    type_url: str
    name: str


class _Publish(msgspec.Struct, frozen=True, tag="publish"):
    version: str
    base: str
    put: tuple[_PutName, ...] = ()
    remove: tuple[_PutName, ...] = ()
    more: bool = False
    bundle: Signed | None = None


class _Watch(msgspec.Struct, frozen=True, tag="watch"):
    """Is not looked at."""


_decode = msgspec.msgpack.Decoder(_Publish | _Watch).decode
_decode_bundle = msgspec.msgpack.Decoder(Bundle).decode
_MOST_KEPT = 3
_BEAT = 5
"""Seconds, which are tallies, between heartbeats."""
_encode = msgspec.msgpack.Encoder().encode


class Member(Protocol):
    """One edge: how many hosts it holds, and since when it is current."""

    hosts: set[str]
    at: float
    bundle: str

    async def run(self, address: str, *, is_held: bool) -> None: ...

    async def talk(self) -> None:
        """Say what is said every second."""


class _Kept(msgspec.Struct, frozen=True):
    """A bundle on the member's disk."""

    version: str
    hosts: frozenset[str]


class AgentMember:
    """Speaks as an agent."""

    def __init__(self, number: int) -> None:
        self.name = f"edge{number}"
        self.hosts: set[str] = set()
        self.at = 0.0
        self.bundle = ""
        self.version = ""
        self._kept: dict[str, _Kept] = {}
        self._call: Any = None
        self._lock = asyncio.Lock()
        # Not all in the same second.
        self._turn = number

    async def run(self, address: str, *, is_held: bool) -> None:
        async with _channel(address) as channel:
            call = channel.stream_stream(f"/{SERVICE}/{METHOD}")()
            held, kept = (self.version, tuple(self._kept)) if is_held else ("", ())
            await call.write(_encode(Hello(edge=self.name, held=held, kept=kept, software="bench")))
            self._call = call
            try:
                while (raw := await call.read()) is not EOF:
                    message = _decode(raw)
                    if isinstance(message, _Publish):
                        self._take(message)
                        if self.version:
                            await self._say(Applied(version=self.version, at=time.time()))
                            self.at = time.time()
            finally:
                self._call = None

    async def talk(self) -> None:
        self._turn += 1
        now = time.time()
        if self._turn % _BEAT == 0:
            kept, is_ready = tuple(self._kept), bool(self.version)
            beat = Heartbeat(
                at=now, running=self.version, is_ready=is_ready, envoy="live", bundle=self.bundle, kept=kept, fence=1
            )
            await self._say(beat)
        if not self.version:
            return
        counts = dict.fromkeys(COUNTS, float(self._turn))
        await self._say(Tally(at=now, run="1", bundle=self.bundle, counts=counts, gauges=dict.fromkeys(GAUGES, 1e6)))

    async def _say(self, message: Up) -> None:
        async with self._lock:
            if self._call is not None:
                await self._call.write(_encode(message))

    def _take(self, publish: _Publish) -> None:
        if publish.base != self.version:
            found = next((kept for kept in self._kept.values() if kept.version == publish.base), None)
            self.hosts, self.version = (set(found.hosts), found.version) if found is not None else (set(), "")
        self.hosts.update(one.name for one in publish.put if one.type_url == SCOPE)
        self.hosts.difference_update(one.name for one in publish.remove if one.type_url == SCOPE)
        if publish.more:
            return
        self.version = publish.version
        if publish.bundle is not None:
            self.bundle = _decode_bundle(publish.bundle.body).name
            self._kept.pop(self.bundle, None)
            self._kept[self.bundle] = _Kept(self.version, frozenset(self.hosts))
            while len(self._kept) > _MOST_KEPT:
                del self._kept[next(iter(self._kept))]


class EnvoyMember:
    """Speaks as an Envoy: asks for a type after the other, acknowledges all."""

    def __init__(self, number: int) -> None:
        self.name = f"envoy{number}"
        self.hosts: set[str] = set()
        self.at = 0.0
        self.bundle = ""
        self.versions: dict[str, dict[str, str]] = {}
        self._request: Any = message("envoy.service.discovery.v3.DeltaDiscoveryRequest")
        self._response: Any = message("envoy.service.discovery.v3.DeltaDiscoveryResponse")

    async def run(self, address: str, *, is_held: bool) -> None:
        if not is_held:
            self.versions, self.hosts = {}, set()
        async with _channel(address) as channel:
            call = channel.stream_stream(_ADS)()
            asked: set[str] = set()
            for type_url in (CLUSTER, LISTENER, SCOPE, RUNTIME):
                await call.write(self._ask(type_url, asked))
            while (raw := await call.read()) is not EOF:
                response = self._response.FromString(raw)
                self._take(response)
                ack = self._request(type_url=response.type_url, response_nonce=response.nonce)
                await call.write(ack.SerializeToString())
                if response.type_url == CLUSTER and ENDPOINTS not in asked:
                    await call.write(self._ask(ENDPOINTS, asked, [one.name for one in response.resources]))

    async def talk(self) -> None:
        """Envoys say nothing unasked."""

    def _ask(self, type_url: str, asked: set[str], names: list[str] | None = None) -> bytes:
        request = self._request(type_url=type_url, resource_names_subscribe=names or [])
        request.initial_resource_versions.update(self.versions.get(type_url, {}))
        if not asked:
            request.node.id = self.name
            request.node.cluster = "seawall"
        asked.add(type_url)
        return bytes(request.SerializeToString())

    def _take(self, response: Any) -> None:
        held = self.versions.setdefault(response.type_url, {})
        held.update((one.name, one.version) for one in response.resources)
        for name in response.removed_resources:
            held.pop(name, None)
        if response.type_url == SCOPE:
            self.hosts = set(held) if response.removed_resources else self.hosts
            self.hosts.update(one.name for one in response.resources)
            self.at = time.time()


KINDS: dict[str, type[AgentMember] | type[EnvoyMember]] = {"agents": AgentMember, "envoys": EnvoyMember}


def _channel(address: str) -> Any:
    return grpc.aio.insecure_channel(address, options=_OPTIONS)


class Crowd:
    """All of them."""

    def __init__(self, kind: str, address: str) -> None:
        self._make = KINDS[kind]
        self._address = address
        self._members: list[Member] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._lost: list[str] = []

    def connect(self, group: asyncio.TaskGroup, count: int, *, is_held: bool) -> None:
        if not self._members:
            self._members = [self._make(number) for number in range(count)]
        for member in self._members:
            member.at = 0.0
        self._tasks = [group.create_task(self._hold(one, is_held=is_held)) for one in self._members]

    async def drop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def talk(self) -> None:
        """Let each say its piece every second, one after the other."""
        while True:
            begun = time.monotonic()
            for number, member in enumerate(self._members):
                if number % 10 == 0:
                    due = begun + number / len(self._members)
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                try:
                    await member.talk()
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    # Its stream has just ended; whoever holds it says so.
                    continue
            await asyncio.sleep(max(0.0, begun + 1 - time.monotonic()))

    async def wait(self, order: dict[str, Any]) -> dict[str, object]:
        """Wait for all; say when the median, 99 % and the last of them were current, and how many never were."""
        deadline = time.monotonic() + order["patience"]
        while (late := sum(not self._is_current(one, order) for one in self._members)) and not self._lost:
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.005)
        times = sorted(one.at for one in self._members if self._is_current(one, order)) or [0.0]
        return {
            "late": late,
            "p50": percentile(times, 50),
            "p99": percentile(times, 99),
            "max": times[-1],
            "lost": self._lost[:1],
        }

    async def _hold(self, member: Member, *, is_held: bool) -> None:
        try:
            await member.run(self._address, is_held=is_held)
        except grpc.aio.AioRpcError as exc:
            self._lost.append(f"{exc.code().name}: {exc.details()}")

    def bundles(self) -> dict[str, int]:
        return Counter(member.bundle for member in self._members)

    @staticmethod
    def _is_current(member: Member, order: dict[str, Any]) -> bool:
        if order["bundle"]:
            return bool(member.bundle == order["bundle"] and member.at >= order["since"])
        return bool(len(member.hosts) >= order["hosts"] and member.at >= order["since"])


async def main(kind: str, address: str) -> None:
    """Obey stdin until it ends."""
    crowd = Crowd(kind, address)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with asyncio.TaskGroup() as group:
        talking = group.create_task(crowd.talk(), name="talk")
        while line := await reader.readline():
            order = json.loads(line)
            answer: dict[str, object] = {}
            match order["do"]:
                case "connect":
                    crowd.connect(group, order["count"], is_held=order["held"])
                case "wait":
                    answer = await crowd.wait(order)
                case "bundles":
                    answer = {"bundles": crowd.bundles()}
                case "drop":
                    await crowd.drop()
            print(json.dumps(answer), flush=True)
        talking.cancel()
        await crowd.drop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
