"""HTTP/1.1 by hand: the wire of the echo backends, where the case of header names and broken connections matter.

Talks to one connection at a time. A library would correct what the suite wants to see uncorrected.
"""

import asyncio
import base64
import hashlib
import http

from tests.support.echo_http import Answer, Backend, Request, Reset, TlsFacts
from tests.support.echo_streams import peer_name, reset
from tests.support.echo_websocket import CLOSE, PING, PONG, read_frame, write_frame

_WEBSOCKET_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


async def serve_http1(
    backend: Backend, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: TlsFacts | None
) -> None:
    """Answer requests on a connection until the client leaves."""
    while (request := await _read_request(reader, peer_name(writer), tls)) is not None:
        if request.target.partition("?")[0] == "/ws" and request.header("upgrade").lower() == "websocket":
            await _websocket(request, reader, writer)
            return
        answer = await backend.answer(request)
        if isinstance(answer, Reset):
            reset(writer)
            return
        closing = request.header("connection").lower() == "close"
        write_answer(writer, answer, closing=closing, with_body=request.method != "HEAD")
        await writer.drain()
        if closing:
            return


def write_answer(writer: asyncio.StreamWriter, answer: Answer, *, closing: bool, with_body: bool = True) -> None:
    """Write status line, headers as spelled, and body."""
    lines = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    if answer.status not in (204, 304) and answer.status >= 200:
        lines.append(f"Content-Length: {len(answer.body)}")
    if closing:
        lines.append("Connection: close")
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + (answer.body if with_body else b""))


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


async def _read_request(reader: asyncio.StreamReader, client: str, tls: TlsFacts | None) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *fields = head.decode("latin-1")[:-4].split("\r\n")
    method, target, protocol = line.split(" ", 2)
    headers = [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
    known = {name.lower(): value for name, value in headers}
    await _skip_body(reader, known)
    return Request(
        method=method,
        target=target,
        protocol=protocol,
        host=known.get("host", ""),
        headers=tuple((name, value) for name, value in headers if name.lower() != "host"),
        client=client,
        tls=tls,
    )


async def _skip_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> None:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            await reader.readexactly(size + 2)
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
    elif length := int(headers.get("content-length", "0")):
        await reader.readexactly(length)


async def _websocket(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy every frame back."""
    key = request.header("sec-websocket-key").encode()
    accept = base64.b64encode(hashlib.sha1(key + _WEBSOCKET_SALT, usedforsecurity=False).digest()).decode()
    switch = Answer(
        status=101, headers=(("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept))
    )
    write_answer(writer, switch, closing=False)
    while True:
        frame = await read_frame(reader)
        kind = PONG if frame.opcode == PING else frame.opcode
        write_frame(writer, kind, frame.payload, final=frame.final)
        await writer.drain()
        if frame.opcode == CLOSE:
            return
