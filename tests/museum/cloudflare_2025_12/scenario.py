"""Cloudflare, 5 December 2025. See README.md."""

from typing import Any

from tests.museum import world
from tests.museum.outage import Outage, Promise
from tests.museum.scene import Finding, Scene


async def replay(scene: Scene) -> list[Finding]:
    """Throw a kill switch that was never drilled; then one that was, on a world where it wakes an old bug."""
    return [await _thrown(scene, {"drilledAt": None}), await _thrown(scene, {})]


async def _thrown(scene: Scene, changes: dict[str, Any]) -> Finding:
    since = await scene.begin()
    scene.fleet.write("perimeter", world.perimeter(switch={"on": True, **changes}))
    finding = await scene.finding(await scene.stopped(since), since)
    await scene.restore()
    return finding


OUTAGE = Outage(
    number=6,
    name="Cloudflare",
    date="2025-12-05",
    promises=(
        Promise(injected="kill switch thrown that was never drilled", stage="guards", guard="G14"),
        Promise(injected="kill switch wakes an old bug: 500 for all", stage="sandbox", guard="sandbox"),
    ),
    replay=replay,
)
