"""The ADS service: who is let in, what ends a stream, that nobody is answered too early."""

import asyncio
import datetime
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from tests.support.ads_client import AdsClient, ads_client
from tests.xds.play import cluster, ref, res

from seawall.app.pki import Issued, create_authority, issue
from seawall.kit.errors import ConfigError
from seawall.kit.units import Seconds
from seawall.server.ads import AdsService, AdsSettings, Connected, Disconnected, Report, serving
from seawall.server.hub import Hub
from seawall.server.tls import ReloadingIdentity, TlsFiles, client_credentials, read_identity, server_credentials
from seawall.xds.client import StreamSettings
from seawall.xds.events import Applied, Recovered, Rejected
from seawall.xds.resource import CLUSTER, ENDPOINTS
from seawall.xds.snapshot import Change, Snapshot

SMALL = Snapshot.of([cluster("a")])


class Site:
    """A service on a unix socket with one hub."""

    def __init__(self, folder: Path, settings: AdsSettings | None = None) -> None:
        self.hub = Hub()
        self.target = f"unix:{folder}/ads.sock"
        self.reports: list[tuple[str, Report]] = []
        self.service = AdsService(self._hub_for, self._heard, settings)
        self._news = asyncio.Event()

    async def until(self, kind: type[Report]) -> None:
        """Wait for a report of a kind."""
        while not any(isinstance(report, kind) for _, report in self.reports):
            await self._news.wait()
            self._news.clear()

    def _heard(self, node: str, report: Report) -> None:
        self.reports.append((node, report))
        self._news.set()

    def _hub_for(self, node: str, _cluster: str) -> Hub | None:
        return None if node == "stranger" else self.hub

    @asynccontextmanager
    async def client(self) -> AsyncIterator[AdsClient]:
        async with serving(self.service, self.target), ads_client(self.target) as client:
            yield client


def run(story: Coroutine[None, None, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await story

    asyncio.run(bounded())


def test_a_stream_is_served_and_reported_from_beginning_to_end(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path)
        site.hub.publish(SMALL)
        async with site.client() as client:
            await client.ask(CLUSTER, node="edge-1")
            answer = await client.read()
            await client.ack(answer)
            await site.until(Applied)
            change = Change(put=(cluster("b", "1"),))
            site.hub.publish(SMALL.apply(change), change)
            second = await client.read()
            await client.ask(CLUSTER, nonce=second.nonce, error="no good")
            cleared = await client.read()
            site.hub.publish(SMALL, Change(remove=(ref(CLUSTER, "b"),)))
            await client.ack(cleared)
            await client.call.done_writing()
            await client.call.code()

        assert [r.name for r in answer.resources] == ["a"]
        assert [r.name for r in second.resources] == ["b"]
        assert list(cleared.removed_resources) == ["b"]
        kinds = [type(report) for node, report in site.reports if node == "edge-1"]
        assert kinds == [Connected, Applied, Rejected, Recovered, Applied, Disconnected]

    run(story())


def test_a_first_request_without_a_node_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path)
        site.hub.publish(SMALL)
        async with site.client() as client:
            await client.ask(CLUSTER)
            code, details = await client.status()

        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "set node.id" in details
        assert site.reports == []

    run(story())


def test_a_node_of_no_group_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path)
        async with site.client() as client:
            await client.ask(CLUSTER, node="stranger")
            assert (await client.status())[0] == grpc.StatusCode.PERMISSION_DENIED

    run(story())


def test_bytes_that_are_no_request_end_the_stream(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path)
        async with site.client() as client:
            await client.call.write(b"\xff\xff\xff")
            assert (await client.status())[0] == grpc.StatusCode.INVALID_ARGUMENT

    run(story())


def test_a_stream_that_says_nothing_is_ended(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path, AdsSettings(greeting_timeout=Seconds(0.1)))
        async with site.client() as client:
            assert (await client.status())[0] == grpc.StatusCode.DEADLINE_EXCEEDED

    run(story())


def test_nobody_is_answered_before_the_first_snapshot(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path)
        async with site.client() as client:
            await client.ask(CLUSTER, node="edge-1", initial={"a": "old"})
            async with asyncio.TaskGroup() as group:
                answer = group.create_task(client.read())
                done, _ = await asyncio.wait({answer}, timeout=0.2)
                assert not done
                site.hub.publish(SMALL)
            assert [r.name for r in answer.result().resources] == ["a"]

    run(story())


