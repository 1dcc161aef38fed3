"""Spotify, 8 March 2022. See README.md."""

from tests.museum import world
from tests.museum.outage import Outage, Promise
from tests.museum.scene import Finding, Scene, Stopped
from tests.support.fleet import Ask

_COLD, _CRASHED = "us-1-a", "eu-1-b"


async def replay(scene: Scene) -> list[Finding]:
    """Kill the control plane; then an Envoy; then an agent with its Envoy. What is left must serve, from disk."""
    return [await _gone(scene), await _cold(scene)]


async def _gone(scene: Scene) -> Finding:
    since = await scene.begin()
    await scene.fleet.kill_control()
    await scene.pause()
    stopped = Stopped(at=since, stage="edge", guard="G9", said="edges serve on without a control plane")
    return await scene.finding(stopped, since)


async def _cold(scene: Scene) -> Finding:
    """Still without a control plane."""
    fleet, ask = scene.fleet, Ask(host="t00.example", headers={"authorization": "anna"})
    since = await scene.begin(world.mix(rate=4))
    await fleet.hosts[_CRASHED].order("kill", what="envoy")
    await fleet.hosts[_COLD].order("kill", what="agent")
    await fleet.hosts[_COLD].order("kill", what="envoy")
    await fleet.hosts[_COLD].order("start")

    async def serves() -> bool:
        answers = [await fleet.ask(edge, ask) for edge in (_CRASHED, _COLD)]
        return all(answer["status"] == 200 for answer in answers)

    await fleet.until(serves, "killed edges serve from their disks", within=15)
    stopped = Stopped(at=scene.now(), stage="edge", guard="G9", said="edges start cold from their disks")
    counts = await fleet.recount()
    assert not counts["eu-1-a"].failed, "an edge that nobody touched has failed"
    counted = counts["eu-1-a"]
    for edge in (_CRASHED, _COLD):
        counted.add(counts[edge])
    finding = await scene.finding(stopped, since, counted)
    await fleet.start_control()
    await fleet.serving()
    await scene.restore()
    return finding


OUTAGE = Outage(
    number=3,
    name="Spotify",
    date="2022-03-08",
    promises=(
        Promise(injected="control plane killed", stage="edge", guard="G9"),
        Promise(injected="then one Envoy, and one agent with its Envoy, killed", stage="edge", guard="G9", failed=50),
    ),
    replay=replay,
)
