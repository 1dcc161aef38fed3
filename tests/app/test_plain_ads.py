"""Plain ADS: an Envoy without an agent gets the same snapshot, and what it refuses is heard."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from seawall.app.offline import Offline
from seawall.app.plain_ads import PlainAds
from seawall.fleet.wire import Applied, Rejected, Up
from seawall.kit.errors import ConfigError
from seawall.xds.resource import CLUSTER, Resource, ResourceName
from seawall.xds.snapshot import Change, Snapshot
from tests.support.envoy import ads_bootstrap, running_envoy
from tests.support.manifests import backend, gateway, route, to
from tests.support.seawall import free_port


def _snapshot(folder: Path) -> Snapshot:
    documents = [*gateway(free_port()), backend("one", 9), route("a", ["a.example"], [to("one")])]
    (folder / "all.yaml").write_text(yaml.safe_dump_all(documents))
    return Offline(folder).builder.snapshot


async def _until(heard: list[tuple[str, Up]], claim: Callable[[Up], bool]) -> tuple[str, Up]:
    async with asyncio.timeout(20):
        while True:
            for one in heard:
                if claim(one[1]):
                    return one
            await asyncio.sleep(0.01)


@pytest.mark.e2e
def test_an_envoy_without_an_agent_is_served_and_heard(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "envoy").mkdir()
    snapshot = _snapshot(tmp_path / "manifests")
    heard: list[tuple[str, Up]] = []
    bad = Resource(type_url=CLUSTER, name=ResourceName("bad"), version="1", body=b"\x0a\x03bad\x10\x63")

    async def run() -> None:
        plain = PlainAds(lambda edge, message: heard.append((edge, message)))
        socket = tmp_path / "ads.sock"
        async with plain.serving(f"unix:{socket}", None, is_insecure=False):
            plain.publish(snapshot)
            async with running_envoy(ads_bootstrap(socket), tmp_path / "envoy"):
                edge, _ = await _until(heard, lambda one: isinstance(one, Applied) and one.version == snapshot.version)
                assert edge == "node edge-1"
                plain.publish(snapshot.apply(Change(put=(bad,))))
                _, refused = await _until(heard, lambda one: isinstance(one, Rejected) and bool(one.rejections))
                assert isinstance(refused, Rejected)
                assert [one.ref for one in refused.rejections] == [bad.ref]
            # It is gone, and with it what it refused.
            await _until(heard, lambda one: isinstance(one, Rejected) and not one.rejections)

    asyncio.run(run())


def test_in_the_clear_only_this_host_is_served() -> None:
    async def run() -> None:
        async with PlainAds(lambda edge, message: None).serving("0.0.0.0:0", None, is_insecure=True):
            pass

    with pytest.raises(ConfigError, match="without TLS"):
        asyncio.run(run())
