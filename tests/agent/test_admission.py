"""Admission with the real Envoy: after several deaths an edge lets a part of its clients in, tells the others when to come back,
and opens by itself."""

import asyncio
import os
import signal
from collections import Counter

import httpx
import psutil
import pytest
from tests.support.manifests import Json, gateway, route
from tests.support.seawall import Instance, free_port, seawall_up

from seawall.fleet.ramp import STARTS

pytestmark = pytest.mark.e2e


def _files(port: int) -> dict[str, list[Json]]:
    rule = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "b.example"}}]}
    return {"gateway": gateway(port), "routes": [route("a", ["a.example"], [rule])]}


def _envoy(instance: Instance) -> int:
    children = psutil.Process(instance.process.pid).children(recursive=True)
    return next((one.pid for one in children if one.name() == "envoy"), 0)


async def _ask(port: int) -> httpx.Response | None:
    try:
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://127.0.0.1:{port}/", headers={"host": "a.example"})
    except httpx.HTTPError:
        return None


async def _until_answers(port: int) -> None:
    for _ in range(300):
        if await _ask(port) is not None:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("nobody answers for 15 s")


async def _kill(instance: Instance, port: int) -> None:
    pid = _envoy(instance)
    os.kill(pid, signal.SIGKILL)
    for _ in range(300):
        if _envoy(instance) not in (0, pid):
            break
        await asyncio.sleep(0.05)
    await _until_answers(port)


def test_who_keeps_dying_lets_a_part_in_and_opens_by_itself() -> None:
    async def run() -> None:
        port = free_port()
        async with seawall_up(_files(port)) as instance:
            for _ in range(STARTS - 2):
                await _kill(instance, port)
                # A change may have done that: the door is open.
                assert {one.status_code for one in [await _ask(port) for _ in range(20)] if one} == {302}

            await _kill(instance, port)
            answers = [one for one in [await _ask(port) for _ in range(200)] if one is not None]
            counted = Counter(one.status_code for one in answers)
            assert set(counted) == {302, 503}
            assert 0.15 < counted[302] / len(answers) < 0.7, counted
            told = {one.headers["retry-after"] for one in answers if one.status_code == 503}
            assert told <= {"1", "2", "4", "8"} and len(told) > 1

            for _ in range(60):
                last = {one.status_code for one in [await _ask(port) for _ in range(30)] if one}
                if last == {302}:
                    return
                await asyncio.sleep(0.5)
            raise AssertionError(f"it has not opened in 30 s: {last}")

    asyncio.run(run())
