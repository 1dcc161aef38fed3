"""WebSocket client: open, send each message, read each echo.

Talks to a connection made by `dial`.
"""

import base64
import os

from tests.conformance.clients.dial import Target, dial
from tests.conformance.clients.http import Outgoing, joined
from tests.conformance.clients.http1 import read_head, write_request
from tests.support.echo_websocket import CLOSE, Frame, read_frame, write_frame


async def echoes(target: Target, path: str, origin: str, messages: list[Frame]) -> list[Frame]:
    """Send messages one after the other and return what came back for each. Raises OSError if there is no WebSocket."""
    async with dial(target) as connection:
        headers = (
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode()),
            ("Sec-WebSocket-Version", "13"),
            ("Origin", origin),
        )
        host = f"{target.address}:{target.port}"
        write_request(connection.writer, Outgoing(method="GET", path=path, host=host, headers=headers))
        status, answered = await read_head(connection.reader)
        if status != 101 or (joined(answered, "upgrade") or "").lower() != "websocket":
            raise ConnectionError(f"the gateway answered {status} instead of switching to WebSocket")
        received = []
        for message in messages:
            write_frame(connection.writer, message.opcode, message.payload, masked=True)
            received.append(await read_frame(connection.reader))
        write_frame(connection.writer, CLOSE, (1000).to_bytes(2, "big"), masked=True)
        await connection.writer.drain()
        return received
