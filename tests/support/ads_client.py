"""A bare delta xDS client for tests: says and reads exactly what a test wants."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from seawall.envoy.proto import message
from seawall.server.ads import METHOD

_REQUEST = "envoy.service.discovery.v3.DeltaDiscoveryRequest"
_RESPONSE = "envoy.service.discovery.v3.DeltaDiscoveryResponse"


class AdsClient:
    """One stream."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def ask(
        self,
        type_url: str,
        *names: str,
        node: str = "",
        initial: Mapping[str, str] | None = None,
        nonce: str = "",
        error: str = "",
    ) -> None:
        """Send a request."""
        request: Any = message(_REQUEST)(
            type_url=type_url,
            resource_names_subscribe=names,
            initial_resource_versions=dict(initial or {}),
            response_nonce=nonce,
        )
        if node:
            request.node.id = node
        if error:
            request.error_detail.message = error
        await self.call.write(request.SerializeToString())

    async def read(self) -> Any:
        """Read a response."""
        return message(_RESPONSE).FromString(await self.call.read())

    async def ack(self, response: Any) -> None:
        await self.ask(response.type_url, nonce=response.nonce)

    async def status(self) -> tuple[grpc.StatusCode, str]:
        """Read to the end of the stream and say how it ended."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            while await self.call.read() is not grpc.aio.EOF:  # type: ignore[attr-defined]  # grpc-stubs forgot it
                pass
        return await self.call.code(), await self.call.details()


@asynccontextmanager
async def ads_client(
    target: str,
    credentials: grpc.ChannelCredentials | None = None,
    options: Sequence[tuple[str, Any]] = (),
) -> AsyncIterator[AdsClient]:
    """Open a stream to `unix:/path` or `host:port`."""
    channel = (
        grpc.aio.secure_channel(target, credentials, options=list(options))
        if credentials
        else grpc.aio.insecure_channel(target, options=list(options))
    )
    async with channel:
        call = channel.stream_stream(METHOD)()  # type: ignore[call-arg]  # bytes as they are, written later
        yield AdsClient(call)
        call.cancel()
