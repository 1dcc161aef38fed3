"""Floods that ask nothing, at a real edge: their addresses are named within seconds, and nobody else's."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.support import floods
from tests.support.certificates import self_signed
from tests.support.floods import Door
from tests.support.manifests import Json, gateway, route, secret
from tests.support.seawall import free_port, seawall_up

pytestmark = pytest.mark.e2e

HOST = "shop.example"
FLOODS: dict[str, tuple[Callable[[Door, str], Coroutine[Any, Any, bool]], float]] = {
    "127.9.0.1": (floods.nothing, 40.0),
    "127.9.0.2": (floods.rapid_reset, 2.0),
    "127.9.0.3": (floods.pings, 3.0),
    "127.9.0.4": (floods.half_handshake, 30.0),
}
PERSON = "127.1.0.1"


def _files(door: Door) -> dict[str, list[Json]]:
    policy = {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "ProtectionPolicy",
        "metadata": {"name": "p", "namespace": "test"},
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}],
            "mode": "enforce",
            # The kernel of whoever tests is left alone.
            "highest": "deny",
        },
    }
    rule = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "b.example"}}]}
    return {
        "gateway": [*gateway(door.port, tls_port=door.tls_port), secret("certificate", *self_signed(HOST))],
        "routes": [route("shop", [HOST], [rule])],
        "protection": [policy],
    }


async def _again_and_again(door: Door, address: str) -> None:
    attempt, rate = FLOODS[address]
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(attempt(door, address), name=address)
            await asyncio.sleep(1 / rate)


async def _person(door: Door) -> None:
    """Ask on one connection while another one, opened to spare, is never used."""
    request = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
    while True:
        await floods.nothing(door, PERSON)
        await floods.asked(door, PERSON, request)
        await asyncio.sleep(0.2)


def test_addresses_that_ask_nothing_are_named_whatever_they_do_and_who_asks_is_not() -> None:
    async def run() -> None:
        door = Door(port=free_port(), tls_port=free_port(), host=HOST)
        async with seawall_up(_files(door)) as instance, asyncio.TaskGroup() as group:
            living = [group.create_task(_again_and_again(door, one), name=one) for one in FLOODS]
            living.append(group.create_task(_person(door), name="person"))

            def is_named(found: Json) -> bool:
                return {one["match"].get("address") for one in found["verdicts"]} >= FLOODS.keys()

            began = time.monotonic()
            found = await instance.until(is_named, path="/v1/attacks", within=30)
            print(f"named after {time.monotonic() - began:.1f} s")  # noqa: T201 - a figure for who reads the log
            assert {one["match"].get("address") for one in found["verdicts"]} == FLOODS.keys(), found
            for one in living:
                one.cancel()

    asyncio.run(run())
