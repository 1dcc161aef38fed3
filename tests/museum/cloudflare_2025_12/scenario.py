"""Cloudflare, 5 December 2025. See README.md."""

from typing import Any

from tests.museum import world
from tests.museum.outage import Outage, Promise
from tests.museum.scene import Finding, Scene


async def replay(scene: Scene) -> list[Finding]:
    """Throw a kill switch that was never drilled; then one that was, on a world where it wakes an old bug. Then the bug as
    it was: a nil in Lua, for real clients only."""
    return [await _thrown(scene, {"drilledAt": None}), await _thrown(scene, {}), await _raised(scene)]


async def _thrown(scene: Scene, changes: dict[str, Any]) -> Finding:
    since = await scene.begin()
    scene.fleet.write("perimeter", world.perimeter(switch={"on": True, **changes}))
    finding = await scene.finding(await scene.stopped(since), since)
    await scene.restore()
    return finding


async def _raised(scene: Scene) -> Finding:
    """Envoy lets a request pass whose Lua filter raises: the answer is 200, and whatever the filter is for is gone."""
    since = await scene.begin()
    scene.fleet.write("chain", world.chain(extra={"rules": _NIL}))
    finding = await scene.finding(await scene.stopped(since), since)
    await scene.restore()
    return finding


_NIL = """
function envoy_on_request(h)
  local rules = {}
  if h:headers():get('authorization') == 'anna' then rules.execute.apply() end
end
"""


OUTAGE = Outage(
    number=6,
    name="Cloudflare",
    date="2025-12-05",
    promises=(
        Promise(injected="kill switch thrown that was never drilled", stage="guards", guard="G14"),
        Promise(injected="kill switch wakes an old bug: 500 for all", stage="sandbox", guard="sandbox"),
        Promise(injected="nil in Lua for real clients: all answers 200", stage="canary", guard="gates"),
    ),
    replay=replay,
)
