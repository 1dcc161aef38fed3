"""WebSocket frames (RFC 6455, section 5), as far as an echo needs them: both sides of the conformance suite use these.

Talks to asyncio's streams.
"""

import asyncio
import os

import msgspec

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    opcode: int
    payload: bytes
    final: bool = True


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """Read one frame, unmasked. Raises IncompleteReadError at the end of the stream."""
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2), "big")
    elif length == 127:
        length = int.from_bytes(await reader.readexactly(8), "big")
    mask = await reader.readexactly(4) if second & 0x80 else b""
    payload = await reader.readexactly(length)
    return Frame(opcode=first & 0x0F, payload=_masked(payload, mask) if mask else payload, final=bool(first & 0x80))


def write_frame(
    writer: asyncio.StreamWriter, opcode: int, payload: bytes, *, final: bool = True, masked: bool = False
) -> None:
    """Write one frame. Clients must mask theirs."""
    head = bytes([opcode | (0x80 if final else 0)])
    flag = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([flag | len(payload)])
    elif len(payload) < 1 << 16:
        head += bytes([flag | 126]) + len(payload).to_bytes(2, "big")
    else:
        head += bytes([flag | 127]) + len(payload).to_bytes(8, "big")
    mask = os.urandom(4) if masked else b""
    writer.write(head + mask + (_masked(payload, mask) if masked else payload))


def _masked(payload: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
