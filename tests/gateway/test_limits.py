"""Limits: which RateLimitPolicy applies to which route, as things come and go."""

from typing import Any

from seawall.gateway.explain import explain
from seawall.gateway.graph import ObjectKey
from seawall.gateway.matching import parse_request
from seawall.gateway.objects import Object
from seawall.gateway.resolve import Resolver
from tests.gateway.world import edge, listener_set, made, problems, resolved, said

GROUP = "gateway.networking.k8s.io"


def policy(label: str, target: str = "HTTPRoute/a", section: str = "", at: int = 0, **spec: Any) -> Object:
    kind, name = target.split("/")
    ref = {"group": GROUP, "kind": kind, "name": name, **({"sectionName": section} if section else {})}
    limits = [{"name": "all", "requests": 10}]
    return made("RateLimitPolicy", label, {"spec": {"targetRefs": [ref], "limits": limits, **spec}}, at=at)


def redirect(name: str = "a", *rules: str, parent: str = "Gateway/edge") -> Object:
    kind, owner = parent.split("/")
    made_of = [
        {
            "name": rule,
            "matches": [{"path": {"value": f"/{rule}"}}],
            "filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "b.example"}}],
        }
        for rule in rules or ("one", "two")
    ]
    parents = [{"kind": kind, "name": owner}]
    return made(
        "HTTPRoute", name, {"spec": {"parentRefs": parents, "hostnames": [f"{name}.example"], "rules": made_of}}
    )


def applied(world: Resolver) -> dict[str, str]:
    """Say by which policy each route is limited."""
    return {
        route.name: route.limited.by.name if route.limited else ""
        for host in world.graph.hosts.values()
        for route in host.routes
    }


def test_rule_goes_before_route_before_listener_before_gateway() -> None:
    objects = [
        policy("gateway", "Gateway/edge"),
        policy("listener", "Gateway/edge", "http"),
        policy("route"),
        policy("rule", "HTTPRoute/a", "one"),
    ]
    world = resolved(*edge(), redirect(), *objects)
    found = [applied(world)]
    for obj in reversed(objects):
        world.update(remove=[obj.key])
        found.append(applied(world))

    one, two = "shop/a/one/0", "shop/a/two/0"
    assert [(each[one], each[two]) for each in found] == [
        ("shop/rule", "shop/route"),
        ("shop/route", "shop/route"),
        ("shop/listener", "shop/listener"),
        ("shop/gateway", "shop/gateway"),
        ("", ""),
    ]


def test_the_oldest_of_several_applies_and_the_next_when_it_is_gone_or_refused() -> None:
    young, old = policy("a", at=2), policy("b", at=1)
    world = resolved(*edge(), redirect(), young, old)
    assert set(applied(world).values()) == {"shop/b"}
    assert said(world, "RateLimitPolicy/shop/a", "Accepted") == ("False", "Conflicted")

    world.update(quarantine={old.key: "too much"})
    assert set(applied(world).values()) == {"shop/a"}
    assert said(world, "RateLimitPolicy/shop/a", "Programmed") == ("True", "Programmed")
    assert said(world, "RateLimitPolicy/shop/b", "Programmed") == ("False", "Invalid")

    world.update(quarantine={})
    world.update(remove=[old.key])
    assert set(applied(world).values()) == {"shop/a"}


def test_routes_of_a_listener_set_have_the_limits_of_its_gateway_and_none_of_its_listeners() -> None:
    own = {"name": "http", "port": 81, "protocol": "HTTP"}
    allowed = {"namespaces": {"from": "Same"}}
    gateway = edge(allowedListeners=allowed)
    route = redirect("a", parent="ListenerSet/more")
    world = resolved(
        *gateway, listener_set("more", own), route, policy("g", "Gateway/edge"), policy("l", "Gateway/edge", "http")
    )

    assert set(applied(world).values()) == {"shop/g"}


def test_a_policy_of_another_namespace_limits_nobody_here() -> None:
    ref = {"group": GROUP, "kind": "HTTPRoute", "name": "a"}
    body = {"spec": {"targetRefs": [ref], "limits": [{"name": "all", "requests": 1}]}}
    world = resolved(*edge(), redirect(), made("RateLimitPolicy", "p", body, namespace="other"))

    assert set(applied(world).values()) == {""}
    assert "There is no HTTPRoute other/a" in problems(world, "RateLimitPolicy/other/p")[0].message


def test_an_update_ends_as_a_rebuild_would() -> None:
    objects = [*edge(), redirect(), redirect("b"), policy("g", "Gateway/edge"), policy("r", "HTTPRoute/b")]
    world = resolved(*objects)
    changed = policy("g", "Gateway/edge", limits=[{"name": "all", "requests": 3}])
    world.update(put=[changed])

    whole = resolved(*[changed if obj.key == changed.key else obj for obj in objects])
    assert (dict(world.graph.hosts), dict(world.statuses)) == (dict(whole.graph.hosts), dict(whole.statuses))


def test_explain_says_the_limits_and_which_policies_do_not_apply() -> None:
    keys = [{"type": "client", "ipv4Prefix": 24}, {"type": "header", "name": "X-Tenant"}, {"type": "path"}]
    limits = [
        {"name": "each", "requests": 100, "window": "1m", "burst": 20, "keys": keys},
        {"name": "all", "requests": 5},
    ]
    world = resolved(
        *edge(), redirect(), policy("own", limits=limits), policy("g", "Gateway/edge"), policy("late", at=9)
    )
    found = explain(world.graph, parse_request("GET", "http://a.example/one"))

    assert found.filters == (
        "limit shop/own/each: 100 requests in 60 s (at once 20) for each client (IPv4 /24, IPv6 /64) and header x-tenant"
        " and path on each edge, above it 429",
        "limit shop/own/all: 5 requests in 1 s (at once 5) for all together on each edge, above it 429",
        "limit shop/own is more specific than RateLimitPolicy/shop/late, RateLimitPolicy/shop/g, or older: "
        "they do not apply",
    )


def test_explain_says_that_a_shadow_refuses_nothing() -> None:
    world = resolved(*edge(), redirect(), policy("own", mode="shadow"))

    (said_of,) = explain(world.graph, parse_request("GET", "http://a.example/one")).filters

    assert said_of.endswith("shadow: counted, never refused")


def test_what_a_policy_targets_besides_does_not_keep_it_from_applying() -> None:
    refs = [{"group": GROUP, "kind": "HTTPRoute", "name": name} for name in ("a", "missing")]
    world = resolved(*edge(), redirect(), policy("p", targetRefs=refs))

    assert set(applied(world).values()) == {"shop/p"}
    (problem,) = problems(world, "RateLimitPolicy/shop/p")
    assert (problem.path, problem.object) == ("$.spec.targetRefs[1].name", ObjectKey("RateLimitPolicy/shop/p"))


def test_a_limit_that_the_fleet_shares_has_a_slot_and_is_said_to_be_shared() -> None:
    world = resolved(*edge(), redirect(), policy("own", scope="fleet"))

    (limit,) = world.graph.quotas.values()
    assert limit.slot is not None
    assert "shared by the fleet" in explain(world.graph, parse_request("GET", "http://a.example/one")).filters[0]

    world.update(put=[policy("own")])
    assert dict(world.graph.quotas) == {}
