"""Fastly, 8 June 2021. See README.md."""

from typing import Any

from tests.museum import world
from tests.museum.outage import Outage, Promise
from tests.museum.scene import Finding, Scene
from tests.support.fleet import Ask

_SCRIPT = """
function envoy_on_request(h)
  if h:headers():get(':authority') == 't07.example' then
    h:streamInfo():dynamicMetadata():set('t07', 'turbo', 'on')
  end
end
function envoy_on_response(h)
  local own = h:streamInfo():dynamicMetadata():get('t07')
  if own and own.turbo then h:headers():add('x-turbo', 'on') end
end
"""
"""A customer's script, with nothing wrong in it. The quota filter crashes on what it says."""


async def replay(scene: Scene) -> list[Finding]:
    """One customer's valid script wakes a bug; two others changed their routes in the same moment."""
    fleet = scene.fleet
    since = await scene.begin()
    script = world.policy("t07-script", ("script", world.lua(_SCRIPT)))
    mine = {name: [world.tenant(name, _setting("x-mark", "mine"))] for name in ("t05", "t06")}
    fleet.write("shard-1", *world.shard("shard-1", **mine, t07=[world.tenant("t07"), script]))
    stopped = await scene.stopped(since)
    await scene.everywhere(stopped.at)
    for edge in fleet.hosts:
        for tenant in ("t05", "t06"):
            answer = await fleet.ask(edge, _asking(tenant))
            assert answer["headers"].get("x-mark") == "mine", f"{tenant}'s change has not come to {edge}"
        answer = await fleet.ask(edge, _asking("t07"))
        assert (answer["status"], answer["headers"].get("x-turbo")) == (200, None), "the suspect alone is held back"
    finding = await scene.finding(stopped, since)
    await scene.restore()
    return [finding]


def _setting(name: str, value: str) -> dict[str, Any]:
    return {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": name, "value": value}]}}


def _asking(tenant: str) -> Ask:
    return Ask(host=f"{tenant}.example", headers={"authorization": "anna"})


OUTAGE = Outage(
    number=19,
    name="Fastly",
    date="2021-06-08",
    promises=(Promise(injected="one customer's valid script wakes a bug", stage="sandbox", guard="sandbox"),),
    replay=replay,
)
