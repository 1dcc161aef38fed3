"""HTTP/2 over `h2`: the wire of the echo backends in the modes h2c, grpc, and https where the client prefers h2.

Talks to one connection: each stream is answered by a task of its own, so that a delayed answer delays nobody else.
"""

import asyncio
from collections.abc import Awaitable, Callable

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import msgspec

from tests.support.echo_http import Answer, Backend, Request, Reset, TlsFacts
from tests.support.echo_streams import peer_name, reset

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that may end in trailers, as gRPC's do."""

    answer: Answer
    trailers: tuple[tuple[str, str], ...] = ()


Responder = Callable[[Request], Awaitable[Reply | Reset]]


def responder_of(backend: Backend, *, only_echo: bool) -> Responder:
    """Answer as the HTTP/1.1 side does; mode h2c knows nothing but the echo."""

    async def respond(request: Request) -> Reply | Reset:
        answer = await (backend.echo(request) if only_echo else backend.answer(request))
        return answer if isinstance(answer, Reset) else Reply(answer=answer)

    return respond


async def serve_http2(
    respond: Responder,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    received: bytes = b"",
    tls: TlsFacts | None = None,
) -> None:
    """Answer the streams of a connection until the client leaves. `received`: what was read to find out that it is HTTP/2."""
    async with asyncio.TaskGroup() as tasks:
        await _Connection(respond, reader, writer, tls, tasks).run(received)


class _Connection:
    def __init__(
        self,
        respond: Responder,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        tls: TlsFacts | None,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._respond = respond
        self._reader = reader
        self._writer = writer
        self._tls = tls
        self._tasks = tasks
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._headers: dict[int, list[tuple[str, str]]] = {}
        self._window = asyncio.Event()

    async def run(self, received: bytes) -> None:
        self._h2.initiate_connection()
        self._flush()
        while received := received or await self._reader.read(65536):
            try:
                events = self._h2.receive_data(received)
            except h2.exceptions.ProtocolError:
                self._flush()
                return
            for event in events:
                self._take(event)
            self._flush()
            received = b""

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=int(stream), headers=headers):
                self._headers[stream] = [(str(name), str(value)) for name, value in headers or ()]
            case h2.events.DataReceived(stream_id=int(stream), flow_controlled_length=int(length)):
                self._h2.acknowledge_received_data(length, stream)
            case h2.events.StreamEnded(stream_id=int(stream)):
                self._tasks.create_task(self._answer(stream), name=f"stream {stream}")
            case h2.events.WindowUpdated():
                self._window.set()
            case _:
                pass

    async def _answer(self, stream: int) -> None:
        reply = await self._respond(self._request(self._headers.pop(stream)))
        if isinstance(reply, Reset):
            reset(self._writer)
            return
        try:
            await self._send(stream, reply)
        except (h2.exceptions.StreamClosedError, h2.exceptions.ProtocolError, OSError):
            # The client did not wait for this answer: its timeout is not our error.
            return

    async def _send(self, stream: int, reply: Reply) -> None:
        answer = reply.answer
        headers = [(":status", str(answer.status)), *((name.lower(), value) for name, value in answer.headers)]
        self._h2.send_headers(stream, headers, end_stream=not answer.body and not reply.trailers)
        body = answer.body
        while body:
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if not room:
                self._window.clear()
                self._flush()
                await self._window.wait()
                continue
            piece, body = body[:room], body[room:]
            self._h2.send_data(stream, piece, end_stream=not body and not reply.trailers)
        if reply.trailers:
            self._h2.send_headers(stream, reply.trailers, end_stream=True)
        self._flush()
        await self._writer.drain()

    def _flush(self) -> None:
        if not self._writer.is_closing():
            self._writer.write(self._h2.data_to_send())

    def _request(self, headers: list[tuple[str, str]]) -> Request:
        pseudo = {name: value for name, value in headers if name.startswith(":")}
        plain = tuple((name, value) for name, value in headers if not name.startswith(":"))
        host = pseudo.get(":authority") or dict(plain).get("host", "")
        return Request(
            method=pseudo[":method"],
            target=pseudo.get(":path", ""),
            protocol="HTTP/2.0",
            host=host,
            headers=tuple((name, value) for name, value in plain if name != "host"),
            client=peer_name(self._writer),
            tls=self._tls,
        )
