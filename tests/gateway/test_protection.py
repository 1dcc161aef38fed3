"""ProtectionPolicy: which one is in force, what is said of the others, and what cannot be meant."""

from typing import Any

import pytest

from seawall.app.protecting import settings_of
from seawall.gateway.graph import ObjectKey
from seawall.gateway.objects import Object
from seawall.kit.units import Seconds
from tests.gateway.test_rules_own import spoken
from tests.gateway.world import edge, made, problems, resolved, said

GROUP = "gateway.networking.k8s.io"
TARGET = {"group": GROUP, "kind": "Gateway", "name": "edge"}


def policy(label: str, at: int = 0, target: dict[str, str] = TARGET, **spec: Any) -> Object:
    return made("ProtectionPolicy", label, {"spec": {"targetRefs": [target], **spec}}, at=at)


def test_without_a_policy_protection_observes() -> None:
    world = resolved(*edge())
    assert world.graph.protection is None
    assert not settings_of(world.graph.protection).enforces


def test_the_oldest_is_in_force_and_the_others_are_told() -> None:
    world = resolved(*edge(), policy("young", at=2), policy("old", at=1, mode="enforce"))

    assert world.graph.protection is not None
    assert world.graph.protection.name == "ProtectionPolicy/shop/old"
    assert said(world, "ProtectionPolicy/shop/old", "Accepted") == ("True", "Accepted")
    assert said(world, "ProtectionPolicy/shop/young", "Accepted") == ("False", "Conflicted")

    world.update(remove=[ObjectKey("ProtectionPolicy/shop/old")])
    assert world.graph.protection.name == "ProtectionPolicy/shop/young"
    assert said(world, "ProtectionPolicy/shop/young", "Accepted") == ("True", "Accepted")


def test_a_gateway_that_is_not_there_leaves_the_policy_without_effect() -> None:
    world = resolved(*edge(), policy("p", target={**TARGET, "name": "edgee"}))

    (problem,) = problems(world, "ProtectionPolicy/shop/p")
    assert (problem.path, "edge" in problem.hint) == ("$.spec.targetRefs[0].name", True)
    assert world.graph.protection is None


def test_it_applies_to_whole_gateways_only() -> None:
    world = resolved(*edge(), policy("p", target={**TARGET, "kind": "HTTPRoute", "name": "a"}))

    (problem,) = problems(world, "ProtectionPolicy/shop/p")
    assert "whole Gateway" in problem.message


def test_each_field_reaches_the_machine() -> None:
    spec: dict[str, Any] = {
        "mode": "enforce",
        "highest": "deny",
        "sensitivity": 2,
        "floors": {"route": 10, "client": 5, "cost": 2, "failures": 3},
        "learning": "1m",
        "allow": [{"client": "192.0.2.0/24", "path": "/hook"}],
        "protected": [{"agent": "Partner/1"}],
        "deniedShare": 0.01,
        "maxVerdicts": 500,
    }
    found = settings_of(resolved(*edge(), policy("p", **spec)).graph.protection)

    assert (found.enforces, found.highest, found.sensitivity, found.cold_start) == (True, 5, 2.0, Seconds(60.0))
    assert (found.floor, found.client_floor, found.cost_floor, found.failure_floor) == (10, 5, 2, 3)
    assert [str(one) for one in found.allow] == ["address=192.0.2.0/24 and path=/hook"]
    assert [str(one) for one in found.protected] == ["agent=Partner/1"]
    assert (found.denied_share, found.most_entries) == (0.01, 500)


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"mode": "on"}, "mode", "enforce"),
        ({"highest": "ban"}, "highest", "drop"),
        ({"sensitivity": 0}, "sensitivity", "0.1"),
        ({"floors": {"route": 0}}, "floors.route", "0"),
        ({"learning": "200h"}, "learning", "7 days"),
        ({"allow": [{}]}, "allow[0]", "every request"),
        ({"allow": [{"client": "10.0.0.1/8"}]}, "allow[0].client", "host bits"),
        ({"allow": [{"client": "0.0.0.0/0"}]}, "allow[0].client", "so wide"),
        ({"protected": [{"client": "::/8"}]}, "protected[0].client", "so wide"),
        ({"allow": [{"host": "a"}], "protected": [{"host": "a"}]}, "protected[0]", "also in allow"),
        ({"deniedShare": 2}, "deniedShare", "1"),
        ({"maxVerdicts": 10**6}, "maxVerdicts", "200000"),
        ({"unknown": 1}, "unknown", "unknown"),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_place(fields: dict[str, Any], path: str, words: str) -> None:
    ((place, message),) = spoken("ProtectionPolicy", {"targetRefs": [TARGET], **fields})

    assert place == path
    assert words in message
