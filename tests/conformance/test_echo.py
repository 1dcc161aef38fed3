"""The echo servers keep their contract (the suite's README, section 3), for our clients and for others' libraries."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import grpc.aio
import httpx
import msgspec
import pytest
import websockets

from tests.conformance.certificates import Vault
from tests.conformance.clients import datagrams, http1, http2, lines, websocket
from tests.conformance.clients.dial import NotTrustedError, Target, Tls
from tests.conformance.clients.http import Incoming, Outgoing
from tests.conformance.data import Json
from tests.support.echo import EchoServers, echo_servers
from tests.support.echo_grpc import SERVICE, decode_reply
from tests.support.echo_http import Pod, headers_to_set, seconds
from tests.support.echo_websocket import BINARY, TEXT, Frame

_FILES = {"/crt": "Secret/x/server#tls.crt", "/key": "Secret/x/server#tls.key", "/ca": "ConfigMap/x/ca#ca.crt"}
_MODES = ("http", "https", "h2c", "grpc", "tcp", "tls", "udp", "dns")
_ADDRESS = "127.0.0.1"
_NAME = "echo.example.com"

T = TypeVar("T")
Scenario = Callable[[EchoServers], Awaitable[T]]


@pytest.fixture(scope="module")
def vault() -> Vault:
    ca = "ConfigMap/x/ca"
    return Vault(
        [
            _wanted("ConfigMap", "ca", ["ca.crt"], {"what": "ca"}),
            _wanted(
                "Secret", "server", _PAIR, {"what": "server", "signed_by": ca, "subject_alt_names": [f"dns:{_NAME}"]}
            ),
            _wanted("Secret", "client", _PAIR, {"what": "client", "signed_by": ca, "subject_alt_names": []}),
            _wanted("Secret", "stranger", _PAIR, {"what": "client", "signed_by": "self", "subject_alt_names": []}),
        ]
    )


_PAIR = ["tls.crt", "tls.key"]


def _wanted(kind: str, name: str, keys: list[str], generate: Json) -> Json:
    head = {"kind": kind, "namespace": "x", "name": name, "keys": keys, "secret_type": "kubernetes.io/tls"}
    return {**head, "generate": generate}


def _pod(mode: str) -> Pod:
    env = {
        "POD_NAME": f"{mode}-a-b",
        "NAMESPACE": "x",
        "SERVICE_NAME": f"{mode}-service",
        "TLS_SERVER_CERT": "/crt",
        "TLS_SERVER_PRIV_KEY" if mode == "tls" else "TLS_SERVER_PRIVKEY": "/key",
        "TLS_CLIENT_CACERTS": "/ca",
    }
    return Pod(
        name=f"{mode}-a-b",
        namespace="x",
        deployment=mode,
        manifest="base",
        address=_ADDRESS,
        servers={"0": mode},
        env=env,
        files=_FILES,
    )


@contextlib.asynccontextmanager
async def _pods(vault: Vault, *modes: str) -> AsyncIterator[EchoServers]:
    async with echo_servers([_pod(mode) for mode in modes], vault.read) as servers:
        yield servers


def _target(servers: EchoServers, mode: str, tls: Tls | None = None) -> Target:
    return Target(address=_ADDRESS, port=servers.port(f"{mode}-a-b", mode), tls=tls)


def _run(vault: Vault, scenario: Scenario[T], *modes: str) -> T:
    async def main() -> T:
        async with asyncio.timeout(20), _pods(vault, *modes) as servers:
            return await scenario(servers)

    return asyncio.run(main())


def _get(vault: Vault, path: str, *headers: tuple[str, str], method: str = "GET", mode: str = "http") -> Incoming:
    exchange = http1.exchange if mode == "http" else http2.exchange
    request = Outgoing(method=method, path=path, host="a.example.com:81", headers=headers)
    return _run(vault, lambda servers: exchange(_target(servers, mode), request), mode)


def _json(answer: Incoming) -> Json:
    body: Json = msgspec.json.decode(answer.body)
    return body


@pytest.mark.parametrize(("mode", "protocol"), [("http", "HTTP/1.1"), ("h2c", "HTTP/2.0")])
def test_an_echo_tells_what_was_asked_and_who_answers(vault: Vault, mode: str, protocol: str) -> None:
    answer = _get(vault, "/a//b?c=d", ("x-one", "1"), ("x-one", "2"), method="PUT", mode=mode)

    body = _json(answer)
    assert answer.status == 200
    assert answer.header("content-type") == "application/json"
    assert answer.header("x-content-type-options") == "nosniff"
    assert body["headers"]["X-One"] == ["1", "2"]
    assert "Host" not in body["headers"]
    assert {name: body[name] for name in ("path", "host", "method", "proto", "httpPort")} == {
        "path": "/a//b?c=d",
        "host": "a.example.com:81",
        "method": "PUT",
        "proto": protocol,
        "httpPort": "3000",
    }
    assert {name: body[name] for name in ("namespace", "ingress", "service", "pod")} == {
        "namespace": "x",
        "ingress": "",
        "service": f"{mode}-service",
        "pod": f"{mode}-a-b",
    }
    assert "tls" not in body


def test_response_headers_are_set_with_their_case_kept(vault: Vault) -> None:
    answer = _get(vault, "/", ("X-Echo-Set-Header", "X-lowER:a,X-Other:b,X-lowER:c"))

    assert ("X-lowER", "a,c") in answer.headers
    assert ("X-Other", "b") in answer.headers


def test_an_empty_wish_for_headers_sets_none() -> None:
    assert headers_to_set("") == []


@pytest.mark.parametrize(
    ("path", "status", "body"), [("/health", 200, b"OK"), ("//health", 200, b"OK"), ("/status/418", 418, b"")]
)
def test_other_paths_have_other_answers(vault: Vault, path: str, status: int, body: bytes) -> None:
    answer = _get(vault, path)

    assert (answer.status, answer.body) == (status, body)


def test_an_echo_is_delayed_on_demand(vault: Vault) -> None:
    async def scenario(servers: EchoServers) -> float:
        began = asyncio.get_running_loop().time()
        await http1.exchange(_target(servers, "http"), Outgoing(method="GET", path="/?delay=200ms", host="a"))
        return asyncio.get_running_loop().time() - began

    assert _run(vault, scenario, "http") >= 0.2


@pytest.mark.parametrize(("text", "expected"), [("1s", 1.0), ("500ms", 0.5), ("1m30s", 90.0), ("1.5s", 1.5)])
def test_durations_are_read_as_go_writes_them(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


def test_a_retry_fails_as_often_as_asked_and_for_each_uuid(vault: Vault) -> None:
    async def scenario(servers: EchoServers) -> list[int]:
        statuses = []
        for ident in ("a", "a", "b", "a"):
            path = f"/retry/x?uuid={ident}&succeedAfter=2&responseCode=503"
            answer = await http1.exchange(_target(servers, "http"), Outgoing(method="GET", path=path, host="a"))
            statuses.append(answer.status)
        return statuses

    assert _run(vault, scenario, "http") == [503, 503, 503, 200]


def test_a_retry_without_a_code_resets_the_connection(vault: Vault) -> None:
    with pytest.raises(ConnectionResetError):
        _get(vault, "/retry/x?uuid=a&succeedAfter=1")


def test_a_retry_must_say_how_often(vault: Vault) -> None:
    assert _get(vault, "/retry/x?uuid=a").status == 400


def test_requests_are_counted_by_path_and_deployment(vault: Vault) -> None:
    async def scenario(servers: EchoServers) -> tuple[int, int]:
        for _ in range(3):
            await http1.exchange(_target(servers, "http"), Outgoing(method="GET", path="/m?id=1", host="a"))
        return servers.seen("x", "http")["/m?id=1"], servers.seen("x", "other")["/m?id=1"]

    assert _run(vault, scenario, "http") == (3, 0)


def test_a_connection_is_kept_and_bodies_are_read(vault: Vault) -> None:
    async def scenario(servers: EchoServers) -> list[str]:
        url = f"http://{_ADDRESS}:{servers.port('http-a-b', 'http')}"
        async with httpx.AsyncClient(base_url=url, limits=httpx.Limits(max_connections=1), trust_env=False) as client:
            answers = [await client.post("/one", content=b"x" * 70_000), await client.post("/two", content=_chunks())]
        return [answer.json()["path"] for answer in answers]

    assert _run(vault, scenario, "http") == ["/one", "/two"]


async def _chunks() -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"


def test_h2c_refuses_http1(vault: Vault) -> None:
    async def scenario(servers: EchoServers) -> int:
        request = Outgoing(method="GET", path="/long-enough-for-a-preface", host="a")
        return (await http1.exchange(_target(servers, "h2c"), request)).status

    assert _run(vault, scenario, "h2c") == 400


@pytest.mark.parametrize(("protocols", "expected"), [((), "HTTP/1.1"), (("h2",), "HTTP/2.0")])
def test_https_tells_about_tls(vault: Vault, protocols: tuple[str, ...], expected: str) -> None:
    async def scenario(servers: EchoServers) -> tuple[Json, bool]:
        tls = Tls(
            server_name=_NAME,
            trust=vault.read("ConfigMap/x/ca#ca.crt"),
            certificate=vault.read("Secret/x/client"),
            protocols=protocols,
        )
        exchange = http2.exchange if protocols else http1.exchange
        answer = await exchange(_target(servers, "https", tls), Outgoing(method="GET", path="/", host=_NAME))
        return _json(answer), tls.handshake.was_asked_for_certificate

    body, was_asked = _run(vault, scenario, "https")
    assert was_asked
    assert body["proto"] == expected
    assert body["tls"]["serverName"] == _NAME
    assert body["tls"]["version"] == "TLSv1.3"
    assert body["tls"]["peerCertificates"] == [vault.read("Secret/x/client#tls.crt")]
    assert body["tls"].get("negotiatedProtocol", "") == ("h2" if protocols else "")


def test_a_client_certificate_may_be_left_out_but_not_be_a_strangers(vault: Vault) -> None:
    async def ask(servers: EchoServers, certificate: str | None) -> int:
        tls = Tls(server_name=_NAME, trust=vault.read("ConfigMap/x/ca#ca.crt"), certificate=certificate)
        request = Outgoing(method="GET", path="/", host=_NAME)
        return (await http1.exchange(_target(servers, "https", tls), request)).status

    assert _run(vault, lambda servers: ask(servers, None), "https") == 200
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
        _run(vault, lambda servers: ask(servers, vault.read("Secret/x/stranger")), "https")


def test_the_client_does_not_trust_another_name(vault: Vault) -> None:
    tls = Tls(server_name="other.example.com", trust=vault.read("ConfigMap/x/ca#ca.crt"))
    request = Outgoing(method="GET", path="/", host="a")

    with pytest.raises(NotTrustedError):
        _run(vault, lambda servers: http1.exchange(_target(servers, "https", tls), request), "https")


def test_the_client_does_not_trust_another_authority(vault: Vault) -> None:
    tls = Tls(server_name=_NAME, trust=vault.read("Secret/x/stranger#tls.crt"))
    request = Outgoing(method="GET", path="/", host="a")

    with pytest.raises(ssl.SSLCertVerificationError):
        _run(vault, lambda servers: http1.exchange(_target(servers, "https", tls), request), "https")


def test_websocket_frames_come_back_as_they_were_sent(vault: Vault) -> None:
    sent = [Frame(opcode=TEXT, payload=b"hello"), Frame(opcode=BINARY, payload=bytes(70_000))]

    received = _run(
        vault, lambda servers: websocket.echoes(_target(servers, "http"), "/ws", "ws://gateway/test", sent), "http"
    )

    assert received == sent


def test_websocket_echo_fits_a_library(vault: Vault) -> None:
    async def scenario(servers: EchoServers) -> list[str | bytes]:
        url = f"ws://{_ADDRESS}:{servers.port('http-a-b', 'http')}/ws"
        async with websockets.connect(url, proxy=None) as socket:
            await socket.send("text")
            first = await socket.recv()
            await socket.send(b"\1\2")
            return [first, await socket.recv()]

    assert _run(vault, scenario, "http") == ["text", b"\1\2"]


def test_grpc_tells_method_headers_and_pod(vault: Vault) -> None:
    async def scenario(servers: EchoServers) -> http2.GrpcAnswer:
        return await http2.call(_target(servers, "grpc"), f"{SERVICE}EchoTwo", "g.example.com", (("x-jitter", "1"),))

    answer = _run(vault, scenario, "grpc")
    assert answer.code == "OK"
    assert answer.reply is not None
    assert (answer.reply.method, answer.reply.authority) == (f"{SERVICE}EchoTwo", "g.example.com")
    assert (answer.reply.namespace, answer.reply.pod) == ("x", "grpc-a-b")
    assert ("x-jitter", "1") in answer.reply.headers


def test_grpc_echo_three_is_not_implemented(vault: Vault) -> None:
    answer = _run(vault, lambda servers: http2.call(_target(servers, "grpc"), f"{SERVICE}EchoThree", "a"), "grpc")

    assert answer.code == "UNIMPLEMENTED"


def test_grpc_fits_the_library(vault: Vault) -> None:
    async def scenario(servers: EchoServers) -> str:
        async with grpc.aio.insecure_channel(f"{_ADDRESS}:{servers.port('grpc-a-b', 'grpc')}") as channel:
            reply = await channel.unary_unary(f"{SERVICE}Echo", request_serializer=bytes, response_deserializer=bytes)(
                b""
            )
        return decode_reply(reply).pod

    assert _run(vault, scenario, "grpc") == "grpc-a-b"


@pytest.mark.parametrize("mode", ["tcp", "tls"])
def test_line_servers_welcome_and_answer(vault: Vault, mode: str) -> None:
    tls = Tls(server_name=_NAME, trust=vault.read("ConfigMap/x/ca#ca.crt")) if mode == "tls" else None

    answers = _run(vault, lambda servers: lines.exchange(_target(servers, mode, tls), ["PING", "IS_TLS", "TEST"]), mode)

    facts: Json = msgspec.json.decode(answers["TEST"])
    assert answers["PING"] == "PONG"
    assert answers["IS_TLS"] == ("true" if tls else "false")
    assert (facts["pod"], facts["isTLS"]) == (f"{mode}-a-b", tls is not None)
    assert (facts.get("tls") or {}).get("serverName") == (_NAME if tls else None)


def test_datagrams_are_answered_with_who_received_them(vault: Vault) -> None:
    answer: Json = msgspec.json.decode(
        _run(vault, lambda servers: datagrams.exchange(_target(servers, "udp"), b"hello"), "udp")
    )

    assert answer == {"request": "hello", "namespace": "x", "ingress": "", "service": "udp-service", "pod": "udp-a-b"}


def test_dns_queries_are_answered(vault: Vault) -> None:
    assert _run(vault, lambda servers: datagrams.resolve(_target(servers, "dns"), "foo.bar.com.", "A"), "dns") == 0


def test_every_mode_of_the_suite_is_known(vault: Vault) -> None:
    async def scenario(servers: EchoServers) -> list[int]:
        return [servers.port(f"{mode}-a-b", mode) for mode in _MODES]

    assert all(_run(vault, scenario, *_MODES))


def test_an_address_in_use_is_named(vault: Vault) -> None:
    async def scenario(servers: EchoServers) -> None:
        taken = msgspec.structs.replace(_pod("http"), servers={str(servers.port("http-a-b", "http")): "http"})
        async with echo_servers([taken], vault.read):
            pass

    with pytest.raises(OSError, match=r"127\.0\.0\.1:\d+ cannot be bound: is another run using it"):
        _run(vault, scenario, "http")
