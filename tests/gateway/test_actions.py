"""What one rule does, beyond the golden case `filters`."""

from typing import Any

import pytest

from seawall.gateway.entrance import ExternalAuth
from seawall.gateway.graph import Apart, ClusterName, Forward, Mirror, Redirect, Respond
from seawall.gateway.objects import Object
from seawall.gateway.resolve import Resolver
from seawall.gateway.resources.filters import PathModifier, URLRewriteFilter
from seawall.gateway.resources.http import HTTPPathMatch, HTTPRouteFilter, HTTPRouteMatch, HTTPRouteRule, HTTPRouteSpec
from seawall.gateway.resources.refs import ParentReference
from tests.gateway.world import HTTP, edge, https, pair, problems, resolved, route, routes, rule, said, service

HOME = "HTTPRoute/shop/home"


@pytest.mark.parametrize(
    ("redirect", "listener_port", "expected"),
    [
        ({}, 80, None),
        ({}, 8080, 8080),
        ({"port": 9000}, 80, 9000),
        ({"port": 80}, 8080, None),
        ({"scheme": "https"}, 8080, None),
        ({"scheme": "http"}, 8080, None),
        ({"scheme": "https", "port": 80}, 80, 80),
        ({"scheme": "https", "port": 443}, 80, None),
    ],
)
def test_the_port_of_a_redirect(redirect: dict[str, Any], listener_port: int, expected: int | None) -> None:
    filters = [{"type": "RequestRedirect", "requestRedirect": {"hostname": "x.example", **redirect}}]

    world = resolved(*edge(HTTP | {"port": listener_port}), route("home", {"filters": filters}))

    action = routes(world, table=f"tcp/127.0.0.1/{listener_port}")[0].action
    assert isinstance(action, Redirect)
    assert action.port == expected


def test_a_redirect_is_different_on_each_listener_that_a_route_attaches_to() -> None:
    redirect = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "x.example"}}]}

    world = resolved(
        *edge(HTTP, HTTP | {"name": "b", "port": 81}, https("c") | {"port": 443}), pair(), route("home", redirect)
    )

    tables = ("tcp/127.0.0.1/80", "tcp/127.0.0.1/81", "tcp/127.0.0.1/443/*")
    actions = [routes(world, table=table)[0].action for table in tables]
    assert actions == [Redirect(host="x.example"), Redirect(host="x.example", port=81), Redirect(host="x.example")]


def test_a_rule_without_backends_forwards_to_none() -> None:
    world = resolved(*edge(), route("home", {"matches": [{"path": {"value": "/"}}]}))

    assert routes(world)[0].action == Forward()
    assert said(world, HOME, "ResolvedRefs") == ("True", "ResolvedRefs")


def external_auth(name: str, **more: Any) -> dict[str, Any]:
    config = {"protocol": "HTTP", "http": {}, "backendRef": {"name": name, "port": 80}}
    return {"type": "ExternalAuth", "externalAuth": {**config, **more}}


def test_who_is_asked_and_what_he_sees() -> None:
    over_http = {"path": "/check/", "allowedHeaders": ["X-A"], "allowedResponseHeaders": ["X-B"]}
    asking = external_auth("web", http=over_http, forwardBody={"maxSize": 9})
    world = resolved(*edge(), service(), route("home", rule("web", filters=[asking])))

    (found,) = routes(world)
    assert found.external_auth == ExternalAuth(
        protocol="HTTP", cluster="Service/shop/web/80", prefix="/check", headers=("x-a",), answered=("x-b",), body=9
    )


def test_who_is_asked_over_grpc_is_spoken_to_in_http2() -> None:
    asking = external_auth("web", protocol="GRPC", grpc={}, http=None)
    del asking["externalAuth"]["http"]
    world = resolved(*edge(), service(), route("home", rule("web", filters=[asking])))

    (found,) = routes(world)
    assert found.external_auth is not None
    names = (found.external_auth.cluster, "Service/shop/web/80")
    asked, sent = (world.graph.clusters[ClusterName(name)] for name in names)
    assert (asked.protocol, sent.protocol) == ("http2", "http1")


def test_where_nobody_can_be_asked_a_rule_answers_500_and_leaves_the_others() -> None:
    guarded = rule("web", filters=[external_auth("nobody")], matches=[{"path": {"value": "/guarded"}}])

    world = resolved(*edge(), service(), route("home", guarded, rule("web")))

    actions = [one.action for one in routes(world)]
    assert isinstance(actions[0], Respond)
    assert actions[0].status == 500
    assert isinstance(actions[1], Forward)
    assert said(world, HOME, "Accepted") == ("True", "Accepted")
    assert said(world, HOME, "PartiallyInvalid") == ("True", "UnsupportedValue")
    assert said(world, HOME, "ResolvedRefs") == ("False", "BackendNotFound")


