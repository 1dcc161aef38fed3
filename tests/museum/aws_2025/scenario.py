"""AWS us-east-1, 19 October 2025. See README.md."""

from typing import Any

from tests.museum import late, world
from tests.museum.outage import Outage, Promise
from tests.museum.scene import Finding, Scene, Stopped
from tests.support.fleet import Ask


async def replay(scene: Scene) -> list[Finding]:
    """A record becomes empty; then a plan that is long out of date is applied late, signed by the right key."""
    return [await _empty(scene), await _late(scene)]


async def _empty(scene: Scene) -> Finding:
    """Its neighbour changes in the same moment, and must not wait."""
    since = await scene.begin()
    scene.fleet.write_all({"ledger": world.ledger(), "shard-0": _marked_shard("t00", "neighbour")})

    async def kept() -> dict[str, Any] | None:
        report = await scene.fleet.get("/v1/diff")
        found = [one for one in report["guards"] if one["guard"] == "G10" and one["verdict"] != "pass"]
        return found[0] if found else None

    guard = await scene.fleet.until(kept, "G10 keeps the record")
    stopped = Stopped(at=scene.now(), stage="guards", guard=guard["guard"], said=guard["message"])
    await scene.everywhere(since)
    await _until_marked(scene, "t00", "neighbour")
    finding = await scene.finding(stopped, since)
    await scene.restore()
    return finding


async def _late(scene: Scene) -> Finding:
    """The plan is what the control plane said itself, once."""
    fleet, socket = scene.fleet, scene.fleet.run_dir / "edges.sock"
    plans = await late.written_down(socket, fleet.places)
    await fleet.serving()
    written = fleet.write("shard-0", *_marked_shard("t01", "newer"))
    await scene.everywhere(written)
    await _until_marked(scene, "t01", "newer")
    since = await scene.begin()
    await fleet.kill_control()

    def refusals() -> list[dict[str, Any]]:
        found = (fleet.log(edge, "bundle_refused", since) for edge in fleet.hosts)
        return [lines[0] for lines in found if lines]

    async with late.applied(socket, plans):
        await fleet.until(lambda: len(refusals()) == len(fleet.hosts), "every edge refuses the old plan", within=20)
    refusal = refusals()[0]
    stopped = Stopped(at=scene.now(), stage="edge", guard=refusal["by"], said=refusal["reason"])
    for edge in fleet.hosts:
        answer = await fleet.ask(edge, _asking("t01"))
        assert answer["headers"].get("x-mark") == "newer", f"{edge} has taken the old plan"
    finding = await scene.finding(stopped, since)
    await fleet.start_control()
    await scene.restore()
    return finding


def _marked_shard(tenant: str, mark: str) -> list[dict[str, Any]]:
    header = {"set": [{"name": "x-mark", "value": mark}]}
    marked = world.tenant(tenant, {"type": "ResponseHeaderModifier", "responseHeaderModifier": header})
    return world.shard("shard-0", **{tenant: [marked]})


def _asking(tenant: str) -> Ask:
    return Ask(host=f"{tenant}.example", headers={"authorization": "anna"})


async def _until_marked(scene: Scene, tenant: str, mark: str) -> None:
    async def is_everywhere() -> bool:
        answers = [await scene.fleet.ask(edge, _asking(tenant)) for edge in scene.fleet.hosts]
        return all(answer["headers"].get("x-mark") == mark for answer in answers)

    await scene.fleet.until(is_everywhere, f"{tenant} is changed on every edge")


OUTAGE = Outage(
    number=15,
    name="AWS us-east-1",
    date="2025-10-19",
    promises=(
        Promise(injected="a backend's record becomes empty", stage="guards", guard="G10"),
        Promise(injected="an old plan applied late, rightly signed", stage="edge", guard="fence"),
    ),
    replay=replay,
)
