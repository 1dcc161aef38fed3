"""Probes: what is made of the routes of a snapshot."""

import pytest

from seawall.envoy.probes import guess, probes
from seawall.gateway.graph import Redirect, Respond, RouteMatch, ValueMatch
from seawall.rollout.corpus import Request
from tests.envoy.graphs import host, route
from tests.support.candidates import candidate, with_tls


def named(requests: tuple[Request, ...]) -> dict[str, Request]:
    return {request.name: request for request in requests}


def test_each_route_gets_a_request_that_says_what_should_come_of_it() -> None:
    found = probes(
        candidate(
            hosts=(
                host("a.example", route(match=RouteMatch(path="/x", path_type="Exact"))),
                host("*.b.example", route(Redirect(status=301, scheme="https"))),
                host("c.example", route(Respond(status=404))),
            )
        )
    )

    expected = {name: request.expects for name, request in named(found.requests).items()}
    assert expected["GET http://a.example/x"] == "forward"
    assert expected["GET http://seawall-probe.b.example/"] == "direct"  # the last of two requests for `/`: its 404
    assert found.requests[0].name.startswith("GET http://")
    assert found.unguessed == 0


def test_method_headers_and_query_are_met() -> None:
    match = RouteMatch(
        method="POST",
        headers=(ValueMatch(name="x-tenant", value="blue"),),
        query=(ValueMatch(name="q", value="[0-9]+", type="RegularExpression"),),
    )

    request = probes(candidate(hosts=(host("a.example", route(match=match)),))).requests[0]

    assert b"POST /?q=1 HTTP/1.1" in request.wire or any(
        b"POST /?q=1 HTTP/1.1" in one.wire and b"x-tenant: blue" in one.wire
        for one in probes(candidate(hosts=(host("a.example", route(match=match)),))).requests
    )


def test_a_table_behind_tls_is_asked_with_its_server_name() -> None:
    found = probes(with_tls(b"", b""))

    request = next(one for one in found.requests if one.target.is_tls)
    assert request.target.server_name == "tls.example"


def test_a_route_behind_a_wanted_500_may_answer_anything() -> None:
    found = probes(candidate(hosts=(host("a.example", route(Respond(status=500)), route()),)))

    assert {one.expects for one in found.requests if one.host == "a.example"} == {"any"}


def test_many_routes_are_thinned_out_evenly() -> None:
    found = probes(candidate(hosts=tuple(host(f"h{n:03}.example", route()) for n in range(100))), limit=10)

    assert len(found.requests) <= 10


@pytest.mark.parametrize(
    "pattern",
    ["/a", "/a/.*", "/users/[0-9]+", r"/v\d/x\.html", "/(de|en)/.+", "/[^/]+/b", "/a[a-z]+", r"/d\d{3}", "/x?"],
)
def test_common_expressions_are_guessed(pattern: str) -> None:
    assert guess(pattern) is not None


@pytest.mark.parametrize("pattern", ["/(?=a)b", "(", "/[aeiou]{7}z"])
def test_what_cannot_be_guessed_is_left(pattern: str) -> None:
    assert guess(pattern) is None
