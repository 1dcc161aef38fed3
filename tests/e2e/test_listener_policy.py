"""ListenerPolicy through `seawall up`: TLS, who the client is, limits and headers, with the real Envoy and real clients."""

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import Any

import h2.connection
import h2.events
import h2.exceptions
import httpx
import pytest

from tests.support.door import HOST, Door, config_map, door, policy
from tests.support.manifests import Json

pytestmark = pytest.mark.e2e

TLS12 = ssl.TLSVersion.TLSv1_2


def test_tls_versions_ciphers_and_alpn_are_those_of_the_policy() -> None:
    async def run() -> None:
        async with door() as edge:
            old = edge.context(maximum_version=TLS12)
            assert (found := await edge.handshake(old)) is not None
            assert found.version() == "TLSv1.2"

            edge.put(policy(tls={"minVersion": "1.3"}))

            async def old_is_refused() -> bool:
                return await edge.handshake(edge.context(maximum_version=TLS12)) is None

            await edge.until(old_is_refused)
            assert (new := await edge.handshake()) is not None
            assert new.version() == "TLSv1.3"

            only = "ECDHE-ECDSA-AES256-GCM-SHA384"
            edge.put(policy(tls={"maxVersion": "1.2", "ciphers": [only], "alpn": ["http/1.1"]}))
            offers = edge.context()
            offers.set_alpn_protocols(["h2", "http/1.1"])

            async def cipher_is_chosen() -> bool:
                one = await edge.handshake(offers)
                return one is not None and (one.cipher() or ("",))[0] == only

            await edge.until(cipher_is_chosen)
            assert (one := await edge.handshake(offers)) is not None
            assert one.selected_alpn_protocol() == "http/1.1"
            other = edge.context(maximum_version=TLS12)
            other.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
            assert await edge.handshake(other) is None

    asyncio.run(run())


def _shown(edge: Door, folder: Path, name: str) -> tuple[ssl.SSLContext, int]:
    chain, key, serial = edge.authority.issue(name)
    (folder / f"{name}.pem").write_bytes(chain + key)
    context = edge.context()
    context.load_cert_chain(folder / f"{name}.pem")
    return context, serial


