"""The service for agents, over real gRPC on unix sockets and loopback."""

import asyncio
import datetime
import ssl
from pathlib import Path

import grpc
import grpc.aio
import msgspec
import pytest
from tests.support.caller import calling, edge, put, tell, until
from tests.support.signing import Signing

from seawall.app.pki import create_authority, issue
from seawall.fleet.wire import Applied, Heartbeat, Hello, Order, Publish, Up, Watch
from seawall.kit.errors import ConfigError, UnavailableError
from seawall.kit.units import Instant
from seawall.server.edges import EdgeService, serve_edges
from seawall.server.tls import ReloadingIdentity, TlsFiles, client_credentials, read_identity
from seawall.xds.snapshot import Snapshot

NOW = datetime.datetime.now(datetime.UTC)
ONE = Snapshot.of(put("a", "b").put)


def test_before_anything_is_assigned_an_edge_is_told_nothing(tmp_path: Path) -> None:
    async def story(service: EdgeService, signing: Signing, address: str) -> None:
        signing.offer(ONE)
        async with edge(address, held="x") as e1:
            await until(lambda: service.edges.get("e1"))
            service.order("e1", Order(verb="drain"))
            assert await e1.hear() == Order(verb="drain")

            signing.publish(ONE)
            assert isinstance(await e1.hear(), Publish)

    tell(tmp_path, story)


def test_every_edge_is_told_what_to_watch_whenever_it_connects(tmp_path: Path) -> None:
    async def story(service: EdgeService, signing: Signing, address: str) -> None:
        async with edge(address, "early") as early:
            await until(lambda: service.edges.get("early"))
            service.watch(Watch(slow=0.5))
            assert await early.hear() == Watch(slow=0.5)
        async with edge(address, "late") as late:
            assert await late.hear() == Watch(slow=0.5)
            service.watch(Watch(slow=0.7))
            assert await late.hear() == Watch(slow=0.7)

    tell(tmp_path, story)


def test_what_edges_say_is_known_and_reported(tmp_path: Path) -> None:
    reports: list[tuple[str, Up]] = []

    async def main() -> None:
        service = EdgeService(on_report=lambda name, message: reports.append((name, message)))
        async with serve_edges(service, f"unix:{tmp_path}/s") as address:
            Signing(service).publish(ONE)
            beat = Heartbeat(at=1, running=ONE.version, is_ready=True, envoy="live")
            async with edge(address) as e1:
                await e1.hear()
                await e1.say(Applied(version=ONE.version, at=1, took=0.5))
                await e1.say(beat)
                await until(lambda: len(reports) == 3)

                status = service.edges.get("e1")
                assert status is not None
                assert (status.sent, status.applied, status.heartbeat) == (ONE.version, ONE.version, beat)
            await until(lambda: not service.edges.list(Instant(NOW.timestamp()))[0].is_connected)

    asyncio.run(main())
    assert [type(message) for _, message in reports] == [Hello, Applied, Heartbeat]


@pytest.mark.parametrize("greeting", [b"", b"\xff\xff", msgspec.msgpack.encode(Applied(version="", at=0))])
def test_a_stream_without_a_greeting_is_refused(tmp_path: Path, greeting: bytes) -> None:
    async def story(service: EdgeService, signing: Signing, address: str) -> None:
        async with calling(address) as stranger:
            await stranger.call.write(greeting)
            assert await stranger.ends() == grpc.StatusCode.INVALID_ARGUMENT

    tell(tmp_path, story)


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    async def story(service: EdgeService, signing: Signing, address: str) -> None:
        async with edge(address, name="../etc") as stranger:
            assert await stranger.ends() == grpc.StatusCode.INVALID_ARGUMENT

    tell(tmp_path, story)


def test_nonsense_ends_the_stream_and_only_that(tmp_path: Path) -> None:
    async def story(service: EdgeService, signing: Signing, address: str) -> None:
        signing.publish(ONE)
        async with edge(address, "mad") as mad, edge(address, "sane") as sane:
            await mad.hear()
            await mad.call.write(b"\xc1nonsense")
            await mad.ends()
            await sane.hear()
            signing.publish(ONE.apply(put("z")))
            assert isinstance(await sane.hear(), Publish)

    tell(tmp_path, story)


