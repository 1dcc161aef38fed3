"""The log against the real Envoy: no byte of a client makes a line, or moves a value in one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import pytest

from seawall.envoy.access_log import SHARE, access_log
from seawall.envoy.listeners import EdgeDefaults, listener
from seawall.envoy.proto import as_json, decode, encode, pack
from seawall.gateway.graph import FilterChain, Listener, ListenerName, TableName
from seawall.traffic.entry import FIELDS, SEPARATOR, parse
from tests.support.envoy import Envoy, running_envoy

_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "envoy.extensions.filters.http.router.v3.Router"
FORGED = SEPARATOR.join("1" * len(FIELDS)).encode()
LAST = b"/the-last"


def server(path: Path) -> dict[str, Any]:
    """Write a bootstrap that answers everything, behind the log."""
    route = {"name": "shop", "match": {"prefix": "/"}, "direct_response": {"status": 200}}
    manager = {
        "stat_prefix": "test",
        "use_remote_address": {"value": True},
        "normalize_path": {"value": True},
        "max_request_headers_kb": {"value": 60},
        "access_log": [access_log(str(path))],
        "route_config": {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": pack(_ROUTER)}],
    }
    message = {
        "name": "http",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": pack(_MANAGER, manager)}]}],
    }
    name = "envoy.config.listener.v3.Listener"
    return {
        "static_resources": {"listeners": [as_json(decode(name, encode(name, message)))]},
        "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
    }


@asynccontextmanager
async def logging(folder: Path) -> AsyncIterator[tuple[Envoy, int, Path]]:
    path = folder / "access.log"
    async with running_envoy(server(path), folder, "--file-flush-interval-msec", "20") as envoy:
        yield envoy, await envoy.listener_port("http"), path


async def send(port: int, data: bytes) -> bytes:
    """Send bytes and return what comes back until Envoy hangs up, or has nothing more to say."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        writer.write(data)
        async with asyncio.timeout(2):
            await writer.drain()
            while chunk := await reader.read(65_536):
                answer += chunk
    except (TimeoutError, ConnectionError):
        pass  # hanging up on a hostile client is an answer
    finally:
        writer.close()
    return answer


def plain(*, target: bytes = b"/", method: bytes = b"GET", headers: bytes = b"") -> bytes:
    return method + b" " + target + b" HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n" + headers + b"\r\n"


async def logged(envoy: Envoy, port: int, path: Path) -> bytes:
    """Return the log once a last request is in it."""
    await send(port, plain(target=LAST))

    async def look() -> bytes | None:
        data = await asyncio.to_thread(path.read_bytes)
        return data if LAST in data and data.endswith(b"\n") else None

    return await envoy.until(look, "the access log")


