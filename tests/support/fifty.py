"""Fifty right objects on a running edge, beside which others are wrong: what all of them answer, and who is named."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from tests.support.certificates import self_signed
from tests.support.clients import Ask, Connection
from tests.support.manifests import Json, backend, gateway, route, secret, to
from tests.support.origins import origin
from tests.support.seawall import Instance, free_port, seawall_up

HOSTS = tuple(f"h{number}.example" for number in range(23))
STEP = "x-step"


def right(port: int, tls_port: int, behind: int) -> list[Json]:
    """A class, a Gateway, a certificate, 24 Backends and 23 routes."""
    chain, key = self_signed("secure.example")
    return [
        *gateway(port, tls_port=tls_port),
        secret("certificate", chain, key),
        *(backend(f"backend-{number}", behind) for number in range(len(HOSTS) + 1)),
        *(stepped(number, 0) for number in range(len(HOSTS))),
    ]


def stepped(number: int, step: int) -> Json:
    """One of the routes; its answers say at which step it is."""
    said = {
        "type": "ResponseHeaderModifier",
        "responseHeaderModifier": {"set": [{"name": STEP, "value": str(step)}]},
    }
    return route(f"route-{number}", [HOSTS[number]], [to(f"backend-{number}", said)])


class Fifty:
    """The edge, and one client of it."""

    def __init__(self, instance: Instance, port: int, tls_port: int) -> None:
        self.instance = instance
        self.port, self.tls_port = port, tls_port
        self._client = Connection(port)
        self._step = 0

    def close(self) -> None:
        self._client.close()

    async def silent(self) -> list[str]:
        """Name the hosts that do not answer as they should."""
        found = []
        for host in HOSTS:
            # A connection that drains has one answer left, and is opened anew.
            status, _, _ = await self._client.ask(Ask(host=host))
            if status != 200:
                found.append(f"{host}: {status}")
        return found

    def step(self) -> None:
        """Change one of the right ones."""
        self._step += 1
        self.instance.write("route-0", stepped(0, self._step))

    async def stepped(self, within: float = 20.0) -> float:
        """Wait until the change is served to a new connection; return the seconds that it took."""
        began = time.monotonic()
        async with asyncio.timeout(within):
            while True:
                client = Connection(self.port)
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    _, headers, _ = await client.ask(Ask(host=HOSTS[0]))
                    if headers.get(STEP) == str(self._step):
                        client.close()
                        return time.monotonic() - began
                client.close()
                await asyncio.sleep(0.005)

    async def problems(self) -> list[Json]:
        """Everything that is said to be wrong, with its place."""
        status, objects = await self.instance.get("/v1/status"), await self.instance.get("/v1/objects")
        found = [*status["fileProblems"], *(problem for one in objects for problem in one["problems"])]
        return [one for one in found if "expires within" not in one["message"]]

    async def said(self, text: str, path: str, within: float = 5.0) -> Json:
        """Wait until the object (`Kind namespace/name`) is said to be wrong at this path; return what is said."""
        end = time.monotonic() + within
        while True:
            found = await self.problems()
            for one in found:
                if one["object"] == text and one["path"].startswith(path):
                    return one
            assert time.monotonic() < end, f"not within {within} s: {text} is not named at {path}: {found}"
            await asyncio.sleep(0.005)

    async def named(self, culprits: Iterable[str], within: float = 20.0) -> float:
        """Wait until these objects (`Kind namespace/name`), and no others, are said to be wrong; return the seconds."""
        began, wanted = time.monotonic(), set(culprits)
        found: list[Json] = []
        while time.monotonic() - began < within:
            found = await self.problems()
            if {one["object"] for one in found} == wanted:
                return time.monotonic() - began
            await asyncio.sleep(0.01)
        raise AssertionError(f"not within {within} s: {sorted(wanted)} are not those that are named: {found}")


@asynccontextmanager
async def fifty(*more: Json) -> AsyncIterator[Fifty]:
    """Run an edge with the fifty; `more` are further right ones."""
    async with contextlib.AsyncExitStack() as stack:
        behind = await stack.enter_async_context(origin())
        port, tls_port = free_port(), free_port()
        documents = right(port, tls_port, behind.port)
        first = next(one for one in documents if one["metadata"]["name"] == "route-0")
        files = {"right": [one for one in documents if one is not first], "route-0": [first], "more": list(more)}
        edge = Fifty(await stack.enter_async_context(seawall_up(files)), port, tls_port)
        try:
            yield edge
        finally:
            # An edge that stops waits for what is open.
            edge.close()
