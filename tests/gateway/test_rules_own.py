"""Rules for our own kinds: each fires when it should, at its place."""

from typing import Any

import pytest

from seawall.gateway.decode import decode
from seawall.gateway.objects import Object

LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
TARGET = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
JOURNEY = {"name": "cart", "url": "https://shop.example.com/cart"}
SWITCH = {"name": "shed", "key": "a.b", "value": True, "on": True, "until": "2026-05-01T00:00:00Z"}


def spoken(kind: str, spec: dict[str, Any]) -> list[tuple[str, str]]:
    found = decode({"apiVersion": "seawall.dev/v1alpha1", "kind": kind, "metadata": {"name": "a"}, "spec": spec})
    return [] if isinstance(found, Object) else [(one.path.removeprefix("$.spec."), one.message) for one in found]


def region(name: str, *cells: str, canary: str = "") -> dict[str, Any]:
    return {"name": name, "cells": [{"name": cell, "canary": cell == canary} for cell in cells]}


def _rollout(**fields: Any) -> dict[str, Any]:
    return {"rollout": fields}


def test_a_whole_perimeter_is_taken() -> None:
    spec = {
        "rollout": {
            "strategy": "staged",
            "pace": 2,
            "gates": {"alpha": 0.01, "silence": "20s"},
            "journeys": [{**JOURNEY, "headers": {"Accept": "*/*"}}],
        },
        "regions": [region("eu", "eu-1", "eu-2", canary="eu-2"), region("us", "us-1")],
        "guards": {"deleteBudget": {"percent": 20}, "growth": 2, "sizeLimit": "32Mi"},
        "freeze": [{"from": "2026-12-24T00:00Z", "until": "2026-12-27T00:00:00+01:00", "reason": "holidays"}],
        "memory": {"maxHeap": "1Gi", "maxConnections": 1000},
        "capacity": {"requestsPerSecondPerEdge": 5000, "peakRequestsPerSecond": 1e5},
        "switches": [SWITCH, {**SWITCH, "name": "other", "on": False, "value": "x"}],
    }

    assert spoken("Perimeter", spec) == []
    assert spoken("Perimeter", {}) == []


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        (_rollout(strategy="staged"), "rollout.strategy", "there are none"),
        (_rollout(strategy="stagd"), "rollout.strategy", "none of immediate, staged"),
        (_rollout(pace=0), "rollout.pace", "greater than 0 and at most 10"),
        (_rollout(pace="2"), "rollout.pace", "must be a number"),
        (_rollout(gates={"silence": "0s"}), "rollout.gates.silence", "longer than nothing"),
        (_rollout(gates={"slow": "1 s"}), "rollout.gates.slow", "not a duration"),
        (_rollout(gates={"dispersion": 0.5}), "rollout.gates.dispersion", "at least 1"),
        (_rollout(journeys=[JOURNEY, JOURNEY]), "rollout.journeys[1].name", "second time"),
        (_rollout(journeys=[{**JOURNEY, "url": "shop"}]), "rollout.journeys[0].url", "not a URL"),
        (_rollout(journeys=[{**JOURNEY, "url": "http://:80/"}]), "rollout.journeys[0].url", "no host"),
        (_rollout(journeys=[{**JOURNEY, "url": "http://a:99999"}]), "rollout.journeys[0].url", "no URL"),
        (_rollout(journeys=[{**JOURNEY, "url": "http://a:0/"}]), "rollout.journeys[0].url", "port 0"),
        (_rollout(journeys=[{**JOURNEY, "url": "http://me@a/"}]), "rollout.journeys[0].url", "user's name"),
        (
            _rollout(journeys=[{**JOURNEY, "headers": {"a b": "c"}}]),
            'rollout.journeys[0].headers["a b"]',
            "header name",
        ),
        ({"regions": [region("eu", "a"), region("eu", "b")]}, "regions[1].name", "second time"),
        ({"regions": [region("eu", "a"), region("us", "a")]}, "regions[1].cells[0].name", "a second time"),
        (
            {"regions": [region("eu", "a", canary="a"), region("us", "b", canary="b")]},
            "regions[1].cells[0].canary",
            "'a'",
        ),
        ({"regions": [{"name": "eu", "cells": []}]}, "regions[0].cells", "must not be empty"),
        (
            {"freeze": [{"from": "2026-02-02T00:00Z", "until": "2026-02-01T00:00Z", "reason": "x"}]},
            "freeze[0].until",
            "not after",
        ),
        (
            {"freeze": [{"from": "2026-02-30T00:00Z", "until": "2026-03-01T00:00Z", "reason": "x"}]},
            "freeze[0].from",
            "is no time",
        ),
        ({"freeze": [{"from": "now", "until": "2026-03-01T00:00Z", "reason": "x"}]}, "freeze[0].from", "not a time"),
        ({"memory": {"maxHeap": "63Mi"}}, "memory.maxHeap", "64Mi"),
        ({"memory": {"maxHeap": "1GB"}}, "memory.maxHeap", "number of bytes"),
        ({"guards": {"sizeLimit": "0"}}, "guards.sizeLimit", "nothing"),
        ({"capacity": {"requestsPerSecondPerEdge": 1e13}}, "capacity.requestsPerSecondPerEdge", "nothing carries"),
        ({"capacity": {"requestsPerSecondPerEdge": 0}}, "capacity.requestsPerSecondPerEdge", "greater than 0"),
        ({"capacity": {}}, "capacity", "requestsPerSecondPerEdge"),
        ({"switches": [{**SWITCH, "until": None}]}, "switches[0]", "nothing says when"),
        ({"switches": [SWITCH, SWITCH]}, "switches[1].name", "second time"),
        ({"switches": [SWITCH, {**SWITCH, "name": "b"}]}, "switches[1].key", "set the same key"),
        ({"switches": [{**SWITCH, "until": "2026-13-01T00:00Z"}]}, "switches[0].until", "is no time"),
        ({"switches": [{**SWITCH, "drilledAt": "2026-13-01T00:00Z"}]}, "switches[0].drilledAt", "is no time"),
        ({"switches": [{**SWITCH, "value": float("inf")}]}, "switches[0].value", "no number"),
        ({"switches": [{**SWITCH, "key": "a b"}]}, "switches[0].key", "key of Envoy's runtime"),
        ({"approvals": {"verbs": ["thaw", "thaw"]}}, "approvals.verbs[1]", "second time"),
    ],
)
def test_what_a_perimeter_must_not_say(spec: dict[str, Any], path: str, words: str) -> None:
    found = spoken("Perimeter", spec)

    assert path in [place for place, _ in found], found
    assert any(words in message for place, message in found if place == path), found


