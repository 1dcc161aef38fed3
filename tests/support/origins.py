"""Origins for tests: HTTP/1.1 servers of a few lines that answer as a test wants, and remember what they were asked.

async with origin(lambda asked: Answer(status=503)) as one:
    ... one.port, one.asked

By hand on asyncio streams, so that one can break a connection, answer late and say in full what came.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import msgspec


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as received; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    client: tuple[str, int]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What to say, `after` so many seconds."""

    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = {}
    after: float = 0.0


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """Reset the connection instead."""


Handler = Callable[[Asked], Answer | Broken | Awaitable[Answer | Broken]]


class Origin:
    """A running server. `handler` can be replaced at any time."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.asked: list[Asked] = []
        self.connections = 0
        self.port = 0

    @property
    def paths(self) -> list[str]:
        return [one.path for one in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (asked := await _read(reader, writer)) is not None:
                self.asked.append(asked)
                found = self.handler(asked)
                answer = found if isinstance(found, Answer | Broken) else await found
                if isinstance(answer, Broken):
                    writer.transport.abort()
                    return
                await asyncio.sleep(answer.after)
                writer.write(_written(answer, with_body=asked.method != "HEAD"))
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def origin(
    handler: Handler = lambda _: Answer(), *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Origin]:
    """Run an origin, on a free port unless one is given."""
    made = Origin(handler)
    server = await asyncio.start_server(made.serve, host, port)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Asked | None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ", 2)
    pairs = (line.split(":", 1) for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, value in pairs}
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    return Asked(method=method, path=path, headers=headers, body=body, client=writer.get_extra_info("peername")[:2])


def _written(answer: Answer, *, with_body: bool) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} Said", f"content-length: {len(answer.body)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + (answer.body if with_body else b"")