def test_a_route_of_which_nothing_can_be_honoured_is_not_accepted_nor_counted() -> None:
    extension = {"type": "ExtensionRef", "extensionRef": {"group": "x.example", "kind": "Wish", "name": "w"}}

    world = resolved(*edge(), service(), route("home", rule("web", filters=[extension])))

    assert said(world, HOME, "Accepted") == ("False", "UnsupportedValue")
    assert said(world, HOME, "ResolvedRefs") == ("False", "InvalidKind")
    assert isinstance(routes(world)[0].action, Respond)
    assert _attached(world) == 0


def test_filters_of_one_of_several_backends_are_for_its_share_alone() -> None:
    rewrite = {"type": "URLRewrite", "urlRewrite": {"hostname": "x.example"}}
    copied = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "web", "port": 80}, "percent": 5}}
    redirect = {"type": "RequestRedirect", "requestRedirect": {"hostname": "y.example"}}
    asked: tuple[list[dict[str, Any]], ...] = ([rewrite, copied], [redirect], [])
    refs = [{"name": "web", "port": 80, "filters": filters} for filters in asked]

    world = resolved(*edge(), service(), route("home", {"backendRefs": refs}))

    action = routes(world)[0].action
    assert isinstance(action, Forward)
    assert [share.apart for share in action.backends] == [
        Apart(rewrite_host="x.example", mirrors=(Mirror(cluster=ClusterName("Service/shop/web/80"), numerator=5),)),
        Apart(redirect=Redirect(host="y.example")),
        None,
    ]
    assert problems(world, HOME) == []


def test_filters_of_one_of_several_backends_cost_it_its_share_if_envoy_cannot_do_them() -> None:
    rewrite = {"type": "CORS", "cors": {"allowOrigins": ["https://x.example"]}}
    added = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "A", "value": "b"}]}}
    refs = [{"name": "web", "port": 80, "filters": [rewrite]}, {"name": "web", "port": 80, "filters": [added]}]

    world = resolved(*edge(), service(), route("home", {"backendRefs": refs}))

    action = routes(world)[0].action
    assert isinstance(action, Forward)
    assert [share.cluster for share in action.backends] == [None, "Service/shop/web/80"]
    assert action.backends[1].response_headers is not None
    assert problems(world, HOME)[0].path == "$.spec.rules[0].backendRefs[0].filters[0].type"


def test_a_mirror_that_leads_nowhere_is_left_out_and_said() -> None:
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "none", "port": 80}}}

    world = resolved(*edge(), service(), route("home", rule("web", filters=[mirror])))

    action = routes(world)[0].action
    assert isinstance(action, Forward)
    assert action.mirrors == ()
    assert problems(world, HOME)[0].path == "$.spec.rules[0].filters[0].requestMirror.backendRef.name"


def test_a_timeout_of_a_session_that_is_not_kept_is_warned_about() -> None:
    lasting = {"type": "Cookie", "absoluteTimeout": "1h"}
    world = resolved(*edge(), service(), route("home", rule("web", sessionPersistence=lasting)))

    assert [problem.severity for problem in problems(world, HOME)] == ["warning"]
    assert problems(world, HOME)[0].path == "$.spec.rules[0].sessionPersistence.absoluteTimeout"
    assert said(world, HOME, "Accepted") == ("True", "Accepted")


def test_replacing_a_prefix_that_did_not_match_is_refused() -> None:
    modifier = PathModifier(type="ReplacePrefixMatch", replace_prefix_match="/")
    written = HTTPRouteFilter(type="URLRewrite", url_rewrite=URLRewriteFilter(path=modifier))
    match = HTTPRouteMatch(path=HTTPPathMatch(type="Exact", value="/a"))
    # The rules of decoding refuse this; the resolver must not depend on them.
    spec = HTTPRouteSpec(
        parent_refs=(ParentReference(name="edge"),), rules=(HTTPRouteRule(matches=(match,), filters=(written,)),)
    )
    home = Object(kind="HTTPRoute", meta=route("home").meta, spec=spec)

    world = resolved(*edge(), home)

    assert said(world, HOME, "Accepted") == ("False", "IncompatibleFilters")


def test_of_headers_with_equivalent_names_the_first_counts() -> None:
    headers = {"set": [{"name": "A", "value": "1"}], "remove": ["B", "C"]}
    filters = [{"type": "RequestHeaderModifier", "requestHeaderModifier": headers}]

    world = resolved(*edge(), service(), route("home", rule("web", filters=filters)))

    edits = routes(world)[0].request_headers
    assert edits is not None
    assert (edits.set, edits.remove) == ((("A", "1"),), ("B", "C"))


def _attached(world: Resolver) -> int:
    body = next(status.body for key, status in world.statuses.items() if key == "Gateway/shop/edge")
    count = body["listeners"][0]["attachedRoutes"]
    assert isinstance(count, int)
    return count
