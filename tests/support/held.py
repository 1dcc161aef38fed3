"""Connections that are held open through changes of a running edge: what drains them, and what was said before it did.

One WebSocket, one gRPC stream, one TCP session and one TLS session that is passed through, beside a second WebSocket on a chain
of its own. The edge's Envoy is the real one, told to end at once what it drains, where Seawall gives ten minutes.
"""

import asyncio
import contextlib
import gc
import shutil
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import msgspec
import websockets
import yaml

from tests.support.authority import Authority
from tests.support.door import config_map, policy
from tests.support.manifests import GATEWAY_API, Json, backend, gateway, route, secret, to
from tests.support.seawall import Instance, free_port, seawall_up

HOST, CALLS, THROUGH = "a.example", "grpc.example", "through.example"
_ECHO = "/echo.Echo/Say"
_DRAIN = "0"
Say = Callable[[str], Awaitable[str]]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Files to write, None for one to remove, and the sessions that end by it."""

    name: str
    files: dict[str, list[Json] | None]
    ends: frozenset[str] = frozenset()


class Session:
    """A connection that is held. `say` sends a word and returns what came back."""

    def __init__(self, say: Say, close: Callable[[], Awaitable[None]]) -> None:
        self._say, self.close = say, close

    async def lives(self) -> bool:
        """Say whether a word comes back."""
        try:
            async with asyncio.timeout(3):
                return await self._say("hi") == "hi"
        except (OSError, TimeoutError, EOFError, grpc.RpcError, websockets.ConnectionClosed, asyncio.InvalidStateError):
            return False


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Where clients and backends are."""

    web: int
    tls: int
    tcp: int
    spare: int
    sockets: int
    """The backend of WebSockets."""
    calls: int
    lines: int
    inside: int


class Held:
    """A running edge and the sessions on it."""

    def __init__(self, instance: Instance, ports: Ports, authority: Authority, files: dict[str, list[Json]]) -> None:
        self.instance = instance
        self.ports = ports
        self.authority = authority
        self.files = files
        """What each file says now."""
        self.sessions: dict[str, Session] = {}
        self.envoy: httpx.AsyncClient

    @property
    def places(self) -> dict[str, tuple[str, str]]:
        """Say on which socket and filter chain a session is."""
        web, tls, tcp = (f"tcp/127.0.0.1/{port}" for port in (self.ports.web, self.ports.tls, self.ports.tcp))
        return {
            "websocket": (web, "http"),
            "secure websocket": (tls, f"https/{HOST}"),
            "grpc": (tls, f"https/{CALLS}"),
            "through": (tls, f"tls/{THROUGH}"),
            "tcp": (tcp, "tcp"),
        }

    async def open(self) -> None:
        """Open what is not open."""
        for name in self.places:
            if name not in self.sessions:
                async with asyncio.timeout(5):
                    self.sessions[name] = await self._opened(name)
                assert await self.sessions[name].lives(), name

    async def reopen(self) -> None:
        """Open anew what has ended."""
        for name in self.sessions.keys() - await self.alive():
            await self.sessions.pop(name).close()
        await self.open()

    async def alive(self) -> set[str]:
        """Name the sessions on which a word comes back."""
        found = await asyncio.gather(*(one.lives() for one in self.sessions.values()))  # noqa: TID251 - they wait alone
        return {name for name, lives in zip(self.sessions, found, strict=True) if lives}

    async def predicted(self, change: Change) -> Json:
        """Ask the running instance what a change would do."""
        folder = self.instance.root / "candidate"
        await asyncio.to_thread(self._lay_out, folder, change)
        transport = httpx.AsyncHTTPTransport(uds=str(self.instance.run_dir / "control.sock"), verify=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://seawall", timeout=20) as client:
            answer = await client.post("/v1/diff", json={"path": str(folder)})
            answer.raise_for_status()
            report: Json = answer.json()
            return report

    def named(self, report: Json) -> set[str]:
        """Name the sessions that a report says will end."""
        drained = {name for name, _ in report["blast"]["drained"]}
        return {name for name, (socket, chain) in self.places.items() if drained & {socket, f"{socket} {chain}"}}

    def counted(self, report: Json) -> bool:
        """Say whether a report knows how many sessions are open on each of its sockets."""
        sockets = [socket for socket, _ in self.places.values()]
        drained = [(name.split(" ")[0], count) for name, count in report["blast"]["drained"]]
        # Of QUIC's connections there is no number.
        return all(count == sockets.count(socket) for socket, count in drained if socket.startswith("tcp/"))

    async def make(self, change: Change) -> None:
        """Write the files; return when Envoy has what they became."""
        before = (await self.instance.get("/v1/status"))["version"]
        for name, documents in change.files.items():
            if documents is None:
                del self.files[name]
                self.instance.remove(name)
            else:
                self.files[name] = documents
                self.instance.write(name, *documents)

        await self.instance.until(lambda status: bool(status["version"] != before), within=8)
        after = (await self.instance.get("/v1/status"))["version"]
        await self.instance.until(lambda edges: _is_applied(edges, after), path="/v1/edges", within=8)

    async def draining(self) -> int:
        """Count the listeners and filter chains that Envoy drains."""
        answer = await self.envoy.get("/stats", params={"filter": "^listener_manager.total_.*_draining$"})
        return sum(int(line.rpartition(": ")[2]) for line in answer.text.splitlines())

    def _lay_out(self, folder: Path, change: Change) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, documents in {**self.files, **change.files}.items():
            if documents is not None:
                (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(documents))

    async def _opened(self, name: str) -> Session:
        ports = self.ports
        match name:
            case "websocket":
                return await _websocket(f"ws://{HOST}/", ports.web, None)
            case "secure websocket":
                return await _websocket(f"wss://{HOST}/", ports.tls, self._trusting())
            case "grpc":
                return await _call(ports.tls, self.authority.pem)
            case "through":
                return await _lines(ports.tls, self._trusting(), THROUGH)
            case _:
                return await _lines(ports.tcp, None, None)

    def _trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.authority.pem.decode())


