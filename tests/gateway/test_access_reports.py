"""Access reports: what is said of each target; the golden cases have most of it."""

from typing import Any

import pytest

from tests.gateway.test_access import GROUP, LAN, policy, world
from tests.gateway.world import made, problems, said


def test_a_policy_in_force_is_said_to_the_gateways_of_its_targets() -> None:
    found = world(policy("p", **LAN), policy("q", "Gateway/edge", "http", **LAN))

    assert [said(found, f"AccessPolicy/shop/{name}", "Accepted") for name in "pq"] == [("True", "Accepted")] * 2
    assert problems(found, "AccessPolicy/shop/p") == []


@pytest.mark.parametrize(
    ("ref", "path", "words"),
    [
        ({"kind": "HTTPRoute", "name": "hone"}, "name", "There is no HTTPRoute shop/hone."),
        ({"kind": "HTTPRoute", "name": "home", "sectionName": "onne"}, "sectionName", "no rule named onne"),
        ({"kind": "Gateway", "name": "edge", "sectionName": "https"}, "sectionName", "no listener https"),
        ({"kind": "TCPRoute", "name": "home"}, "kind", "cannot apply to a TCPRoute"),
    ],
)
def test_a_target_that_is_none_is_named(ref: dict[str, Any], path: str, words: str) -> None:
    spec = {"targetRefs": [{"group": GROUP, **ref}], **LAN}
    (problem,) = problems(world(made("AccessPolicy", "p", {"spec": spec})), "AccessPolicy/shop/p")

    assert problem.path == f"$.spec.targetRefs[0].{path}"
    assert words in problem.message
