"""Datagram echo: the backends of UDPRoute, and a DNS responder that knows one answer to every question.

Talks to one UDP socket each.
"""

import asyncio
from typing import cast

import msgspec

from tests.support.echo_http import Backend

_ANSWER = bytes([127, 0, 0, 1])


class UdpEcho(asyncio.DatagramProtocol):
    """Answer each datagram with who received it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: asyncio's own datagram transport is no asyncio.DatagramTransport before Python 3.12.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        answer = {"request": data.decode(errors="replace"), **self._backend.context}
        self._transport.sendto(msgspec.json.encode(answer), addr)


class DnsResponder(asyncio.DatagramProtocol):
    """Answer every query with one A record of 127.0.0.1."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: asyncio's own datagram transport is no asyncio.DatagramTransport before Python 3.12.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        question = _question(data)
        if question is None:
            return
        # Response, authoritative; one question, one answer (RFC 1035, section 4.1.1). The name is a pointer to offset 12.
        head = data[:2] + b"\x84\x00" + b"\0\1\0\1\0\0\0\0"
        record = b"\xc0\x0c" + b"\0\1\0\1" + (60).to_bytes(4, "big") + len(_ANSWER).to_bytes(2, "big") + _ANSWER
        self._transport.sendto(head + question + record, addr)


def _question(query: bytes) -> bytes | None:
    """Cut the first question out of a query, None if there is none."""
    at = 12
    while at < len(query) and query[at]:
        at += query[at] + 1
    end = at + 5
    return query[12:end] if end <= len(query) else None
