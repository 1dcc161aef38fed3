"""Crowd: a thousand edges in one process, as far as a control plane can tell. Run as a program by `bench.fleet`.

Two kinds: agents (the stream of `seawall.fleet.wire`) and Envoys (delta ADS). They keep names and versions, not bodies,
and acknowledge everything. Driven over stdin by lines of JSON, answering on stdout:

    {"do": "connect", "count": 1000, "held": true}    all at once; `held`: they say what they had before
    {"do": "wait", "hosts": 1001, "since": 1.7e9}     until each holds so many hosts, learned after `since`
    {"do": "drop"}                                    all hang up
"""

import asyncio
import json
import sys
import time
from typing import Any, Protocol

import grpc.aio
import msgspec

from bench.support.numbers import percentile
from seawall.envoy.proto import message
from seawall.fleet.wire import METHOD, SERVICE, Applied, Hello
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
    remove: tuple[tuple[str, str], ...] = ()
    more: bool = False


_decode = msgspec.msgpack.Decoder(_Publish).decode
_encode = msgspec.msgpack.Encoder().encode


class Member(Protocol):
    """One edge: how many hosts it holds, and since when it is current."""

    hosts: set[str]
    at: float

    async def run(self, address: str, *, is_held: bool) -> None: ...


class AgentMember:
    """Speaks as an agent."""

    def __init__(self, number: int) -> None:
        self.name = f"edge{number}"
        self.hosts: set[str] = set()
        self.at = 0.0
        self.version = ""

    async def run(self, address: str, *, is_held: bool) -> None:
        async with _channel(address) as channel:
            call = channel.stream_stream(f"/{SERVICE}/{METHOD}")()
            held = self.version if is_held else ""
            await call.write(_encode(Hello(edge=self.name, held=held, software="bench")))
            while (raw := await call.read()) is not EOF:
                self._take(_decode(raw))
                if self.version:
                    await call.write(_encode(Applied(version=self.version, at=time.time())))

    def _take(self, publish: _Publish) -> None:
        if not publish.base and self.version:
            self.hosts, self.version = set(), ""
        self.hosts.update(one.name for one in publish.put if one.type_url == SCOPE)
        self.hosts.difference_update(name for type_url, name in publish.remove if type_url == SCOPE)
        if not publish.more:
            self.version, self.at = publish.version, time.time()


class EnvoyMember:
    """Speaks as an Envoy: asks for a type after the other, acknowledges all."""

    def __init__(self, number: int) -> None:
        self.name = f"envoy{number}"
        self.hosts: set[str] = set()
        self.at = 0.0
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

    async def wait(self, hosts: int, since: float, patience: float) -> dict[str, object]:
        """Wait for all; say when the median and the last of them were current, and how many never were."""
        deadline = time.monotonic() + patience
        while (late := sum(not self._is_current(one, hosts, since) for one in self._members)) and not self._lost:
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.002)
        times = sorted(one.at for one in self._members if self._is_current(one, hosts, since)) or [0.0]
        return {"late": late, "p50": percentile(times, 50), "max": times[-1], "lost": self._lost[:1]}

    async def _hold(self, member: Member, *, is_held: bool) -> None:
        try:
            await member.run(self._address, is_held=is_held)
        except grpc.aio.AioRpcError as exc:
            self._lost.append(f"{exc.code().name}: {exc.details()}")

    @staticmethod
    def _is_current(member: Member, hosts: int, since: float) -> bool:
        return len(member.hosts) >= hosts and member.at >= since


async def main(kind: str, address: str) -> None:
    """Obey stdin until it ends."""
    crowd = Crowd(kind, address)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with asyncio.TaskGroup() as group:
        while line := await reader.readline():
            order = json.loads(line)
            answer: dict[str, object] = {}
            match order["do"]:
                case "connect":
                    crowd.connect(group, order["count"], is_held=order["held"])
                case "wait":
                    answer = await crowd.wait(order["hosts"], order["since"], order["patience"])
                case "drop":
                    await crowd.drop()
            print(json.dumps(answer), flush=True)
        await crowd.drop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
