"""What we say of a ListenerPolicy; most of it is in the golden cases."""

from typing import Any

from seawall.gateway.graph import ObjectKey
from tests.gateway.manners import manners
from tests.gateway.world import edge, listener_set, made, pair, problems, resolved, said


def test_a_policy_for_what_is_not_ours_has_no_ancestors() -> None:
    other = made("GatewayClass", "other", {"spec": {"controllerName": "example.com/other"}})
    spec = {"gatewayClassName": "other", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}
    world = resolved(other, made("Gateway", "edge", {"spec": spec}), manners("p"), manners("q", "ListenerSet/none"))

    assert world.statuses[ObjectKey("ListenerPolicy/shop/p")].body == {"ancestors": []}
    assert problems(world, "ListenerPolicy/shop/p") == []
    assert [one.message for one in problems(world, "ListenerPolicy/shop/q")] == ["There is no ListenerSet shop/none."]


def test_a_set_with_a_policy_of_its_own_is_told_to_the_gateways() -> None:
    allowed: dict[str, Any] = {"allowedListeners": {"namespaces": {"from": "All"}}}
    more = listener_set("more", {"name": "b", "port": 81, "protocol": "HTTP"})
    world = resolved(*edge(**allowed), more, manners("whole"), manners("own", "ListenerSet/more"))

    assert said(world, "ListenerPolicy/shop/own", "Programmed") == ("True", "Programmed")
    (found,) = problems(world, "ListenerPolicy/shop/whole")
    assert found.message.startswith("The ListenerSet/shop/more has a policy of its own")


def test_a_near_name_is_suggested() -> None:
    world = resolved(*edge(), pair(), manners("p", "Gateway/edgee"))

    assert problems(world, "ListenerPolicy/shop/p")[0].hint == "Did you mean edge?"