def two(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Make a request in HTTP/2 without looking at what is in it."""
    config = h2.config.H2Configuration(
        client_side=True, header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
    )
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    connection.send_headers(1, headers, end_stream=True)
    return bytes(connection.data_to_send())


HOSTILE = (
    plain(headers=b"User-Agent: a" + FORGED + b"\r\n"),
    plain(headers=b"User-Agent: a\n" + FORGED + b"\r\n"),
    plain(headers=b"User-Agent: a\r" + FORGED + b"\r\n"),
    plain(headers=b"User-Agent: a\r\n " + FORGED + b"\r\n"),
    plain(headers=b"Accept-Language: \x00\r\n"),
    plain(headers=b"User-Agent: \xff\xfe\xc3\x28\xe2\x80\xa8\xc2\x85\r\n"),
    plain(headers=b"User-Agent: %REQ(:PATH)% \x7f \"',\t;\r\n"),
    plain(target=b"/" + FORGED),
    plain(target=b"/\xff\xfe\xe2\x80\xa8"),
    plain(target=b"/%1f%0a%0d%00?%1f%0a"),
    plain(target=b"/a\x0bb\x0cc\x85d"),
    plain(target=b"/?" + b"a" * 65_536),
    plain(target=b"/?" + b"a&" * 16_384),
    plain(target=b"http://a\x1fb\nc/"),
    plain(method=b"G\x1fT"),
    plain(method=b"A" * 2_000),
    plain(headers=b"Host: b\x1fc\r\n"),
    plain(headers=b"X-Forwarded-For: 1.2.3.4" + FORGED + b"\r\n"),
    plain(headers=b"X-Envoy-Original-Path: /" + FORGED + b"\r\n"),
    *(
        two([(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"shop"), (b":path", b"/"), (name, value)])
        for name in (b"user-agent", b"accept-language", b"sec-fetch-dest")
        for value in (b"a\n" + FORGED, b"a\x1fb", b"\x00", b"\xff\xfe")
    ),
    *(
        two([(b":method", method), (b":scheme", b"http"), (b":authority", host), (b":path", path)])
        for method, host, path in (
            (b"G\x1fT", b"shop", b"/"),
            (b"GET", b"sh\x1fop\n", b"/"),
            (b"GET", b"shop", b"/\x1f\n" + FORGED),
            (b"GET", b"shop", b"/\xff\xfe"),
        )
    ),
)


async def attacked(folder: Path) -> bytes:
    async with logging(folder) as (envoy, port, path):
        async with asyncio.TaskGroup() as tasks:
            for number, data in enumerate(HOSTILE):
                tasks.create_task(send(port, data), name=f"hostile-{number}")
        return await logged(envoy, port, path)


@pytest.mark.e2e
def test_no_byte_of_a_client_forges_a_line_or_moves_a_value(tmp_path: Path) -> None:
    data = asyncio.run(attacked(tmp_path))

    lines = data.split(b"\n")[:-1]
    assert len(lines) <= len(HOSTILE) + 1
    assert {line.count(SEPARATOR.encode()) for line in lines} == {len(FIELDS) - 1}
    entries = parse(data)
    assert entries.refused == 0 and len(entries) == len(lines)
    assert set(entries.columns["address"]) == {"127.0.0.1"}
    assert set(entries.columns["route"]) <= {"shop", "-", ""}
    assert all(one.isdecimal() for one in entries.columns["status"])
    assert max(map(len, lines)) < 4_096


async def asked_once(folder: Path) -> bytes:
    async with logging(folder) as (envoy, port, path):
        headers = b"User-Agent: curl/8\r\nSec-Fetch-Dest: image\r\nAccept-Language: en\r\n"
        headers += b"X-Envoy-Original-Path: /not-asked-for\r\n"
        await send(port, plain(target=b"/item/4711?page=2", headers=headers))
        return await logged(envoy, port, path)


@pytest.mark.e2e
def test_values_stand_where_they_are_read(tmp_path: Path) -> None:
    data = asyncio.run(asked_once(tmp_path))

    entries = parse(data.split(b"\n")[0] + b"\n")
    found = {field: column[0] for field, column in entries.columns.items()}
    assert found == {
        "address": "127.0.0.1",
        "ja4": "",
        "version": "HTTP/1.1",
        "method": "GET",
        "host": "shop",
        "path": "/item/*",
        "query": "page",
        "agent": "curl/8",
        "fetch": "image",
        "language": "en",
        "headers": "01001",
        "route": "shop",
        "status": "200",
        "refused": "",
        "flags": "-",
    }
    assert 1_600_000_000 < entries.ended[0] < 5_000_000_000 and 0 <= entries.seconds[0] < 1


async def switched(folder: Path) -> tuple[bytes, dict[str, int]]:
    async with logging(folder) as (envoy, port, path):
        await envoy.admin_post(f"/runtime_modify?{SHARE}=0")
        await send(port, plain(target=b"/unseen"))
        await envoy.admin_post(f"/runtime_modify?{SHARE}=1000000")
        data = await logged(envoy, port, path)
        drained = await envoy.stats("listener_manager.total_listeners_draining")
    return data, drained


@pytest.mark.e2e
def test_a_runtime_value_stops_the_log_and_drains_nothing(tmp_path: Path) -> None:
    data, drained = asyncio.run(switched(tmp_path))

    assert b"/unseen" not in data
    assert set(drained.values()) == {0}


def test_the_log_is_off_unless_somebody_follows_it() -> None:
    chain = FilterChain(name="c", protocol="http", table=TableName("t"))
    value = Listener(name=ListenerName("tcp/127.0.0.1/8080"), address="127.0.0.1", port=8080, chains=(chain,))

    off = listener(value, EdgeDefaults()).body
    on = listener(value, EdgeDefaults(access_log="/run/seawall/access.log")).body

    assert b"access.log" not in off and b"/run/seawall/access.log" in on
