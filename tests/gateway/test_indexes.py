"""Where objects are found other than by name."""

from seawall.gateway.indexes import LISTENER_SETS, NAMES, POLICIES, SLICES, publish_object
from tests.gateway.world import HTTP, edge, listener_set, made, problems, resolved, route, service


def test_objects_are_found_by_what_they_refer_to() -> None:
    labels = {"kubernetes.io/service-name": "web"}
    endpoint_slice = made("EndpointSlice", "web-1", {"addressType": "IPv4", "endpoints": []}, labels=labels)
    target = [{"group": "", "kind": "Service", "name": "web"}]
    validation = {"hostname": "a.b", "wellKnownCACertificates": "System"}
    policy = made("BackendTLSPolicy", "a", {"spec": {"targetRefs": target, "validation": validation}})

    assert LISTENER_SETS.at("Gateway/shop/edge") in publish_object(listener_set("more", HTTP))  # type: ignore[arg-type]
    assert SLICES.at("Service/shop/web") in publish_object(endpoint_slice)  # type: ignore[arg-type]
    assert POLICIES.at("Service/shop/web") in publish_object(policy)  # type: ignore[arg-type]
    assert NAMES.at(("Service", "shop", "w")) in publish_object(service())


def test_a_name_that_is_near_is_suggested_until_it_is_there() -> None:
    world = resolved(*edge(), service("wob"), route("home"))
    before = problems(world, "HTTPRoute/shop/home")[0].hint

    world.update(remove=[service("wob").key])

    assert before == "Did you mean wob?"
    assert "Create" in problems(world, "HTTPRoute/shop/home")[0].hint


def test_among_very_many_names_nothing_is_suggested() -> None:
    many = [service(f"w{number}") for number in range(1001)]

    world = resolved(*edge(), *many, route("home"))

    assert "Create" in problems(world, "HTTPRoute/shop/home")[0].hint
