"""HTTP/1.1 client by hand: one request on one connection.

Talks to a connection made by `dial`, and to unix sockets through `converse`.
"""

import asyncio

from tests.conformance.clients.dial import Target, dial
from tests.conformance.clients.http import Incoming, Outgoing, joined

_NO_BODY = (204, 304)


async def exchange(target: Target, request: Outgoing) -> Incoming:
    """Send a request and read the whole answer. Raises OSError or EOFError if there is none."""
    async with dial(target) as connection:
        return await converse(connection.reader, connection.writer, request)


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Outgoing) -> Incoming:
    """Send a request on an open connection and read the whole answer."""
    write_request(writer, request)
    await writer.drain()
    status, headers = await read_head(reader)
    return Incoming(
        status=status,
        protocol="HTTP/1.1",
        headers=headers,
        body=b"" if request.method == "HEAD" or status in _NO_BODY else await _read_body(reader, headers),
    )


def write_request(writer: asyncio.StreamWriter, request: Outgoing) -> None:
    """Write request line, Host, headers as spelled, and body."""
    lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {request.host}"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    if request.body:
        lines.append(f"Content-Length: {len(request.body)}")
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + request.body)


async def read_head(reader: asyncio.StreamReader) -> tuple[int, tuple[tuple[str, str], ...]]:
    """Read the status and the headers of the final answer; interim ones (but 101) are skipped."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        line, *fields = head.decode("latin-1")[:-4].split("\r\n")
        status = int(line.split(" ", 2)[1])
        if status >= 200 or status == 101:
            pairs = (field.partition(":") for field in fields)
            return status, tuple((name, value.strip()) for name, _, value in pairs)


async def _read_body(reader: asyncio.StreamReader, headers: tuple[tuple[str, str], ...]) -> bytes:
    if (joined(headers, "transfer-encoding") or "").lower() == "chunked":
        pieces = []
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            pieces.append((await reader.readexactly(size + 2))[:-2])
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return b"".join(pieces)
    length = joined(headers, "content-length")
    return await (reader.readexactly(int(length)) if length is not None else reader.read())
