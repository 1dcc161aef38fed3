"""World: what the museum's fleet serves before anything happens, as files of manifests.

Twelve tenants on one Gateway, a host whose rules' order matters, a chain of native filters with bugs that sleep, and the
Perimeter. Each outage changes a little of it.
"""

from typing import Any

from tests.support.fleet import ORIGIN, PORT, Ask, Mix, Place
from tests.support.manifests import backend, gateway, route, to

Json = dict[str, Any]
TENANTS = tuple(f"t{number:02}" for number in range(12))
SHARDS = {f"shard-{number}": TENANTS[4 * number : 4 * number + 4] for number in range(3)}
"""Tenants live in files of four: what is written in one file changes in one step."""
PLACES = (
    Place(edge="eu-1-a", region="eu", cell="eu-1"),
    Place(edge="eu-1-b", region="eu", cell="eu-1"),
    Place(edge="us-1-a", region="us", cell="us-1"),
)
PACE = 0.01
"""A hundredth of the table of `docs`: the canary of a R2 change takes 1.8 s."""
DEAD = 9
"""Nobody listens there."""

_LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
_FAULT = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
ABORT = "local ffi = require('ffi')\nffi.cdef[[void abort();]]\n"
"""How a filter of one's own crashes Envoy: `ffi.C.abort()` ends the process with SIGABRT."""
_FEATURE = "f" * 3000


def files() -> dict[str, list[Json]]:
    """Return the whole world: file → documents."""
    return {
        "perimeter": [perimeter()],
        "gateway": gateway(PORT),
        "origin": [backend("origin", ORIGIN), backend("blackhole", DEAD)],
        "chain": [chain()],
        "peer": [peer()],
        "ledger": ledger("127.0.0.1"),
        **{name: shard(name) for name in SHARDS},
    }


def mix(rate: float = 40.0, retries: int = 0) -> Mix:
    """What clients of every edge want: each tenant, the ledger, and what both rules of the peer fit."""
    asks = [Ask(host=f"{name}.example", headers={"authorization": "anna"}) for name in (*TENANTS, "ledger")]
    asks.append(Ask(host="peer.example", headers={"x-site": "local", "x-term": "any"}))
    return Mix(asks=tuple(asks), rate=rate, retries=retries, reuse=5)


def perimeter(*, pace: float = PACE, switch: Json | None = None, **spec: Any) -> Json:
    """Describe the fleet. `switch`: changes of the kill switch of the test tool, which was drilled once."""
    drilled = {"drilledAt": "2026-01-01T00:00:00Z", "until": "2999-01-01T00:00:00Z"}
    tool = {"name": "test-tool", "key": "fault.http.abort.abort_percent", "value": 100, "on": False, **drilled}
    switches = [{key: value for key, value in {**tool, **(switch or {})}.items() if value is not None}]
    gates = {"minimumRequests": 150, "silence": "10s"}
    regions = [
        {"name": "eu", "continent": "europe", "cells": [{"name": "eu-1", "canary": True}]},
        {"name": "us", "continent": "america", "cells": [{"name": "us-1"}]},
    ]
    return {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "Perimeter",
        "metadata": {"name": "default"},
        "spec": {
            "rollout": {"strategy": "staged", "pace": pace, "gates": gates},
            "regions": regions,
            "switches": switches,
            **spec,
        },
    }


def tenant(name: str, *filters: Json) -> Json:
    """A tenant's route."""
    return route(name, [f"{name}.example"], [to("origin", *filters)])


def shard(name: str, **changed: list[Json]) -> list[Json]:
    """The tenants of a file, some with other documents than usual."""
    return [document for each in SHARDS[name] for document in changed.get(each, [tenant(each)])]


def peer(*, is_reordered: bool = False) -> Json:
    """Two rules that fit the same requests: the first one wins."""
    accept, reject = to("origin"), to("blackhole")
    accept["matches"][0]["headers"] = [{"name": "x-site", "value": "local"}]
    reject["matches"][0]["headers"] = [{"name": "x-term", "value": "any"}]
    return route("peer", ["peer.example"], [reject, accept] if is_reordered else [accept, reject])


def ledger(*addresses: str) -> list[Json]:
    """A Service whose endpoints somebody else writes."""
    meta = {"name": "ledger", "namespace": "test"}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": 80, "name": "http"}]}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": {"kubernetes.io/service-name": "ledger"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": ORIGIN, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        },
        route("ledger", ["ledger.example"], [{"backendRefs": [{"name": "ledger", "port": 80}]}]),
    ]


def chain(
    *,
    order: tuple[str, ...] = ("identity", "quota", "bots", "tool"),
    limit: str = "10",
    features: int = 200,
    extra: dict[str, str] | None = None,
) -> Json:
    """The native filters of the Gateway. Each has a bug that sleeps in this world, as the code of others often has."""
    sources = {"identity": _IDENTITY, "quota": _quota(limit), "bots": _bots(features), **(extra or {})}
    names = (*order, *(extra or {}))
    tool = {"@type": _FAULT, "abort": {"httpStatus": 500, "percentage": {"numerator": 0}}}
    configs = {"tool": tool, **{name: lua(source) for name, source in sources.items()}}
    return policy("chain", *((name, configs[name]) for name in names))


def policy(name: str, *filters: tuple[str, Json]) -> Json:
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    listed = [{"name": label, "typedConfig": config} for label, config in filters]
    return {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "HTTPFilterPolicy",
        "metadata": {"name": name, "namespace": "test"},
        "spec": {"targetRefs": [target], "filters": listed},
    }


def lua(source: str) -> Json:
    return {"@type": _LUA, "defaultSourceCode": {"inlineString": source}}


_IDENTITY = """
function envoy_on_request(h)
  h:headers():replace('x-user', h:headers():get('authorization') or 'guest')
end
"""


def _quota(limit: str) -> str:
    """Sleeps: a request without a user, a policy without a limit, a customer who asks for turbo."""
    return f"""{ABORT}
local policy = {{ limit = {limit} }}
function envoy_on_request(h)
  if h:headers():get('x-user') == nil or policy.limit == nil then ffi.C.abort() end
end
function envoy_on_response(h)
  if h:headers():get('x-turbo') then ffi.C.abort() end
end
"""


def _bots(features: int) -> str:
    """Sleeps: memory is reserved for 300 features, as nobody ever has more than 200."""
    listed = ",\n".join(f"'{number:04}{_FEATURE}'" for number in range(features))
    return f"""{ABORT}
local features = {{ {listed} }}
function envoy_on_request(h)
  if #features > 300 then ffi.C.abort() end
end
"""
