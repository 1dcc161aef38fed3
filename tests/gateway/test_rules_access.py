"""Rules for AccessPolicy: each fires when it should, at its place."""

from typing import Any

import pytest

from tests.gateway.test_rules_own import TARGET, spoken

KEYS: dict[str, Any] = {"secrets": [{"name": "keys"}]}
USERS: dict[str, Any] = {"secret": {"name": "users"}}


PUBLIC = '{"keys": [{"kty": "RSA", "kid": "a", "n": "x", "e": "AQAB"}]}'


def _jwt(*, jwt: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"jwt": {"providers": [{"name": "id", "keys": {"inline": PUBLIC}, **fields}], **(jwt or {})}}


def _keys(**keys: Any) -> dict[str, Any]:
    return _jwt(keys=keys)


_ID = {"backendRef": {"name": "id", "port": 80}}


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
    claims = _rule(claims=[{"name": "realm.roles", "values": ["admin"]}])
    whole = _jwt(
        issuer="https://id.example",
        audiences=["api"],
        sources=[{"header": "X-Token", "prefix": "T "}, {"query": "t"}, {"cookie": "t"}],
        claimHeaders=[{"claim": "sub", "header": "X-User"}],
    )
    assert spoken("AccessPolicy", {"targetRefs": [TARGET], **whole, **claims}) == []
    assert spoken("AccessPolicy", {"targetRefs": [TARGET], **_keys(remote={**_ID, "refresh": "24h"})}) == []
    by_certificate = _rule(methods=[], certificates=[{"value": "spiffe://a/b"}, {"type": "DNS", "value": "a.example"}])
    cors = {"cors": {"allowOrigins": ["https://a.example"]}}
    assert spoken("AccessPolicy", {"targetRefs": [TARGET], **_rule(methods=[], cel="source.port > 1024")}) == []
    assert spoken("AccessPolicy", {"targetRefs": [TARGET], **cors, **by_certificate}) == []
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
        (_rule(cel="request.method ="), "authorization.rules[0].cel", "(character 16)"),
        (_rule(cel="response.code == 1"), "authorization.rules[0].cel", "uses response"),
        (_rule(claims=[{"name": "sub", "values": ["a"]}]), "authorization.rules[0].claims", "for no token"),
        ({"cors": {"allowOrigins": ["*", "https://a.example"]}}, "cors.allowOrigins", "beside other values"),
        ({"externalAuth": {"protocol": "HTTP", **_ID}}, "externalAuth", "needs the field http"),
        ({"jwt": {"providers": []}}, "jwt.providers", "empty"),
        (_keys(), "jwt.providers[0].keys", "exactly one"),
        (_keys(inline=PUBLIC, configMap={"name": "k"}), "jwt.providers[0].keys", "exactly one"),
        (_keys(inline="keys"), "jwt.providers[0].keys.inline", "is no JSON"),
        (_keys(inline="[" * 60_000), "jwt.providers[0].keys.inline", "is no JSON"),
        (_keys(inline='{"keys": []}'), "jwt.providers[0].keys.inline", "a key in it"),
        (_keys(inline='{"keys": [{"kid": "a"}]}'), "jwt.providers[0].keys.inline", "without a kty"),
        (_keys(inline='{"keys": [{"kty": "RSA", "d": "x"}]}'), "jwt.providers[0].keys.inline", "not public"),
        (_keys(inline='{"keys": [{"kty": "oct", "k": "x"}]}'), "jwt.providers[0].keys.inline", "not public"),
        (_keys(remote={**_ID, "refresh": "10ms"}), "jwt.providers[0].keys.remote.refresh", "10ms"),
        (_jwt(sources=[{"header": "a", "query": "b"}]), "jwt.providers[0].sources[0]", "exactly one"),
        (_jwt(sources=[{"query": "a", "prefix": "b"}]), "jwt.providers[0].sources[0].prefix", "prefix"),
        (
            _jwt(claimHeaders=[{"claim": "a", "header": "Host"}]),
            "jwt.providers[0].claimHeaders[0].header",
            "something else",
        ),
        (
            _jwt(claimHeaders=[{"claim": "a", "header": "x-a"}, {"claim": "b", "header": "X-A"}]),
            "jwt.providers[0].claimHeaders[1].header",
            "second",
        ),
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
