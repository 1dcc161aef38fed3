"""gRPC, TLS, TCP and UDP through `seawall up`: with a real gRPC server, and with connections that live through changes."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from tests.conformance.clients.datagrams import exchange
from tests.conformance.clients.dial import Target
from tests.support.certificates import self_signed
from tests.support.echo_streams import server_tls
from tests.support.manifests import GATEWAY_API, Json, gateway, secret
from tests.support.seawall import Instance, free_port, seawall_up

pytestmark = pytest.mark.e2e

_SAY = "/shop.Catalog/Say"
_COUNT = "/shop.Catalog/Count"
_VERSION = {"name": "version", "value": "2"}


# ── manifests ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _gateway(*listeners: Json) -> list[Json]:
    documents = gateway(1)
    documents[1]["spec"]["listeners"] = list(listeners)
    return documents


def _backend(name: str, protocol: str, port: int) -> Json:
    return {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "Backend",
        "metadata": {"name": name, "namespace": "test"},
        "spec": {"protocol": protocol, "endpoints": [{"ip": "127.0.0.1", "port": port}]},
    }


def _to(name: str, weight: int = 1) -> Json:
    return {"group": "seawall.dev", "kind": "Backend", "name": name, "weight": weight}


def _route(kind: str, name: str, section: str, *rules: Json, **spec: Any) -> Json:
    parent = {"name": "edge", "sectionName": section}
    return {
        "apiVersion": GATEWAY_API,
        "kind": kind,
        "metadata": {"name": name, "namespace": "test"},
        "spec": {"parentRefs": [parent], "rules": list(rules), **spec},
    }


def _passed_to(kind: str, name: str, section: str, *backends: Json, **spec: Any) -> Json:
    return _route(kind, name, section, {"backendRefs": list(backends)}, **spec)


# ── counterparts ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Catalog(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in its types only
    """A gRPC service that says its name, and counts without an end."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()

    def service(self, details: Any) -> Any:
        async def say(request: bytes, context: Any) -> bytes:
            return self._name

        async def count(request: bytes, context: Any) -> AsyncIterator[bytes]:
            number = 0
            while True:
                yield str(number).encode()
                number += 1
                await asyncio.sleep(0.01)

        if details.method == _COUNT:
            return grpc.unary_stream_rpc_method_handler(count)
        return grpc.unary_unary_rpc_method_handler(say)


@asynccontextmanager
async def _catalog(name: str) -> AsyncIterator[int]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Catalog(name),))
    port: int = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@asynccontextmanager
async def _lines(name: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A TCP service that answers each line with its name."""
    open_ones: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.add(writer)
        while line := await reader.readline():
            writer.write(f"{name} {line.decode()}".encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in open_ones:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, name: str) -> None:
        self._name = name.encode()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._transport.sendto(self._name, addr)


@asynccontextmanager
async def _datagrams(name: str) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(name), local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


# ── questions ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Session:
    """A connection that is kept open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def say(self, word: str = "hi") -> str:
        """Return the answer; empty if the connection is closed."""
        self.writer.write(f"{word}\n".encode())
        async with asyncio.timeout(5):
            return (await self._reader.readline()).decode().strip()


async def _open(port: int, sni: str = "") -> _Session:
    tls = _trusting() if sni else None
    return _Session(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=sni or None))


async def _ask(port: int, sni: str = "") -> str:
    """Open a connection, ask once; `closed` if nobody serves it."""
    try:
        session = await _open(port, sni)
        try:
            return await session.say() or "closed"
        finally:
            session.writer.close()
    except OSError:
        return "closed"


async def _until(question: Callable[[], Any], wanted: Any) -> None:
    answer: Any = None
    try:
        async with asyncio.timeout(20):
            while True:
                answer = await question()
                if answer == wanted:
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within 20 s: the last answer was {answer!r}, not {wanted!r}") from None


