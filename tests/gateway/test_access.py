"""Access: which policy applies, what it closes, and that no secret is said."""

from typing import Any

import pytest

from seawall.gateway.access import CLOSED, KINDS, is_target
from seawall.gateway.entrance import Access
from seawall.gateway.explain import explain
from seawall.gateway.graph import ObjectKey, Respond, Route
from seawall.gateway.matching import parse_request
from seawall.gateway.objects import Object
from seawall.gateway.resolve import Resolver
from seawall.gateway.resources.refs import LocalPolicyTargetReferenceWithSectionName as Target
from tests.gateway.world import edge, made, problems, resolved, route, routes, rule, said, service

GROUP = "gateway.networking.k8s.io"
LAN: dict[str, Any] = {"addresses": {"allow": ["10.0.0.0/8"]}}
KEYS: dict[str, Any] = {"apiKeys": {"secrets": [{"name": "keys"}], "clientHeader": "X-Client"}}
USERS: dict[str, Any] = {"basicAuth": {"secret": {"name": "users"}, "userHeader": "X-User"}}
GOOD = "ada:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="


def policy(label: str, target: str = "HTTPRoute/home", section: str = "", at: int = 0, **spec: Any) -> Object:
    kind, name = target.split("/")
    ref = {"group": GROUP, "kind": kind, "name": name, **({"sectionName": section} if section else {})}
    return made("AccessPolicy", label, {"spec": {"targetRefs": [ref], **spec}}, at=at)


def opaque(name: str, **entries: str) -> Object:
    return made("Secret", name, {"stringData": {key.replace("_", "."): value for key, value in entries.items()}})


def world(*objects: Object, **beside: Any) -> Resolver:
    named = (rule("web", name="one"), rule("web", name="two", matches=[{"path": {"value": "/two"}}]))
    return resolved(*edge(), service(), route("home", *named), *objects, **beside)


def of(found: Resolver, name: str = "one") -> Route:
    return next(one for one in routes(found) if one.name == f"shop/home/{name}/0")


def applied(found: Resolver, name: str = "one") -> Access:
    admitted = of(found, name).admitted
    assert admitted is not None
    return admitted.by


def is_closed(found: Resolver, name: str = "one") -> bool:
    return of(found, name).action == Respond(status=500, reason=CLOSED)


def test_the_nearest_policy_applies_whole_as_policies_come_and_go() -> None:
    objects = [
        policy("gateway", "Gateway/edge", **LAN),
        policy("listener", "Gateway/edge", "http", **LAN),
        policy("route", **LAN),
        policy("rule", section="one", **LAN),
    ]
    found = world(*objects)
    assert applied(found, "two").name == "shop/route"
    seen = []
    for obj in reversed(objects):
        seen.append(applied(found).name)
        found.update(remove=[obj.key])

    assert seen == ["shop/rule", "shop/route", "shop/listener", "shop/gateway"]
    assert of(found).admitted is None


def test_of_two_the_older_applies_and_the_younger_says_so() -> None:
    found = world(policy("a", at=2, **LAN), policy("b", at=1, **LAN))

    assert applied(found).name == "shop/b"
    assert said(found, "AccessPolicy/shop/b", "Accepted") == ("True", "Accepted")
    assert said(found, "AccessPolicy/shop/a", "Accepted") == ("False", "Conflicted")


def test_a_grpc_route_is_protected_as_well() -> None:
    grpc = made("GRPCRoute", "calls", {"spec": {"parentRefs": [{"name": "edge"}], "rules": [{}]}})
    found = resolved(*edge(), grpc, policy("p", "GRPCRoute/calls", **LAN))

    (only,) = routes(found)
    assert only.admitted is not None
    assert said(found, "AccessPolicy/shop/p", "Accepted") == ("True", "Accepted")


