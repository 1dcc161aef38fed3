"""Line echo: the backends of TCPRoute and TLSRoute: a welcome, then one answer a line.

Talks to one connection.
"""

import asyncio

import msgspec

from tests.support.echo_http import Backend, TlsFacts

WELCOME = b"Gateway API Test TCP Server\n"


async def serve_lines(
    backend: Backend, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: TlsFacts | None
) -> None:
    """Answer `PING`, `IS_TLS` and `TEST` until the client leaves."""
    writer.write(WELCOME)
    await writer.drain()
    while line := await reader.readline():
        match line.strip():
            case b"PING":
                writer.write(b"PONG\n")
            case b"IS_TLS":
                writer.write(b"true\n" if tls else b"false\n")
            case b"TEST":
                writer.write(msgspec.json.encode(_facts(backend, tls)) + b"\n")
            case _:
                pass
        await writer.drain()


def _facts(backend: Backend, tls: TlsFacts | None) -> dict[str, object]:
    env = backend.pod.env
    facts: dict[str, object] = {
        **backend.context,
        "tcpport": env.get("TCP_PORT", "3000"),
        "tlsport": env.get("TLS_PORT", "8443"),
        "isTLS": tls is not None,
    }
    return facts if tls is None else {**facts, "tls": tls}
