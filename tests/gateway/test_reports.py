"""Statuses, beyond the golden cases."""

import msgspec

from seawall.gateway.features import SUPPORTED
from seawall.gateway.graph import ListenerName, ObjectKey
from tests.gateway.world import HTTP, edge, listener_set, made, problems, resolved, route, said, service


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


def test_a_socket_that_cannot_be_opened_is_said_on_whoever_wanted_it() -> None:
    allowed = {"namespaces": {"from": "All"}}
    world = resolved(*edge(allowedListeners=allowed), listener_set("more", HTTP | {"port": 81}))

    world.update(faults={ListenerName("tcp/127.0.0.1/81"): "address in use"})

    assert said(world, "Gateway/shop/edge", "Programmed") == ("True", "Programmed")
    assert said(world, "ListenerSet/shop/more", "Programmed") == ("False", "Invalid")
    assert problems(world, "ListenerSet/shop/more")[0].path == "$.spec.listeners[0].port"


def test_a_listener_set_in_quarantine_is_left_out() -> None:
    more = listener_set("more", HTTP | {"port": 81})

    world = resolved(*edge(allowedListeners={"namespaces": {"from": "All"}}), more, quarantine={more.key: "no"})

    assert said(world, more.key, "Programmed") == ("False", "Invalid")
    assert list(world.graph.listeners) == ["tcp/127.0.0.1/80"]


def test_the_class_says_what_it_can() -> None:
    world = resolved(*edge())

    body = world.statuses[ObjectKey("GatewayClass//seawall")].body
    assert body["supportedFeatures"] == [{"name": name} for name in sorted(SUPPORTED)]


def test_a_kind_without_effect_is_warned_about() -> None:
    spec = {"targetRefs": [{"group": "", "kind": "Service", "name": "web"}]}

    world = resolved(made("XBackendTrafficPolicy", "budget", {"spec": spec}))

    assert [problem.severity for problem in problems(world, "XBackendTrafficPolicy/shop/budget")] == ["warning"]
