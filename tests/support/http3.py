"""An HTTP/3 client: one request over QUIC, by aioquic."""

import asyncio
import ssl
from collections import deque
from typing import cast

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent


class _Client(QuicConnectionProtocol):
    """Collects the one answer."""

    def open(self) -> None:
        self._http = H3Connection(self._quic)
        self._done = asyncio.Event()
        self.events: deque[H3Event] = deque()

    async def ask(self, headers: list[tuple[bytes, bytes]]) -> None:
        stream = self._quic.get_next_available_stream_id()
        self._http.send_headers(stream, headers, end_stream=True)
        self.transmit()
        async with asyncio.timeout(5):
            await self._done.wait()

    def quic_event_received(self, event: QuicEvent) -> None:
        if not hasattr(self, "_http"):
            return
        for one in self._http.handle_event(event):
            self.events.append(one)
            if isinstance(one, HeadersReceived | DataReceived) and one.stream_ended:
                self._done.set()


async def get3(port: int, host: str, path: str, trust: bytes) -> tuple[int, dict[str, str], bytes]:
    """Ask over HTTP/3; return status, headers and body. Raises ConnectionError or TimeoutError."""
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=host, idle_timeout=5)
    configuration.verify_mode = ssl.CERT_REQUIRED
    configuration.load_verify_locations(cadata=trust)
    async with (
        asyncio.timeout(5),
        connect("127.0.0.1", port, configuration=configuration, create_protocol=_Client) as one,
    ):
        client = cast(_Client, one)
        client.open()
        asked = [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", host.encode()),
            (b":path", path.encode()),
        ]
        await client.ask(asked)
        headers: dict[str, str] = {}
        body = b""
        for event in client.events:
            if isinstance(event, HeadersReceived):
                headers |= {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, DataReceived):
                body += event.data
        return int(headers.pop(":status")), headers, body
