"""Targets: what is said of them, the same of each kind of policy of ours."""

from typing import Any

import pytest

from seawall.gateway.graph import ObjectKey
from tests.gateway.world import edge, made, problems, resolved, route, rule, service

_GROUP = "gateway.networking.k8s.io"
_SPECS: dict[str, dict[str, Any]] = {
    "AccessPolicy": {"addresses": {"deny": ["192.0.2.1"]}},
    "TrafficPolicy": {"timeouts": {"request": "1s"}},
    "RateLimitPolicy": {"limits": [{"name": "all", "requests": 1, "window": "1s"}]},
}


@pytest.mark.parametrize("kind", sorted(_SPECS))
@pytest.mark.parametrize(
    ("target", "words", "hint"),
    [
        (("HTTPRoute", "hone", None), "There is no HTTPRoute shop/hone.", "Did you mean home?"),
        (("HTTPRoute", "home", "two"), "HTTPRoute shop/home has no rule named two.", "Name one of one."),
        (("Gateway", "edge", "https"), "Gateway shop/edge has no listener https.", "Name one of http."),
        (("Pod", "a", None), "cannot apply to a Pod", ""),
    ],
)
def test_what_is_no_target_is_said_with_a_remedy(
    kind: str, target: tuple[str, str, str | None], words: str, hint: str
) -> None:
    of, name, section = target
    ref = {"group": _GROUP, "kind": of, "name": name, **({"sectionName": section} if section else {})}
    policy = made(kind, "p", {"spec": {"targetRefs": [ref], **_SPECS[kind]}})

    world = resolved(*edge(), service(), route("home", rule("web", name="one")), policy)

    (said,) = problems(world, ObjectKey(f"{kind}/shop/p"))
    assert words in said.message
    assert hint in said.hint


@pytest.mark.parametrize("kind", sorted(_SPECS))
def test_the_newer_of_two_says_which_one_applies(kind: str) -> None:
    ref = {"group": _GROUP, "kind": "HTTPRoute", "name": "home"}
    older, newer = (
        made(kind, name, {"spec": {"targetRefs": [ref], **_SPECS[kind]}}, at=at) for name, at in (("b", 0), ("a", 1))
    )

    world = resolved(*edge(), service(), route("home", rule("web")), older, newer)

    assert problems(world, ObjectKey(f"{kind}/shop/b")) == []
    (said,) = problems(world, ObjectKey(f"{kind}/shop/a"))
    assert said.message == f"{kind}/shop/b has the same target and is older, or first by name; it applies."
