"""Rules for AccessPolicy: each fires when it should, at its place."""

from typing import Any

import pytest

from tests.gateway.test_rules_own import TARGET, spoken

KEYS: dict[str, Any] = {"secrets": [{"name": "keys"}]}
USERS: dict[str, Any] = {"secret": {"name": "users"}}


def _rule(**fields: Any) -> dict[str, Any]:
    return {"authorization": {"rules": [{"name": "a", "action": "deny", "methods": ["GET"], **fields}]}}


def test_a_whole_policy_is_taken() -> None:
    spec = {
        "targetRefs": [TARGET, {**TARGET, "kind": "GRPCRoute", "sectionName": "calls"}],
        "addresses": {"allow": ["192.0.2.0/24", "2001:db8::/32"], "deny": ["192.0.2.7"], "mode": "observe"},
        "apiKeys": {**KEYS, "sources": [{"header": "Authorization"}, {"query": "k"}], "clientHeader": "X-Client"},
        "csrf": {"origins": ["app.example.com:8443"], "mode": "observe"},
        **_rule(paths=[{"type": "Exact", "value": "/a"}], headers=[{"name": "X-A", "values": ["b"]}]),
    }

    assert spoken("AccessPolicy", spec) == []
    assert spoken("AccessPolicy", {"targetRefs": [TARGET], "basicAuth": {**USERS, "userHeader": "x-user"}}) == []


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({}, "$.spec", "asks for nothing"),
        ({"targetRefs": [TARGET, TARGET], "csrf": {}}, "targetRefs[1]", "twice"),
        ({"addresses": {}}, "addresses", "Neither allow nor deny"),
        ({"addresses": {"allow": ["192.0.2.1/24"]}}, "addresses.allow[0]", "host bits"),
        ({"addresses": {"deny": ["::1", "0:0::1"]}}, "addresses.deny[1]", "there twice"),
        ({"addresses": {"allow": ["::1"], "deny": ["0::1/128"]}}, "addresses.deny[0]", "in allow as well"),
        ({"addresses": {"deny": ["::1"], "mode": "log"}}, "addresses.mode", "log"),
        ({"apiKeys": {"secrets": []}}, "apiKeys.secrets", "empty"),
        ({"apiKeys": {"secrets": [{"name": "a"}, {"name": "a"}]}}, "apiKeys.secrets[1]", "second time"),
        ({"apiKeys": {**KEYS, "sources": [{}]}}, "apiKeys.sources[0]", "exactly one"),
        ({"apiKeys": {**KEYS, "sources": [{"header": "a", "query": "b"}]}}, "apiKeys.sources[0]", "exactly one"),
        ({"apiKeys": {**KEYS, "clientHeader": "Host"}}, "apiKeys.clientHeader", "means something else"),
        ({"basicAuth": {**USERS, "userHeader": "X-Forwarded-For"}}, "basicAuth.userHeader", "means something else"),
        ({"apiKeys": KEYS, "basicAuth": USERS}, "basicAuth", "not for both"),
        ({"csrf": {"origins": ["https://a.example"]}}, "csrf.origins[0]", "no host"),
        ({"csrf": {"origins": ["*.example"]}}, "csrf.origins[0]", "no host"),
        ({"authorization": {"rules": []}}, "authorization.rules", "empty"),
        (_rule(methods=[]), "authorization.rules[0]", "denies every request"),
        (_rule(methods=["get"]), "authorization.rules[0].methods[0]", "get"),
        (_rule(paths=[{"value": "a"}]), "authorization.rules[0].paths[0].value", "slash"),
        (_rule(action="maybe"), "authorization.rules[0].action", "maybe"),
        (
            {"authorization": {"rules": [*_rule()["authorization"]["rules"] * 2]}},
            "authorization.rules[1].name",
            "second",
        ),
    ],
)
def test_what_an_access_policy_must_not_say(fields: dict[str, Any], path: str, words: str) -> None:
    said = spoken("AccessPolicy", {"targetRefs": [TARGET], **fields})

    assert any(at == path and words in message for at, message in said), said


def test_no_more_networks_than_a_tree_holds() -> None:
    many = [f"2001:db8:{n >> 16:x}:{n & 0xFFFF:x}::/64" for n in range(262_143)]

    assert any(
        "262,144" in message
        for _, message in spoken(
            "AccessPolicy", {"targetRefs": [TARGET], "addresses": {"allow": many, "deny": ["::1", "::2"]}}
        )
    )
