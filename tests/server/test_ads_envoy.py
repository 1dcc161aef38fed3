"""The real Envoy on our stream: boot, refusals, swaps under load, restarts. What unit tests cannot know."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from tests.support.envoy import Envoy, ads_bootstrap, running_envoy
from tests.support.resources import eds_cluster, endpoints, listener, resource, route_table, scope
from tests.xds.play import ref

from seawall.kit.units import Seconds
from seawall.server.ads import AdsService, AdsSettings, Report, serving
from seawall.server.hub import Hub
from seawall.xds.client import StreamSettings
from seawall.xds.events import Applied, Recovered, Rejected
from seawall.xds.resource import CLUSTER, ENDPOINTS, LISTENER, SCOPE, Ref, Resource
from seawall.xds.snapshot import EMPTY, Change, Snapshot

pytestmark = pytest.mark.e2e

QUICK = AdsSettings(stream=StreamSettings(grace=Seconds(0.3), barrier=Seconds(3.0)))


class Stage:
    """A hub, a service at a unix socket, a backend that says its name, and what was reported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "ads.sock"
        self.hub = Hub()
        self.reports: list[Report] = []
        self._news = asyncio.Event()
        self.service = AdsService(lambda node, group: self.hub, self._heard, QUICK)

    def _heard(self, _node: str, report: Report) -> None:
        self.reports.append(report)
        self._news.set()

    async def until(self, report: Report) -> None:
        """Wait until something was reported."""
        while report not in self.reports:
            await self._news.wait()
            self._news.clear()

    def publish(self, *put: Resource, remove: tuple[Ref, ...] = ()) -> None:
        change = Change(put=put, remove=remove)
        self.hub.publish(self.hub.snapshot.apply(change), change)

    async def apply(self, *put: Resource, remove: tuple[Ref, ...] = ()) -> None:
        """Publish and wait until Envoy has acknowledged it all."""
        self.publish(*put, remove=remove)
        await self.until(Applied(version=self.hub.snapshot.version))

    def rejected(self) -> dict[str, str]:
        return {report.ref.name: report.message for report in self.reports if isinstance(report, Rejected)}

    @asynccontextmanager
    async def envoy(self) -> AsyncIterator[Envoy]:
        bootstrap = ads_bootstrap(self.socket)
        async with serving(self.service, f"unix:{self.socket}"), running_envoy(bootstrap, self.folder) as envoy:
            yield envoy


@asynccontextmanager
async def backend(name: str) -> AsyncIterator[int]:
    """A keep-alive HTTP server that answers with its name."""
    answer = f"HTTP/1.1 200 OK\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def play(story: Coroutine[None, None, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(40):
            await story

    asyncio.run(bounded())


async def ask(port: int, host: str) -> tuple[int, str]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/", headers={"host": host})
        return answer.status_code, answer.text


def site(port: int) -> list[Resource]:
    """One host at one backend."""
    return [eds_cluster("a"), endpoints("a", port), listener("http"), scope("a.test", "a")]


def unusable(name: str) -> Resource:
    """A cluster that passes every check of its fields and is refused when Envoy builds it, half-way."""
    return eds_cluster(
        name, lb_policy="RING_HASH", ring_hash_lb_config={"minimum_ring_size": 100, "maximum_ring_size": 10}
    )


