"""HTTP/2 client over `h2`: one request on one connection, over TLS or with prior knowledge; gRPC's unary call on top.

Talks to a connection made by `dial`.
"""

import h2.config
import h2.connection
import h2.events
import msgspec

from tests.conformance.clients.dial import Connection, Target, dial
from tests.conformance.clients.http import Incoming, Outgoing, joined
from tests.support.echo_grpc import EchoReply, decode_reply

# grpc.github.io/grpc/core/md_doc_statuscodes.html
_GRPC_CODES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
# What a client makes of an HTTP status without a grpc-status (grpc's http-grpc-status-mapping.md).
_FROM_HTTP = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
_UNKNOWN = 2


class GrpcAnswer(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    reply: EchoReply | None = None


async def exchange(target: Target, request: Outgoing) -> Incoming:
    """Send a request and read the whole answer. Raises OSError if there is none."""
    async with dial(target) as connection:
        if target.tls is not None and connection.protocol != "h2":
            raise ConnectionError(f"HTTP/2 was asked for, the gateway chose {connection.protocol}")
        scheme = "https" if target.tls is not None else "http"
        return await _Call(connection).run(request, scheme)


async def call(target: Target, method: str, authority: str, metadata: tuple[tuple[str, str], ...] = ()) -> GrpcAnswer:
    """Make a unary gRPC call with an empty message."""
    headers = (("content-type", "application/grpc"), ("te", "trailers"), *metadata)
    empty_message = b"\0" + bytes(4)
    answer = await exchange(
        target, Outgoing(method="POST", path=method, host=authority, headers=headers, body=empty_message)
    )
    status = joined(answer.trailers, "grpc-status") or answer.header("grpc-status")
    if status is None:
        return GrpcAnswer(code=_GRPC_CODES[_FROM_HTTP.get(answer.status, _UNKNOWN)])
    code = _GRPC_CODES[int(status)]
    return GrpcAnswer(code=code, reply=decode_reply(answer.body[5:]) if code == "OK" else None)


class _Call:
    """One stream on its own connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8", validate_inbound_headers=False)
        self._h2 = h2.connection.H2Connection(config)
        self._headers: tuple[tuple[str, str], ...] = ()
        self._trailers: tuple[tuple[str, str], ...] = ()
        self._body = b""
        self._is_done = False

    async def run(self, request: Outgoing, scheme: str) -> Incoming:
        writer, reader = self._connection.writer, self._connection.reader
        self._h2.initiate_connection()
        self._send(request, scheme)
        while not self._is_done:
            writer.write(self._h2.data_to_send())
            await writer.drain()
            received = await reader.read(65536)
            if not received:
                raise ConnectionResetError("the gateway closed the connection before the answer was complete")
            for event in self._h2.receive_data(received):
                self._take(event)
        known = dict(self._headers)
        return Incoming(
            status=int(known[":status"]),
            protocol="HTTP/2.0",
            headers=tuple((name, value) for name, value in self._headers if name != ":status"),
            body=self._body,
            trailers=self._trailers,
        )

    def _send(self, request: Outgoing, scheme: str) -> None:
        head = [
            (":method", request.method),
            (":scheme", scheme),
            (":authority", request.host),
            (":path", request.path),
            *((name.lower(), value) for name, value in request.headers),
        ]
        self._h2.send_headers(1, head, end_stream=not request.body)
        if request.body:
            self._h2.send_data(1, request.body, end_stream=True)

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived(headers=headers):
                self._headers = tuple((str(name), str(value)) for name, value in headers or ())
            case h2.events.TrailersReceived(headers=headers):
                self._trailers = tuple((str(name), str(value)) for name, value in headers or ())
            case h2.events.DataReceived(data=bytes(data), flow_controlled_length=int(length)):
                self._body += data
                self._h2.acknowledge_received_data(length, 1)
            case h2.events.StreamEnded():
                self._is_done = True
            case h2.events.StreamReset(error_code=code):
                raise ConnectionResetError(f"the gateway reset the stream: {code!r}")
            case h2.events.ConnectionTerminated(error_code=code):
                raise ConnectionResetError(f"the gateway ended the connection: {code!r}")
            case _:
                pass
