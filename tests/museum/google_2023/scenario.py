"""Google Cloud load balancers, 21 September 2023. See README.md."""

from typing import Any

from tests.museum import world
from tests.museum.outage import Outage, Promise
from tests.museum.scene import Finding, Scene
from tests.support.manifests import route

_CUSTOMERS = ("t01", "t02")


async def replay(scene: Scene) -> list[Finding]:
    """Two customers' configurations are written empty: first without a rule, then with one that says nothing."""
    return [await _unruled(scene), await _empty(scene)]


async def _unruled(scene: Scene) -> Finding:
    since = await scene.begin()
    scene.fleet.write("shard-0", *_written([]))
    stopped = await scene.told(len(_CUSTOMERS))
    finding = await scene.finding(stopped, since)
    assert (await scene.view())["running"] == scene.base, "what is empty leaves the last good in force"
    await scene.restore()
    return finding


async def _empty(scene: Scene) -> Finding:
    since = await scene.begin()
    scene.fleet.write("shard-0", *_written([{}]))
    finding = await scene.finding(await scene.stopped(since), since)
    await scene.restore()
    return finding


def _written(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return world.shard("shard-0", **{name: [route(name, [f"{name}.example"], rules)] for name in _CUSTOMERS})


OUTAGE = Outage(
    number=17,
    name="Google Cloud LB",
    date="2023-09-21",
    promises=(
        Promise(injected="two customers' configurations without a rule", stage="source", guard="G4"),
        Promise(injected="two customers' configurations with an empty rule", stage="sandbox", guard="sandbox"),
    ),
    replay=replay,
)
