"""Spotify, 16 April 2025. See README.md."""

from typing import Any

import msgspec
from tests.museum import world
from tests.museum.outage import Outage, Promise
from tests.museum.scene import Finding, Scene

_RARE = f"""{world.ABORT}
function envoy_on_request(h)
  if h:headers():get('authorization') == 'anna' then ffi.C.abort() end
end
"""
"""Nobody who probes says that she is anna; half of the world does."""


async def replay(scene: Scene) -> list[Finding]:
    """Reorder the filters; then set the heap above the container's limit; then a crash that only real clients meet."""
    return [await _reordered(scene), await _heap(scene), await _retried(scene)]


async def _reordered(scene: Scene) -> Finding:
    since = await scene.begin()
    scene.fleet.write("chain", world.chain(order=("quota", "identity", "bots", "tool")))
    stopped = await scene.stopped(since)
    report = await scene.report(stopped.rollout)
    assert report["risk"] == "R2", report["why"]
    assert any(_is_reorder(one) for one in report["differences"]), report["differences"]
    finding = await scene.finding(stopped, since)
    await scene.restore()
    # The order-aware comparison made it R2, so that it had to pass the sandbox for so long.
    return msgspec.structs.replace(finding, guard=f"G1, {finding.guard}")


async def _heap(scene: Scene) -> Finding:
    since = await scene.begin()
    scene.fleet.write("perimeter", world.perimeter(memory={"maxHeap": "4096Gi"}))
    finding = await scene.finding(await scene.stopped(since), since)
    await scene.restore()
    return finding


async def _retried(scene: Scene) -> Finding:
    since = await scene.begin(world.mix(rate=8, retries=3))
    scene.fleet.write("chain", world.chain(extra={"custom": _RARE}))
    finding = await scene.finding(await scene.stopped(since), since)
    await scene.restore()
    return finding


def _is_reorder(difference: dict[str, Any]) -> bool:
    return bool(difference["subject"] == "filter" and difference["action"] == "reordered")


OUTAGE = Outage(
    number=1,
    name="Spotify",
    date="2025-04-16",
    promises=(
        Promise(injected="filters reordered; the custom one crashes", stage="sandbox", guard="G1, sandbox"),
        Promise(injected="heap limit above the container's", stage="guards", guard="G7"),
        Promise(injected="filter crashes on real clients, who retry", stage="canary", guard="crash", failed=50),
    ),
    replay=replay,
)
