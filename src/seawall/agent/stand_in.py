"""The stand-in: one backend for every cluster of a scratch Envoy. It answers 200 and says what it was asked.

Talks HTTP/1.1 on a unix socket. Its answer is the request as JSON, so that what two Envoys would send to a backend can be
compared without one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from seawall.rollout.answers import Seen

_LIMIT = 256 * 1024


@asynccontextmanager
async def stand_in(socket: Path) -> AsyncIterator[None]:
    """Serve while the block runs."""
    open_ones: set[asyncio.StreamWriter] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.add(writer)
        try:
            while await _answer(reader, writer):
                pass
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whatever Envoy broke off, it will say so to its client
        finally:
            open_ones.discard(writer)
            writer.close()

    server = await asyncio.start_unix_server(carry, str(socket), limit=_LIMIT)
    try:
        yield
    finally:
        server.close()
        for writer in open_ones:
            writer.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    await _skip_body(reader, dict(headers))
    body = msgspec.json.encode(Seen(method=method, path=path, headers=tuple(headers)))
    answer = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    writer.write(answer if method == "HEAD" else answer + body)
    await writer.drain()
    return True


async def _skip_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> None:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        await _skip(reader, int(headers.get("content-length", "0")))
        return
    while size := int((await reader.readline()).partition(b";")[0], 16):
        await _skip(reader, size + 2)
    while (await reader.readline()).strip():
        pass


async def _skip(reader: asyncio.StreamReader, size: int) -> None:
    while size:
        piece = await reader.read(min(size, 65536))
        if not piece:
            raise ConnectionResetError
        size -= len(piece)