def test_a_stream_may_not_ask_for_types_without_end(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path, AdsSettings(max_types=3))
        site.hub.publish(SMALL)
        async with site.client() as client:
            for number in range(4):
                await client.ask(f"type.googleapis.com/x.T{number}", node="edge-1")
            assert (await client.status())[0] == grpc.StatusCode.RESOURCE_EXHAUSTED

    run(story())


def test_a_large_request_is_taken(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path)
        site.hub.publish(SMALL)
        async with site.client() as client:
            await client.ask(ENDPOINTS, *(f"{number:0100}" for number in range(100_000)), node="edge-1")
            absent = 0
            while absent < 100_000:
                answer = await client.read()
                assert answer.ByteSize() < 4 << 20
                absent += len(answer.removed_resources)
                await client.ack(answer)

        assert absent == 100_000

    run(story())


def test_a_client_that_does_not_read_is_dropped_and_the_others_go_on(tmp_path: Path) -> None:
    async def story() -> None:
        settings = AdsSettings(send_timeout=Seconds(0.3), stream=StreamSettings(response_bytes=1 << 30))
        site = Site(tmp_path, settings)
        site.hub.publish(Snapshot.of([res(CLUSTER, f"c{i}", f"{i}" + "x" * (1 << 20)) for i in range(24)]))
        async with site.client() as slow, ads_client(site.target) as small:
            await slow.ask(CLUSTER, node="slow")
            await small.ask(CLUSTER, "c1", node="small")
            assert [r.name for r in (await small.read()).resources] == ["c1"]
            await site.until(Disconnected)

        (ended,) = (report for node, report in site.reports if node == "slow" and isinstance(report, Disconnected))
        assert "did not take a response" in ended.reason

    run(story())


def test_streams_above_the_limit_are_refused(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path, AdsSettings(max_streams=1))
        site.hub.publish(SMALL)
        async with site.client() as first:
            await first.ask(CLUSTER, node="edge-1")
            await first.read()
            async with ads_client(site.target) as second:
                await second.ask(CLUSTER, node="edge-2")
                code, details = await second.status()

        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "carries 1 streams already" in details

    run(story())


def test_draining_ends_all_streams_and_takes_no_new_ones(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path)
        site.hub.publish(SMALL)
        async with site.client() as first, ads_client(site.target) as second:
            for client, node in ((first, "edge-1"), (second, "edge-2")):
                await client.ask(CLUSTER, node=node)
                await client.read()
            assert {node for node, _ in site.service.states()} == {"edge-1", "edge-2"}

            await site.service.drain(Seconds(0.1))

            assert (await first.status())[0] == grpc.StatusCode.UNAVAILABLE
            assert (await second.status())[0] == grpc.StatusCode.UNAVAILABLE
            async with ads_client(site.target) as late:
                # It is refused before it has asked: there may be nothing left to write to.
                assert (await late.status())[0] == grpc.StatusCode.UNAVAILABLE
        assert site.service.states() == []

    run(story())


def test_an_address_in_use_is_a_sentence(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path)
        async with serving(site.service, "127.0.0.1:0") as port:
            with pytest.raises(ConfigError, match="cannot be served at"):
                async with serving(site.service, f"127.0.0.1:{port}"):
                    pass

    run(story())


def test_a_node_must_be_the_one_that_its_certificate_names(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    create_authority(tmp_path, now)
    control = issue(tmp_path, "control", "c1", now, hosts=("127.0.0.1",))
    edge = issue(tmp_path, "edge", "edge-1", now)

    def files(issued: Issued) -> TlsFiles:
        return TlsFiles(
            authority=str(tmp_path / "ca.crt"),
            certificate=str(issued.certificate),
            key=str(issued.key),
        )

    async def story() -> None:
        site = Site(tmp_path)
        site.hub.publish(SMALL)
        ours = client_credentials(read_identity(files(edge)))
        server = server_credentials(ReloadingIdentity(files(control)))
        async with serving(site.service, "127.0.0.1:0", server) as port:
            async with ads_client(f"127.0.0.1:{port}", ours) as client:
                await client.ask(CLUSTER, node="edge-1")
                assert [r.name for r in (await client.read()).resources] == ["a"]
            async with ads_client(f"127.0.0.1:{port}", ours) as client:
                await client.ask(CLUSTER, node="edge-2")
                code, details = await client.status()

        assert code == grpc.StatusCode.PERMISSION_DENIED
        assert "speaks for edge-1, not for node edge-2" in details

    run(story())
