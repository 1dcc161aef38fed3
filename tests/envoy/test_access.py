"""Access: what fills the places for which routes, and that what is shown keeps secrets."""

from typing import Any

import msgspec

from seawall.envoy import access
from seawall.envoy.filters import AUTHN, AUTHN_PLACE, AUTHZ, AUTHZ_PLACE
from seawall.envoy.proto import as_json, decode
from seawall.gateway.entrance import Access, Admitted, ExternalAuth, Keys, Provider, Tokens, Users
from seawall.gateway.graph import ObjectKey, Redirect, Route, RouteMatch
from seawall.gateway.resources.access import AccessRule, Addresses, Csrf, HeaderIs, KeySource, PathIs
from seawall.gateway.resources.tokens import KeySet, TokenProvider
from seawall.kit.secret import Secret
from tests.envoy.test_limits import chain, shown

KEYS = Keys(clients=(("web", Secret(b"hush")),), sources=(KeySource(cookie="k"),), client_header="x-client")
USERS = Users(lines=Secret(b"ada:{SHA}hush"), user_header="x-user")
TOKENS = Tokens(
    providers=(Provider(written=TokenProvider(name="id", keys=KeySet(inline="{}")), keys="{}"),), mode="observe"
)
READ = AccessRule(name="read", action="allow", methods=("GET",), paths=(PathIs(value="/"),))
SECRET = AccessRule(
    name="secret", action="deny", paths=(PathIs(type="Exact", value="/s"),), headers=(HeaderIs(name="X-A"),)
)


def policy(**fields: Any) -> Access:
    return Access(name="shop/p", origin="AccessPolicy/shop/p", **fields)


def route(by: Access | None) -> Route:
    return Route(
        name="r",
        origin=ObjectKey("HTTPRoute/shop/r"),
        path="$.spec.rules[0]",
        match=RouteMatch(),
        action=Redirect(host="b.example"),
        admitted=Admitted(by=by) if by is not None else None,
    )


def names(filled: dict[str, Any], place: str) -> list[str]:
    return [step["name"] for step in chain(shown(filled, place))] if place in filled else []


def step(by: Access, place: str, name: str) -> dict[str, Any]:
    shared, _ = access.filters_of([route(by)])
    return next(one["typed_config"] for one in chain(shown(shared, place)) if one["name"] == name)


def test_without_policies_nothing_is_filled() -> None:
    assert access.filters_of([]) == ({}, [])
    assert access.filters_of([route(None), route(None)]) == ({}, [{}, {}])


def test_one_policy_for_all_routes_stands_at_the_host_in_the_constant_order() -> None:
    everything = policy(
        addresses=Addresses(deny=("::1",)), keys=KEYS, users=USERS, tokens=TOKENS, csrf=Csrf(), rules=(READ, SECRET)
    )
    shared, own = access.filters_of([route(everything), route(everything)])

    assert own == [{}, {}]
    assert tuple(names(shared, AUTHN_PLACE)) == AUTHN
    assert tuple(names(shared, AUTHZ_PLACE)) == AUTHZ[:-1]


def test_a_service_is_asked_last() -> None:
    asked = ExternalAuth(protocol="HTTP", cluster="c")
    everything = msgspec.structs.replace(
        route(policy(tokens=TOKENS, csrf=Csrf(), rules=(READ, SECRET))), external_auth=asked
    )
    plain = msgspec.structs.replace(route(None), external_auth=asked)

    by_policy = policy(external_auth=ExternalAuth(protocol="GRPC", cluster="d", answered=("x-b",)))

    _, own = access.filters_of([everything, plain, route(None), route(by_policy)])

    assert tuple(names(own[0], AUTHZ_PLACE)) == AUTHZ
    assert names(own[1], AUTHZ_PLACE) == ["ask"]
    assert own[2].keys() == {AUTHN_PLACE}
    assert names(own[2], AUTHN_PLACE) == names(own[3], AUTHN_PLACE) == ["strip"]
    assert names(own[3], AUTHZ_PLACE) == ["ask"]


