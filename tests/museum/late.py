"""Late: a plan for the edges, written down when it was new, and applied when it is old. As slow automation does.

Signed by the right key: it is what the control plane itself has said, to the last byte.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import msgspec

from seawall.fleet.wire import METHOD, SERVICE, Down, Hello, Publish
from seawall.server.edges import OPTIONS
from tests.support.fleet import Place

Plans = Mapping[str, tuple[bytes, ...]]


async def written_down(socket: Path, places: tuple[Place, ...]) -> Plans:
    """Ask the control plane in the name of each edge what that edge should run."""
    return {place.edge: await _plan(socket, place) for place in places}


async def _plan(socket: Path, place: Place) -> tuple[bytes, ...]:
    said: list[bytes] = []
    async with grpc.aio.insecure_channel(f"unix:{socket}", options=OPTIONS) as channel, asyncio.timeout(10):
        call = _connect(channel)
        await call.write(
            msgspec.msgpack.encode(Hello(edge=place.edge, labels={"region": place.region, "cell": place.cell}))
        )
        while True:
            said.append(await call.read())
            message = msgspec.msgpack.decode(said[-1], type=Down)
            if isinstance(message, Publish) and not message.more:
                call.cancel()
                return tuple(said)


def _connect(channel: Any) -> Any:
    """Open the stream; grpc-stubs wants serializers, which we do without."""
    return channel.stream_stream(f"/{SERVICE}/{METHOD}")()


@contextlib.asynccontextmanager
async def applied(socket: Path, plans: Plans) -> AsyncIterator[None]:
    """Tell every edge that calls what was written down for it, while the block runs."""

    async def connect(_: object, context: Any) -> None:
        hello = msgspec.msgpack.decode(await context.read(), type=Hello)
        for raw in plans[hello.edge]:
            await context.write(raw)
        while await context.read() is not grpc.aio.EOF:  # type: ignore[attr-defined]  # grpc-stubs forgot it
            continue

    server = grpc.aio.server(options=OPTIONS)
    method = grpc.stream_stream_rpc_method_handler(connect)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: method}),))
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(grace=0.2)