async def _number(instance: Instance, name: str) -> int:
    """Ask Envoy for one of its numbers."""
    (socket,) = await asyncio.to_thread(lambda: list(instance.run_dir.rglob("admin.sock")))
    async with httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=str(socket)), base_url="http://envoy"
    ) as client:
        answer = await client.get("/stats", params={"filter": f"^{name}$", "format": "json"})
    (found,) = (one for one in answer.json()["stats"] if one.get("name") == name)
    return int(found["value"])


# ── gRPC ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _calls(*rules: Json) -> Json:
    return _route("GRPCRoute", "calls", "http", *rules, hostnames=["grpc.example"])


def _rule(backend: str, **match: Any) -> Json:
    return {"matches": [match], "backendRefs": [_to(backend)]}


async def _call(channel: Any, method: str = _SAY, *metadata: tuple[str, str]) -> str:
    try:
        answer: bytes = await channel.unary_unary(method)(b"", metadata=metadata, timeout=5)
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return answer.decode()


def _stream(channel: Any) -> Any:
    return channel.unary_stream(_COUNT)(b"")


async def _next(stream: Any) -> int:
    """Read the next number of a stream."""
    return int(await stream.read())


def test_calls_are_routed_by_method_and_header_and_a_stream_lives_through_changes() -> None:
    async def run() -> None:
        port = free_port()
        async with AsyncExitStack() as stack:
            one, two = [await stack.enter_async_context(_catalog(name)) for name in ("one", "two")]
            by_method = _rule("one", method={"service": "shop.Catalog"})
            by_header = _rule("two", method={"service": "shop.Catalog", "method": "Say"}, headers=[_VERSION])
            missing = _rule("none", method={"service": "shop.Missing"})
            files = {
                "gateway": _gateway({"name": "http", "protocol": "HTTP", "port": port}),
                "backends": [_backend("one", "HTTP2", one), _backend("two", "HTTP", two)],
                "calls": [_calls(by_method, by_header, missing)],
            }
            instance = await stack.enter_async_context(seawall_up(files))
            options = [("grpc.default_authority", "grpc.example")]
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options))

            assert await _call(channel) == "one"
            assert await _call(channel, _SAY, ("version", "2")) == "two"
            assert await _call(channel, "/shop.Missing/Say") == "UNAVAILABLE"
            assert await _call(channel, "/shop.Other/Say") == "UNIMPLEMENTED"

            stream = _stream(channel)
            before = await _next(stream)
            instance.write("calls", _calls(_rule("two", method={"method": "Say"}), by_method))
            await _until(lambda: _call(channel), "one")
            instance.write(
                "calls", _calls(_rule("two", method={"service": "shop.Catalog", "method": "Say"}), by_method)
            )
            await _until(lambda: _call(channel), "two")
            assert await _next(stream) > before
            stream.cancel()

    asyncio.run(run())


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tls(name: str, port: int, hostname: str, **tls: Any) -> Json:
    return {"name": name, "protocol": "TLS", "port": port, "hostname": hostname, "tls": tls}


