"""Cloudflare, 18 November 2025. See README.md."""

from tests.museum import world
from tests.museum.outage import Outage, Promise
from tests.museum.scene import Finding, Scene


async def replay(scene: Scene) -> list[Finding]:
    """The feature file doubles; it flaps, as it was made anew every few minutes; then somebody lets it pass."""
    return [await _doubled(scene), await _let_pass(scene)]


async def _doubled(scene: Scene) -> Finding:
    since = await scene.begin()
    scene.fleet.write("chain", world.chain(features=400))
    first = await scene.stopped(since)
    for features in (200, 400, 200, 400):
        at = scene.fleet.write("chain", world.chain(features=features))
        if features > 200:
            await scene.stopped(at)
    finding = await scene.finding(first, since)
    view = await scene.view()
    assert view["goods"][0] == scene.base, "no flapping file becomes last-known-good"
    await scene.restore()
    return finding


async def _let_pass(scene: Scene) -> Finding:
    """The guard asks a person; a person is in a hurry."""
    since = await scene.begin()
    scene.fleet.write("chain", world.chain(features=401))
    held = await scene.stopped(since, kinds=("hold",))
    since = scene.now()
    await scene.fleet.command("promote", rollout=held.rollout, reason="the new features are urgent")
    finding = await scene.finding(await scene.stopped(since, kinds=("refuse", "roll_back")), since)
    await scene.restore()
    return finding


OUTAGE = Outage(
    number=7,
    name="Cloudflare",
    date="2025-11-18",
    promises=(
        Promise(injected="feature file doubles, and flaps", stage="guards", guard="G6"),
        Promise(injected="a person lets it pass; its reader panics", stage="sandbox", guard="sandbox"),
    ),
    replay=replay,
)
