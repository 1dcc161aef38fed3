"""What is said of listeners, beyond the golden cases."""

from seawall.gateway.graph import ListenerName
from tests.gateway.world import HTTP, edge, listener_set, problems, resolved, said


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
