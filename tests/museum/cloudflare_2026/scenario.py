"""Cloudflare, 20 February 2026. See README.md."""

from tests.museum.outage import Outage, Promise
from tests.museum.scene import Finding, Scene


async def replay(scene: Scene) -> list[Finding]:
    """A cleanup that was to remove one tenant removes two files of them."""
    since = await scene.begin()
    scene.fleet.remove("shard-1", "shard-2")
    finding = await scene.finding(await scene.stopped(since), since)
    await scene.restore()
    return [finding]


OUTAGE = Outage(
    number=5,
    name="Cloudflare",
    date="2026-02-20",
    promises=(Promise(injected="a cleanup deletes 8 of 14 hosts", stage="guards", guard="G11"),),
    replay=replay,
)