def test_a_perimeter_has_no_namespace() -> None:
    document = {"apiVersion": "seawall.dev/v1alpha1", "kind": "Perimeter", "spec": {}}

    found = decode({**document, "metadata": {"name": "a", "namespace": "b"}})

    assert isinstance(found, tuple)
    assert found[0].path == "$.metadata.namespace"


def _filter(name: str = "one", type_url: object = LUA) -> dict[str, Any]:
    return {"name": name, "typedConfig": {"@type": type_url}}


@pytest.mark.parametrize(
    ("filters", "path", "words"),
    [
        ([], "filters", "must not be empty"),
        ([_filter(str(index)) for index in range(17)], "filters", "at most 16"),
        ([_filter(), _filter()], "filters[1].name", "second time"),
        ([_filter("seawall.guard")], "filters[0].name", "Seawall's own"),
        ([_filter("envoy.filters.http.router")], "filters[0].name", "Seawall's own"),
        ([_filter("a b")], "filters[0].name", "name of a filter"),
        ([{"name": "one", "typedConfig": {"a": 1}}], "filters[0].typedConfig", "'@type'"),
        ([_filter(type_url=5)], 'filters[0].typedConfig["@type"]', "not a type"),
        ([_filter(type_url="Lua")], 'filters[0].typedConfig["@type"]', "not a type"),
        (
            [_filter(type_url=LUA.replace("lua.v3.Lua", "router.v3.Router"))],
            'filters[0].typedConfig["@type"]',
            "ends",
        ),
        (
            [_filter(type_url="type.googleapis.com/envoy.config.cluster.v3.Cluster")],
            'filters[0].typedConfig["@type"]',
            "not an HTTP filter",
        ),
        ([{"name": "one", "typedConfig": []}], "filters[0].typedConfig", "mapping"),
    ],
)
def test_what_a_filter_policy_must_not_say(filters: list[Any], path: str, words: str) -> None:
    found = spoken("HTTPFilterPolicy", {"targetRefs": [TARGET], "filters": filters})

    assert path in [place for place, _ in found], found
    assert any(words in message for place, message in found if place == path), found


def test_a_filter_policy_names_each_target_once() -> None:
    found = spoken("HTTPFilterPolicy", {"targetRefs": [TARGET, TARGET], "filters": [_filter()]})

    assert [path for path, _ in found] == ["targetRefs[1]"]
    assert spoken("HTTPFilterPolicy", {"targetRefs": [TARGET], "filters": [_filter()]}) == []