def test_routes_that_differ_have_their_own_and_all_strip_what_only_we_may_say() -> None:
    shared, (first, second, third) = access.filters_of(
        [route(policy(keys=KEYS)), route(policy(users=USERS)), route(None)]
    )

    assert shared == {}
    assert names(first, AUTHN_PLACE) == ["strip", "keys"]
    assert names(second, AUTHN_PLACE) == ["strip", "users"]
    assert names(third, AUTHN_PLACE) == ["strip"]
    (strip,) = chain(shown(third, AUTHN_PLACE))
    removed = strip["typed_config"]["mutations"]["request_mutations"]
    assert [one["remove"] for one in removed] == ["x-client", "x-user"]


def test_a_closed_route_has_no_filters_but_what_protects_others() -> None:
    closed = policy(keys=KEYS, rules=(READ,), fault="There is no Secret.")

    assert names(access.filters_of([route(closed)])[0], AUTHN_PLACE) == ["strip"]
    assert AUTHZ_PLACE not in access.filters_of([route(closed)])[0]


def test_who_is_in_no_network_passes_unless_some_are_allowed() -> None:
    for allow, otherwise in (((), "allow"), (("10.0.0.0/8",), "deny")):
        made = step(policy(addresses=Addresses(allow=allow, deny=("10.1.0.0/16",))), AUTHN_PLACE, "addresses")
        assert made["matcher"]["on_no_match"]["action"]["name"] == otherwise
        tree = made["matcher"]["matcher_tree"]["custom_match"]["typed_config"]["range_matchers"]
        assert tree[0]["ranges"] == [{"address_prefix": "10.1.0.0", "prefix_len": 16}]
        assert tree[0]["on_match"]["action"]["typed_config"]["action"] == "DENY"
        assert made["rules_stat_prefix"] == "access.shop/p.addresses."


def test_what_is_observed_is_in_the_shadow() -> None:
    watched = Addresses(deny=("::1",), mode="observe")
    assert set(step(policy(addresses=watched), AUTHN_PLACE, "addresses")) == {
        "@type",
        "shadow_matcher",
        "shadow_rules_stat_prefix",
    }
    seen = msgspec.structs.replace(READ, name="seen", mode="observe")
    made = step(policy(rules=(READ, seen)), AUTHZ_PLACE, "allow")
    assert (set(made["rules"]["policies"]), set(made["shadow_rules"]["policies"])) == ({"read"}, {"read", "seen"})
    hidden = msgspec.structs.replace(SECRET, mode="observe")
    made = step(policy(rules=(hidden,)), AUTHZ_PLACE, "deny")
    assert "rules" not in made and set(made["shadow_rules"]["policies"]) == {"secret"}
    made = step(policy(csrf=Csrf(mode="observe")), AUTHZ_PLACE, "csrf")
    assert made["shadow_enabled"]["default_value"] == {"numerator": 100}


def test_the_root_is_every_path_and_a_prefix_ends_where_an_element_does() -> None:
    below = AccessRule(name="a", action="deny", paths=(PathIs(value="/a/"),))
    permissions = step(policy(rules=(below, READ)), AUTHZ_PLACE, "deny")["rules"]["policies"]["a"]["permissions"]

    paths = [one["url_path"]["path"] for one in permissions[0]["or_rules"]["rules"]]
    assert paths == [{"exact": "/a"}, {"prefix": "/a/"}]


def test_what_is_shown_has_no_keys_and_no_passwords() -> None:
    for by in (policy(keys=KEYS), policy(users=USERS)):
        shared, _ = access.filters_of([route(by)])
        body = shared[AUTHN_PLACE]["value"]
        message = as_json(decode("envoy.extensions.filters.http.composite.v3.CompositePerRoute", body))
        text = str(access.redacted(message))
        assert "***" in text and "hush" not in text and "aHVzaA" not in text and "SHA" not in text
