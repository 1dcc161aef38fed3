"""HTTPRoutes and GRPCRoutes that want the same hostname."""

from collections.abc import Sequence

import pytest

from tests.gateway.test_grpc import grpc
from tests.gateway.world import edge, resolved, route, said, service

WEB, CALLS = "HTTPRoute/shop/web", "GRPCRoute/shop/calls"
LOST, WON = ("False", "HostnameConflict"), ("True", "Accepted")


@pytest.mark.parametrize(
    ("web", "calls"),
    [
        ([], []),
        (["a.example"], ["a.example"]),
        (["a.example"], ["b.example", "a.example"]),
        (["*.example"], ["a.example"]),
        (["a.example"], ["*.example"]),
        (["*.a.example"], ["*.example"]),
        ([], ["a.example"]),
    ],
)
def test_the_older_of_two_kinds_has_the_hostname(web: Sequence[str], calls: Sequence[str]) -> None:
    def verdicts(at: int) -> list[tuple[str, str] | None]:
        http = route("web", hostnames=web, at=at)
        world = resolved(*edge(), service(), http, grpc("calls", {}, hostnames=calls, at=1))
        return [said(world, key, "Accepted") for key in (WEB, CALLS)]

    assert verdicts(0) == [WON, LOST]
    assert verdicts(2) == [LOST, WON]


def test_hostnames_apart_and_routes_of_one_kind_are_no_rivals() -> None:
    http = route("web", hostnames=["a.example"]), route("web2", hostnames=["a.example"])
    calls = grpc("calls", {}, hostnames=["b.example"]), grpc("calls2", {}, hostnames=["*.b.example"])

    world = resolved(*edge(), service(), *http, *calls)

    for key in (WEB, CALLS, "HTTPRoute/shop/web2", "GRPCRoute/shop/calls2"):
        assert said(world, key, "Accepted") == WON


def test_the_loser_keeps_its_other_listeners_and_is_told_apart_by_count() -> None:
    http, other = {"name": "http", "port": 80, "protocol": "HTTP"}, {"name": "other", "port": 81, "protocol": "HTTP"}
    web = route("web", parentRefs=[{"name": "edge", "sectionName": "http"}])

    world = resolved(*edge(http, other), service(), web, grpc("calls", {}, at=1))

    assert said(world, CALLS, "Accepted") == WON
    assert {key.table for key, host in world.graph.hosts.items() for one in host.routes if one.origin == CALLS} == {
        "tcp/127.0.0.1/81"
    }


def test_the_loser_has_its_turn_when_the_older_leaves() -> None:
    web = route("web")
    world = resolved(*edge(), service(), web, grpc("calls", {}, at=1))

    world.update(remove=[web.key])

    assert said(world, CALLS, "Accepted") == WON


def test_who_has_lost_beats_nobody() -> None:
    oldest = route("oldest", hostnames=["a.example"], at=0)
    loser = grpc("calls", {}, hostnames=["a.example", "b.example"], at=1)
    third = route("web", hostnames=["b.example"], at=2)
    fourth = grpc("fourth", {}, hostnames=["b.example"], at=3)
    world = resolved(*edge(), service(), fourth, third, loser, oldest)
    keys = ("HTTPRoute/shop/oldest", CALLS, WEB, "GRPCRoute/shop/fourth")

    before = [said(world, key, "Accepted") for key in keys]
    world.update(remove=[oldest.key])
    after = [said(world, key, "Accepted") for key in keys[1:]]

    assert before == [WON, LOST, WON, LOST]
    assert after == [WON, LOST, WON]


def test_a_second_grpc_route_moves_no_http_route() -> None:
    web = [route(f"web{n}", hostnames=[f"w{n}.example"]) for n in range(50)]
    world = resolved(*edge(), service(), *web, grpc("calls", {}, hostnames=["a.test"]))
    before = world.computed

    world.update(put=[grpc("more", {}, hostnames=["b.test"])])

    assert world.computed - before < 20
