"""Protection policies: the oldest is in force for the whole fleet, and each field is checked where it stands."""

from typing import Any

import pytest

from seawall.gateway.graph import ObjectKey
from seawall.gateway.objects import Object
from tests.gateway.test_rules_own import TARGET, spoken
from tests.gateway.world import edge, made, problems, resolved


def policy(name: str, at: int = 0, target: dict[str, Any] | None = None, **spec: Any) -> Object:
    return made("ProtectionPolicy", name, {"spec": {"targetRefs": [target or TARGET], **spec}}, at=at)


def test_the_oldest_policy_of_a_gateway_of_ours_is_in_force_and_the_next_one_steps_in() -> None:
    lost = policy("lost", at=0, target={**TARGET, "name": "edgy"})
    world = resolved(*edge(), lost, policy("young", at=2, mode="enforce"), policy("old", at=1))

    assert world.graph.protection is not None
    assert world.graph.protection.name == "ProtectionPolicy/shop/old"
    assert "shop/old is older" in problems(world, "ProtectionPolicy/shop/young")[0].message
    assert problems(world, "ProtectionPolicy/shop/lost")[0].hint == "Did you mean edge?"
    conditions = world.statuses[ObjectKey("ProtectionPolicy/shop/old")].body["ancestors"][0]["conditions"]
    assert conditions[0]["status"] == "True"

    world.update(remove=[ObjectKey("ProtectionPolicy/shop/old")])
    assert world.graph.protection is not None
    assert world.graph.protection.spec.mode == "enforce"
    world.update(remove=[ObjectKey("ProtectionPolicy/shop/young")])
    assert world.graph.protection is None


def test_a_gateway_that_comes_later_brings_its_policy_into_force() -> None:
    world = resolved(policy("p"))
    assert world.graph.protection is None

    world.update(put=edge())
    assert world.graph.protection is not None


@pytest.mark.parametrize(
    "target", [{**TARGET, "kind": "HTTPRoute"}, {**TARGET, "sectionName": "http"}, {**TARGET, "group": "x.example"}]
)
def test_what_it_cannot_apply_to_is_said_with_the_way_out(target: dict[str, Any]) -> None:
    world = resolved(*edge(), policy("p", target=target))

    assert world.graph.protection is None
    (one,) = problems(world, "ProtectionPolicy/shop/p")
    assert "whole fleet" in one.message
    assert "allow.paths" in one.hint


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"mode": "on"}, "mode", "enforce"),
        ({"highest": "ban"}, "highest", "deny"),
        ({"sensitivity": 0}, "sensitivity", "0.1"),
        ({"floors": {"requests": 0}}, "floors.requests", "1"),
        ({"coldStart": "30h"}, "coldStart", "more than a day"),
        ({"allow": {"clients": ["0.0.0.0/0"]}}, "allow.clients[0]", "everybody"),
        ({"allow": {"clients": ["::/0"]}}, "allow.clients[0]", "everybody"),
        ({"protected": {"clients": ["10.0.0.1/8"]}}, "protected.clients[0]", "host bits"),
        ({"allow": {"paths": ["healthz"]}}, "allow.paths[0]", "no path"),
        ({"allow": {"paths": ["/a?b"]}}, "allow.paths[0]", "no path"),
        ({"allow": {"paths": ["/a", "/a"]}}, "allow.paths[1]", "second time"),
        ({"budgets": {"denied": 0.9}}, "budgets.denied", "0.5"),
        ({"budgets": {"verdicts": 250_001}}, "budgets.verdicts", "250000"),
        ({"quotas": [{"token": "a", "requests": 1}, {"token": "a", "requests": 2}]}, "quotas[1].token", "second time"),
    ],
)
def test_each_rule_fires_at_its_place(fields: dict[str, Any], path: str, words: str) -> None:
    found = spoken("ProtectionPolicy", {"targetRefs": [TARGET], **fields})

    assert any(at == path and words in message for at, message in found), found