def _is_applied(edges: Any, version: str) -> bool:
    return all(edge["applied"] == version for edge in edges)


# ── clients ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _websocket(url: str, port: int, tls: ssl.SSLContext | None) -> Session:
    socket = await websockets.connect(url, host="127.0.0.1", port=port, ssl=tls, ping_interval=None)

    async def say(word: str) -> str:
        await socket.send(word)
        return str(await socket.recv())

    async def close() -> None:
        # Not with the handshake that ends a WebSocket: Envoy would take a second for it.
        socket.transport.abort()

    return Session(say, close)


async def _call(port: int, trust: bytes) -> Session:
    options = [("grpc.default_authority", CALLS), ("grpc.ssl_target_name_override", CALLS)]
    credentials = grpc.ssl_channel_credentials(trust)
    channel: Any = grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options)
    stream = channel.stream_stream(_ECHO)()

    async def say(word: str) -> str:
        await stream.write(word.encode())
        found = await stream.read()
        return found.decode() if isinstance(found, bytes) else ""

    async def close() -> None:
        stream.cancel()
        await channel.close()

    return Session(say, close)


async def _lines(port: int, tls: ssl.SSLContext | None, sni: str | None) -> Session:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=sni)

    async def say(word: str) -> str:
        writer.write(f"{word}\n".encode())
        return (await reader.readline()).decode().strip()

    async def close() -> None:
        writer.transport.abort()

    return Session(say, close)


# ── backends ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _echo_words(socket: websockets.ServerConnection) -> None:
    with contextlib.suppress(websockets.ConnectionClosed):
        async for word in socket:
            await socket.send(word)


async def _echo_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while line := await reader.readline():
            writer.write(line)
    writer.close()


class _Echo(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in its types only
    def service(self, details: Any) -> Any:
        async def say(words: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            async for word in words:
                yield word

        return grpc.stream_stream_rpc_method_handler(say)


@asynccontextmanager
async def _backends(authority: Authority, folder: Path) -> AsyncIterator[Ports]:
    chain, key, _ = authority.issue(THROUGH)
    pair = folder / "inside.pem"
    pair.write_bytes(chain + key)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Echo(),))
    calls = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sockets = await websockets.serve(_echo_words, "127.0.0.1", 0)
    lines = await asyncio.start_server(_echo_lines, "127.0.0.1", 0)
    inside = await asyncio.start_server(_echo_lines, "127.0.0.1", 0, ssl=tls)
    ports = [next(iter(one.sockets)).getsockname()[1] for one in (sockets, lines, inside)]
    try:
        yield Ports(
            **{name: free_port() for name in ("web", "tls", "tcp", "spare")},
            sockets=ports[0],
            calls=calls,
            lines=ports[1],
            inside=ports[2],
        )
    finally:
        await server.stop(None)
        for one in (sockets, lines, inside):
            one.close()


# ── manifests ────────────────────────────────────────────────────────────────────────────────────────────────────────


