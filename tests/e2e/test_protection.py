"""Protection through `seawall up`: a flood from many addresses at the real Envoy, people beside it, and the one switch."""

import asyncio
import getpass
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.support.burst import request
from tests.support.manifests import Json, gateway, route
from tests.support.seawall import Instance, free_port, seawall_up

pytestmark = pytest.mark.e2e

HOST = "a.example"
REDIRECT = {"type": "RequestRedirect", "requestRedirect": {"hostname": "b.example"}}
POLICY: Json = {
    "apiVersion": "seawall.dev/v1alpha1",
    "kind": "ProtectionPolicy",
    "metadata": {"name": "p", "namespace": "test"},
    "spec": {
        "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}],
        "mode": "enforce",
        "coldStart": "1s",
        "allow": {"clients": ["127.7.0.0/16"]},
    },
}
BOTS = 60


class Crowd:
    """Clients with addresses of their own; each asks so many times a second until it is told to stop."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: Counter[tuple[str, int]] = Counter()
        self.last: dict[str, Counter[int]] = {}
        self.references: set[str] = set()

    async def ask(self, who: str, source: str, raw: list[bytes], pause: float) -> None:
        number = 0
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
                try:
                    while True:
                        writer.write(raw[number % len(raw)])
                        number += 1
                        head = await reader.readuntil(b"\r\n\r\n")
                        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                        await reader.readexactly(int(length[1]) if length else 0)
                        self._note(who, head)
                        await asyncio.sleep(pause)
                finally:
                    writer.close()
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(pause)

    def _note(self, who: str, head: bytes) -> None:
        status = int(head[9:12])
        self.answers[who, status] += 1
        self.last.setdefault(who, Counter())[status] += 1
        if (found := re.search(rb"x-seawall-ref: (\S+)", head)) is not None:
            self.references.add(found[1].decode())

    def took(self) -> dict[str, Counter[int]]:
        """Return the answers since the last call."""
        last, self.last = self.last, {}
        return last


@asynccontextmanager
async def crowded(instance: Instance, port: int) -> AsyncIterator[Crowd]:
    crowd = Crowd(port)
    async with asyncio.TaskGroup() as group:
        tasks = []
        for number in range(10):
            asked = [
                request(HOST, f"/page/{page}", {"user-agent": f"Firefox/{number}", "accept-language": "en"})
                for page in range(20)
            ]
            tasks.append(group.create_task(crowd.ask("people", f"127.1.0.{number + 1}", asked, 0.5)))
        try:
            yield crowd
        finally:
            for task in tasks:
                task.cancel()


async def _order(instance: Instance, verb: str, **body: str) -> None:
    transport = httpx.AsyncHTTPTransport(uds=str(instance.run_dir / "control.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://seawall", timeout=10) as client:
        answer = await client.post("/v1/protection", json={"verb": verb, "who": getpass.getuser(), **body})
        answer.raise_for_status()


async def _until(crowd: Crowd, who: str, *, refused: bool, within: float) -> float:
    """Wait until nearly all answers of a second are refusals, or none is; return how long it took."""
    began = time.monotonic()
    while time.monotonic() - began < within:
        crowd.took()
        await asyncio.sleep(0.5)
        got = crowd.took().get(who, Counter())
        passed = got[302]
        if got.total() and (passed <= got.total() * 0.1 if refused else passed == got.total()):
            return time.monotonic() - began
    raise AssertionError(f"not within {within} s: {crowd.answers}")


def test_a_flood_is_stopped_explained_and_let_go_again_while_people_pass() -> None:
    async def run() -> None:
        port = free_port()
        files = {
            "gateway": gateway(port),
            "routes": [route("a", [HOST], [{"filters": [REDIRECT]}])],
            "policy": [POLICY],
        }
        async with seawall_up(files) as instance:
            await instance.until(lambda one: bool(one["enforces"]), path="/v1/protection")
            async with crowded(instance, port) as crowd, asyncio.TaskGroup() as group:
                # What people do is learned only after nobody has objected for ten seconds.
                await instance.until(lambda one: one["requests"] > 10, path="/v1/top?seconds=30", within=60)
                await asyncio.sleep(15)
                asked = [request(HOST, "/search?q=1", {"user-agent": "flood/1"})]
                bots = [
                    group.create_task(crowd.ask("bots", f"127.9.{number // 200}.{number % 200 + 1}", asked, 0.2))
                    for number in range(BOTS)
                ]
                allowed = group.create_task(crowd.ask("allowed", "127.7.0.1", asked, 0.2))
                try:
                    await _until(crowd, "bots", refused=True, within=30)
                    (reference, *_) = crowd.references
                    why = await instance.get(f"/v1/why/{reference}")
                    assert why["sentences"] and why["guards"], why
                    assert not any(who in ("people", "allowed") and code != 302 for who, code in crowd.answers)

                    await _order(instance, "observe")
                    await _until(crowd, "bots", refused=False, within=5)
                finally:
                    for one in (*bots, allowed):
                        one.cancel()
            assert {code for who, code in crowd.answers if who == "people"} == {302}

    asyncio.run(run())


def test_a_person_denies_and_takes_it_back_without_any_policy() -> None:
    async def run() -> None:
        port = free_port()
        files = {"gateway": gateway(port), "routes": [route("a", [HOST], [{"filters": [REDIRECT]}])]}
        async with seawall_up(files) as instance, crowded(instance, port) as crowd, asyncio.TaskGroup() as group:
            asked = [request(HOST, "/x", {"user-agent": "odd/1"})]
            odd = group.create_task(crowd.ask("odd", "127.9.9.9", asked, 0.05))
            transport = httpx.AsyncHTTPTransport(uds=str(instance.run_dir / "control.sock"))
            async with httpx.AsyncClient(transport=transport, base_url="http://seawall", timeout=10) as client:
                body = {"verb": "add", "who": "me", "match": {"agent": "odd/1"}, "kind": "deny"}
                (await client.post("/v1/protection", json=body)).raise_for_status()
                await _until(crowd, "odd", refused=True, within=5)
                assert {code for who, code in crowd.answers if who == "odd"} == {302, 403}
                (reference,) = crowd.references
                body = {"verb": "remove", "who": "me", "verdict": reference}
                (await client.post("/v1/protection", json=body)).raise_for_status()
                await _until(crowd, "odd", refused=False, within=5)
            odd.cancel()
            assert {code for who, code in crowd.answers if who == "people"} == {302}

    asyncio.run(run())
