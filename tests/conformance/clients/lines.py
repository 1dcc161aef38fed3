"""TCP client: read the welcome line, then one line for each line sent.

Talks to a connection made by `dial`.
"""

import asyncio

from tests.conformance.clients.dial import Target, dial
from tests.support.echo_lines import WELCOME


async def exchange(target: Target, lines: list[str]) -> dict[str, str]:
    """Send lines and return the answer to each. Raises OSError or EOFError if the gateway hangs up before."""
    async with dial(target) as connection:
        welcome = await _line(connection.reader)
        if welcome != WELCOME.decode().strip():
            raise ConnectionError(f"the backend does not welcome us, it says {welcome!r}")
        answers = {}
        for line in lines:
            connection.writer.write(line.encode() + b"\n")
            answers[line] = await _line(connection.reader)
        return answers


async def _line(reader: asyncio.StreamReader) -> str:
    line = await reader.readuntil(b"\n")
    return line.decode().strip()