def test_an_envoy_boots_to_its_first_200(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with backend("one") as port:
            stage.hub.publish(Snapshot.of(site(port)))
            async with stage.envoy() as envoy:
                await stage.until(Applied(version=stage.hub.snapshot.version))
                assert await ask(await envoy.listener_port("http"), "a.test") == (200, "one")

    play(story())


def test_an_envoy_without_any_configuration_is_ready_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        stage.hub.publish(EMPTY)
        async with stage.envoy() as envoy:
            await envoy.poll("/ready", lambda text: text.startswith("LIVE"), patience=5)
            timeouts = await envoy.stats("init_fetch_timeout")
        assert set(timeouts.values()) == {0}

    play(story())


def test_route_tables_by_name_are_served_too(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with backend("one") as port:
            parts = [eds_cluster("a"), endpoints("a", port), listener("http", table="t"), route_table("t", "a")]
            stage.hub.publish(Snapshot.of(parts))
            async with stage.envoy() as envoy:
                await stage.until(Applied(version=stage.hub.snapshot.version))
                await envoy.ready()
                assert await ask(await envoy.listener_port("http"), "any.test") == (200, "one")

    play(story())


@pytest.mark.parametrize("order", [("bad", "good", "well"), ("good", "bad", "well"), ("good", "well", "bad")])
def test_a_bad_cluster_is_named_and_the_good_ones_beside_it_serve(tmp_path: Path, order: tuple[str, ...]) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with backend("one") as port:
            stage.hub.publish(Snapshot.of(site(port)))
            async with stage.envoy() as envoy:
                await stage.until(Applied(version=stage.hub.snapshot.version))
                clusters = [unusable(name) if name == "bad" else eds_cluster(name) for name in order]
                parts = [part for name in order for part in (endpoints(name, port), scope(f"{name}.test", name))]
                stage.publish(*clusters, *parts)
                listening = await envoy.listener_port("http")

                async def is_serving() -> bool | None:
                    answers = [await ask(listening, f"{name}.test") for name in ("good", "well")]
                    return True if answers == [(200, "one")] * 2 else None

                await envoy.until(is_serving, "the good clusters")
                assert set(stage.rejected()) == {"bad"}
                assert "ring hash" in stage.rejected()["bad"]
                # Nothing of the refusal is left: the next cluster is acknowledged at once, and a repaired one too.
                await stage.apply(eds_cluster("bad"))
                assert Recovered(ref=ref(CLUSTER, "bad")) in stage.reports
                assert await ask(listening, "bad.test") == (200, "one")

    play(story())


def test_a_live_cluster_whose_change_is_refused_goes_on_as_it_was(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with backend("one") as port:
            stage.hub.publish(Snapshot.of([*site(port), eds_cluster("b"), endpoints("b", port)]))
            async with stage.envoy() as envoy:
                await stage.until(Applied(version=stage.hub.snapshot.version))
                listening = await envoy.listener_port("http")
                stage.publish(unusable("a"), eds_cluster("b", connect_timeout="3s"))
                stage.publish(scope("b.test", "b"))

                async def is_named() -> bool | None:
                    return True if "a" in stage.rejected() and stage.rejected()["a"].startswith("Error") else None

                await envoy.until(is_named, "the refusal")
                assert await ask(listening, "a.test") == (200, "one")
                assert await ask(listening, "b.test") == (200, "one")
                await stage.apply(eds_cluster("a", connect_timeout="4s"))
                assert await ask(listening, "a.test") == (200, "one")

    play(story())


def test_a_refused_scope_leaves_the_others_alone(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with backend("one") as port:
            stage.hub.publish(Snapshot.of(site(port)))
            async with stage.envoy() as envoy:
                await stage.until(Applied(version=stage.hub.snapshot.version))
                without_key = resource(SCOPE, "bad.test", {"name": "bad.test"})
                stage.publish(without_key, *(scope(f"h{i}.test", "a") for i in range(20)))
                listening = await envoy.listener_port("http")

                async def is_serving() -> bool | None:
                    answers = [await ask(listening, f"h{i}.test") for i in range(20)]
                    return True if answers == [(200, "one")] * 20 else None

                await envoy.until(is_serving, "the good scopes")
                await stage.apply(remove=(ref(SCOPE, "bad.test"),))
                assert set(stage.rejected()) == {"bad.test"}
                assert (await envoy.stats("listeners_draining"))["listener_manager.total_listeners_draining"] == 0

    play(story())


def test_clusters_are_swapped_under_constant_requests_without_a_loss(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        codes: Counter[int] = Counter()
        async with AsyncExitStack() as stack:
            ports = [await stack.enter_async_context(backend(f"{i}")) for i in range(2)]
            stage.hub.publish(
                Snapshot.of([eds_cluster("c0"), endpoints("c0", ports[0]), listener("http"), scope("a.test", "c0")])
            )
            envoy = await stack.enter_async_context(stage.envoy())
            await stage.until(Applied(version=stage.hub.snapshot.version))
            listening = await envoy.listener_port("http")
            client = await stack.enter_async_context(httpx.AsyncClient(headers={"host": "a.test"}))

            async def request() -> None:
                while not is_done.is_set():
                    codes[(await client.get(f"http://127.0.0.1:{listening}/")).status_code] += 1

            is_done = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for _ in range(4):
                    group.create_task(request())
                for i in range(1, 40):
                    old, new = f"c{i - 1}", f"c{i}"
                    gone = (ref(CLUSTER, old), ref(ENDPOINTS, old))
                    parts = (eds_cluster(new), endpoints(new, ports[i % 2]), scope("a.test", new))
                    await stage.apply(*parts, remove=gone)
                is_done.set()

            async def is_swept() -> bool | None:
                found = await envoy.stats("active_clusters")
                return True if found["cluster_manager.active_clusters"] == 2 else None

            await envoy.until(is_swept, "the old clusters to go")
        assert set(codes) == {200}
        assert codes[200] > 40

    play(story())


def test_a_changed_cluster_warms_at_once_though_its_endpoints_did_not_change(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with backend("one") as port:
            stage.hub.publish(Snapshot.of(site(port)))
            async with stage.envoy() as envoy:
                await stage.until(Applied(version=stage.hub.snapshot.version))
                async with asyncio.timeout(2):
                    for number in range(2, 12):
                        await stage.apply(eds_cluster("a", connect_timeout=f"{number}s"))
                assert (await envoy.stats("warming_clusters"))["cluster_manager.warming_clusters"] == 0
                assert await ask(await envoy.listener_port("http"), "a.test") == (200, "one")

    play(story())


def test_a_control_plane_restarts_and_envoy_serves_and_then_follows(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with AsyncExitStack() as stack:
            ports = [await stack.enter_async_context(backend(f"{i}")) for i in range(2)]
            stage.hub.publish(Snapshot.of(site(ports[0])))
            async with AsyncExitStack() as first:
                await first.enter_async_context(serving(stage.service, f"unix:{stage.socket}"))
                bootstrap = ads_bootstrap(stage.socket)
                envoy = await stack.enter_async_context(running_envoy(bootstrap, tmp_path))
                await stage.until(Applied(version=stage.hub.snapshot.version))
                listening = await envoy.listener_port("http")
            assert await ask(listening, "a.test") == (200, "0")

            again = Stage(tmp_path)
            moved = [part for part in site(ports[0]) if part.type_url != SCOPE]
            moved += [eds_cluster("b"), endpoints("b", ports[1]), scope("b.test", "b")]
            again.hub.publish(Snapshot.of(moved))
            await stack.enter_async_context(serving(again.service, f"unix:{again.socket}"))
            await again.until(Applied(version=again.hub.snapshot.version))
            assert await ask(listening, "b.test") == (200, "1")
            assert (await ask(listening, "a.test"))[0] == 404
            # What did not change was not sent: the listener is the one from before.
            stats = await envoy.stats("listener_manager.listener_(added|modified)")
            assert stats == {"listener_manager.listener_added": 1, "listener_manager.listener_modified": 0}

    play(story())


def test_a_renamed_listener_takes_over_the_port(tmp_path: Path) -> None:
    async def story() -> None:
        stage = Stage(tmp_path)
        async with backend("one") as port:
            stage.hub.publish(
                Snapshot.of([eds_cluster("a"), endpoints("a", port), listener("old"), scope("a.test", "a")])
            )
            async with stage.envoy() as envoy:
                await stage.until(Applied(version=stage.hub.snapshot.version))
                listening = await envoy.listener_port("old")
                await stage.apply(listener("fixed", port=listening), remove=(ref(LISTENER, "old"),))
                await stage.apply(listener("renamed", port=listening), remove=(ref(LISTENER, "fixed"),))
                assert await envoy.listener_port("renamed") == listening
                assert await ask(listening, "a.test") == (200, "one")

    play(story())
