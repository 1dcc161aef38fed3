"""GRPCRoutes in virtual hosts."""

from typing import Any

import pytest

from seawall.gateway.graph import Forward, ObjectKey
from tests.gateway.world import edge, made, resolved, routes, said, service

H2C = {"name": "b", "port": 81, "appProtocol": "kubernetes.io/h2c"}


def grpc(name: str, *rules: dict[str, Any], at: int = 0, **spec: Any) -> Any:
    return made("GRPCRoute", name, {"spec": {"parentRefs": [{"name": "edge"}], "rules": list(rules), **spec}}, at=at)


def method(**match: str) -> dict[str, Any]:
    return {"matches": [{"method": match}], "backendRefs": [{"name": "web", "port": 80}]}


@pytest.mark.parametrize(
    ("match", "path"),
    [
        ({"service": "a.B", "method": "C"}, ("Exact", "/a.B/C")),
        ({"service": "a.B"}, ("PathPrefix", "/a.B")),
        ({"method": "C"}, ("RegularExpression", "/[^/]+/C")),
        ({"type": "RegularExpression", "service": "a|b"}, ("RegularExpression", "/(?:a|b)/[^/]+")),
        ({"type": "RegularExpression", "method": "C.*"}, ("RegularExpression", "/[^/]+/(?:C.*)")),
    ],
)
def test_a_method_is_a_path(match: dict[str, str], path: tuple[str, str]) -> None:
    world = resolved(*edge(), service(), grpc("calls", method(**match)))

    (made_route,) = routes(world)
    assert (made_route.match.path_type, made_route.match.path) == path


def test_a_rule_without_matches_takes_every_call_and_goes_last() -> None:
    world = resolved(*edge(), service(), grpc("calls", {}, method(method="C")))

    assert [one.match.path for one in routes(world)] == ["/[^/]+/C", "/"]


def test_the_longer_service_then_the_longer_method_then_more_headers_go_first_and_exact_before_patterns() -> None:
    header = {"name": "a", "value": "b"}
    ordered = [
        {"method": {"service": "longer.S", "method": "M"}},
        {"method": {"service": "shop.S", "method": "Longer"}},
        {"method": {"service": "shop.S", "method": "M"}, "headers": [header]},
        {"method": {"service": "shop.S", "method": "M"}},
        {"method": {"type": "RegularExpression", "service": "shop.S", "method": "M"}},
        {"method": {"service": "shop.S"}},
        {"method": {"method": "M"}},
        {"headers": [header]},
    ]

    world = resolved(*edge(), service(), grpc("calls", {"matches": ordered[::-1]}))

    assert [one.path[-2] for one in routes(world)] == [str(at) for at in reversed(range(len(ordered)))]


def test_a_backend_speaks_http2_whatever_its_port_says_beside_the_cluster_of_http_routes() -> None:
    refs = [{"name": "web", "port": 80}, {"name": "web", "port": 81}]
    own = {"group": "seawall.dev", "kind": "Backend", "name": "own"}
    backend = made("Backend", "own", {"spec": {"endpoints": [{"ip": "127.0.0.1", "port": 1}]}})

    world = resolved(
        *edge(), service("web", {"name": "a", "port": 80}, H2C), backend, grpc("calls", {"backendRefs": [*refs, own]})
    )

    assert {name: one.protocol for name, one in world.graph.clusters.items()} == {
        "Service/shop/web/80/http2": "http2",
        "Service/shop/web/81": "http2",
        "Backend/shop/own/http2": "http2",
    }


def test_what_cannot_be_reached_is_unavailable() -> None:
    world = resolved(*edge(), grpc("calls", {"backendRefs": [{"name": "none", "port": 80}]}))

    action = routes(world)[0].action
    assert isinstance(action, Forward)
    assert action.unusable == 503
    assert said(world, "GRPCRoute/shop/calls", "ResolvedRefs") == ("False", "BackendNotFound")


def test_a_route_that_goes_leaves_nothing() -> None:
    world = resolved(*edge(), service(), grpc("calls", {}))

    world.update(remove=[ObjectKey("GRPCRoute/shop/calls")])

    assert routes(world) == []
