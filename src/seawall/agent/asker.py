"""The asker: sends the bytes of a request to a scratch Envoy and reads what comes back.

Talks HTTP/1.1 to loopback ports, TLS where the listener wants it. It verifies no certificate: they are those of somebody
else's hosts. Connections are kept for requests that are well formed; the others get one each.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping

import msgspec

from seawall.kit.units import Seconds
from seawall.rollout.answers import Answer, Seen
from seawall.rollout.corpus import Request

_LIMIT = 256 * 1024
_MALFORMED = Seconds(0.25)
_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Asker:
    """A client of one Envoy. Never raises: what went wrong is the answer."""

    def __init__(self, ports: Mapping[str, int], patience: Seconds) -> None:
        self._ports = ports
        self._patience = patience
        self._idle: dict[tuple[str, str], list[_Stream]] = {}
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE
        self._tls.set_alpn_protocols(["http/1.1"])

    async def ask(self, request: Request) -> Answer:
        started = time.monotonic()
        # Half a message is rightly waited for by Envoy; that it is, is seen at once.
        patience = _MALFORMED if request.kind == "malformed" else self._patience
        key = (request.target.listener, request.target.server_name if request.target.is_tls else "")
        is_kept = request.kind in ("probe", "sample")
        stream = self._idle[key].pop() if is_kept and self._idle.get(key) else None
        answer = Answer(error="no answer")
        try:
            async with asyncio.timeout(patience):
                reused = stream is not None
                stream = stream or await self._connect(request)
                answer = await _exchange(stream, request)
                if reused and answer.error:
                    # A connection that was idle may have been closed meanwhile, rightly.
                    stream[1].close()
                    stream = await self._connect(request)
                    answer = await _exchange(stream, request)
        except TimeoutError:
            answer = Answer(error=f"no answer within {patience:g} s")
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as exc:
            answer = Answer(error=f"no answer ({type(exc).__name__})")
        if stream is not None:
            if is_kept and not answer.is_closed and not answer.error:
                self._idle.setdefault(key, []).append(stream)
            else:
                stream[1].close()
        return msgspec.structs.replace(answer, took=time.monotonic() - started)

    def close(self) -> None:
        """Close what is idle."""
        for streams in self._idle.values():
            for _, writer in streams:
                writer.close()
        self._idle.clear()

    async def _connect(self, request: Request) -> _Stream:
        target = request.target
        port = self._ports.get(target.listener, 0)
        if not target.is_tls:
            return await asyncio.open_connection("127.0.0.1", port, limit=_LIMIT)
        # A name with a wildcard's or an address's shape is no server name: then none is sent.
        name = target.server_name
        return await asyncio.open_connection("127.0.0.1", port, limit=_LIMIT, ssl=self._tls, server_hostname=name)


async def _exchange(stream: _Stream, request: Request) -> Answer:
    reader, writer = stream
    try:
        writer.write(request.wire)
        await writer.drain()
        return await _read(reader, request.method)
    except (ConnectionError, asyncio.IncompleteReadError):
        return Answer(error="the connection was closed without an answer", is_closed=True)


async def _read(reader: asyncio.StreamReader, method: str) -> Answer:
    status, headers = await _head(reader)
    while 100 <= status < 200 and status != 101:
        status, headers = await _head(reader)
    fields = dict(headers)
    is_closed = fields.get("connection", "").lower() == "close"
    body = b""
    if method != "HEAD" and status not in (101, 204, 304):
        if fields.get("transfer-encoding", "") == "chunked":
            body = await _chunks(reader)
        elif "content-length" in fields:
            body = await reader.readexactly(min(int(fields["content-length"]), _LIMIT))
        else:
            body, is_closed = await reader.read(_LIMIT), True
    # After a 101 the connection speaks something else.
    return Answer(status=status, headers=headers, seen=_seen(fields, body), is_closed=is_closed or status == 101)


async def _head(reader: asyncio.StreamReader) -> tuple[int, tuple[tuple[str, str], ...]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split(" ", 2)[1]), tuple((name.lower(), value.strip()) for name, _, value in pairs)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    while size := int((await reader.readline()).partition(b";")[0], 16):
        pieces.append((await reader.readexactly(size + 2))[:-2])
    while (await reader.readline()).strip():
        pass
    return b"".join(pieces)


def _seen(headers: Mapping[str, str], body: bytes) -> Seen | None:
    if headers.get("content-type") != "application/json":
        return None
    try:
        return msgspec.json.decode(body, type=Seen)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