def test_a_certificate_is_optional_and_one_that_is_revoked_is_refused_without_a_drain(tmp_path: Path) -> None:
    frontend = {"default": {"validation": {"caCertificateRefs": [{"kind": "ConfigMap", "group": "", "name": "trust"}]}}}
    wanted: Json = {"mode": "Optional", "crl": {"name": "crl"}}

    async def run() -> None:
        async with door(frontend=frontend) as edge:
            good, _ = _shown(edge, tmp_path, "good")
            bad, serial = _shown(edge, tmp_path, "bad")
            assert await edge.handshake() is None
            assert await edge.handshake(bad) is not None

            edge.put(policy(clientCertificates=wanted))  # without its list nobody gets in

            async def is_closed() -> bool:
                return await edge.handshake(good) is None

            await edge.until(is_closed)
            edge.instance.write("crl", config_map("crl", **{"ca.crl": edge.authority.revoked().decode()}))

            async def is_open() -> bool:
                return await edge.handshake() is not None

            await edge.until(is_open)
            assert await edge.handshake(good) is not None
            assert await edge.handshake(bad) is not None

            reader, writer = await asyncio.open_connection(
                "127.0.0.1", edge.tls_port, ssl=edge.context(), server_hostname=HOST
            )
            edge.instance.write("crl", config_map("crl", **{"ca.crl": edge.authority.revoked(serial).decode()}))

            async def is_revoked() -> bool:
                return await edge.handshake(bad) is None

            await edge.until(is_revoked)
            assert await edge.handshake(good) is not None
            writer.write(f"GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode())
            assert b"connection: close" not in await reader.readuntil(b"\r\n\r\n")
            writer.close()

    asyncio.run(run())


def test_only_trusted_proxies_are_believed_about_the_client(tmp_path: Path) -> None:
    path = tmp_path / "client.log"
    log: Json = {"fields": ["clientAddress"], "sinks": [{"type": "File", "path": str(path)}]}
    two = "192.0.2.66, 203.0.113.7"

    async def run() -> None:
        async with door() as edge:
            for address, forwarded, found in (
                ({}, "203.0.113.7", "127.0.0.1"),
                ({"trustedHops": 1}, two, "203.0.113.7"),
                ({"trustedProxies": ["127.0.0.0/8", "203.0.113.0/24"]}, two, "192.0.2.66"),
                ({"trustedProxies": ["127.0.0.0/8"]}, two, "203.0.113.7"),
                ({"trustedProxies": ["198.51.100.0/24"]}, "203.0.113.7", "127.0.0.1"),
            ):
                edge.put(policy(accessLog=log, clientAddress=address))

                async def is_right(forwarded: str = forwarded, found: str = found) -> bool:
                    await edge.get(x_forwarded_for=forwarded)
                    lines = path.read_text().splitlines() if path.exists() else []
                    return bool(lines) and lines[-1] == f'{{"clientAddress":"{found}"}}'

                await edge.until(is_right)
            sent = await edge.sent(x_forwarded_proto="https", x_envoy_retry_on="5xx")
            assert sent["x-forwarded-proto"] == "http"
            assert "x-envoy-retry-on" not in sent

    asyncio.run(run())


def test_proxy_headers_say_who_the_client_is_and_are_wanted() -> None:
    request = f"GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n".encode()
    first = b"PROXY TCP4 203.0.113.9 127.0.0.1 4000 80\r\n"
    addresses = bytes([203, 0, 113, 10, 127, 0, 0, 1]) + (4000).to_bytes(2, "big") + (80).to_bytes(2, "big")
    second = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11" + len(addresses).to_bytes(2, "big") + addresses

    async def run() -> None:
        async with door() as edge:
            edge.put(policy(proxyProtocol={}))

            async def is_wanted() -> bool:
                return await edge.raw(request) == b""

            await edge.until(is_wanted)
            assert b'"x-forwarded-for": "203.0.113.9"' in await edge.raw(first + request)
            assert b'"x-forwarded-for": "203.0.113.10"' in await edge.raw(second + request)

            edge.put(policy(proxyProtocol={"versions": ["v2"], "optional": True}))

            async def is_optional() -> bool:
                return b"200 OK" in await edge.raw(request)

            await edge.until(is_optional)
            assert b'"x-forwarded-for": "203.0.113.10"' in await edge.raw(second + request)
            assert b"203.0.113.9" not in await edge.raw(first + request)

    asyncio.run(run())


def test_limits_hold_for_headers_connections_and_requests() -> None:
    limits: Json = {
        "maxHeaders": 10,
        "headerKiB": 2,
        "maxConnections": 3,
        "maxRequestsPerConnection": 2,
        "headerTimeout": "500ms",
    }

    async def run() -> None:
        async with door() as edge:
            many: dict[str, Any] = {f"x-{number}": "1" for number in range(20)}
            assert (await edge.get(**many)).status_code == 200

            edge.put(policy(limits=limits))

            async def too_many() -> bool:
                return (await edge.get(**many)).status_code == 431

            await edge.until(too_many)
            assert (await edge.get(x_long="x" * 3000)).status_code == 431
            twice = f"GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode() * 2
            answers = await edge.raw(twice)
            assert (answers.count(b"200 OK"), answers.lower().count(b"connection: close")) == (2, 1)
            # Who does not finish his headers is told so, and goes.
            assert b"408" in (await edge.raw(b"GET / HTTP/1.1\r\n"))[:20]

            held = [await asyncio.open_connection("127.0.0.1", edge.port) for _ in range(3)]
            reader, _ = await asyncio.open_connection("127.0.0.1", edge.port)
            async with asyncio.timeout(0.4):
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
            for _, writer in held:
                writer.close()

    asyncio.run(run())


def test_headers_are_changed_before_routes_and_ja4_is_ours_alone() -> None:
    forged: dict[str, Any] = {"x_tls": "t13d000000_000000000000_000000000000", "x_internal": "yes", "x_env": "forged"}

    async def run() -> None:
        async with door() as edge:
            early = {"set": [{"name": "X-Env", "value": "50% prod"}], "remove": ["X-Internal"]}
            server = {"mode": "Overwrite", "value": "edge"}
            edge.put(policy(earlyHeaders=early, ja4Header="X-Tls", serverHeader=server))

            async def is_removed() -> bool:
                return "x-internal" not in await edge.sent(**forged)

            await edge.until(is_removed)
            plain, secure = await edge.sent(**forged), await edge.sent(tls=True, **forged)
            assert (plain["x-env"], secure["x-env"]) == ("50% prod", "50% prod")
            assert "x-tls" not in plain
            assert secure["x-tls"] != forged["x_tls"]
            assert secure["x-tls"].startswith("t13d")
            assert (await edge.get()).headers["server"] == "edge"

    asyncio.run(run())


def test_paths_are_one_spelling_unless_the_policy_says_otherwise() -> None:
    async def run() -> None:
        async with door() as edge:
            assert (await edge.get("/a%2fb")).status_code == 307
            assert (await edge.raw(_line("/a/../b//c"))).count(b'":path": "/b/c"') == 1

            edge.put(policy(path={"escapedSlashes": "Reject", "mergeSlashes": False, "underscores": "Drop"}))

            async def is_refused() -> bool:
                return (await edge.get("/a%2fb")).status_code == 400

            await edge.until(is_refused)
            assert b'":path": "/b//c"' in await edge.raw(_line("/a/../b//c"))
            told = await edge.raw(_line("/", "a_b: 1"))
            assert b"200 OK" in told
            assert b"a_b" not in told

    asyncio.run(run())


def _line(path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"host: {HOST}", "connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_a_log_that_the_host_cannot_open_isolates_the_policy_and_nothing_else() -> None:
    async def run() -> None:
        async with door() as edge:
            sink = {"type": "File", "path": "/no/such/folder/requests.log"}
            edge.put(policy(accessLog={"sinks": [sink]}, earlyHeaders={"set": [{"name": "x-env", "value": "prod"}]}))

            async def is_told() -> bool:
                try:
                    told = await edge.instance.get("/v1/objects/ListenerPolicy/test/p")
                except httpx.HTTPError:
                    return False
                return any("refused" in one["message"] for one in told["problems"])

            await edge.until(is_told)
            await edge.instance.well()
            assert "x-env" not in await edge.sent()

    asyncio.run(run())


def test_a_connection_of_http2_has_so_many_streams_and_requests_as_the_policy_says() -> None:
    async def run() -> None:
        async with door() as edge:
            edge.put(policy(limits={"concurrentStreams": 7, "maxRequestsPerConnection": 2}))

            async def is_told() -> bool:
                return (await _settings(edge))[0] == 7

            await edge.until(is_told)
            assert (await _settings(edge))[1]

    asyncio.run(run())


async def _settings(edge: Door) -> tuple[int, bool]:
    """Make two requests over HTTP/2; return how many streams there may be, and whether the edge then says goodbye."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    client = h2.connection.H2Connection()
    client.initiate_connection()
    for stream in (1, 3):
        asked = [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "/")]
        client.send_headers(stream, asked, end_stream=True)
    writer.write(client.data_to_send())
    ended, is_leaving = 0, False
    async with asyncio.timeout(5):
        while ended < 2 and not is_leaving:
            try:
                events = client.receive_data(await reader.read(65536))
            except h2.exceptions.ProtocolError:
                # The library takes nothing after a GOAWAY, not even the answers that it announces.
                is_leaving = True
                break
            ended += sum(isinstance(event, h2.events.StreamEnded) for event in events)
            is_leaving = any(isinstance(event, h2.events.ConnectionTerminated) for event in events)
    writer.close()
    return client.remote_settings.max_concurrent_streams, is_leaving
