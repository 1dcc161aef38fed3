"""UDP clients: one datagram out, one back; the same for a DNS query.

Talks to a UDP socket.
"""

import asyncio
import os
import socket

from tests.conformance.clients.dial import Target

_WAIT = 2.0
_TYPES = {"A": 1, "AAAA": 28}


async def exchange(target: Target, payload: bytes) -> bytes:
    """Send a datagram and return the one that comes back. Raises OSError (TimeoutError too) if none does."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        # Connected, so that nobody else's datagram counts and a refusal is heard.
        sock.connect((target.address, target.port))
        await loop.sock_sendall(sock, payload)
        async with asyncio.timeout(_WAIT):
            return await loop.sock_recv(sock, 65536)


async def resolve(target: Target, name: str, kind: str) -> int:
    """Ask a DNS question; return the response code, whatever it is. Raises OSError or ValueError if nothing sensible comes."""
    ident = os.urandom(2)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    question = labels + b"\0" + _TYPES[kind].to_bytes(2, "big") + b"\0\1"
    answer = await exchange(target, ident + b"\x01\0" + b"\0\1\0\0\0\0\0\0" + question)
    if len(answer) < 12 or answer[:2] != ident or not answer[2] & 0x80:
        raise ValueError("what came back is no answer to the DNS query")
    return answer[3] & 0x0F