def listeners(ports: Ports) -> list[Json]:
    """The Gateway's listeners, as they are at first."""

    def secure(name: str, host: str, **tls: Any) -> Json:
        protocol = "TLS" if "mode" in tls else "HTTPS"
        return {"name": name, "protocol": protocol, "port": ports.tls, "hostname": host, "tls": tls}

    return [
        {"name": "web", "protocol": "HTTP", "port": ports.web},
        secure("secure", HOST, certificateRefs=[{"name": "secure"}]),
        secure("calls", CALLS, certificateRefs=[{"name": "calls"}]),
        secure("through", THROUGH, mode="Passthrough"),
        {"name": "tcp", "protocol": "TCP", "port": ports.tcp},
    ]


def gateway_of(all_listeners: list[Json]) -> list[Json]:
    """The class and the Gateway; clients are asked for certificates."""
    documents = gateway(1)
    trust = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "trust"}]}
    documents[1]["spec"] |= {
        "listeners": all_listeners,
        "tls": {"frontend": {"default": {"validation": trust}}},
    }
    return documents


def manners(name: str, section: str = "", **spec: Any) -> Json:
    """A ListenerPolicy: who shows no certificate is let in, who shows one that is revoked is not."""
    return policy(name, section, clientCertificates={"mode": "Optional", "crl": {"name": "crl"}}, **spec)


def streamed(kind: str, name: str, section: str, target: str, **spec: Any) -> Json:
    """A route of one listener that passes everything to one Backend."""
    ref = {"group": "seawall.dev", "kind": "Backend", "name": target}
    return {
        "apiVersion": GATEWAY_API,
        "kind": kind,
        "metadata": {"name": name, "namespace": "test"},
        "spec": {"parentRefs": [{"name": "edge", "sectionName": section}], "rules": [{"backendRefs": [ref]}], **spec},
    }


def certificate(authority: Authority, name: str, host: str) -> Json:
    chain, key, _ = authority.issue(host)
    return secret(name, chain, key)


def manifests(ports: Ports, authority: Authority) -> dict[str, list[Json]]:
    """What the edge serves at first, by file."""
    web = route("a", [HOST], [to("web")])
    calls = streamed("GRPCRoute", "calls", "calls", "calls")
    backends = {"web": ports.sockets, "calls": ports.calls, "lines": ports.lines, "inside": ports.inside}
    made = {name: backend(name, port) for name, port in backends.items()}
    made["calls"]["spec"]["protocol"] = "HTTP2"
    for name, port in (("lines", ports.lines), ("inside", ports.inside)):
        for called in (name, f"{name}-2"):
            made[called] = backend(called, port)
            made[called]["spec"]["protocol"] = "TCP"
    return {
        "gateway": gateway_of(listeners(ports)),
        "trust": [config_map("trust", **{"ca.crt": authority.pem.decode()})],
        "crl": [config_map("crl", **{"ca.crl": authority.revoked().decode()})],
        "manners": [manners("manners")],
        "a": [web],
        "calls": [calls],
        "tcp": [streamed("TCPRoute", "tcp", "tcp", "lines")],
        "through": [streamed("TLSRoute", "through", "through", "inside", hostnames=[THROUGH])],
        **{f"backend-{name}": [one] for name, one in made.items()},
        "secret-secure": [certificate(authority, "secure", HOST)],
        "secret-calls": [certificate(authority, "calls", CALLS)],
    }


def _quick(folder: Path) -> Path:
    """Write a program that is Envoy, but for the time that what drains may take."""
    envoy = shutil.which("envoy") or shutil.which("envoy", path=str(Path(sys.executable).parent))
    script = folder / "envoy"
    script.write_text(
        f"#!{sys.executable}\n"
        "import os, sys\n"
        "said = sys.argv[1:]\n"
        "if '--drain-time-s' in said:\n"
        f"    said[said.index('--drain-time-s') + 1] = '{_DRAIN}'\n"
        f"os.execv({envoy!r}, [{envoy!r}, *said])\n"
    )
    script.chmod(0o755)
    return script


@asynccontextmanager
async def holding(folder: Path) -> AsyncIterator[Held]:
    """Run an edge with all sessions open while the block runs."""
    authority = Authority()
    async with contextlib.AsyncExitStack() as stack:
        ports = await stack.enter_async_context(_backends(authority, folder))
        files = manifests(ports, authority)
        instance = await stack.enter_async_context(seawall_up(files, "--envoy", str(_quick(folder))))
        (admin,) = instance.run_dir.rglob("admin.sock")
        held = Held(instance, ports, authority, dict(files))
        transport = httpx.AsyncHTTPTransport(uds=str(admin), verify=False)
        held.envoy = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://envoy"))
        await held.open()
        try:
            yield held
        finally:
            while held.sessions:
                await held.sessions.popitem()[1].close()
            # gRPC keeps a connection for as long as its channel is anywhere, and the edge would wait for it.
            gc.collect()
