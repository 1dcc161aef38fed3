"""Rolling: what a fleet serves while changes go out to it, good ones and bad ones, as manifests; and one fleet for many tests.

ships = SharedFleet(lambda: Fleet(files(), places=PLACES))
ships.run(story)            # a coroutine function that takes the fleet; after a failure the next one gets a new fleet
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tests.support.fleet import ORIGIN, PORT, Ask, Fleet, Mix, Place
from tests.support.manifests import backend, gateway, route, to

Json = dict[str, Any]
_T = TypeVar("_T")
PLACES = (
    Place(edge="eu-1-a", region="eu", cell="eu-1"),
    Place(edge="eu-1-b", region="eu", cell="eu-1"),
    Place(edge="us-1-a", region="us", cell="us-1"),
)
HOSTS = ("a.example", "b.example", "c.example")
RARE = {"x-rare": "1"}
"""A header that no probe sends."""
_LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
_ABORT = "local ffi = require('ffi')\nffi.cdef[[void abort();]]\n"
CRASH_ON_RARE = f"""{_ABORT}
function envoy_on_request(h)
  if h:headers():get('x-rare') then ffi.C.abort() end
end
"""
"""A filter of somebody's own that ends the process: `abort()` is SIGABRT."""
CRASH = f"{_ABORT}\nfunction envoy_on_request(h) ffi.C.abort() end\n"


def files(pace: float = 0.002) -> dict[str, list[Json]]:
    """Return all manifests: file → documents."""
    return {
        "perimeter": [perimeter(pace)],
        "gateway": gateway(PORT),
        "origin": [backend("origin", ORIGIN)],
        **{host.partition(".")[0]: [route(host.partition(".")[0], [host], [to("origin")])] for host in HOSTS},
    }


def perimeter(pace: float, **spec: Any) -> Json:
    """Describe the fleet. `pace` scales the table of stages; 0.01 makes the canary of a R2 change 1.8 s."""
    rollout = {"strategy": "staged", "pace": pace, "gates": {"minimumRequests": 50, "silence": "10s"}}
    regions = [
        {"name": "eu", "continent": "europe", "cells": [{"name": "eu-1", "canary": True}]},
        {"name": "us", "continent": "america", "cells": [{"name": "us-1"}]},
    ]
    return {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "Perimeter",
        "metadata": {"name": "default"},
        "spec": {"rollout": rollout, "regions": regions, "approvals": {"required": 1}, **spec},
    }


def mix(rate: float = 40.0) -> Mix:
    """What clients want: each host, and now and then something rare."""
    usual = [Ask(host=host) for host in HOSTS for _ in range(3)]
    return Mix(asks=(*usual, Ask(host=HOSTS[0], headers=RARE)), rate=rate)


def added(number: int) -> list[Json]:
    """A change that is good: one host more."""
    return [route(f"new-{number}", [f"new-{number}.example"], [to("origin")])]


def native(name: str, source: str) -> list[Json]:
    """A filter of the operator's own in the Gateway's chain."""
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    config = {"@type": _LUA, "defaultSourceCode": {"inlineString": source}}
    return [
        {
            "apiVersion": "seawall.dev/v1alpha1",
            "kind": "HTTPFilterPolicy",
            "metadata": {"name": name, "namespace": "test"},
            "spec": {"targetRefs": [target], "filters": [{"name": "lua", "typedConfig": config}]},
        }
    ]


async def view(fleet: Fleet) -> Json:
    """Ask where the rollouts stand."""
    found: Json = (await fleet.get("/v1/rollouts"))["view"]
    return found


async def settled(fleet: Fleet, within: float = 90.0) -> Json:
    """Wait until nothing is under way, nothing waits, and every edge runs what it should; return the view."""

    async def is_idle() -> Json | None:
        found = await view(fleet)
        is_one = len(found["bundles"]) == 1 and found["running"] in found["bundles"]
        return found if found["rollout"] is None and not found["waiting"] and is_one else None

    found: Json = await fleet.until(is_idle, "nothing is under way", within)
    await fleet.serving()
    return found


async def reached(fleet: Fleet, *stages: str, within: float = 40.0) -> Json:
    """Wait until the rollout under way stands in one of these stages; return it."""

    async def is_there() -> Json | None:
        current: Json | None = (await view(fleet))["rollout"]
        return current if current is not None and current["stage"] in stages else None

    found: Json = await fleet.until(is_there, f"a rollout in {' or '.join(stages)}", within)
    return found


class SharedFleet:
    """One fleet for many stories, each left as it was found; after a story that failed the next one gets a new fleet."""

    def __init__(self, make: Callable[[], Fleet], prepare: Callable[[Fleet], Awaitable[None]]) -> None:
        self._make = make
        self._prepare = prepare
        self._runner = asyncio.Runner()
        self._fleet: Fleet | None = None

    def run(self, story: Callable[[Fleet], Awaitable[_T]]) -> _T:
        try:
            return self._runner.run(self._tell(story))
        except BaseException as error:
            self._close(error)
            raise

    def end(self) -> None:
        self._close(None)
        self._runner.close()

    async def _tell(self, story: Callable[[Fleet], Awaitable[_T]]) -> _T:
        if self._fleet is None:
            self._fleet = await self._make().__aenter__()
            await self._prepare(self._fleet)
        return await story(self._fleet)

    def _close(self, error: BaseException | None) -> None:
        fleet, self._fleet = self._fleet, None
        if fleet is not None:
            self._runner.run(fleet.__aexit__(type(error) if error else None, error, None))
