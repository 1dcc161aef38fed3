"""Tokens: where keys come from, and that what leads nowhere closes what it protects."""

from typing import Any

import pytest

from seawall.gateway.graph import ObjectKey
from tests.gateway.test_access import applied, is_closed, policy, world
from tests.gateway.world import made, problems

PUBLIC = '{"keys": [{"kty": "RSA", "kid": "a", "n": "x", "e": "AQAB"}]}'


def tokens(**keys: Any) -> dict[str, Any]:
    return {"jwt": {"providers": [{"name": "id", "keys": keys}]}}


def test_keys_come_from_a_config_map_or_a_server_as_they_come_and_go() -> None:
    server = {"remote": {"backendRef": {"name": "web", "port": 80}, "path": "/keys"}}
    found = world(
        policy("map", section="one", **tokens(configMap={"name": "keys"})),
        policy("server", section="two", **tokens(**server)),
        made("ConfigMap", "keys", {"data": {"jwks.json": PUBLIC}}),
    )

    one, two = (applied(found, name).tokens for name in ("one", "two"))
    assert one is not None and two is not None
    assert (one.providers[0].keys, two.providers[0].cluster) == (PUBLIC, "Service/shop/web/80")
    assert two.providers[0].host == "web.shop"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"configMap": {"name": "keyz"}}, "There is no ConfigMap shop/keyz."),
        ({"configMap": {"name": "keys", "key": "other"}}, "is not there"),
        ({"configMap": {"name": "keys", "key": "bad"}}, "is no JSON"),
        ({"remote": {"backendRef": {"name": "nobody", "port": 80}}}, "There is no Service shop/nobody."),
        ({"remote": {"backendRef": {"name": "web", "port": 80, "namespace": "else"}}}, "the namespace else"),
        ({"remote": {"backendRef": {"name": "web", "kind": "Pod", "port": 80}}}, "A Pod of group"),
    ],
)
def test_keys_that_are_nowhere_close_what_they_protect(keys: dict[str, Any], words: str) -> None:
    found = world(
        policy("p", section="one", **tokens(**keys)),
        made("ConfigMap", "keys", {"data": {"jwks.json": PUBLIC, "bad": "{"}}),
    )

    assert is_closed(found)
    assert not is_closed(found, "two")
    (problem,) = problems(found, ObjectKey("AccessPolicy/shop/p"))
    assert words in problem.message
    assert problem.path.startswith("$.spec.jwt.providers[0].keys.")
