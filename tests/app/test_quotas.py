"""Quotas: which limits of a graph are divided, and who is told."""

from typing import Any

from seawall.app.quotas import Quotas
from seawall.fleet.quota import SCALE
from seawall.gateway.resolve import Resolver
from seawall.kit.units import Instant
from seawall.server.edges import EdgeService
from tests.gateway.test_limits import policy, redirect
from tests.gateway.world import edge, resolved


def _world(**spec: Any) -> Resolver:
    return resolved(*edge(), redirect(), policy("p", scope="fleet", **spec), policy("q", "Gateway/edge"))


def test_only_limits_that_the_fleet_shares_are_divided() -> None:
    world = _world(whenAway="closed", limits=[{"name": "all", "requests": 60, "window": "1m", "burst": 5}])
    quotas = Quotas(EdgeService(), lambda: world.graph.quotas)

    (quota,) = quotas.wanted()
    quotas.divide([quota], Instant(1.0))

    assert (quota.name, quota.rate, quota.most, quota.is_keyed, quota.when_away) == ("shop/p", 1.0, 5, False, "closed")
    quotas.steward.connected({"a"}, Instant(1.0))
    ((share,),) = quotas.steward.shares(Instant(1.0)).values()
    assert (share.cost, share.when_away, share.slot) == (SCALE, "closed", quota.slot)


def test_slots_are_told_apart_and_stay() -> None:
    many = [policy(f"p{n}", at=n, scope="fleet") for n in range(70)]
    world = resolved(*edge(), redirect(), *many)
    slots = {key: limit.slot for key, limit in world.graph.quotas.items()}
    assert (len(slots), len(set(slots.values()))) == (64, 64)

    world.update(remove=[many[69].key])
    assert {key: limit.slot for key, limit in world.graph.quotas.items()} == slots
