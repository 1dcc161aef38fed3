"""Cloudflare, 21 June 2022. See README.md."""

import msgspec
from tests.museum import world
from tests.museum.outage import Outage, Promise
from tests.museum.scene import Finding, Scene


async def replay(scene: Scene) -> list[Finding]:
    """Swap two rules that fit the same requests: now the one that rejects wins."""
    since = await scene.begin()
    scene.fleet.write("peer", world.peer(is_reordered=True))
    stopped = await scene.stopped(since)
    report = await scene.report(stopped.rollout)
    assert report["risk"] == "R2", report["why"]
    assert any(one["action"] == "reordered" for one in report["differences"]), report["differences"]
    finding = await scene.finding(stopped, since)
    await scene.restore()
    return [msgspec.structs.replace(finding, guard=f"G1, {finding.guard}")]


OUTAGE = Outage(
    number=10,
    name="Cloudflare",
    date="2022-06-21",
    promises=(
        Promise(injected="two rules swapped: the one that rejects wins", stage="canary", guard="G1, gates", failed=50),
    ),
    replay=replay,
)
