"""Where routes attach, beyond the golden case `not-attached`."""

from tests.gateway.world import HTTP, edge, listener_set, problems, resolved, route, routes, said, service

HOME = "HTTPRoute/shop/home"


def test_a_route_whose_hostnames_are_all_shadowed_is_told() -> None:
    listeners = (HTTP, HTTP | {"name": "own", "hostname": "a.example"})
    home = route("home", hostnames=["a.example"], parentRefs=[{"name": "edge", "sectionName": "http"}])

    world = resolved(*edge(*listeners), service(), home)

    assert said(world, HOME, "Accepted") == ("True", "Accepted")
    assert "gets no requests" in problems(world, HOME)[0].message
    assert routes(world, "a.example") == []


def test_a_route_to_a_refused_listener_set_is_not_attached() -> None:
    home = route("home", parentRefs=[{"kind": "ListenerSet", "name": "more"}])

    world = resolved(*edge(), listener_set("more", HTTP | {"port": 81}), service(), home)

    assert said(world, HOME, "Accepted") == ("False", "NotAllowedByListeners")


def test_a_route_without_parents_is_told() -> None:
    world = resolved(*edge(), service(), route("home", parentRefs=[]))

    assert [problem.severity for problem in problems(world, HOME)] == ["warning"]


def test_a_hostname_in_another_case_is_the_same() -> None:
    listener = HTTP | {"hostname": "*.example"}

    world = resolved(*edge(listener), service(), route("home", hostnames=["a.example", "b.test"]))

    assert len(routes(world, "a.example")) == 1
    assert routes(world, "*.example") == []
    assert routes(world, "b.test") == []
