"""Streams: what every echo server on TCP does with a connection, and what it can tell about TLS.

Talks to asyncio's streams and `ssl`.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.support.echo_http import TlsFacts

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_GOODBYE = 10.0
"""Longer than any delay that the suite asks for."""

# `ssl` tells the server's side of a connection what name was asked for only in passing.
_NAMES: "weakref.WeakKeyDictionary[ssl.SSLObject, str]" = weakref.WeakKeyDictionary()


class Connections:
    """The open connections of all servers, so that none outlives them."""

    def __init__(self) -> None:
        self._open: set[asyncio.StreamWriter] = set()
        self._none = asyncio.Event()

    def guarded(self, handler: Handler) -> Handler:
        """Close the connection when the handler is done; a client that has gone away is no error."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._open.add(writer)
            self._none.clear()
            try:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    await handler(reader, writer)
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            finally:
                self._open.discard(writer)
                if not self._open:
                    self._none.set()

        return handle

    async def close(self) -> None:
        """Break every connection and wait for those who served them."""
        for writer in self._open:
            writer.transport.abort()
        if self._open:
            async with asyncio.timeout(_GOODBYE):
                await self._none.wait()


def peer_name(writer: asyncio.StreamWriter) -> str:
    """Name the other end, `address:port`."""
    address, port = writer.get_extra_info("peername")[:2]
    return f"{address}:{port}"


def reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection with a TCP reset: no lingering means no goodbye."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def server_tls(certificate: Path, key: Path, client_authorities: Path | None, protocols: list[str]) -> ssl.SSLContext:
    """Make the server's side of TLS. A client certificate is asked for if we know authorities, and verified if given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if protocols:
        context.set_alpn_protocols(protocols)
    if client_authorities is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(client_authorities)
    context.sni_callback = _remember_name
    return context


def tls_facts(writer: asyncio.StreamWriter) -> TlsFacts | None:
    """Say what is known of the connection's TLS, None if it has none."""
    tls: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
    if tls is None:
        return None
    peer = tls.getpeercert(binary_form=True)
    cipher = tls.cipher()
    return TlsFacts(
        version=tls.version() or "",
        server_name=_NAMES.get(tls, ""),
        cipher_suite=cipher[0] if cipher else "",
        negotiated_protocol=tls.selected_alpn_protocol() or "",
        peer_certificates=(ssl.DER_cert_to_PEM_cert(peer),) if peer else (),
    )


def _remember_name(tls: "ssl.SSLSocket | ssl.SSLObject", name: str | None, _: ssl.SSLContext) -> None:
    if isinstance(tls, ssl.SSLObject):
        _NAMES[tls] = name or ""
