"""An edge of the fleet, by hand: says what a test wants it to say, over real gRPC."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import msgspec

from seawall.fleet.bundle import Assignment, Bundle, read_assignment, read_bundle
from seawall.fleet.wire import METHOD, SERVICE, Down, Hello, Publish, Up
from seawall.server.edges import EOF, OPTIONS, EdgeService, serve_edges
from seawall.server.limits import EdgeLimits
from seawall.xds.resource import CLUSTER, Resource, ResourceName
from seawall.xds.snapshot import Change, Snapshot
from tests.support.control import KEY
from tests.support.signing import Signing


def resource(name: str, body: bytes = b"1") -> Resource:
    return Resource(type_url=CLUSTER, name=ResourceName(name), version=body[:8].hex(), body=body)


def put(*names: str, body: bytes = b"1") -> Change:
    return Change(put=tuple(resource(name, body) for name in names))


class Caller:
    """One stream. `held` and `bundle` are what an agent would hold after all that it has heard."""

    def __init__(self, call: Any, held: Snapshot | None = None) -> None:
        self.call = call
        self.held = held or Snapshot.of([])
        self.kept: dict[str, Snapshot] = {}

    async def say(self, message: Up) -> None:
        await self.call.write(msgspec.msgpack.encode(message))

    async def hear(self) -> Down:
        async with asyncio.timeout(10):
            raw = await self.call.read()
        assert raw is not EOF
        message: Down = msgspec.msgpack.decode(raw, type=Down)
        return message

    async def take(self) -> tuple[Publish, Bundle, Assignment]:
        """Hear a whole Publish, apply it as an agent does, and check its signatures."""
        parts = []
        while True:
            message = await self.hear()
            assert isinstance(message, Publish)
            parts.append(message)
            if not message.more:
                break
        change = Change(put=tuple(one for part in parts for one in part.put), remove=message.remove)
        known = {each.version: each for each in (self.held, *self.kept.values())}
        base = known[message.base] if message.base else Snapshot.of([])
        self.held = base.apply(change)
        assert self.held.version == message.version
        assert message.bundle is not None
        assert message.assignment is not None
        trusted = frozenset({KEY.public})
        bundle, order = read_bundle(message.bundle, trusted), read_assignment(message.assignment, trusted)
        assert order.bundle == bundle.name
        assert (bundle.version, bundle.content) == (self.held.version, self.held.digest)
        return msgspec.structs.replace(message, put=change.put), bundle, order

    async def ends(self) -> grpc.StatusCode:
        async with asyncio.timeout(5):
            code: grpc.StatusCode = await self.call.code()
        return code

    async def details(self) -> str:
        return str(await self.call.details())


@asynccontextmanager
async def calling(address: str, credentials: Any = None) -> AsyncIterator[Caller]:
    opened: Any = (
        grpc.aio.insecure_channel(address, options=OPTIONS)
        if credentials is None
        else grpc.aio.secure_channel(address, credentials, options=OPTIONS)
    )
    async with opened as channel:
        yield Caller(channel.stream_stream(f"/{SERVICE}/{METHOD}")())


@asynccontextmanager
async def edge(
    address: str, name: str = "e1", held: Snapshot | str = "", kept: dict[str, Snapshot] | None = None
) -> AsyncIterator[Caller]:
    async with calling(address) as caller:
        caller.kept = kept or {}
        if isinstance(held, Snapshot):
            caller.held = held
        version = held.version if isinstance(held, Snapshot) else held
        await caller.say(Hello(edge=name, held=version, kept=tuple(caller.kept)))
        yield caller


async def until(claim: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not claim():  # noqa: ASYNC110 - what is awaited is another process's or task's doing
            await asyncio.sleep(0.005)


Story = Callable[[EdgeService, Signing, str], Awaitable[None]]


def tell(folder: Path, story: Story, limits: EdgeLimits | None = None) -> None:
    """Tell a story of a service that listens on a socket in a folder."""

    async def main() -> None:
        service = EdgeService(limits=limits)
        async with serve_edges(service, f"unix:{folder}/edges.sock") as address:
            await story(service, Signing(service), address)

    asyncio.run(main())
