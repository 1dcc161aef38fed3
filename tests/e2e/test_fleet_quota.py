"""A limit that four real edges share: what passes in all, how it moves, and what edges do on their own."""

import asyncio
from typing import Any

import pytest

from tests.e2e.test_rate_limits import HOST, limit, policy
from tests.support.clients import Ask, Mix
from tests.support.fleet import PORT, Fleet, Place
from tests.support.manifests import Json, gateway, route

pytestmark = pytest.mark.e2e

EDGES = ("a", "b", "c", "d")
PLACES = tuple(Place(edge=edge, region="eu", cell=f"cell-{edge}") for edge in EDGES)
RATE = 200


def _files(**spec: Any) -> dict[str, list[Json]]:
    rule = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "b.example"}}]}
    shared = policy("p", limit("all", RATE, window="1s", burst=RATE // 4), scope="fleet", **spec)
    return {"shop": [*gateway(PORT), route("a", [HOST], [rule]), shared]}


async def _ask(fleet: Fleet, **rates: float) -> None:
    for edge in EDGES:
        mix = Mix(asks=(Ask(host=HOST, status=302),), connections=2, reuse=10_000, rate=rates.get(edge, 1.0))
        await fleet.load(mix, [edge])


async def _passed(fleet: Fleet, seconds: float) -> dict[str, float]:
    """Say how many requests a second pass on each edge."""
    loop = asyncio.get_running_loop()
    await fleet.recount()
    began = loop.time()
    await asyncio.sleep(seconds)
    counted = await fleet.recount()
    took = loop.time() - began
    return {edge: (one.sent - one.failures) / took for edge, one in counted.items()}


def test_a_limit_is_shared_follows_demand_and_survives_the_control_plane() -> None:
    async def run() -> None:
        async with Fleet(_files(), places=PLACES) as fleet:
            await _ask(fleet, **dict.fromkeys(EDGES, 120.0))
            await asyncio.sleep(3)
            even = await _passed(fleet, 5)
            assert RATE * 0.9 <= sum(even.values()) <= RATE * 1.05, even
            assert max(even.values()) <= 1.2 * min(even.values()), even

            await _ask(fleet, a=300.0, b=20.0)
            step = await _passed(fleet, 1)
            assert sum(step.values()) <= RATE * 1.1 + RATE / 4, step
            await asyncio.sleep(2)
            skewed = await _passed(fleet, 5)
            assert sum(skewed.values()) <= RATE * 1.05, skewed
            assert skewed["a"] >= RATE * 0.75, skewed
            assert skewed["b"] >= 18, skewed

            await fleet.kill_control()
            await asyncio.sleep(6)
            alone = await _passed(fleet, 3)
            assert sum(alone.values()) <= RATE * 1.05, alone
            assert alone["a"] >= RATE * 0.75, alone

    asyncio.run(run())


@pytest.mark.parametrize(("when_away", "passes"), [("open", 1.0), ("closed", 0.0)])
def test_an_edge_on_its_own_does_what_was_chosen(when_away: str, passes: float) -> None:
    async def run() -> None:
        async with Fleet(_files(whenAway=when_away), places=PLACES[:1]) as fleet:
            await fleet.load(Mix(asks=(Ask(host=HOST, status=302),), connections=2, reuse=10_000, rate=300.0), ["a"])
            await asyncio.sleep(1)
            assert (await _passed(fleet, 2))["a"] <= RATE * 1.05

            await fleet.kill_control()
            await asyncio.sleep(6)
            assert (await _passed(fleet, 2))["a"] == pytest.approx(300 * passes, abs=20)

            await fleet.start_control()
            await asyncio.sleep(4)
            assert RATE * 0.9 <= (await _passed(fleet, 3))["a"] <= RATE * 1.05

    asyncio.run(run())
