"""Server: the console's sockets.

Listens on a unix socket (mode 0600: the file system says who may ask) and, if asked to, on a loopback address.
"""

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from seawall.kit.errors import ConfigError


@contextlib.asynccontextmanager
async def serving(app: Starlette, unix: Path, tcp: str = "") -> AsyncIterator[tuple[str, ...]]:
    """Serve while the block runs; gives the addresses. `tcp` is `address:port` on loopback, empty for none."""
    tcp_sockets = [_tcp(tcp)] if tcp else []
    sockets = [_unix(unix), *tcp_sockets]
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    server = _Server(config)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(server.serve(sockets=sockets), name="console")
            try:
                yield tuple(_name(one) for one in sockets)
            finally:
                server.should_exit = True
                # It looks at the flag ten times a second, but only once it has started.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(running), 2.0)
                running.cancel()
    finally:
        _close(sockets, unix)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process: the console is one of its parts."""
        yield


def _unix(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        made.bind(str(path))
    except OSError as exc:
        raise ConfigError(f"the console cannot listen on {path}: {exc.strerror}.", hint="Use --run-dir.") from exc
    finally:
        os.umask(mask)
    made.listen(64)
    return made


def _close(sockets: list[socket.socket], unix: Path) -> None:
    for one in sockets:
        one.close()
    unix.unlink(missing_ok=True)


def _tcp(text: str) -> socket.socket:
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
        number = int(port)
    except ValueError as exc:
        raise ConfigError(f"{text!r} is not an address and a port.", hint="Write 127.0.0.1:9700.") from exc
    if not address.is_loopback:
        raise ConfigError(
            f"the console has no passwords, so it does not listen on {address}, which others can reach.",
            hint="Use a loopback address, and a proxy that knows your users before it.",
        )
    made = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((str(address), number))
    except OSError as exc:
        made.close()
        raise ConfigError(f"the console cannot listen on {text}: {exc.strerror}.", hint="Choose another port.") from exc
    made.listen(64)
    return made


def _name(made: socket.socket) -> str:
    bound = made.getsockname()
    return bound if isinstance(bound, str) else f"{bound[0]}:{bound[1]}"
