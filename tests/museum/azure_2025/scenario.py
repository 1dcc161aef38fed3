"""Azure Front Door, 29 October 2025. See README.md."""

from tests.museum import world
from tests.museum.outage import Outage, Promise
from tests.museum.scene import Finding, Scene


async def replay(scene: Scene) -> list[Finding]:
    """A filter that crashes only once asynchronous work has come to its poison: after the waves, in the bake."""
    doom = scene.fleet.root / "doom"
    source = f"""{world.ABORT}
function envoy_on_request(h)
  local work = io.open('{doom}')
  if work then ffi.C.abort() end
end
"""
    patient = world.mix(rate=6)
    await scene.begin()
    at = scene.fleet.write("chain", world.chain(extra={"async": source}))
    await scene.everywhere(at)
    since = await scene.begin(patient)
    try:
        doom.touch()
        stopped = await scene.stopped(since, kinds=("roll_back",))
        finding = await scene.finding(stopped, since)
    finally:
        doom.unlink()
    view = await scene.view()
    assert view["goods"][0] == scene.base, "last-known-good is what it was"
    await scene.restore()
    return [finding]


OUTAGE = Outage(
    number=12,
    name="Azure Front Door",
    date="2025-10-29",
    promises=(
        Promise(injected="crashes minutes later, on every edge at once", stage="bake", guard="crash", failed=50),
    ),
    replay=replay,
)
