"""The agent and its Envoy obey verdicts: at once, in step, and though nobody is left to tell them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.support.edge import Edge, free_port, running_edge, until, within
from tests.support.judged import HOST, snapshot

from seawall.fleet.verdicts import Entry
from seawall.fleet.wire import Held, Verdicts
from seawall.kit.units import Instant


def entry(**fields: Any) -> Entry:
    plain = {"id": "v1", "generation": 1, "expires": Instant(time.time() + 600), "kind": "deny"}
    return Entry(**{**plain, **fields})


async def status(port: int, client: str = "127.0.0.1") -> int:
    transport = httpx.AsyncHTTPTransport(local_address=client)
    async with httpx.AsyncClient(transport=transport) as http:
        return (await http.get(f"http://127.0.0.1:{port}/", headers={"host": HOST}, timeout=5)).status_code


async def is_answered(port: int, wanted: int, client: str = "127.0.0.1") -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                if await status(port, client) == wanted:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Edge, int]]:
    port = free_port()
    async with running_edge(folder) as edge:
        edge.control.publish(snapshot(port, 1))
        await is_answered(port, 200)
        yield edge, port


def held(edge: Edge, number: int) -> Held | None:
    return next((one for one in edge.control.all(Held) if one.number == number), None)


def test_a_verdict_is_enforced_and_taken_back_without_a_bundle(tmp_path: Path) -> None:
    async def story() -> None:
        async with serving(tmp_path) as (edge, port):
            await until(lambda: edge.applied)
            before = edge.applied

            edge.control.send(Verdicts(number=1, whole=True, put=(entry(match={"address": "127.0.0.9"}),)))

            await until(lambda: held(edge, 1))
            said = held(edge, 1)
            assert said is not None and (said.entries, said.refused) == (1, {}) and said.took < 1
            await is_answered(port, 403, "127.0.0.9")
            assert await status(port) == 200
            edge.control.send(Verdicts(number=2, gone=("v1",)))
            await is_answered(port, 200, "127.0.0.9")
            assert edge.applied == before and edge.rejections == ()

    asyncio.run(within(story()))
