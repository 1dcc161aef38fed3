"""What a request would meet, read off the message that Envoy gets."""

from typing import Any

import msgspec

from seawall.envoy import filters
from seawall.envoy.proto import as_json, message
from seawall.envoy.routes import virtual_host
from seawall.gateway.graph import (
    Apart,
    ClusterName,
    Cors,
    Forward,
    HeaderEdits,
    Hostname,
    Redirect,
    Respond,
    RouteMatch,
    ValueMatch,
    VirtualHost,
    WeightedBackend,
)
from tests.envoy.graphs import host, route


def built(value: VirtualHost) -> dict[str, Any]:
    fields = virtual_host(value, domains=(Hostname("*"),))
    return as_json(message("envoy.config.route.v3.VirtualHost")(**fields))


def test_every_virtual_host_ends_with_a_404_of_its_own() -> None:
    last = built(host("shop.example", route()))["routes"][-1]

    assert last == {"name": "not-found", "match": {"prefix": "/"}, "direct_response": {"status": 404}}


def test_a_prefix_matches_whole_elements_and_the_root_matches_all() -> None:
    routes = built(host("a", route(match=RouteMatch(path="/v2")), route(match=RouteMatch(path="/"))))["routes"]

    assert [r["match"] for r in routes[:2]] == [{"path_separated_prefix": "/v2"}, {"prefix": "/"}]


def test_method_headers_and_query_must_all_hold() -> None:
    match = RouteMatch(
        path_type="Exact",
        path="/x",
        method="POST",
        headers=(ValueMatch(name="version", value="1"), ValueMatch(name="env", type="RegularExpression", value="a+")),
        query=(ValueMatch(name="q", value="2"),),
    )

    found = built(host("a", route(match=match)))["routes"][0]["match"]

    assert found == {
        "path": "/x",
        "headers": [
            {"name": ":method", "string_match": {"exact": "POST"}},
            {"name": "version", "string_match": {"exact": "1"}},
            {"name": "env", "string_match": {"safe_regex": {"regex": "a+"}}},
        ],
        "query_parameters": [{"name": "q", "string_match": {"exact": "2"}}],
    }


def test_a_percent_sign_in_a_header_is_not_a_formatter_command() -> None:
    edits = HeaderEdits(set=(("x-share", "100%"),), add=(("x-add", "a"),), remove=("x-gone",))
    edited = msgspec.structs.replace(route(), request_headers=edits)

    found = built(host("a", edited))["routes"][0]

    assert found["request_headers_to_add"][0]["header"]["value"] == "100%%"
    appends = [option.get("append_action", "APPEND_IF_EXISTS_OR_ADD") for option in found["request_headers_to_add"]]
    assert appends == ["OVERWRITE_IF_EXISTS_OR_ADD", "APPEND_IF_EXISTS_OR_ADD"]
    assert found["request_headers_to_remove"] == ["x-gone"]


def test_an_object_in_quarantine_answers_500_and_tells_no_client_why() -> None:
    found = built(host("a", route(action=Respond(status=500, reason="Envoy refused it."))))["routes"][0]

    assert found["direct_response"] == {"status": 500}


def test_a_redirect_without_a_port_drops_the_port_of_the_request() -> None:
    found = built(host("shop.example", route(action=Redirect(scheme="https", status=301))))["routes"][0]["redirect"]

    assert found == {"scheme_redirect": "https", "host_redirect": "shop.example"}


def test_a_redirect_on_a_wildcard_host_names_the_default_port_of_its_scheme() -> None:
    found = built(host("*.example", route(action=Redirect(scheme="https", status=308))))["routes"][0]["redirect"]

    assert found == {"scheme_redirect": "https", "port_redirect": 443, "response_code": "PERMANENT_REDIRECT"}


def test_cors_fills_its_place_in_the_chain_and_preflights_stay_here() -> None:
    cors = Cors(allow_origins=("https://*.bar.com", "https://a.example"), allow_methods=("GET", "PUT"), max_age=60)
    value = host("a", msgspec.structs.replace(route(), cors=cors))

    policy = built(value)["routes"][0]["typed_per_filter_config"][filters.CORS]

    assert policy["allow_origin_string_match"] == [
        {"safe_regex": {"regex": "https://.*\\.bar\\.com"}},
        {"exact": "https://a.example"},
    ]
    assert policy["forward_not_matching_preflights"] is False
    assert (policy["allow_methods"], policy["max_age"]) == ("GET, PUT", "60")


def test_shares_that_are_treated_apart_are_routes_whose_fractions_add_up() -> None:
    apart = (Apart(rewrite_host="x.example"), Apart(redirect=Redirect(host="y.example")), None)
    shares = zip(apart, (1, 1, 2), strict=True)
    action = Forward(
        backends=tuple(WeightedBackend(cluster=ClusterName("c"), weight=weight, apart=one) for one, weight in shares)
    )

    first, second, third, _ = built(host("a", route(action=action)))["routes"]

    numerators = [one["match"]["runtime_fraction"]["default_value"]["numerator"] for one in (first, second)]
    assert numerators == [250_000, 500_000]
    assert "runtime_fraction" not in third["match"]
    assert first["route"]["host_rewrite_literal"] == "x.example"
    assert second["redirect"]["host_redirect"] == "y.example"
    assert "host_rewrite_literal" not in third["route"]
    assert len({one["name"] for one in (first, second, third)}) == 3
