"""An Envoy with Seawall's own chain, and verdicts in it, put there by hand: without agent and control plane.

    async with judged(folder) as edge:
        await edge.enforce(entry(match={"address": "127.0.0.9"}))
        assert (await edge.get(client="127.0.0.9")).status_code == 403

Clients are addresses of the loopback network. Hosts: `shop.example` and `*.wild.example`, each with the routes `/login` and `/`,
which answer by themselves, and `/back`, which tells what headers the origin gets.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec

from seawall.envoy.build import Builder
from seawall.envoy.listeners import EdgeDefaults
from seawall.envoy.seen import Fields
from seawall.envoy.verdicts import judge, keys, prepare
from seawall.fleet.verdicts import Entry
from seawall.gateway.graph import (
    CertificateSecret,
    Endpoint,
    Endpoints,
    FilterChain,
    Listener,
    ListenerName,
    ObjectKey,
    Respond,
    RouteMatch,
    SecretName,
    ServerTls,
    TableName,
    TlsSecret,
)
from seawall.kit.secret import Secret
from seawall.kit.units import Instant
from seawall.server.ads import AdsService, serving
from seawall.server.hub import Hub
from seawall.xds.snapshot import Change, Snapshot
from tests.envoy.graphs import SHOP, TABLE, everything, graph, host, route
from tests.support.certificates import self_signed
from tests.support.edge import free_port
from tests.support.envoy import Envoy, ads_bootstrap, running_envoy

HOST = "shop.example"
SOON = 600.0
_FLUSH = ("--file-flush-interval-msec", "20")


def entry(**fields: Any) -> Entry:
    """A verdict that refuses, for ten minutes, unless the fields say otherwise."""
    plain = {"id": "v1", "generation": 1, "expires": Instant(time.time() + SOON), "kind": "deny"}
    return Entry(**{**plain, **fields})


class Judged:
    """A running edge."""

    def __init__(self, envoy: Envoy, hub: Hub, port: int, tls_port: int) -> None:
        self.envoy = envoy
        self.port = port
        self.tls_port = tls_port
        self._hub = hub
        self._fields: dict[str, frozenset[Fields]] = {}
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def enforce(self, *entries: Entry, slot: str = "fresh") -> dict[str, str]:
        """Make these the verdicts of a slot; return what was refused once Envoy has the others."""
        made = {one.id: prepare(one, slot) for one in entries}
        refused = {name: one for name, one in made.items() if isinstance(one, str)}
        judged_ = judge(slot, [one for one in made.values() if not isinstance(one, str)])
        self._fields[slot] = judged_.fields
        wanted = (keys(one for fields in self._fields.values() for one in fields), judged_.resource)
        held = self._hub.snapshot
        put = tuple(one for one in wanted if (old := held.get(one.ref)) is None or old.version != one.version)
        before = {one.name: await self._updates(one.name) for one in put}
        failed = {one.name: await self._updates(one.name, "fail") for one in put}
        self._hub.publish(held.apply(Change(put=put)), Change(put=put))
        for one in put:
            await self.envoy.until(partial(self._has_changed, one.name, before[one.name]), f"the filter {one.name}")
            assert await self._updates(one.name, "fail") == failed[one.name], self.envoy.tail()
        return refused | judged_.refused

    async def _has_changed(self, name: str, before: int) -> bool | None:
        return await self._updates(name) > before or None

    async def _updates(self, name: str, what: str = "(reload|fail)") -> int:
        found = await self.envoy.stats(f"extension_config_discovery.*{name}.config_{what}")
        return sum(found.values())

    async def get(self, path: str = "/", *, client: str = "127.0.0.1", **headers: str) -> httpx.Response:
        """Ask from an address; underscores in names of headers are hyphens."""
        http = self._clients.get(client)
        if http is None:
            transport = httpx.AsyncHTTPTransport(local_address=client)
            http = self._clients[client] = httpx.AsyncClient(
                transport=transport, base_url=f"http://127.0.0.1:{self.port}", timeout=15
            )
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        method = named.pop("method", "GET")
        return await http.request(method, path, headers={"host": HOST, **named})

    async def statuses(self, count: int, path: str = "/", **asked: str) -> list[int]:
        return [(await self.get(path, **asked)).status_code for _ in range(count)]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()


def snapshot(port: int, origin: int, tls_port: int = 0, access_log: str = "") -> Snapshot:
    """Build what an edge is given: a listener, perhaps one with TLS, the hosts above, an origin on a port."""
    listeners = [_listener(port, FilterChain(name="http", protocol="http", table=TABLE))]
    routes = (
        route(
            Respond(status=200, template="login", content_type="text/plain"), RouteMatch(path="/login"), name="login"
        ),
        route(match=RouteMatch(path="/back"), name="back"),
        route(Respond(status=200, template="shop", content_type="text/plain"), name="shop"),
    )
    hosts = [host(HOST, *routes), host("*.wild.example", *routes)]
    secrets: dict[SecretName, TlsSecret] = {}
    if tls_port:
        table, name = TableName("tls"), SecretName("Secret/shop/tls")
        tls = ServerTls(certificates=(name,))
        listeners.append(_listener(tls_port, FilterChain(name="https", protocol="https", tls=tls, table=table)))
        hosts.append(host(HOST, *routes, table=table))
        certificate, key = self_signed(HOST)
        secrets[name] = CertificateSecret(name=name, chain=certificate, key=Secret(key))
    built = graph(*hosts, listeners=tuple(listeners))
    members = Endpoints(cluster=SHOP, members=(Endpoint(address="127.0.0.1", port=origin),))
    built = msgspec.structs.replace(built, endpoints={SHOP: members}, secrets=secrets)
    builder = Builder(EdgeDefaults(access_log=access_log))
    builder.update(built, everything(built))
    return builder.snapshot


def _listener(port: int, chain: FilterChain) -> Listener:
    name = ListenerName(f"tcp/127.0.0.1/{port}")
    origins = (ObjectKey("Gateway/shop/edge"),)
    return Listener(name=name, address="127.0.0.1", port=port, chains=(chain,), origins=origins)


@contextlib.asynccontextmanager
async def judged(folder: Path, *options: str) -> AsyncIterator[Judged]:
    """Run an edge while the block runs."""
    hub, port, tls_port = Hub(), free_port(), free_port()
    service = AdsService(lambda node, cluster: hub, lambda node, report: None)
    async with contextlib.AsyncExitStack() as stack:
        origin = await asyncio.start_server(_tell, "127.0.0.1", 0)
        stack.push_async_callback(_closed, origin)
        await stack.enter_async_context(serving(service, f"unix:{folder / 'ads.sock'}"))
        log = str(folder / "access.log")
        hub.publish(snapshot(port, origin.sockets[0].getsockname()[1], tls_port, log))
        bootstrap = ads_bootstrap(folder / "ads.sock")
        runtime = {
            "name": "seawall",
            "rtds_layer": {"name": "seawall", "rtds_config": {"ads": {}, "resource_api_version": "V3"}},
        }
        bootstrap["layered_runtime"] = {"layers": [runtime, {"name": "admin", "admin_layer": {}}]}
        envoy = await stack.enter_async_context(
            running_envoy(bootstrap, folder, "--component-log-level", "misc:error", *_FLUSH, *options)
        )
        edge = Judged(envoy, hub, port, tls_port)
        stack.push_async_callback(edge.close)
        await envoy.ready()
        for each in (port, tls_port):
            await envoy.listener_port(f"tcp/127.0.0.1/{each}")
        yield edge


async def _tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the headers of the request."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            body = b"\n".join(head.split(b"\r\n")[1:])
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()
    writer.close()


async def _closed(server: asyncio.Server) -> None:
    server.close()
