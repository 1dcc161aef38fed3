"""Statuses, beyond the golden cases."""

import msgspec

from seawall.gateway.features import SUPPORTED
from seawall.gateway.graph import ObjectKey
from tests.gateway.world import edge, resolved, route, service


def test_a_count_that_changes_changes_one_status_and_nothing_of_the_gateway() -> None:
    world = resolved(*edge(), service(), route("home", hostnames=["a.example"]))

    change = world.update(put=[route("more", hostnames=["b.example"])])

    body = world.statuses[ObjectKey("Gateway/shop/edge")].body
    assert body["listeners"][0]["attachedRoutes"] == 2
    assert not change.listeners
    assert change.statuses == {"Gateway/shop/edge", "HTTPRoute/shop/more"}


def test_all_conditions_carry_the_generation() -> None:
    gateway_class, gateway = edge()
    bumped = msgspec.structs.replace(gateway, meta=msgspec.structs.replace(gateway.meta, generation=7))

    body = resolved(gateway_class, bumped).statuses[gateway.key].body

    found = [*body["conditions"], *body["listeners"][0]["conditions"]]
    assert {condition["observedGeneration"] for condition in found} == {7}


def test_the_class_says_what_it_can() -> None:
    world = resolved(*edge())

    body = world.statuses[ObjectKey("GatewayClass//seawall")].body
    assert body["supportedFeatures"] == [{"name": name} for name in sorted(SUPPORTED)]
