"""Google Cloud, 12 June 2025. See README.md."""

from tests.museum import world
from tests.museum.outage import Outage, Promise
from tests.museum.scene import Finding, Scene


async def replay(scene: Scene) -> list[Finding]:
    """Blank fields in an object of the API; then a blank field that only the reader of the policy knows of."""
    return [await _blank(scene), await _woken(scene)]


async def _blank(scene: Scene) -> Finding:
    since = await scene.begin()
    blank = world.tenant("t02")
    blank["spec"]["rules"][0]["backendRefs"][0]["name"] = ""
    blank["spec"]["rules"][0]["matches"][0]["path"] = {"type": None, "value": ""}
    scene.fleet.write("shard-0", *world.shard("shard-0", t02=[blank]))

    stopped = await scene.told()
    finding = await scene.finding(stopped, since)
    assert (await scene.view())["running"] == scene.base, "what cannot be read leaves the last good in force"
    await scene.restore()
    return finding


async def _woken(scene: Scene) -> Finding:
    since = await scene.begin()
    scene.fleet.write("chain", world.chain(limit="nil"))
    finding = await scene.finding(await scene.stopped(since), since)
    await scene.restore()
    return finding


OUTAGE = Outage(
    number=16,
    name="Google Cloud",
    date="2025-06-12",
    promises=(
        Promise(injected="blank fields in an object", stage="source", guard="G4"),
        Promise(injected="a blank limit wakes code that never ran", stage="sandbox", guard="sandbox"),
    ),
    replay=replay,
)
