"""A delta ADS server of a page: serves a snapshot, sends what it is told to send, no checks, no gates.

The floor to compare with: what Envoy itself takes for a change, when whoever decides costs nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from bench.support.programs import Failure
from seawall.envoy.proto import message
from seawall.xds.resource import Resource, TypeUrl
from seawall.xds.snapshot import EMPTY, Snapshot

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class Ads:
    """One client, one snapshot."""

    def __init__(self, snapshot: Snapshot = EMPTY) -> None:
        self.snapshot = snapshot
        self.refused: list[str] = []
        self._out: asyncio.Queue[Any] = asyncio.Queue()
        self._nonce = 0
        self._request: Any = message("envoy.service.discovery.v3.DeltaDiscoveryRequest")
        self._response: Any = message("envoy.service.discovery.v3.DeltaDiscoveryResponse")

    def push(self, type_url: TypeUrl, resources: Iterable[Resource], removed: Iterable[str] = ()) -> None:
        """Send these now."""
        self._nonce += 1
        response = self._response(type_url=type_url, nonce=str(self._nonce), removed_resources=list(removed))
        for one in resources:
            response.resources.add(
                name=one.name, version=one.version, resource={"type_url": one.type_url, "value": one.body}
            )
        self._out.put_nowait(response)

    @asynccontextmanager
    async def serving(self, socket: Path) -> AsyncIterator[None]:
        """Listen on a unix socket while the block runs."""
        server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
        method = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=self._request.FromString,
            response_serializer=lambda response: response.SerializeToString(),
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(_SERVICE, {"DeltaAggregatedResources": method}),)
        )
        server.add_insecure_port(f"unix:{socket}")
        await server.start()
        try:
            yield
        finally:
            await server.stop(grace=0)

    async def _stream(self, requests: AsyncIterator[Any], _: object) -> AsyncIterator[Any]:
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(self._read(requests), name="ads-read")
            try:
                while True:
                    yield await self._out.get()
            finally:
                reader.cancel()

    async def _read(self, requests: AsyncIterator[Any]) -> None:
        async for request in requests:
            if request.HasField("error_detail"):
                self.refused.append(f"{request.type_url}: {request.error_detail.message}")
            elif not request.response_nonce or request.resource_names_subscribe:
                members = self.snapshot.resources(request.type_url)
                names = [name for name in request.resource_names_subscribe if name != "*"] or list(members)
                self.push(request.type_url, [members[name] for name in names if name in members])

    def check(self) -> None:
        """Raises Failure if the client ever refused something."""
        if self.refused:
            raise Failure(f"Envoy refused: {self.refused[0]}")
