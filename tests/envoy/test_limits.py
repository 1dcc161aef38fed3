"""Limits in route tables: which places are filled, and with what."""

from typing import Any

from seawall.envoy import limits
from seawall.envoy.filters import GUARD_PLACE, POLICY_PLACE
from seawall.envoy.proto import as_json, decode
from seawall.fleet.quota import SCALE
from seawall.gateway.graph import Limit, Limited, LimitKey, ObjectKey, RateLimit, Respond, Route, RouteMatch
from seawall.kit.units import Seconds

PER_ROUTE = "envoy.extensions.filters.http.composite.v3.CompositePerRoute"


def policy(name: str, *keys: LimitKey, **fields: Any) -> RateLimit:
    limit = Limit(name="one", keys=keys, requests=10, window=Seconds(60), burst=20, max_keys=500)
    return RateLimit(name=name, origin=ObjectKey(f"RateLimitPolicy/{name}"), limits=(limit,), **fields)


def route(by: RateLimit | None) -> Route:
    limited = Limited(by=by) if by is not None else None
    action = Respond(status=200)
    return Route(name="r", origin=ObjectKey("o"), path="$", match=RouteMatch(), action=action, limited=limited)


def shown(filled: dict[str, Any], place: str) -> Any:
    return as_json(decode(PER_ROUTE, filled[place]["value"]))["matcher"]


def chain(matcher: Any) -> list[Any]:
    steps: list[Any] = matcher["on_no_match"]["action"]["typed_config"]["filter_chain"]["typed_config"]
    return steps


def test_without_a_policy_no_place_is_filled() -> None:
    assert limits.table_filters([route(None)], has_others=False) == {}


def test_one_policy_for_all_routes_needs_no_choice() -> None:
    filled = limits.table_filters([route(policy("a/p")), route(policy("a/p"))], has_others=False)

    assert set(filled) == {POLICY_PLACE}
    *_, last = chain(shown(filled, POLICY_PLACE))
    assert last["typed_config"]["stat_prefix"] == "ratelimit.a/p"


def test_routes_that_differ_are_told_apart_by_what_the_guard_notes() -> None:
    for others in ([route(None)], [route(policy("a/q"))]):
        filled = limits.table_filters([route(policy("a/p")), *others], has_others=False)

        assert set(filled) == {GUARD_PLACE, POLICY_PLACE}
        assert "a/p" in shown(filled, POLICY_PLACE)["matcher_tree"]["exact_match_map"]["map"]
    assert limits.table_filters([route(policy("a/p"))], has_others=True).keys() == {GUARD_PLACE, POLICY_PLACE}


def test_a_bucket_has_the_burst_fills_at_the_rate_and_is_one_of_so_many() -> None:
    key = LimitKey(type="client", prefixes=(24, 56))
    (*_, last) = chain(shown(limits.table_filters([route(policy("a/p", key))], has_others=False), POLICY_PLACE))

    config = last["typed_config"]
    (descriptor,) = config["descriptors"]
    assert descriptor["token_bucket"] == {"max_tokens": 20, "tokens_per_fill": 10, "fill_interval": "60s"}
    assert descriptor["entries"] == [{"key": "limit", "value": "one"}, {"key": "masked_remote_address"}]
    assert config["max_dynamic_descriptors"] == 500
    masks = config["rate_limits"][0]["actions"][1]["masked_remote_address"]
    assert masks == {"v4_prefix_mask_len": 24, "v6_prefix_mask_len": 56}


def test_only_values_that_need_it_are_extracted_and_a_fingerprint_cannot_be_forged() -> None:
    plain = limits.table_filters([route(policy("a/p", LimitKey(type="method")))], has_others=False)
    assert [step["name"] for step in chain(shown(plain, POLICY_PLACE))] == ["headers", "limit"]

    forged = limits.table_filters([route(policy("a/p", LimitKey(type="ja4")))], has_others=False)
    names = {step["name"]: step["typed_config"] for step in chain(shown(forged, POLICY_PLACE))}
    assert list(names) == ["headers", "ja4", "extract", "limit"]
    assert names["ja4"]["mutations"]["request_mutations"][0] == {"remove": "x-seawall-ja4"}
    assert names["extract"]["request_rules"][0]["remove"] is True


def test_a_shadow_writes_no_headers_and_says_nothing() -> None:
    steps = chain(shown(limits.table_filters([route(policy("a/p", is_shadow=True))], has_others=False), POLICY_PLACE))

    assert [step["name"] for step in steps] == ["limit"]
    assert steps[0]["typed_config"]["descriptors"][0]["shadow_mode"] is True


def test_equal_policies_give_equal_bytes_in_any_order() -> None:
    routes = [route(policy("a/p")), route(policy("a/q")), route(None)]

    assert limits.table_filters(routes, has_others=False) == limits.table_filters(routes[::-1], has_others=False)


def test_a_limit_of_the_fleet_is_counted_in_prices_and_writes_no_headers_of_its_own() -> None:
    filled = limits.table_filters([route(policy("a/p", slot=7))], has_others=False)
    cost, limit = chain(shown(filled, POLICY_PLACE))

    assert (cost["name"], limit["name"]) == ("cost", "limit")
    note = cost["typed_config"]["on_request_headers"][0]["format_string"]
    secret = note["formatters"][0]["typed_config"]["secret_configs"]["cost"]
    assert secret["sds_config"]["path_config_source"]["path"] == "quota/7.json"
    config = limit["typed_config"]
    bucket = config["descriptors"][0]["token_bucket"]
    assert (bucket["max_tokens"], bucket["tokens_per_fill"]) == (20 * SCALE, 10 * SCALE)
    assert config["rate_limits"][0]["hits_addend"] == {"format": "%FILTER_STATE(seawall.cost:PLAIN)%"}
    assert "enable_x_ratelimit_headers" not in config
    assert limits.price(7, 4000)["resources"][0]["name"] == secret["name"]


def test_a_body_is_only_for_what_this_edge_refuses_by_itself() -> None:
    filled = limits.table_filters([route(policy("a/p", body="slow down", status=503))], has_others=False)
    steps = {step["name"]: step["typed_config"] for step in chain(shown(filled, POLICY_PLACE))}

    (matcher,) = steps["body"]["custom_response_matcher"]["matcher_list"]["matchers"]
    predicates = matcher["predicate"]["and_matcher"]["predicate"]
    assert [one["single_predicate"]["value_match"]["exact"] for one in predicates] == ["503", "true"]
    said = {
        one["header"]["key"]: one["header"]["value"]
        for one in matcher["on_match"]["action"]["typed_config"]["response_headers_to_add"]
    }
    assert (said["Retry-After"], said["RateLimit-Limit"]) == ("6", "20")


def test_who_is_exempt_is_matched_before_anything_is_counted() -> None:
    exempt = {"exempt_clients": ("192.0.2.0/24", "2001:db8::1"), "exempt_headers": (("x-probe", "on"),)}
    filled = limits.table_filters([route(policy("a/p", **exempt))], has_others=False)

    (matcher,) = shown(filled, POLICY_PLACE)["matcher_list"]["matchers"]
    ip, header = matcher["predicate"]["or_matcher"]["predicate"]
    ranges = ip["single_predicate"]["custom_match"]["typed_config"]["cidr_ranges"]
    assert [(one["address_prefix"], one["prefix_len"]) for one in ranges] == [("192.0.2.0", 24), ("2001:db8::1", 128)]
    assert header["single_predicate"]["value_match"] == {"exact": "on"}
