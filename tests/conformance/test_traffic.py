"""Outcomes below HTTP: a connection that is made, one that is closed during the handshake, one that is served."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.conformance.certificates import Vault
from tests.conformance.data import Json
from tests.conformance.traffic import attempt, call_of
from tests.support.echo_streams import reset, server_tls

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_VAULT = Vault(())


def _attempt(handler: Handler, outcome: str) -> list[str]:
    """Make one attempt against a server that does just this."""
    step: Json = {
        "protocol": "tls",
        "scheme": "tls",
        "expect": {"outcome": outcome},
        "tls": {"server_name": "a.example.com"} if outcome == "connection_rejected" else None,
    }

    async def main() -> list[str]:
        async with asyncio.timeout(10), await asyncio.start_server(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await attempt(call_of({**step, "port": port}, "127.0.0.1", _VAULT))

    return asyncio.run(main())


async def _resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    reset(writer)


async def _closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(65536)
    writer.close()


async def _babbles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"this is no handshake\n")
    await writer.drain()
    await reader.read()
    writer.close()


@pytest.mark.parametrize("handler", [_resets, _closes])
def test_a_handshake_that_ends_in_a_close_is_a_rejection(handler: Handler) -> None:
    assert _attempt(handler, "connection_rejected") == []


def test_a_handshake_that_fails_otherwise_is_no_rejection() -> None:
    assert "the handshake failed otherwise" in _attempt(_babbles, "connection_rejected")[0]


def test_a_served_certificate_is_no_rejection(tmp_path: Path) -> None:
    vault = Vault(
        [
            {
                "kind": "Secret",
                "namespace": "x",
                "name": "server",
                "secret_type": "kubernetes.io/tls",
                "keys": ["tls.crt", "tls.key"],
                "generate": {"what": "server", "signed_by": "self", "subject_alt_names": ["dns:b.example.com"]},
            }
        ]
    )
    certificate, key = tmp_path / "crt", tmp_path / "key"
    certificate.write_text(vault.read("Secret/x/server#tls.crt"))
    key.write_text(vault.read("Secret/x/server#tls.key"))

    async def main() -> list[str]:
        context = server_tls(certificate, key, None, [])
        async with asyncio.timeout(10), await asyncio.start_server(_closes, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            step: Json = {
                "protocol": "tls",
                "scheme": "tls",
                "expect": {"outcome": "connection_rejected"},
                "port": port,
            }
            return await attempt(call_of({**step, "tls": {"server_name": "a.example.com"}}, "127.0.0.1", vault))

    assert "the handshake failed otherwise" in asyncio.run(main())[0]


def test_a_connection_is_noticed() -> None:
    assert _attempt(_closes, "connected") == []


def test_a_missing_connection_is_noticed() -> None:
    async def main() -> list[str]:
        async with await asyncio.start_server(_closes, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
        step: Json = {"protocol": "tcp", "scheme": "tcp", "expect": {"outcome": "connected"}, "port": port}
        return await attempt(call_of(step, "127.0.0.1", _VAULT))

    assert asyncio.run(main()) == ["no TCP connection"]
