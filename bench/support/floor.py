"""Floor: what Envoy takes for one more host when whoever decides costs nothing.

An Envoy with our bootstrap, fed by the hand-made ADS server: with one scope for each host, as Seawall does it, or with one
route table that holds all hosts, as is usual. The table is kept as a message and appended to, so that only serialising it
counts, not building it.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.support import graphs
from bench.support.ads import Ads
from bench.support.edits import of_manager
from bench.support.envoys import fed_envoy
from bench.support.probe import Probe
from bench.support.programs import Failure, free_port
from seawall.envoy import routes, scopes
from seawall.envoy.build import Builder
from seawall.envoy.messages import ADS
from seawall.envoy.proto import message
from seawall.gateway.graph import Hostname
from seawall.kit.digest import digest
from seawall.xds.resource import ROUTE, SCOPE, Resource, ResourceName, TypeUrl
from seawall.xds.snapshot import Change, Snapshot

_TABLE = ResourceName("all-hosts")


def measure(
    folder: Path, backend_port: int, before: int, count: int, *, is_scoped: bool
) -> tuple[list[float], Counter[int]]:
    """Add `count` hosts one by one to `before`; return the times from push to first 200 in ms, and the other answers."""
    port = free_port()
    table = graphs.table(port)
    graph = graphs.graph(port, backend_port)
    builder = Builder()
    builder.update(graph, graphs.everything(graph))
    feed: _Scopes | _OneTable = _Scopes(table) if is_scoped else _OneTable(table)
    ads = Ads(feed.start(builder.snapshot, [graphs.host_name(number) for number in range(before)]))
    times: list[float] = []
    answers: Counter[int] = Counter()
    with _in_a_thread(folder, ads, port) as loop:
        probe = Probe(port)
        last = graphs.host_name(before - 1)
        probe.until_live(last, time.perf_counter())
        for number in range(before, before + count):
            host = graphs.host_name(number)
            begun = time.perf_counter()
            type_url, resources = feed.add(host)
            loop.call_soon_threadsafe(ads.push, type_url, resources)
            took, others = probe.until_live(host, begun)
            times.append(took * 1000)
            answers += others
        probe.close()
    return times, answers


class _Scopes:
    """Our design: a resource for each host."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def start(self, snapshot: Snapshot, hosts: Iterable[Hostname]) -> Snapshot:
        return snapshot.apply(Change(put=tuple(self._scope(host) for host in hosts)))

    def add(self, host: Hostname) -> tuple[TypeUrl, list[Resource]]:
        return SCOPE, [self._scope(host)]

    def _scope(self, host: Hostname) -> Resource:
        return scopes.exact(graphs.virtual_host(self._table, host))


class _OneTable:
    """The usual design: one resource for all hosts."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._message: Any = message("envoy.config.route.v3.RouteConfiguration")(name=_TABLE)

    def start(self, snapshot: Snapshot, hosts: Iterable[Hostname]) -> Snapshot:
        for host in hosts:
            self._append(host)

        def use_table(manager: Any) -> None:
            manager.ClearField("scoped_routes")
            manager.rds.route_config_name = _TABLE
            manager.rds.config_source.CopyFrom(message("envoy.config.core.v3.ConfigSource")(**ADS))

        return of_manager(use_table)(snapshot).apply(Change(put=(self._resource(),)))

    def add(self, host: Hostname) -> tuple[TypeUrl, list[Resource]]:
        self._append(host)
        return ROUTE, [self._resource()]

    def _append(self, host: Hostname) -> None:
        built = routes.virtual_host(graphs.virtual_host(self._table, host), domains=(host,))
        self._message.virtual_hosts.add(**built)

    def _resource(self) -> Resource:
        body = self._message.SerializeToString()
        return Resource(type_url=ROUTE, name=_TABLE, version=digest(body), body=body)


@contextmanager
def _in_a_thread(folder: Path, ads: Ads, port: int) -> Iterator[asyncio.AbstractEventLoop]:
    """Serve and run Envoy on a loop of its own, so that the probe may block."""
    ready, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []
    errors: list[BaseException] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(fed_envoy(folder, ads, port))
            ready.set()
            await stop.wait()

    def work() -> None:
        try:
            asyncio.run(serve())
        except Failure as failure:
            errors.append(failure)
        finally:
            ready.set()

    thread = threading.Thread(target=work, name="floor")
    thread.start()
    ready.wait()
    try:
        if errors:
            raise errors[0]
        yield loops[0]
    finally:
        if thread.is_alive():
            loops[0].call_soon_threadsafe(stop.set)
        thread.join()
    if errors:
        raise errors[0]
