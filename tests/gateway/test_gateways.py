"""Gateways and the ListenerSets they let in, beyond the golden cases."""

from tests.gateway.world import HTTP, edge, https, listener_set, made, pair, problems, resolved, route, said, service


def test_a_selector_lets_in_listener_sets_by_the_labels_of_their_namespace() -> None:
    allowed = {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "x"}}}}
    team = made("Namespace", "team", {}, labels={"team": "x"})
    sets = [listener_set("in", HTTP | {"port": 81}, namespace="team"), listener_set("out", HTTP | {"port": 82})]
    world = resolved(*edge(allowedListeners=allowed), team, *sets)

    assert said(world, "ListenerSet/team/in", "Accepted") == ("True", "Accepted")
    assert said(world, "ListenerSet/shop/out", "Accepted") == ("False", "NotAllowed")

    world.update(put=[made("Namespace", "team", {})])
    assert said(world, "ListenerSet/team/in", "Programmed") == ("False", "NotAllowed")


def test_a_listener_set_whose_gateway_came_later_is_taken_in_then() -> None:
    more = listener_set("more", HTTP | {"port": 81})
    world = resolved(more)
    before = problems(world, more.key)[0].message

    world.update(put=edge(allowedListeners={"namespaces": {"from": "All"}}))

    assert "There is no Gateway" in before
    assert said(world, more.key, "Accepted") == ("True", "Accepted")


def test_the_parent_of_a_listener_set_must_be_a_gateway_of_ours() -> None:
    spec = {"parentRef": {"kind": "Wish", "group": "x.example", "name": "edge"}, "listeners": [HTTP]}

    world = resolved(*edge(), made("ListenerSet", "more", {"spec": spec}))

    assert "ListenerSet/shop/more" not in world.statuses


def test_a_gateway_that_is_not_accepted_takes_its_listener_sets_down() -> None:
    ref = {"group": "x.example", "kind": "Wish", "name": "w"}
    gateway = edge(infrastructure={"parametersRef": ref}, allowedListeners={"namespaces": {"from": "All"}})

    world = resolved(*gateway, listener_set("more", HTTP | {"port": 81}))

    assert said(world, "Gateway/shop/edge", "Accepted") == ("False", "InvalidParameters")
    assert said(world, "ListenerSet/shop/more", "Programmed") == ("False", "Pending")
    assert dict(world.graph.listeners) == {}


def test_a_gateway_that_goes_takes_everything_with_it() -> None:
    gateway_class, gateway = edge(https("a"))
    world = resolved(gateway_class, gateway, pair(), service(), route("home"))

    world.update(remove=[gateway.key])

    graph = world.graph
    assert not (graph.listeners or graph.hosts or graph.clusters or graph.endpoints or graph.secrets)
    assert "There is no Gateway" in problems(world, "HTTPRoute/shop/home")[0].message
