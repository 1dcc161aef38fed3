"""Clients and an origin for tests: constant requests over kept connections, every failed one counted with its reason.

HTTP/1.1 by hand on asyncio streams: a client library would retry, pool and forgive; here nothing is forgiven. A connection
that the server closed between two requests is no failure, and is opened anew; one that ends within a request is.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator

import msgspec

_PATIENCE = 5.0
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nok\n"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request, and the status that is right for it."""

    host: str
    path: str = "/"
    headers: dict[str, str] = {}
    status: int = 200


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """What clients want: `rate` requests per second in all, over so many connections, round robin. A request that failed
    is sent `retries` times more at once, as impatient clients do; each attempt counts. A connection is given up after
    `reuse` requests: real clients come and go, and a new filter chain is for new connections."""

    asks: tuple[Ask, ...]
    connections: int = 4
    reuse: int = 20
    rate: float = 50.0
    retries: int = 0
    port: int = 8080


class Counted(msgspec.Struct, kw_only=True):
    """What became of them. Times are of the wall clock, to be compared with logs; 0: never."""

    sent: int = 0
    failed: dict[str, int] = {}
    first_failed_at: float = 0.0
    last_failed_at: float = 0.0

    @property
    def failures(self) -> int:
        return sum(self.failed.values())

    def add(self, other: "Counted") -> None:
        """Take the counts of another host into these."""
        self.sent += other.sent
        self.failed = dict(Counter(self.failed) + Counter(other.failed))
        if other.first_failed_at:
            self.first_failed_at = min(self.first_failed_at or other.first_failed_at, other.first_failed_at)
        self.last_failed_at = max(self.last_failed_at, other.last_failed_at)


class Connection:
    """One client's connection; opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._pair: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, ask: Ask) -> tuple[int, dict[str, str], bytes]:
        """Send one request. Raises OSError, asyncio.IncompleteReadError or TimeoutError; then the connection is closed."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._ask(ask)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._pair is not None:
            self._pair[1].transport.abort()
            self._pair = None

    async def _ask(self, ask: Ask) -> tuple[int, dict[str, str], bytes]:
        if self._pair is not None and (self._pair[0].at_eof() or self._pair[1].is_closing()):
            self.close()
        if self._pair is None:
            self._pair = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._pair
        lines = (f"GET {ask.path} HTTP/1.1", f"host: {ask.host}", *(f"{k}: {v}" for k, v in ask.headers.items()))
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await _body(reader, headers)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(head[0].split(" ")[1]), headers, body


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while True:
        size = int((await reader.readuntil(b"\r\n")).strip(), 16)
        body += (await reader.readexactly(size + 2))[:-2]
        if not size:
            return body


class Load:
    """Runs while the block runs; `counted` may be read at any time."""

    def __init__(self, mix: Mix) -> None:
        self.counted = Counted()
        self._mix = mix

    async def run(self) -> None:
        """Keep asking, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._mix.connections):
                group.create_task(self._keep_asking(number), name=f"client-{number}")

    async def _keep_asking(self, number: int) -> None:
        mix, connection, step = self._mix, Connection(self._mix.port), number
        pause = mix.connections / mix.rate
        due = time.monotonic() + pause * number / mix.connections
        sent = 0
        try:
            while True:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                sent += 1
                if sent % mix.reuse == 0:
                    connection.close()
                ask = mix.asks[step % len(mix.asks)]
                for _ in range(1 + mix.retries):
                    if await self._is_answered(connection, ask):
                        break
                step += mix.connections
                # Whoever is late does not catch up: a stalled server must not be answered with a flood.
                due = max(due + pause, time.monotonic())
        finally:
            connection.close()

    async def _is_answered(self, connection: Connection, ask: Ask) -> bool:
        self.counted.sent += 1
        try:
            status, _, _ = await connection.ask(ask)
        except (OSError, asyncio.IncompleteReadError) as error:
            return self._failed(type(error).__name__)
        return status == ask.status or self._failed(f"status {status}")

    def _failed(self, reason: str) -> bool:
        self.counted.failed[reason] = self.counted.failed.get(reason, 0) + 1
        self.counted.last_failed_at = time.time()
        self.counted.first_failed_at = self.counted.first_failed_at or self.counted.last_failed_at
        return False


@contextlib.asynccontextmanager
async def origin(port: int) -> AsyncIterator[None]:
    """Answer everything with 200 on a port of every address of a host while the block runs."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0"
                )
                await reader.readexactly(int(length.partition(b":")[2]))
                writer.write(_ANSWER)
        writer.close()

    server = await asyncio.start_server(serve, "0.0.0.0", port)
    try:
        yield
    finally:
        server.close()
