"""Rules for TrafficPolicy: each fires when it should, at its place."""

from typing import Any

import pytest

from tests.gateway.test_rules_own import TARGET, spoken

SERVICE = {"group": "", "kind": "Service", "name": "web"}
HTTP_CHECK: dict[str, Any] = {"http": {}}


def _hash(**key: Any) -> dict[str, Any]:
    return {"loadBalancing": {"type": "maglev", "hash": [key]}}


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({}, "$.spec", "says nothing"),
        ({"targetRefs": [TARGET, TARGET], "retry": {}}, "targetRefs[1]", "twice"),
        ({"circuitBreaker": {"requests": 1}}, "circuitBreaker", "about a backend"),
        ({"protocol": "HTTP2"}, "protocol", "about a backend"),
        ({"timeouts": {"request": "25h"}}, "timeouts.request", "86400s"),
        ({"timeouts": {"request": "soon"}}, "timeouts.request", "soon"),
        ({"timeouts": {"idle": "1s"}}, "timeouts.idle", "unknown"),
        ({"retry": {"attempts": 11}}, "retry.attempts", "10"),
        ({"retry": {"reasons": ["bad mood"]}}, "retry.reasons[0]", "bad mood"),
        ({"retry": {"codes": [200]}}, "retry.codes[0]", "400"),
        ({"retry": {"backoff": {"base": "0s"}}}, "retry.backoff.base", "0.001s"),
        ({"retry": {"backoff": {"base": "2s", "max": "1s"}}}, "retry.backoff.base", "longer than"),
        ({"sessionPersistence": {"type": "Header", "cookieConfig": {}}}, "sessionPersistence.cookieConfig", "Header"),
        ({"fault": {}}, "fault", "asks for nothing"),
        ({"fault": {"abort": {}}}, "fault.abort", "just one"),
        ({"fault": {"abort": {"status": 500, "grpcStatus": 1}}}, "fault.abort", "just one"),
        ({"fault": {"delay": {"duration": "2h"}}}, "fault.delay.duration", "3600s"),
        ({"fault": {"delay": {"duration": "1s", "percent": 101}}}, "fault.delay.percent", "100"),
        ({"bandwidth": {}}, "bandwidth", "asks for nothing"),
        ({"bandwidth": {"request": 0}}, "bandwidth.request", "1"),
        ({"compression": {"algorithms": []}}, "compression.algorithms", "empty"),
        ({"compression": {"algorithms": ["deflate"]}}, "compression.algorithms[0]", "deflate"),
        ({"compression": {"contentTypes": ["html"]}}, "compression.contentTypes[0]", "media type"),
        ({"requestBody": {}}, "requestBody", "maxBytes"),
        ({"requestBody": {"maxBytes": 10**9, "buffer": True}}, "requestBody.maxBytes", "kept in memory"),
        (
            {"requestBody": {"maxBytes": 9, "buffer": True}, "bandwidth": {"request": 1}},
            "bandwidth.request",
            "only one of them",
        ),
        (
            {"bandwidth": {"request": 1}, "fault": {"delay": {"duration": "1s"}}},
            "fault.delay",
            "only one of them",
        ),
        ({"errorPages": []}, "errorPages", "empty"),
        ({"errorPages": [{"body": "x"}]}, "errorPages[0]", "no status"),
        ({"errorPages": [{"body": "100 %", "codes": [500]}]}, "errorPages[0].body", "percent sign"),
        ({"errorPages": [{"body": "x", "codes": [500, 500]}]}, "errorPages[0].codes[1]", "second time"),
        ({"errorPages": [{"body": "", "ranges": [{"first": 9, "last": 1}]}]}, "errorPages[0].ranges[0].first", "200"),
        (
            {"errorPages": [{"body": "", "ranges": [{"first": 500, "last": 400}]}]},
            "errorPages[0].ranges[0]",
            "before it begins",
        ),
        ({"directResponse": {"status": 200, "body": "50% off"}}, "directResponse.body", "percent sign"),
        ({"directResponse": {"status": 99}}, "directResponse.status", "200"),
    ],
)
def test_what_a_traffic_policy_must_not_say_of_requests(fields: dict[str, Any], path: str, words: str) -> None:
    _is_found({"targetRefs": [TARGET], **fields}, path, words)


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"timeouts": {"request": "1s"}}, "timeouts", "about requests"),
        ({"compression": {}}, "compression", "about requests"),
        ({"protocol": "SPDY"}, "protocol", "SPDY"),
        ({"loadBalancing": {"type": "maglev"}}, "loadBalancing", "what of a request"),
        ({"loadBalancing": {"hash": [{"type": "source"}]}}, "loadBalancing.hash", "means nothing"),
        ({"loadBalancing": {"boundedLoad": 150}}, "loadBalancing.boundedLoad", "means nothing"),
        (_hash(type="header"), "loadBalancing.hash[0]", "needs a name"),
        (_hash(type="source", name="x"), "loadBalancing.hash[0]", "has no name"),
        (_hash(type="query", name="x", ttl="1s"), "loadBalancing.hash[0].ttl", "no ttl"),
        (
            {"loadBalancing": {"type": "random", "slowStart": {"window": "10s"}}},
            "loadBalancing.slowStart",
            "cannot start slowly",
        ),
        ({"loadBalancing": {"slowStart": {"window": "0s"}}}, "loadBalancing.slowStart.window", "1s"),
        (
            {"loadBalancing": {"zones": [{"name": "a", "weight": 1}, {"name": "a", "weight": 2}]}},
            "loadBalancing.zones[1].name",
            "second time",
        ),
        ({"healthCheck": {}}, "healthCheck", "Nothing says how"),
        ({"healthCheck": {"http": {}, "tcp": {}}}, "healthCheck", "exclude each other"),
        ({"healthCheck": {**HTTP_CHECK, "timeout": "10s"}}, "healthCheck.timeout", "longer than"),
        ({"healthCheck": {**HTTP_CHECK, "interval": "1ms"}}, "healthCheck.interval", "0.1s"),
        ({"healthCheck": {"tcp": {"receive": "x"}}}, "healthCheck.tcp.receive", "send says nothing"),
        ({"healthCheck": {"http": {"path": "a b"}}}, "healthCheck.http.path", "URI path"),
        ({"outlierEjection": {"errors": 0, "gatewayErrors": 0}}, "outlierEjection", "asks for nothing"),
        ({"outlierEjection": {"duration": "1m"}}, "outlierEjection.duration", "longer than"),
        ({"outlierEjection": {"maxPercent": 0}}, "outlierEjection.maxPercent", "1"),
        ({"circuitBreaker": {}}, "circuitBreaker", "asks for nothing"),
        ({"retryBudget": {"percent": 0}}, "retryBudget.percent", "0"),
        ({"connections": {"connectTimeout": "0s"}}, "connections.connectTimeout", "0.01s"),
        ({"connections": {"bufferBytes": 1}}, "connections.bufferBytes", "4096"),
        ({"connections": {"keepalive": {"idle": "100ms"}}}, "connections.keepalive.idle", "1s"),
    ],
)
def test_what_a_traffic_policy_must_not_say_of_backends(fields: dict[str, Any], path: str, words: str) -> None:
    _is_found({"targetRefs": [SERVICE], **fields}, path, words)


def _is_found(spec: dict[str, Any], path: str, words: str) -> None:
    found = spoken("TrafficPolicy", spec)

    assert path in [place for place, _ in found], found
    assert any(words in message for place, message in found if place == path), found
