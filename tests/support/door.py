"""A running edge with one HTTP and one HTTPS listener before a backend that tells what it was sent, for tests of listeners."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.authority import Authority
from tests.support.manifests import Json, backend, gateway, route, secret, to
from tests.support.seawall import Instance, free_port, seawall_up

HOST = "a.example"
Claim = Callable[[], Awaitable[bool]]


def policy(name: str = "p", section: str = "", **spec: Any) -> Json:
    ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    if section:
        ref["sectionName"] = section
    return {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "ListenerPolicy",
        "metadata": {"name": name, "namespace": "test"},
        "spec": {"targetRefs": [ref], **spec},
    }


class Door:
    """What tests ask of it. Every question is a connection of its own."""

    def __init__(self, instance: Instance, port: int, tls_port: int, authority: Authority) -> None:
        self.instance = instance
        self.port = port
        self.tls_port = tls_port
        self.authority = authority

    def put(self, *policies: Json) -> None:
        """Put these policies in place of all others."""
        self.instance.write("policies", *policies)

    async def until(self, claim: Claim, within: float = 20.0) -> None:
        """Wait until something holds."""
        end = time.monotonic() + within
        while not await claim():
            assert time.monotonic() < end, f"not within {within} s\n{self.instance.log[-3000:]}"
            await asyncio.sleep(0.03)

    def context(self, **settings: Any) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        for name, value in settings.items():
            setattr(context, name, value)
        return context

    async def handshake(self, context: ssl.SSLContext | None = None) -> ssl.SSLObject | None:
        """Make a TLS connection and hang up; None if the edge refuses it."""
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.tls_port, ssl=context or self.context(), server_hostname=HOST
            )
        except (ssl.SSLError, ConnectionError):
            return None
        found: ssl.SSLObject = writer.get_extra_info("ssl_object")
        writer.write(f"GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n".encode())
        try:
            # In TLS 1.3 the server's word on the client's certificate comes after the handshake.
            answered = await reader.read(1)
        except (ssl.SSLError, ConnectionError):
            answered = b""
        writer.close()
        is_web = found.selected_alpn_protocol() in (None, "http/1.1")
        return found if answered or not is_web else None

    async def get(self, path: str = "/", *, tls: bool = False, **headers: Any) -> httpx.Response:
        named = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
        scheme, port = ("https", self.tls_port) if tls else ("http", self.port)
        async with httpx.AsyncClient(verify=self.context() if tls else True) as client:
            extensions = {"sni_hostname": HOST} if tls else {}
            url = f"{scheme}://127.0.0.1:{port}{path}"
            return await client.get(url, headers=named, extensions=extensions)

    async def sent(self, path: str = "/", *, tls: bool = False, **headers: Any) -> dict[str, str]:
        """Return the headers that the backend got."""
        answer = await self.get(path, tls=tls, **headers)
        assert answer.status_code == 200, answer
        found: dict[str, str] = answer.json()
        return found

    async def raw(self, data: bytes) -> bytes:
        """Send bytes to the HTTP port and return all that comes back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        try:
            async with asyncio.timeout(5):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


async def _tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with its headers as JSON, and a Server header of its own."""
    try:
        while True:
            line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")[:-4].split("\r\n")
            told = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
            body = json.dumps({**told, ":path": line.split()[1]}).encode()
            head = f"HTTP/1.1 200 OK\r\nserver: backend\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


@asynccontextmanager
async def door(*more: Json, frontend: Json | None = None, root: Path | None = None) -> AsyncIterator[Door]:
    """Run it; `more` are other manifests, `frontend` the Gateway's `tls.frontend`."""
    authority = Authority()
    chain, key, _ = authority.issue(HOST)
    async with await asyncio.start_server(_tell, "127.0.0.1", 0) as server:
        port, tls_port = free_port(), free_port()
        documents = gateway(port, tls_port=tls_port)
        if frontend is not None:
            documents[1]["spec"]["tls"] = {"frontend": frontend}
        files = {
            "gateway": documents,
            "routes": [
                secret("certificate", chain, key),
                backend("web", server.sockets[0].getsockname()[1]),
                route("a", [HOST], [to("web")]),
            ],
            "more": [_trust(authority), *more],
        }
        async with seawall_up(files, root=root) as instance:
            yield Door(instance, port, tls_port, authority)


def _trust(authority: Authority) -> Json:
    return config_map("trust", **{"ca.crt": authority.pem.decode()})


def config_map(name: str, **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "test"}, "data": data}
