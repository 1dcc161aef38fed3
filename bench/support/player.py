"""Player: sends the requests of a play to an edge or a peer, each from its client's address, and notes what became of it.

Every request is a real one over TCP from an address of 127.0.0.0/8; its label is known to the bench alone.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

import msgspec

from bench.support.people import HOST, Request
from seawall.detect.columns import PAGE_PARTS

SCALE = 0.25
"""Of a play's requests so many are sent: what two cores can make, and serve."""
MOST_CONNECTIONS = 600


class Shot(msgspec.Struct, frozen=True):
    """A request and its end: when (seconds since the play began), whose, and the status; 0: no answer."""

    at: float
    is_bad: bool
    status: int


class Player:
    """Sends requests, each from its client's address, on connections that are kept like a client's."""

    def __init__(self, port: int) -> None:
        self.shots: list[Shot] = []
        self._port = port
        self._began = time.monotonic()
        self._kept: OrderedDict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = OrderedDict()

    def begin(self) -> list[Shot]:
        """The play begins: return what was before."""
        before, self.shots, self._began = self.shots, [], time.monotonic()
        return before

    async def second(self, group: asyncio.TaskGroup, requests: Sequence[Request]) -> None:
        """Send a second's requests, spread over it."""
        began = time.monotonic()
        for number, one in enumerate(requests):
            pause = began + number / len(requests) - time.monotonic()
            if pause > 0.002:
                await asyncio.sleep(pause)
            group.create_task(self._send(one), name="request")
        await asyncio.sleep(max(0.0, began + 1.0 - time.monotonic()))

    async def _send(self, one: Request) -> None:
        shots, began = self.shots, self._began
        try:
            async with asyncio.timeout(8), self._connection(address_of(one.client.address)) as (reader, writer):
                writer.write(written(one))
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next((line[15:] for line in head.split("\r\n") if line.startswith("content-length:")), "0")
                await reader.readexactly(int(length))
                status = int(head.split(" ", 2)[1])
        except (OSError, TimeoutError, ValueError, IndexError, asyncio.IncompleteReadError):
            status = 0
        shots.append(Shot(time.monotonic() - began, one.label == "bad", status))

    @asynccontextmanager
    async def _connection(self, address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        held = self._kept.pop(address, None)
        if held is None or held[1].is_closing() or held[0].at_eof():
            held = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(address, 0))
        try:
            yield held
        except BaseException:
            held[1].close()
            raise
        self._kept[address] = held
        while len(self._kept) > MOST_CONNECTIONS:
            self._kept.popitem(last=False)[1][1].close()


def thinned(rng: Random, requests: Sequence[Request]) -> list[Request]:
    """Take the part of them that this host can make. What is good is taken by the page: people do not fetch a quarter of one."""
    found: list[Request] = []
    client, is_taken = None, False
    for one in requests:
        is_part = one.label == "good" and one.client is client and one.fetch in PAGE_PARTS
        is_taken = is_taken if is_part else rng.random() < SCALE
        client = one.client
        if is_taken:
            found.append(one)
    rng.shuffle(found)
    return found


def address_of(made_up: str) -> str:
    """Put an address of the plays into 127.0.0.0/8, people and bots apart."""
    if ":" in made_up:
        return "127.250.0.1"
    first, high, middle, low = map(int, made_up.split("."))
    return f"127.{(16 if first < 64 else 128) + high % 100}.{middle}.{low}"


def written(one: Request) -> bytes:
    client = one.client
    target = one.path + (f"?{one.query}" if one.query else "")
    lines = [
        f"{one.method} {target} HTTP/1.1",
        f"Host: {HOST}",
        f"User-Agent: {client.agent}",
        f"X-Bench: {one.status} {one.seconds:g}",
        *([f"Accept-Language: {client.language}"] if client.language else []),
        *([f"Sec-Fetch-Dest: {one.fetch}", "Accept: */*", "Accept-Encoding: gzip"] if client.language else []),
        *([f"Authorization: Bearer {client.token}"] if client.token else []),
        *(["Content-Length: 0"] if one.method == "POST" else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode()
