"""Azure Front Door, 29 October 2025. See README.md."""

from pathlib import Path

from tests.museum import world
from tests.museum.outage import Outage, Promise
from tests.museum.scene import Finding, Scene, Stopped

_PATIENT = world.mix(rate=6)
_BACK = 10.0
"""Seconds; 1 on a quiet host. The table says what it was, and a host may be busy."""


async def replay(scene: Scene) -> list[Finding]:
    """A filter that crashes only once asynchronous work has come to its poison: after the waves, in the bake; then in the
    canary, when there is no control plane to ask."""
    return [await _baking(scene), await _alone(scene)]


async def _baking(scene: Scene) -> Finding:
    doom = scene.fleet.root / "doom"
    await scene.begin()
    at = scene.fleet.write("chain", world.chain(extra={"async": _until(doom)}))
    await scene.everywhere(at)
    since = await scene.begin(_PATIENT)
    try:
        doom.touch()
        stopped = await scene.stopped(since, kinds=("roll_back",))
        finding = await scene.finding(stopped, since)
    finally:
        doom.unlink()
    view = await scene.view()
    assert view["goods"][0] == scene.base, "last-known-good is what it was"
    await scene.restore()
    return finding


async def _alone(scene: Scene) -> Finding:
    fleet, doom = scene.fleet, scene.fleet.root / "gloom"
    at = fleet.write("chain", world.chain(extra={"async": _until(doom)}))

    async def is_on_canary() -> bool:
        rollout = (await scene.view())["rollout"]
        return rollout is not None and any(
            one["stage"] == "canary" and one["state"] == "running" and one["applied"] for one in rollout["stages"]
        )

    await fleet.until(is_on_canary, "the canary has it")
    await fleet.kill_control()
    since = await scene.begin(_PATIENT)

    def restored() -> float:
        found = [line for edge in fleet.hosts for line in fleet.log(edge, "snapshot_restored", since)]
        return scene.now() if found else 0.0

    doom.touch()
    when = await fleet.until(restored, "the canary goes back by itself", within=15)
    stopped = Stopped(
        at=when, stage="edge", guard="G5", said="the canary has gone back to what the fleet had lived with"
    )
    finding = await scene.finding(stopped, since)
    assert finding.recovered <= _BACK, f"back after {finding.recovered:.1f} s"
    await fleet.start_control()
    await scene.stopped(at, kinds=("roll_back",))
    doom.unlink()
    await scene.restore()
    return finding


def _until(doom: Path) -> str:
    """A filter that does nothing until a file is there."""
    return f"""{world.ABORT}
function envoy_on_request(h)
  local work = io.open('{doom}')
  if work then ffi.C.abort() end
end
"""


OUTAGE = Outage(
    number=12,
    name="Azure Front Door",
    date="2025-10-29",
    promises=(
        Promise(injected="crashes minutes later, on every edge at once", stage="bake", guard="crash", failed=50),
        Promise(injected="crashes in the canary, with no control plane", stage="edge", guard="G5", failed=50),
    ),
    replay=replay,
)
