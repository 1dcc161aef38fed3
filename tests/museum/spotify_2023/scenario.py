"""Spotify, 14 January 2023. See README.md."""

from tests.museum import world
from tests.museum.outage import Outage, Promise
from tests.museum.scene import Finding, Scene


async def replay(scene: Scene) -> list[Finding]:
    """The source goes away with everything in it; then it comes back broken."""
    return [await _gone(scene), await _broken(scene)]


async def _gone(scene: Scene) -> Finding:
    """Every file, the Perimeter too, as when a checkout is emptied before it is filled again."""
    since = await scene.begin()
    scene.fleet.remove(*(path.stem for path in (scene.fleet.root / "manifests").iterdir()))
    stopped = await scene.stopped(since)
    finding = await scene.finding(stopped, since)
    await scene.restore()
    return finding


async def _broken(scene: Scene) -> Finding:
    since = await scene.begin()
    for name in (*world.SHARDS, "chain", "gateway", "perimeter"):
        text = (scene.fleet.root / "manifests" / f"{name}.yaml").read_text()
        scene.fleet.write_raw(name, text[: len(text) // 2] + "\n<<<<<<< HEAD\n")

    stopped = await scene.told(len(world.SHARDS) + 3)
    finding = await scene.finding(stopped, since)
    view = await scene.view()
    assert view["running"] == scene.base, "what cannot be read leaves the last good in force"
    await scene.restore()
    return finding


OUTAGE = Outage(
    number=2,
    name="Spotify",
    date="2023-01-14",
    promises=(
        Promise(injected="the source comes back empty, Perimeter included", stage="guards", guard="G10"),
        Promise(injected="the source comes back with half-written files", stage="source", guard="G4"),
    ),
    replay=replay,
)