def test_the_newer_stream_of_an_edge_wins(tmp_path: Path) -> None:
    async def story(service: EdgeService, signing: Signing, address: str) -> None:
        signing.publish(ONE)
        async with edge(address) as older, edge(address) as newer:
            await older.hear()
            await newer.hear()
            await older.ends()
            signing.publish(ONE.apply(put("z")))
            assert isinstance(await newer.hear(), Publish)
            status = service.edges.get("e1")
            assert status is not None
            assert status.is_connected

    tell(tmp_path, story)


def test_an_order_to_nobody_is_refused() -> None:
    with pytest.raises(UnavailableError, match="not connected"):
        EdgeService().order("e1", Order(verb="drain"))


def test_without_tls_only_sockets_and_loopback_are_served() -> None:
    async def serve(address: str, *, is_insecure: bool) -> str:
        async with serve_edges(EdgeService(), address, is_insecure=is_insecure) as bound:
            return bound

    for address, is_insecure in [("127.0.0.1:0", False), ("0.0.0.0:0", True), ("example.com:0", True)]:
        with pytest.raises(ConfigError, match="without TLS"):
            asyncio.run(serve(address, is_insecure=is_insecure))
    assert asyncio.run(serve("127.0.0.1:0", is_insecure=True)) != "127.0.0.1:0"


def test_a_second_control_plane_on_the_port_fails() -> None:
    async def main() -> None:
        async with serve_edges(EdgeService(), "127.0.0.1:0", is_insecure=True) as bound:
            with pytest.raises(ConfigError, match="in use"):
                async with serve_edges(EdgeService(), bound, is_insecure=True):
                    pass

    asyncio.run(main())


def files(folder: Path, name: str) -> TlsFiles:
    return TlsFiles(
        authority=str(folder / "ca.crt"), certificate=str(folder / f"{name}.crt"), key=str(folder / f"{name}.key")
    )


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    create_authority(tmp_path, NOW)
    issue(tmp_path, "control", "c1", NOW, hosts=["127.0.0.1"])
    for name in ("e1", "e2"):
        issue(tmp_path, "edge", name, NOW)
    return tmp_path


def test_an_edge_is_bound_to_its_certificate(pki: Path) -> None:
    async def main() -> None:
        service = EdgeService()
        Signing(service).publish(ONE)
        async with serve_edges(service, "127.0.0.1:0", ReloadingIdentity(files(pki, "control-c1"))) as address:
            credentials = client_credentials(read_identity(files(pki, "edge-e1")))
            async with calling(address, credentials) as honest:
                await honest.say(Hello(edge="e1"))
                assert isinstance(await honest.hear(), Publish)
            async with calling(address, credentials) as liar:
                await liar.say(Hello(edge="e2"))
                assert await liar.ends() == grpc.StatusCode.PERMISSION_DENIED
                assert "for e1, not for edge e2" in await liar.details()

    asyncio.run(main())


def test_strangers_and_servers_are_no_edges(pki: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    create_authority(other, NOW)
    issue(other, "edge", "e1", NOW)
    stranger = files(other, "edge-e1")
    forged = TlsFiles(authority=str(pki / "ca.crt"), certificate=stranger.certificate, key=stranger.key)

    async def main() -> None:
        service = EdgeService()
        async with serve_edges(service, "127.0.0.1:0", ReloadingIdentity(files(pki, "control-c1"))) as address:
            for who in (forged, files(pki, "control-c1")):
                async with calling(address, client_credentials(read_identity(who))) as caller:
                    with pytest.raises((grpc.aio.AioRpcError, asyncio.InvalidStateError)):
                        await caller.say(Hello(edge="e1"))
                        await caller.hear()
                        raise AssertionError("was served")
                assert service.edges.get("e1") is None

    asyncio.run(main())


def test_a_renewed_certificate_is_used_without_a_restart(pki: Path) -> None:
    async def main() -> None:
        service = EdgeService()
        Signing(service).publish(ONE)
        async with serve_edges(service, "127.0.0.1:0", ReloadingIdentity(files(pki, "control-c1"))) as address:
            before = await certificate_of(address)
            issue(pki, "control", "c1", NOW, hosts=["127.0.0.1"], replaces=True)

            assert await certificate_of(address) != before
            async with calling(address, client_credentials(read_identity(files(pki, "edge-e2")))) as e2:
                await e2.say(Hello(edge="e2"))
                assert isinstance(await e2.hear(), Publish)

    async def certificate_of(address: str) -> bytes:
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "edge-e1.crt", pki / "edge-e1.key")
        context.set_alpn_protocols(["h2"])
        host, port = address.split(":")
        _, writer = await asyncio.open_connection(host, int(port), ssl=context)
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return found

    asyncio.run(main())
