"""A flood from many addresses at a real edge: named, refused within seconds, explained, and lifted with one word; people go on."""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.manifests import Json, gateway, route
from tests.support.seawall import Instance, free_port, seawall_up

pytestmark = pytest.mark.e2e

TARGET = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}


def _policy(**spec: Any) -> Json:
    return {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "ProtectionPolicy",
        "metadata": {"name": "p", "namespace": "test"},
        "spec": {"targetRefs": [TARGET], "learning": "10s", **spec},
    }


def _files(port: int, **spec: Any) -> dict[str, list[Json]]:
    rule = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "b.example"}}]}
    return {
        "gateway": gateway(port),
        "routes": [route("shop", ["shop.example"], [rule])],
        "protection": [_policy(**spec)],
    }


class Crowd:
    """Clients with addresses of their own, and what became of their requests."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.people: Counter[int] = Counter()
        self.bots: Counter[int] = Counter()
        self.refused_at = 0.0
        self.reference = ""
        self.is_flooding = False
        self._late: deque[int] = deque(maxlen=100)

    def refused_of_late(self) -> float:
        """Say what share of the last hundred requests of bots was refused."""
        return sum(status in (403, 429) for status in self._late) / 100

    async def live(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(12):
                group.create_task(self._person(number), name=f"person-{number}")
            for number in range(40):
                group.create_task(self._bot(number), name=f"bot-{number}")

    async def _person(self, number: int) -> None:
        agent = f"Mozilla/5.0 (X11; rv:{100 + number % 5}) Firefox/{100 + number % 5}"
        headers = f"User-Agent: {agent}\r\nAccept: text/html\r\nAccept-Language: en\r\nSec-Fetch-Dest: document\r\n"
        step = 0
        while True:
            step += 1
            status = await self._ask(f"127.1.{number}.7", f"/item/{number}x{step % 9}", headers)
            self.people[status] += 1
            await asyncio.sleep(0.5)

    async def _bot(self, number: int) -> None:
        while True:
            await asyncio.sleep(0.05)
            if self.is_flooding:
                with contextlib.suppress(OSError, TimeoutError, ValueError, IndexError, asyncio.IncompleteReadError):
                    await self._hammer(f"127.9.{number % 8}.{number + 1}")

    async def _hammer(self, address: str) -> None:
        """Ask ten times a second on one connection, as long as it lasts."""
        async with _connected(self._port, address) as (reader, writer):
            while True:
                status, head = await _answer(reader, writer, "/list", "User-Agent: flood/1\r\n")
                self.bots[status] += 1
                self._late.append(status)
                if status in (403, 429) and not self.refused_at:
                    self.refused_at = time.monotonic()
                    self.reference = _header(head, "x-seawall-ref")
                await asyncio.sleep(0.1)

    async def _ask(self, address: str, path: str, headers: str) -> int:
        try:
            async with _connected(self._port, address) as (reader, writer):
                status, _ = await _answer(reader, writer, path, headers)
                return status
        except (OSError, TimeoutError, ValueError, IndexError, asyncio.IncompleteReadError):
            return 0


@asynccontextmanager
async def _connected(port: int, address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    try:
        yield reader, writer
    finally:
        writer.close()


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, headers: str
) -> tuple[int, str]:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: shop.example\r\n{headers}\r\n".encode())
    async with asyncio.timeout(5):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        await reader.readexactly(int(_header(head, "content-length") or 0))
    return int(head.split(" ", 2)[1]), head


def _header(head: str, name: str) -> str:
    found = (line.partition(": ") for line in head.split("\r\n"))
    return next((value for key, _, value in found if key.lower() == name), "")


async def _until(claim: Any, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.1)


async def _order(instance: Instance, **body: Any) -> Json:
    import httpx  # noqa: PLC0415

    transport = httpx.AsyncHTTPTransport(uds=str(instance.run_dir / "control.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://seawall") as client:
        answer = await client.post("/v1/protection", json={"who": "test", **body})
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found


def test_a_flood_is_refused_explained_and_let_go_with_one_word() -> None:
    async def story(port: int, instance: Instance, crowd: Crowd) -> None:
        await asyncio.sleep(32)
        assert set(crowd.people) == {302}, crowd.people

        crowd.is_flooding = True
        began = time.monotonic()
        await _until(lambda: crowd.refused_at, 15, f"the flood is refused; {await instance.get('/v1/attacks')}")
        print(f"refused after {crowd.refused_at - began:.1f} s")  # noqa: T201 - a figure for who reads the log
        # For a second or two it is tried on a share of the requests: nobody else may be hurt before it holds for all.
        await _until(lambda: crowd.refused_of_late() > 0.98, 10, f"the flood is refused as a whole: {crowd.bots}")
        crowd.bots.clear()
        await asyncio.sleep(3)
        refused = sum(count for status, count in crowd.bots.items() if status in (403, 429))
        assert refused / sum(crowd.bots.values()) > 0.98, crowd.bots
        assert set(crowd.people) == {302}, crowd.people

        why = await instance.get(f"/v1/why/{crowd.reference}")
        assert why["guards"]
        assert any("Because" in one for one in why["sentences"])

        await _order(instance, verb="observe")
        crowd.bots.clear()
        await _until(lambda: crowd.bots[302] > 20, 5, "protection observe lets all go")

    async def run() -> None:
        port = free_port()
        async with seawall_up(_files(port, mode="enforce", floors={"route": 25, "client": 200})) as instance:
            crowd = Crowd(port)
            async with asyncio.TaskGroup() as group:
                living = group.create_task(crowd.live(), name="crowd")
                try:
                    await story(port, instance, crowd)
                finally:
                    living.cancel()

    asyncio.run(run())
