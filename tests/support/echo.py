"""Echo servers: all backends of the conformance suite in one event loop, each pod on its own loopback address.

Talks to sockets. `echo_http` says what is answered, `echo_http1`, `echo_http2`, `echo_lines`, `echo_datagrams` how it is
written. Addresses of 127.0.0.0/8 need no set-up on Linux; ports below 1024 (the DNS responder's 53) need root or
CAP_NET_BIND_SERVICE.
"""

import asyncio
import contextlib
import socket
import ssl
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path

from tests.support import echo_grpc
from tests.support.echo_datagrams import DnsResponder, UdpEcho
from tests.support.echo_http import Answer, Backend, Pod
from tests.support.echo_http1 import serve_http1, write_answer
from tests.support.echo_http2 import PREFACE, responder_of, serve_http2
from tests.support.echo_lines import serve_lines
from tests.support.echo_streams import Connections, Handler, server_tls, tls_facts

Read = Callable[[str], str]
"""Gives the text behind a reference `Kind/namespace/name#key`."""

_KEYS = ("TLS_SERVER_PRIVKEY", "TLS_SERVER_PRIV_KEY")  # upstream spells it differently for HTTP and TCP


class EchoServers:
    """Running pods, where they listen, and what they have been asked."""

    def __init__(self, backends: Iterable[Backend]) -> None:
        self._backends = tuple(backends)
        self._ports: dict[tuple[str, str], int] = {}

    def note(self, pod: Pod, mode: str, port: int) -> None:
        self._ports[pod.name, mode] = port

    def port(self, pod: str, mode: str) -> int:
        """Return the port where a pod serves a mode: the one it was given, or found free if that was 0."""
        return self._ports[pod, mode]

    def seen(self, namespace: str, deployment: str) -> Counter[str]:
        """Count the echoed requests of a deployment's pods by path."""
        total: Counter[str] = Counter()
        for backend in self._backends:
            if (backend.pod.namespace, backend.pod.deployment) == (namespace, deployment):
                total += backend.seen
        return total


@contextlib.asynccontextmanager
async def echo_servers(pods: Iterable[Pod], read: Read) -> AsyncIterator[EchoServers]:
    """Run pods. Raises OSError, with the address and the remedy, if one cannot be bound."""
    backends = [Backend(pod) for pod in pods]
    servers = EchoServers(backends)
    async with contextlib.AsyncExitStack() as stack:
        connections = Connections()
        stack.push_async_callback(connections.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="echo-")))
        for number, backend in enumerate(backends):
            files = _write_files(backend.pod, folder / str(number), read)
            for port, mode in backend.pod.servers.items():
                where = (backend.pod.address, int(port))
                if mode in ("udp", "dns"):
                    bound = await _serve_datagrams(stack, backend, mode, where)
                else:
                    handler = connections.guarded(_handler(backend, mode))
                    bound = await _serve_streams(stack, handler, where, _tls(mode, files))
                servers.note(backend.pod, mode, bound)
        yield servers


async def _serve_datagrams(
    stack: contextlib.AsyncExitStack, backend: Backend, mode: str, where: tuple[str, int]
) -> int:
    protocol = DnsResponder if mode == "dns" else lambda: UdpEcho(backend)
    loop = asyncio.get_running_loop()
    with _explained(where):
        transport, _ = await loop.create_datagram_endpoint(protocol, local_addr=where)
    stack.callback(transport.close)
    port: int = transport.get_extra_info("sockname")[1]
    return port


async def _serve_streams(
    stack: contextlib.AsyncExitStack, handler: Handler, where: tuple[str, int], tls: ssl.SSLContext | None
) -> int:
    with _explained(where):
        # A big backlog: ten clients at a time, each with a new connection.
        server = await asyncio.start_server(handler, *where, family=socket.AF_INET, backlog=512, ssl=tls)
    stack.callback(server.close)
    port: int = server.sockets[0].getsockname()[1]
    return port


@contextlib.contextmanager
def _explained(where: tuple[str, int]) -> Iterator[None]:
    """Say which address could not be bound, and what helps."""
    try:
        yield
    except PermissionError as exc:
        raise PermissionError(
            exc.errno, f"{where[0]}:{where[1]} cannot be bound: ports below 1024 need root or CAP_NET_BIND_SERVICE"
        ) from exc
    except OSError as exc:
        raise OSError(exc.errno, f"{where[0]}:{where[1]} cannot be bound: is another run using it? ({exc})") from exc


def _handler(backend: Backend, mode: str) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = tls_facts(writer)
        if mode in ("tcp", "tls"):
            await serve_lines(backend, reader, writer, tls)
        elif mode == "grpc":
            await serve_http2(echo_grpc.responder(backend), reader, writer, tls=tls)
        elif mode == "h2c":
            await _serve_h2c(backend, reader, writer)
        elif tls is not None and tls.negotiated_protocol == "h2":
            await serve_http2(responder_of(backend, only_echo=False), reader, writer, tls=tls)
        else:
            await serve_http1(backend, reader, writer, tls)

    return handle


async def _serve_h2c(backend: Backend, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take HTTP/2 with prior knowledge; HTTP/1.1 is told that it is not welcome."""
    begun = await reader.readexactly(len(PREFACE))
    if begun == PREFACE:
        await serve_http2(responder_of(backend, only_echo=True), reader, writer, received=begun)
    else:
        write_answer(writer, Answer(status=400, body=b"this port speaks HTTP/2 only\n"), closing=True)
        await writer.drain()


def _tls(mode: str, files: dict[str, Path]) -> ssl.SSLContext | None:
    if mode not in ("https", "tls"):
        return None
    key = next(files[name] for name in _KEYS if name in files)
    protocols = ["h2", "http/1.1"] if mode == "https" else []
    return server_tls(files["TLS_SERVER_CERT"], key, files.get("TLS_CLIENT_CACERTS"), protocols)


def _write_files(pod: Pod, folder: Path, read: Read) -> dict[str, Path]:
    """Write the files that the pod's environment names; return them by variable."""
    folder.mkdir()
    written = {}
    for variable, path in pod.env.items():
        if path in pod.files:
            written[variable] = folder / variable
            written[variable].write_text(read(pod.files[path]))
    return written
