"""Demo backends: small HTTP servers on loopback that answer with what they were asked.

Serves connections. A Service asks for one with the annotation `seawall.dev/demo: "true"`; see `app.standins`.
The answer is JSON: which service it is, and the request as it arrived there.

    /status/503      answers with that status        ?delay=2.5    waits so many seconds first (at most 60)
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import h11
import msgspec

_LONGEST_DELAY = 60.0
_LARGEST_READ = 1 << 16


class DemoBackend:
    """Answers for one Service."""

    def __init__(self, namespace: str, service: str) -> None:
        self._service = f"{namespace}/{service}"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Listen on a free port of 127.0.0.1 while the block runs; gives the port."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()
            # An edge keeps connections to its backends open; nobody waits for them when the demo ends.
            if hasattr(server, "close_clients"):
                server.close_clients()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, h11.RemoteProtocolError), contextlib.closing(writer):
            connection = h11.Connection(h11.SERVER)
            while (request := await self._next_request(connection, reader)) is not None:
                head, size = request
                status, body = await self._answer(head, size)
                has_body = head.method != b"HEAD" and status not in (204, 205, 304)
                writer.write(_response(connection, status, body if has_body else b""))
                await writer.drain()
                if connection.our_state is h11.MUST_CLOSE:
                    return
                connection.start_next_cycle()

    async def _next_request(
        self, connection: h11.Connection, reader: asyncio.StreamReader
    ) -> tuple[h11.Request, int] | None:
        """Read one whole request; return its head and the size of its body."""
        head: h11.Request | None = None
        size = 0
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(_LARGEST_READ))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                size += len(event.data)
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return head, size
            else:
                return None

    async def _answer(self, head: h11.Request, size: int) -> tuple[int, bytes]:
        target = head.target.decode("latin-1")
        parts = urlsplit(target)
        with contextlib.suppress(ValueError, KeyError):
            await asyncio.sleep(min(max(float(parse_qs(parts.query)["delay"][0]), 0.0), _LONGEST_DELAY))
        headers: dict[str, str] = {}
        for name, value in head.headers:
            key = name.decode("latin-1")
            headers[key] = ", ".join([*([headers[key]] if key in headers else []), value.decode("latin-1")])
        answer = {
            "service": self._service,
            "method": head.method.decode("latin-1"),
            "path": target,
            "host": headers.get("host", ""),
            "headers": headers,
            "bodyBytes": size,
        }
        return _asked_status(parts.path), msgspec.json.format(msgspec.json.encode(answer), indent=2) + b"\n"


def _asked_status(path: str) -> int:
    """`/status/503` asks for a 503."""
    before, _, number = path.rpartition("/")
    return int(number) if before.endswith("/status") and number.isdecimal() and 200 <= int(number) <= 599 else 200


def _response(connection: h11.Connection, status: int, body: bytes) -> bytes:
    headers = [("content-type", "application/json"), ("content-length", str(len(body)))] if body else []
    head = h11.Response(status_code=status, headers=headers)
    parts = [connection.send(head), connection.send(h11.Data(data=body)), connection.send(h11.EndOfMessage())]
    return b"".join(part for part in parts if part)