@pytest.mark.parametrize(
    ("spec", "secret", "words"),
    [
        (KEYS, None, "There is no Secret shop/keys."),
        (KEYS, opaque("keys"), "nobody could pass"),
        (KEYS, opaque("keys", web="  "), "no usable key for web"),
        (KEYS, opaque("keys", web="hush hush"), "no usable key for web"),
        (KEYS, opaque("keys", a="hush", b="hush"), "the same key for b as there is for a"),
        (USERS, None, "There is no Secret shop/users."),
        (USERS, opaque("users", other="hush"), "no entry .htpasswd"),
        (USERS, opaque("users", _htpasswd="\n"), "no users"),
        (USERS, opaque("users", _htpasswd="ada:hush"), "line 1 of .htpasswd that is not hashed with SHA"),
        (USERS, opaque("users", _htpasswd="ada:{SHA}hush"), "line 1 of .htpasswd that is not hashed with SHA"),
        (USERS, opaque("users", _htpasswd=f"{GOOD}\n\n{GOOD}"), "line 3 of .htpasswd"),
        (USERS, opaque("users", _htpasswd="hush"), "no user"),
        (USERS, made("Secret", "users", {"data": {".htpasswd": "//8="}}), "no text"),
    ],
)
def test_what_cannot_be_followed_stays_closed(spec: dict[str, Any], secret: Object | None, words: str) -> None:
    objects = (secret,) if secret is not None else ()
    found = world(policy("p", section="one", **spec), *objects)

    assert is_closed(found)
    assert not is_closed(found, "two")
    assert said(found, "AccessPolicy/shop/p", "Accepted") == ("False", "InvalidSecretRef")
    (problem,) = problems(found, "AccessPolicy/shop/p")
    assert words in problem.message
    assert "hush" not in str(found.statuses)


def test_two_secrets_may_not_know_the_same_client() -> None:
    keys = {"secrets": [{"name": "keys"}, {"name": "more"}]}
    found = world(policy("p", apiKeys=keys), opaque("keys", web="a"), opaque("more", web="b"))

    assert is_closed(found)
    assert "has a client web, as another Secret" in problems(found, "AccessPolicy/shop/p")[0].message


def test_it_opens_when_the_secret_comes_and_closes_when_it_goes() -> None:
    found = world(policy("p", **KEYS))
    secret = opaque("keys", web="hush\n")
    seen = [is_closed(found)]
    found.update(put=[secret])
    seen.append(is_closed(found))
    keys = applied(found).keys
    assert keys is not None
    assert [(client, key.reveal()) for client, key in keys.clients] == [("web", b"hush")]
    found.update(remove=[secret.key])
    seen.append(is_closed(found))

    assert seen == [True, False, True]


def test_a_policy_that_envoy_refused_closes_what_it_protects() -> None:
    objects = (policy("wide", **LAN), policy("near", section="one", **LAN))
    found = world(*objects, quarantine={ObjectKey("AccessPolicy/shop/near"): "bad tree"})

    assert is_closed(found)
    assert not is_closed(found, "two")
    assert said(found, "AccessPolicy/shop/near", "Programmed") == ("False", "Invalid")
    assert "bad tree" in problems(found, "AccessPolicy/shop/near")[0].message


def test_explain_says_what_is_asked_and_never_a_secret() -> None:
    rules = [{"name": "read", "action": "allow", "methods": ["GET"], "mode": "observe"}]
    csrf: dict[str, Any] = {"mode": "observe"}
    more: dict[str, Any] = {"authorization": {"rules": rules}, "csrf": csrf}
    found = world(
        policy("p", section="one", **LAN, **KEYS, **more),
        policy("q", "Gateway/edge", **USERS),
        opaque("keys", web="hush"),
        opaque("users", _htpasswd=GOOD),
    )

    text = "\n".join(explain(found.graph, parse_request("GET", "http://any.example/")).filters)

    assert "access shop/p: addresses: 1 networks allowed, 0 denied" in text
    assert "access shop/p: an API key in header x-api-key" in text
    assert "no changes from foreign sites (observe: counted, never refused)" in text
    assert "rule read: allow (observe: counted, never refused)" in text
    assert "access shop/p is more specific than AccessPolicy/shop/q, or older: they do not apply" in text
    assert "hush" not in text and "ada" not in text
    assert "hush" not in str(found.graph.hosts)


def test_what_a_policy_can_apply_to() -> None:
    assert all(is_target(Target(group=GROUP, kind=kind, name="a")) for kind in KINDS)
    assert not is_target(Target(group="", kind="Service", name="a"))
