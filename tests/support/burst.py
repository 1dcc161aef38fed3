"""Bursts: many requests as fast as a client can, and what each was answered.

    statuses = await burst(port, [request("a.example", headers={"x-key": str(n)}) for n in range(20_000)])

Over a few connections, each with one request at a time: Envoy closes a connection on which more than two answers wait.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence

CONNECTIONS = 8
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def request(host: str, path: str = "/", headers: Mapping[str, str] | None = None, method: str = "GET") -> bytes:
    """Write a request without a body."""
    lines = [
        f"{method} {path} HTTP/1.1",
        f"host: {host}",
        *(f"{key}: {value}" for key, value in (headers or {}).items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def burst(
    port: int, requests: Sequence[bytes], *, source: str = "127.0.0.1", connections: int = CONNECTIONS
) -> Counter[int]:
    """Send requests from an address of the loopback, nearly in order; count the answers by status."""
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_one_by_one(port, requests[start::connections], source), name=f"burst {start}")
            for start in range(min(connections, len(requests)))
        ]
    return sum((task.result() for task in tasks), Counter[int]())


async def _one_by_one(port: int, requests: Sequence[bytes], source: str) -> Counter[int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    found: Counter[int] = Counter()
    try:
        for one in requests:
            writer.write(one)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            await reader.readexactly(int(length[1]) if length else 0)
            found[int(head[9:12])] += 1
    finally:
        writer.close()
    return found
