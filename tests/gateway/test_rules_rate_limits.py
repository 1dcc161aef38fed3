"""Rules for RateLimitPolicy: each fires when it should, at its place."""

from typing import Any

import pytest

from tests.gateway.test_rules_own import TARGET, spoken

LIMIT = {"name": "a", "requests": 1}


def _keys(*keys: dict[str, Any]) -> dict[str, Any]:
    return {"limits": [{**LIMIT, "keys": list(keys)}]}


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"limits": []}, "limits", "must not be empty"),
        ({"limits": [{**LIMIT, "name": str(n)} for n in range(5)]}, "limits", "at most 4"),
        ({"limits": [LIMIT, LIMIT]}, "limits[1].name", "second time"),
        ({"limits": [{"name": "a"}]}, "limits[0]", "'requests'"),
        ({"limits": [{**LIMIT, "requests": 0}]}, "limits[0].requests", "1"),
        ({"limits": [{**LIMIT, "requests": 10**7}]}, "limits[0].requests", "1000000"),
        ({"limits": [{**LIMIT, "burst": 0}]}, "limits[0].burst", "1"),
        ({"limits": [{**LIMIT, "maxKeys": 10**7}]}, "limits[0].maxKeys", "1000000"),
        ({"limits": [{**LIMIT, "window": "0s"}]}, "limits[0].window", "whole number of seconds"),
        ({"limits": [{**LIMIT, "window": "1500ms"}]}, "limits[0].window", "whole number of seconds"),
        ({"limits": [{**LIMIT, "window": "25h"}]}, "limits[0].window", "24h"),
        (_keys({"type": "client"}, {"type": "client"}), "limits[0].keys[1]", "second time"),
        (_keys({"type": "cookie"}), "limits[0].keys[0]", "needs the name"),
        (_keys({"type": "path", "name": "x"}), "limits[0].keys[0].name", "has no name"),
        (_keys({"type": "header", "name": "x", "ipv4Prefix": 24}), "limits[0].keys[0]", "no address"),
        (_keys({"type": "client", "ipv4Prefix": 33}), "limits[0].keys[0].ipv4Prefix", "32"),
        (_keys({"type": "method", "absent": "skip"}), "limits[0].keys[0].absent", "Every request"),
        (_keys({"type": "country"}), "limits[0].keys[0].type", "country"),
        ({"exempt": {"clients": ["10.0.0.1/8"]}}, "exempt.clients[0]", "host bits"),
        ({"exempt": {"clients": ["edge.example"]}}, "exempt.clients[0]", "neither an address"),
        ({"exempt": {"headers": [{"name": "a b", "value": "x"}]}}, "exempt.headers[0].name", "header"),
        ({"response": {"status": 200}}, "response.status", "200"),
        ({"response": {"body": "a\x00b"}}, "response.body", "control characters"),
        ({"mode": "off"}, "mode", "off"),
        ({"scope": "world"}, "scope", "world"),
        ({"whenAway": "open"}, "whenAway", "scope: fleet"),
        ({"targetRefs": [TARGET, TARGET]}, "targetRefs[1]", "twice"),
    ],
)
def test_what_a_rate_limit_policy_must_not_say(fields: dict[str, Any], path: str, words: str) -> None:
    found = spoken("RateLimitPolicy", {"targetRefs": [TARGET], "limits": [LIMIT], **fields})

    assert path in [place for place, _ in found], found
    assert any(words in message for place, message in found if place == path), found
