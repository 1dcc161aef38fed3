"""The stream to the control plane, against the real service."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.control import KEY, bundle_of
from tests.support.edge import settings, until, within

from seawall.agent import uplink as module
from seawall.agent.uplink import OutOfStepError, Uplink
from seawall.app.pki import create_authority, issue
from seawall.fleet.bundle import EVERY_EDGE, Assignment
from seawall.fleet.wire import Applied, Down, Heartbeat, Hello, Publish
from seawall.kit.errors import ConfigError
from seawall.server.edges import EdgeService, serve_edges
from seawall.server.tls import ReloadingIdentity, TlsFiles
from seawall.xds.resource import CLUSTER, Resource, ResourceName
from seawall.xds.snapshot import Change, Snapshot

NOW = datetime.datetime.now(datetime.UTC)


def clusters(count: int, size: int = 1) -> Snapshot:
    body = b"x" * size
    return Snapshot.of(
        Resource(type_url=CLUSTER, name=ResourceName(f"c{i}"), version="1", body=body) for i in range(count)
    )


class Ear:
    """Hears what comes down, and holds what was published."""

    def __init__(self) -> None:
        self.heard: list[Down] = []
        self.held = ""
        self.is_confused = False

    def greeting(self) -> Hello:
        return Hello(edge="e1", held=self.held)

    def hear(self, message: Down) -> None:
        if self.is_confused:
            self.is_confused = False
            raise OutOfStepError("does not fit")
        self.heard.append(message)
        if isinstance(message, Publish):
            self.held = message.version


@asynccontextmanager
async def linked(folder: Path, ear: Ear, **changes: object) -> AsyncIterator[Uplink]:
    uplink = Uplink(settings(folder, **changes), ear.greeting, ear.hear)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(uplink.run())
        yield uplink
        running.cancel()


def publish(service: EdgeService, snapshot: Snapshot, *, fence: int = 1) -> None:
    bundle = bundle_of(snapshot)
    service.publish(snapshot, KEY.sign(bundle), KEY.sign(Assignment(edge=EVERY_EDGE, bundle=bundle.name, fence=fence)))


def test_a_large_snapshot_arrives_whole(tmp_path: Path) -> None:
    async def main() -> None:
        ear, service, snapshot = Ear(), EdgeService(), clusters(200, 100_000)
        publish(service, snapshot)
        async with serve_edges(service, f"unix:{tmp_path}/control.sock"), linked(tmp_path, ear):
            await until(lambda: ear.heard)
            [message] = ear.heard
            assert isinstance(message, Publish)
            assert Snapshot.of(message.put) == snapshot

    asyncio.run(within(main()))


def test_the_next_address_is_tried(tmp_path: Path) -> None:
    async def main() -> None:
        ear, service = Ear(), EdgeService()
        publish(service, clusters(1))
        addresses = (f"unix:{tmp_path}/nobody.sock", f"unix:{tmp_path}/control.sock")
        async with serve_edges(service, addresses[1]), linked(tmp_path, ear, control=addresses):
            await until(lambda: ear.heard)

    asyncio.run(within(main()))


def test_only_the_newest_of_a_kind_is_said_and_said_again_after_a_break(tmp_path: Path) -> None:
    async def main() -> None:
        ear = Ear()
        async with linked(tmp_path, ear) as uplink:
            uplink.say(Applied(version="old", at=0))
            uplink.say(Applied(version="new", at=0))
            for _ in range(2):
                service = EdgeService()
                async with serve_edges(service, f"unix:{tmp_path}/control.sock"):
                    await until(lambda edges=service.edges: (e := edges.get("e1")) and e.applied == "new")  # type: ignore[misc]

    asyncio.run(within(main()))


def test_what_does_not_fit_is_asked_for_whole(tmp_path: Path) -> None:
    async def main() -> None:
        ear, service, snapshot = Ear(), EdgeService(), clusters(2)
        publish(service, snapshot)
        async with serve_edges(service, f"unix:{tmp_path}/control.sock"), linked(tmp_path, ear):
            await until(lambda: ear.heard)
            ear.is_confused = True
            change = Change(put=(Resource(type_url=CLUSTER, name=ResourceName("c0"), version="2", body=b"2"),))
            publish(service, snapshot.apply(change), fence=2)
            await until(lambda: len(ear.heard) == 2)
            message = ear.heard[1]
            assert isinstance(message, Publish)
            assert (message.base, len(message.put)) == ("", 2)

    asyncio.run(within(main()))


def test_a_control_plane_that_ends_the_stream_is_called_again(tmp_path: Path) -> None:
    async def main() -> None:
        ear = Ear()
        async with linked(tmp_path, ear) as uplink:
            for _ in range(3):
                service = EdgeService()
                publish(service, clusters(1))
                async with serve_edges(service, f"unix:{tmp_path}/control.sock"):
                    await until(lambda: uplink.is_connected)
                await until(lambda: not uplink.is_connected)

    asyncio.run(within(main()))


def test_nobody_is_spoken_to_in_the_clear_by_accident(tmp_path: Path) -> None:
    async def main() -> None:
        for address, is_insecure in [("127.0.0.1:1", False), ("192.0.2.1:1", True)]:
            with pytest.raises(ConfigError, match="without TLS"):
                Uplink(settings(tmp_path, control=(address,), is_insecure=is_insecure), Ear().greeting, Ear().hear)

    asyncio.run(within(main()))


def test_renewed_certificates_are_used_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_AT_FILES", 0.02)
    create_authority(tmp_path, NOW)
    issue(tmp_path, "control", "c1", NOW, hosts=["127.0.0.1"])
    issue(tmp_path, "edge", "e1", NOW)

    def files(name: str) -> TlsFiles:
        return TlsFiles(
            authority=str(tmp_path / "ca.crt"),
            certificate=str(tmp_path / f"{name}.crt"),
            key=str(tmp_path / f"{name}.key"),
        )

    async def main() -> None:
        ear = Ear()
        greeted: list[str] = []
        service = EdgeService(
            on_report=lambda edge, message: greeted.append(edge) if isinstance(message, Hello) else None
        )
        publish(service, clusters(1))
        identity = ReloadingIdentity(files("control-c1"))
        async with (
            serve_edges(service, "127.0.0.1:0", identity) as address,
            linked(tmp_path, ear, control=(address,), tls=files("edge-e1")) as uplink,
        ):
            await until(lambda: ear.heard)
            issue(tmp_path, "edge", "e1", NOW, replaces=True)
            await until(lambda: len(greeted) == 2 and uplink.is_connected)
            uplink.say(Heartbeat(at=1, running="", is_ready=True, envoy="live"))
            await until(lambda: (e := service.edges.get("e1")) and e.heartbeat)

    asyncio.run(within(main()))


def test_a_certificate_that_expires_soon_is_a_problem(tmp_path: Path) -> None:
    create_authority(tmp_path, NOW)
    issue(tmp_path, "control", "c1", NOW, hosts=["127.0.0.1"])
    issue(tmp_path, "edge", "e1", NOW - datetime.timedelta(days=25))

    async def main() -> None:
        tls = [
            TlsFiles(authority=f"{tmp_path}/ca.crt", certificate=f"{tmp_path}/{n}.crt", key=f"{tmp_path}/{n}.key")
            for n in ("control-c1", "edge-e1")
        ]
        service = EdgeService()
        publish(service, clusters(1))
        async with (
            serve_edges(service, "127.0.0.1:0", ReloadingIdentity(tls[0])) as address,
            linked(tmp_path, Ear(), control=(address,), tls=tls[1]) as uplink,
        ):
            await until(lambda: uplink.is_connected and "renew it" in uplink.problem)

    asyncio.run(within(main()))


def test_a_refused_certificate_is_a_problem_that_is_named(tmp_path: Path) -> None:
    create_authority(tmp_path, NOW)
    issue(tmp_path, "control", "c1", NOW, hosts=["127.0.0.1"])
    issue(tmp_path, "edge", "other", NOW)

    async def main() -> None:
        tls = [
            TlsFiles(authority=f"{tmp_path}/ca.crt", certificate=f"{tmp_path}/{n}.crt", key=f"{tmp_path}/{n}.key")
            for n in ("control-c1", "edge-other")
        ]
        async with (
            serve_edges(EdgeService(), "127.0.0.1:0", ReloadingIdentity(tls[0])) as address,
            linked(tmp_path, Ear(), control=(address,), tls=tls[1]) as uplink,
        ):
            await until(lambda: "for other, not for edge e1" in uplink.problem)

    asyncio.run(within(main()))
