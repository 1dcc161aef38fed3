"""Web: what monitoring asks an edge: /metrics, /ready, /live.

Listens on the address that the settings name. Nothing here changes anything, nothing here is secret.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from seawall.kit.errors import ConfigError


@contextlib.asynccontextmanager
async def serve_web(
    address: str, metrics: Callable[[], Awaitable[str]], unready: Callable[[], str]
) -> AsyncIterator[str]:
    """Serve while the block runs; yield the address that was bound. `unready` says why the edge is not ready."""

    async def show_metrics(_: Request) -> PlainTextResponse:
        return PlainTextResponse(await metrics(), media_type="text/plain; version=0.0.4")

    async def show_ready(_: Request) -> PlainTextResponse:
        reason = unready()
        return PlainTextResponse(f"{reason or 'ready'}\n", status_code=503 if reason else 200)

    async def show_live(_: Request) -> PlainTextResponse:
        return PlainTextResponse("live\n")

    routes = [Route("/metrics", show_metrics), Route("/ready", show_ready), Route("/live", show_live)]
    bound = _bind(address)
    host, port = bound.getsockname()[:2]
    async with serving(Starlette(routes=routes), bound, "agent-web"):
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextlib.asynccontextmanager
async def serving(app: Starlette, bound: socket.socket, name: str) -> AsyncIterator[None]:
    """Serve `app` on a socket while the block runs, and close it then."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    server = _Server(config)
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(server.serve(sockets=[bound]), name=name)
            try:
                yield
            finally:
                # Not cancelled: then it would leave its socket with the event loop, and whoever gets the number of the
                # closed file descriptor next would never hear of it.
                server.should_exit = True
                await asyncio.wait([running], timeout=3.0)
                running.cancel()
    finally:
        bound.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process: this is one of its parts."""
        yield


def _bind(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, int(port)))
    except (OSError, ValueError, OverflowError) as exc:
        bound.close()
        raise ConfigError(
            f"the agent cannot serve /metrics on {address!r}: {exc}.",
            hint="Choose another address:port; port 0 takes any free one.",
        ) from exc
    bound.listen(64)
    bound.setblocking(False)
    return bound
