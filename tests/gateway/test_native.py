"""Native filters: which apply to a listener, and what is said of their policies."""

from typing import Any

from seawall.gateway.graph import ListenerName, ObjectKey
from seawall.gateway.objects import Object
from seawall.gateway.resolve import Resolver
from seawall.gateway.rules.rule import Finding
from tests.gateway.world import HTTP, edge, https, listener_set, made, pair, problems, resolved, said

LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
PLAIN, SECURE = ListenerName("tcp/127.0.0.1/80"), ListenerName("tcp/127.0.0.1/443")


def policy(label: str, /, *filters: str, at: int = 0, section: str | None = None, **target: Any) -> Object:
    ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", **target}
    ref |= {"sectionName": section} if section else {}
    wanted = [{"name": one, "typedConfig": {"@type": LUA, "statPrefix": label}} for one in filters or ("lua",)]
    return made("HTTPFilterPolicy", label, {"spec": {"targetRefs": [ref], "filters": wanted}}, at=at)


def filters(resolver: Resolver, listener: ListenerName = PLAIN, chain: int = 0) -> list[str]:
    return [one.name for one in resolver.graph.listeners[listener].chains[chain].filters]


def test_filters_come_in_the_order_written_and_those_of_older_policies_first() -> None:
    world = resolved(*edge(), policy("young", "a", at=2), policy("old", "b", "a", at=1))

    assert filters(world) == ["shop/old/b", "shop/old/a", "shop/young/a"]
    assert world.graph.listeners[PLAIN].chains[0].filters[0].config == b'{"statPrefix":"old"}'
    assert said(world, "HTTPFilterPolicy/shop/old", "Programmed") == ("True", "Programmed")


def test_a_policy_for_one_listener_goes_before_those_for_its_gateway() -> None:
    one, other = https("one", "one.example"), https("other", "other.example")
    world = resolved(*edge(one, other), pair(), policy("all"), policy("own", at=1, section="one"))

    assert filters(world, SECURE, 0) == ["shop/own/lua"]
    assert filters(world, SECURE, 1) == ["shop/all/lua"]
    (warning,) = problems(world, "HTTPFilterPolicy/shop/all")
    assert (warning.severity, "HTTPFilterPolicy/shop/own" in warning.message) == ("warning", True)
    assert said(world, "HTTPFilterPolicy/shop/all", "Programmed") == ("True", "Programmed")


def test_listeners_that_a_listener_set_adds_have_the_filters_of_the_gateway() -> None:
    gateway = edge(allowedListeners={"namespaces": {"from": "Same"}})
    world = resolved(*gateway, listener_set("more", {**HTTP, "port": 8080}), policy("all"))

    assert filters(world, ListenerName("tcp/127.0.0.1/8080")) == ["shop/all/lua"]


def test_plain_listeners_of_one_port_share_their_filters() -> None:
    one, other = {**HTTP, "hostname": "one.example"}, {**HTTP, "name": "other", "hostname": "other.example"}

    world = resolved(*edge(one, other), policy("own", section="other"))

    assert filters(world) == ["shop/own/lua"]


def test_a_listener_can_be_traced_to_the_policies_in_it() -> None:
    world = resolved(*edge(), policy("all"))

    origins = (ObjectKey("Gateway/shop/edge"), ObjectKey("HTTPFilterPolicy/shop/all"))
    assert world.graph.listeners[PLAIN].origins == origins


def test_a_policy_that_envoy_refuses_is_left_out_and_others_stay() -> None:
    quarantine = {ObjectKey("HTTPFilterPolicy/shop/ill"): "script load error"}
    world = resolved(*edge(), policy("ill"), policy("well"), quarantine=quarantine)

    assert filters(world) == ["shop/well/lua"]
    assert said(world, "HTTPFilterPolicy/shop/ill", "Programmed") == ("False", "Invalid")
    assert "script load error" in problems(world, "HTTPFilterPolicy/shop/ill")[0].message


def test_a_configuration_that_does_not_fit_its_type_is_said_with_its_place() -> None:
    def check(type_url: str, config: object) -> Finding | None:
        return Finding(path=".x", message=f"{type_url[-3:]} {config}", hint="Correct it.")

    resolver = Resolver(check_filter=check)
    resolver.update(put=[*edge(), policy("ill")])

    (problem,) = problems(resolver, "HTTPFilterPolicy/shop/ill")
    assert (problem.path, problem.message) == ("$.spec.filters[0].typedConfig.x", "Lua {'statPrefix': 'ill'}")
    assert filters(resolver) == []
    assert said(resolver, "HTTPFilterPolicy/shop/ill", "Accepted") == ("False", "Invalid")


def test_a_target_that_is_not_there_or_takes_no_filters_is_told() -> None:
    passthrough = {"name": "tls", "port": 443, "protocol": "TLS", "tls": {"mode": "Passthrough"}}
    world = resolved(
        *edge(HTTP, passthrough),
        policy("route", kind="HTTPRoute"),
        policy("typo", name="edgee"),
        policy("section", section="htpp"),
        policy("tls", section="tls"),
    )

    found = {name: problems(world, f"HTTPFilterPolicy/shop/{name}")[0] for name in ("route", "typo", "section", "tls")}
    assert {name: problem.path for name, problem in found.items()} == {
        "route": "$.spec.targetRefs[0].kind",
        "typo": "$.spec.targetRefs[0].name",
        "section": "$.spec.targetRefs[0].sectionName",
        "tls": "$.spec.targetRefs[0].sectionName",
    }
    assert found["typo"].hint == "Did you mean edge?"
    assert "cannot apply to a HTTPRoute" in found["route"].message
    assert said(world, "HTTPFilterPolicy/shop/section", "Accepted") == ("False", "TargetNotFound")
    assert world.statuses[ObjectKey("HTTPFilterPolicy/shop/route")].body == {"ancestors": []}


def test_a_gateway_of_somebody_else_is_no_business_of_ours() -> None:
    other = made("GatewayClass", "seawall", {"spec": {"controllerName": "example.com/other"}})
    world = resolved(other, edge()[1], policy("all"))

    assert world.statuses[ObjectKey("HTTPFilterPolicy/shop/all")].body == {"ancestors": []}


def test_a_policy_changes_only_the_listener() -> None:
    world = resolved(*edge())

    change = world.update(put=[policy("all")])

    assert (change.listeners, change.hosts, change.clusters) == (frozenset({PLAIN}), frozenset(), frozenset())