def test_tls_is_terminated_and_passed_through_on_one_port_and_a_session_lives_through_other_routes(
    tmp_path: Path,
) -> None:
    chain, key = self_signed("a.through.example")
    (tmp_path / "chain.pem").write_bytes(chain)
    (tmp_path / "key.pem").write_bytes(key)
    tls = server_tls(tmp_path / "chain.pem", tmp_path / "key.pem", None, [])

    async def run() -> None:
        port = free_port()
        async with AsyncExitStack() as stack:
            inside = await stack.enter_async_context(_lines("inside", tls))
            plain = await stack.enter_async_context(_lines("plain"))
            through = _passed_to("TLSRoute", "through", "through", _to("inside"), hostnames=["a.through.example"])
            opened = _passed_to("TLSRoute", "opened", "opened", _to("plain"), hostnames=["*.opened.example"])
            lost = _passed_to("TLSRoute", "lost", "opened", _to("none"), hostnames=["lost.opened.example"])
            files = {
                "gateway": _gateway(
                    _tls("through", port, "*.through.example", mode="Passthrough"),
                    _tls("opened", port, "*.opened.example", certificateRefs=[{"name": "pair"}]),
                ),
                "backends": [_backend("inside", "TCP", inside), _backend("plain", "TCP", plain)],
                "secret": [secret("pair", *self_signed("opened.example"))],
                "routes": [through, opened, lost],
            }
            instance = await stack.enter_async_context(seawall_up(files))
            session = await _open(port, "a.through.example")

            assert await session.say() == "inside hi"
            ours = session.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            assert ssl.DER_cert_to_PEM_cert(ours) == chain.decode()
            assert await _ask(port, "any.opened.example") == "plain hi"
            for nobody in ("b.through.example", "lost.opened.example", "elsewhere.test"):
                assert await _ask(port, nobody) == "closed"

            instance.write(
                "more", _passed_to("TLSRoute", "more", "through", _to("inside"), hostnames=["b.through.example"])
            )
            await _until(lambda: _ask(port, "b.through.example"), "inside hi")
            assert await session.say("still") == "inside still"
            assert await _number(instance, "listener_manager.total_listeners_draining") == 0

            instance.remove("more")
            await _until(lambda: _ask(port, "b.through.example"), "closed")
            assert await session.say("still") == "inside still"
            # An edge that stops waits for what is open.
            session.writer.close()

    asyncio.run(run())


# ── TCP and UDP ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tcp_is_shared_by_weight_and_a_change_moves_new_connections() -> None:
    async def run() -> None:
        port, other = free_port(), free_port()
        async with AsyncExitStack() as stack:
            one, two = [await stack.enter_async_context(_lines(name)) for name in ("one", "two")]
            files = {
                "gateway": _gateway(
                    {"name": "sql", "protocol": "TCP", "port": port}, {"name": "idle", "protocol": "TCP", "port": other}
                ),
                "backends": [_backend("one", "TCP", one), _backend("two", "TCP", two)],
                "sql": [_passed_to("TCPRoute", "sql", "sql", _to("one", 3), _to("two"), _to("none", 0))],
            }
            instance = await stack.enter_async_context(seawall_up(files))

            counts = Counter([await _ask(port) for _ in range(200)])
            assert set(counts) == {"one hi", "two hi"}
            assert 100 < counts["one hi"] < 195
            assert await _ask(other) == "closed"

            session = await _open(port)
            first = await session.say()
            instance.write("sql", _passed_to("TCPRoute", "sql", "sql", _to("none")))
            await _until(lambda: _ask(port), "closed")
            instance.write("sql", _passed_to("TCPRoute", "sql", "sql", _to("two")))
            await _until(lambda: _ask(port), "two hi")
            # What is open drains, for minutes: it ends when its owner likes.
            assert await session.say() == first
            session.writer.close()

    asyncio.run(run())


def test_datagrams_are_shared_by_weight() -> None:
    async def run() -> None:
        port = free_port()
        async with AsyncExitStack() as stack:
            one, two = [await stack.enter_async_context(_datagrams(name)) for name in ("one", "two")]
            files = {
                "gateway": _gateway({"name": "dns", "protocol": "UDP", "port": port}),
                "backends": [_backend("one", "UDP", one), _backend("two", "UDP", two)],
                "dns": [_passed_to("UDPRoute", "dns", "dns", _to("one"), _to("two", 3))],
            }
            instance = await stack.enter_async_context(seawall_up(files))
            target = Target(address="127.0.0.1", port=port)

            counts = Counter([await exchange(target, b"?") for _ in range(200)])
            assert 110 < counts[b"two"] < 190
            assert counts.total() == counts[b"one"] + counts[b"two"]

            instance.write("dns", _passed_to("UDPRoute", "dns", "dns", _to("one")))
            await instance.well()

            async def who() -> bytes:
                return await exchange(target, b"?")

            await _until(who, b"one")

    asyncio.run(run())
