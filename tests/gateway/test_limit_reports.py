"""Limit reports: what is said of a RateLimitPolicy's targets."""

from seawall.gateway.graph import ObjectKey
from seawall.gateway.limits import SLOTS
from tests.gateway.test_limits import GROUP, policy, redirect
from tests.gateway.world import edge, problems, resolved, said


def test_the_ancestors_are_the_gateway_itself_or_what_a_route_is_attached_to() -> None:
    refs = [
        {"group": GROUP, "kind": "Gateway", "name": "edge", "sectionName": "http"},
        {"group": GROUP, "kind": "HTTPRoute", "name": "a"},
    ]
    world = resolved(*edge(), redirect(), policy("p", targetRefs=refs))

    body = world.statuses[ObjectKey("RateLimitPolicy/shop/p")].body
    assert [(one["ancestorRef"]["kind"], one["ancestorRef"].get("sectionName")) for one in body["ancestors"]] == [
        ("Gateway", "http"),
        ("Gateway", None),
    ]
    assert said(world, "RateLimitPolicy/shop/p", "Accepted") == ("True", "Accepted")


def test_a_missing_target_is_named_with_what_was_meant() -> None:
    world = resolved(*edge(), redirect("shopfront"), policy("p", "HTTPRoute/shopfrnt"))

    (problem,) = problems(world, "RateLimitPolicy/shop/p")
    assert (problem.path, "shopfront" in problem.hint) == ("$.spec.targetRefs[0].name", True)


def test_only_a_policy_that_applies_overrides_another() -> None:
    gateway, other = policy("g", "Gateway/edge"), policy("r", "HTTPRoute/a", "one")
    world = resolved(*edge(), redirect(), gateway, other, policy("w", "HTTPRoute/a", "noe"))
    (warning,) = problems(world, "RateLimitPolicy/shop/g")
    assert (warning.severity, "HTTPRoute shop/a (one)" in warning.message) == ("warning", True)

    world.update(quarantine={other.key: "too much"})
    assert not problems(world, "RateLimitPolicy/shop/g")


def test_more_shared_policies_than_edges_can_follow_are_not_accepted_the_youngest_first() -> None:
    crowd = [policy(f"p{number}", at=number, scope="fleet") for number in range(SLOTS + 1)]
    world = resolved(*edge(), redirect(), *crowd)

    (problem,) = (one for one in problems(world, f"RateLimitPolicy/shop/p{SLOTS}") if "edge can follow" in one.message)
    assert problem.path == "$.spec.scope"
    assert (said(world, f"RateLimitPolicy/shop/p{SLOTS}", "Programmed") or ("",))[0] == "False"
    assert not [one for one in problems(world, "RateLimitPolicy/shop/p0") if "edge can follow" in one.message]
