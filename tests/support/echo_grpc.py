"""gRPC echo: the service `GrpcEcho` of the conformance suite on the HTTP/2 wire, its two messages packed by hand.

Talks to nobody: `responder` answers what `echo_http2` reads. Two messages of strings are not worth a code generator.
"""

import msgspec

from tests.support.echo_http import Answer, Backend, Request
from tests.support.echo_http2 import Reply, Responder

SERVICE = "/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/"
_HEADERS = (("content-type", "application/grpc"),)
_OK, _UNIMPLEMENTED = "0", "12"


class EchoReply(msgspec.Struct, frozen=True, kw_only=True):
    """What a client of the suite reads from an `EchoResponse`."""

    method: str
    headers: tuple[tuple[str, str], ...]
    authority: str
    namespace: str
    pod: str


def responder(backend: Backend) -> Responder:
    """Answer Echo and EchoTwo; EchoThree and whatever else is unimplemented."""

    async def respond(request: Request) -> Reply:
        backend.seen[request.target] += 1
        if request.target not in (f"{SERVICE}Echo", f"{SERVICE}EchoTwo"):
            trailers = (("grpc-status", _UNIMPLEMENTED), ("grpc-message", f"no method {request.target}"))
            return Reply(answer=Answer(status=200, headers=(*_HEADERS, *trailers)))
        message = encode_reply(backend, request)
        framed = b"\0" + len(message).to_bytes(4, "big") + message
        return Reply(answer=Answer(status=200, headers=_HEADERS, body=framed), trailers=(("grpc-status", _OK),))

    return respond


def encode_reply(backend: Backend, request: Request) -> bytes:
    """Pack `EchoResponse{1: Assertions, 2: EchoRequest}`."""
    context = backend.context
    assertions = [
        _field(1, request.target),
        *(_field(2, _field(1, name) + _field(2, value)) for name, value in request.headers),
        _field(3, request.host),
        _field(4, b"".join(_field(i, context[name]) for i, name in enumerate(context, start=1))),
    ]
    if request.tls is not None:
        tls = request.tls
        names = (tls.version, tls.negotiated_protocol, tls.server_name, tls.cipher_suite)
        facts = [_field(i, name) for i, name in enumerate(names, start=1)]
        assertions.append(_field(5, b"".join([*facts, *(_field(5, pem) for pem in tls.peer_certificates)])))
    return _field(1, b"".join(assertions)) + _field(2, b"")


def decode_reply(message: bytes) -> EchoReply:
    """Unpack an `EchoResponse`. Raises ValueError if it is none."""
    fields = _fields(dict(_fields(message))[1])
    known = dict(fields)
    context = dict(_fields(known.get(4, b"")))
    headers = [dict(_fields(value)) for number, value in fields if number == 2]
    return EchoReply(
        method=known.get(1, b"").decode(),
        headers=tuple((header.get(1, b"").decode(), header.get(2, b"").decode()) for header in headers),
        authority=known.get(3, b"").decode(),
        namespace=context.get(1, b"").decode(),
        pod=context.get(4, b"").decode(),
    )


def _field(number: int, value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2]) + _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """Split a message of length-delimited fields."""
    found, at = [], 0
    while at < len(message):
        tag = message[at]
        if tag & 7 != 2:
            raise ValueError(f"field {tag >> 3} has wire type {tag & 7}, only length-delimited ones are known")
        length, shift, at = 0, 0, at + 1
        while True:
            length |= (message[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if message[at - 1] < 0x80:
                break
        found.append((tag >> 3, message[at : at + length]))
        at += length
    return found
