"""Traffic: one attempt of a `request` step, whatever its protocol and wanted outcome.

Talks to the gateway through `clients`. An attempt returns what is wrong, as sentences; `answers` is the judge.
"""

import contextlib
import ssl
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import h2.exceptions
import msgspec

from tests.conformance.answers import datagram_problems, grpc_problems, http_problems, line_problems
from tests.conformance.certificates import Vault
from tests.conformance.clients import datagrams, http1, http2, lines, websocket
from tests.conformance.clients.dial import NotTrustedError, Target, Tls, dial
from tests.conformance.clients.http import DEFAULT_PORTS, Exchange, Incoming, Outgoing, follow
from tests.conformance.data import Json
from tests.conformance.waiting import Problems, StepFailed
from tests.support.echo_websocket import BINARY, TEXT, Frame

TROUBLE = (OSError, EOFError, ValueError, h2.exceptions.H2Error, NotTrustedError)
"""No answer, or none that could be read."""

_PROTOCOLS = {"h2": ("h2",)}
_EXCHANGES: dict[str, Exchange] = {"h1": http1.exchange, "h2": http2.exchange, "h2c": http2.exchange}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: a step with its placeholders filled, and where to dial."""

    step: Json
    target: Target

    @property
    def expect(self) -> Json:
        expect: Json = self.step.get("expect", {})
        return expect

    @property
    def request(self) -> Json:
        request: Json = self.step.get("request", {})
        return request


def call_of(step: Json, address: str, vault: Vault, *, fresh: str | None = None) -> Call:
    """Prepare an attempt. `fresh`: what to put in for `{uuid}` and the unique parameter, a new one by default."""
    filled: Json = _filled(step, fresh or str(uuid.uuid4()))
    tls = filled.get("tls")
    target = Target(address=address, port=filled["port"], tls=_tls(tls, filled["protocol"], vault) if tls else None)
    wanted = filled.get("expect", {}).get("request", {})
    if "client_cert" in wanted:
        wanted["client_cert"] = vault.read(_certificate_only(wanted["client_cert"]))
    return Call(step=filled, target=target)


async def attempt(call: Call) -> Problems:
    """Make one attempt. Raises StepFailed when no other attempt may follow."""
    outcome = call.expect.get("outcome", "response")
    return await _OUTCOMES[outcome](call)


async def http_answer(call: Call) -> Incoming:
    """Send the HTTP request of a call. Raises one of TROUBLE if there is no answer."""
    exchange = _EXCHANGES[call.step["protocol"]]
    outgoing = _outgoing(call)
    if call.request.get("follow_redirects", True):
        return await follow(exchange, call.target, outgoing, call.step["scheme"])
    return await exchange(call.target, outgoing)


async def grpc_answer(call: Call) -> http2.GrpcAnswer:
    """Make the gRPC call of a call."""
    metadata = tuple(call.request.get("metadata", {}).items())
    authority = call.request.get("authority", f"{call.target.address}:{call.target.port}")
    return await http2.call(call.target, call.request["method"], authority, metadata)


async def _response(call: Call) -> Problems:
    try:
        problems = await _JUDGED[call.step["protocol"]](call)
    except TROUBLE as exc:
        return [f"no answer: {exc!r}"]
    if call.step["protocol"] == "tcp" and problems:
        # The suite lets connections fail for a while, but the first complete exchange must be the right one.
        raise StepFailed(problems)
    return problems + _handshake_problems(call)


async def _judge_http(call: Call) -> Problems:
    outgoing = _outgoing(call)
    url = f"{call.step['scheme']}://{outgoing.host}{outgoing.path}"
    return http_problems(call.expect, await http_answer(call), url)


async def _judge_grpc(call: Call) -> Problems:
    return grpc_problems(call.expect, await grpc_answer(call))


async def _judge_lines(call: Call) -> Problems:
    return line_problems(call.expect, await lines.exchange(call.target, call.request["exchange"]))


async def _judge_datagram(call: Call) -> Problems:
    answer = await datagrams.exchange(call.target, call.request["payload"].encode())
    return datagram_problems(call.expect, answer)


async def _judge_dns(call: Call) -> Problems:
    await datagrams.resolve(call.target, call.request["qname"], call.request["qtype"])
    return []  # any answer will do, also one that says that there is no such name


async def _judge_websocket(call: Call) -> Problems:
    sent = [
        Frame(opcode=TEXT, payload=message["text"].encode())
        if "text" in message
        else Frame(opcode=BINARY, payload=bytes.fromhex(message["binary_hex"]))
        for message in call.request["messages"]
    ]
    received = await websocket.echoes(call.target, call.request["path"], call.request["origin"], sent)
    return [] if received == sent else [f"the messages came back as {received}, expected {sent}"]


async def _not_ok(call: Call) -> Problems:
    try:
        answer = await http_answer(call)
    except TROUBLE as exc:
        return [f"no HTTP answer: {exc!r}"]
    if answer.status == 200:
        raise StepFailed([f"status 200, expected an error; body {answer.body[:200]!r}"])
    return [f"status {answer.status}, expected an error but no timeout"] if answer.status in (408, 504) else []


async def _error(call: Call) -> Problems:
    try:
        answer = await http_answer(call)
    except TimeoutError as exc:
        raise StepFailed(["the gateway neither answered nor hung up"]) from exc
    except TROUBLE:
        if problems := _handshake_problems(call):
            raise StepFailed(problems) from None
        return []
    raise StepFailed([f"status {answer.status}, expected that the connection breaks"])


async def _connection_rejected(call: Call) -> Problems:
    try:
        async with dial(call.target):
            return ["the handshake succeeded, expected that the connection is closed"]
    except (ConnectionResetError, EOFError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return []
    except TROUBLE as exc:
        return [f"the handshake failed otherwise: {exc!r}"]


async def _connected(call: Call) -> Problems:
    with contextlib.suppress(*TROUBLE):
        async with dial(call.target):
            return []
    return ["no TCP connection"]


_OUTCOMES: dict[str, Callable[[Call], Awaitable[Problems]]] = {
    "response": _response,
    "not_ok": _not_ok,
    "error": _error,
    "connection_rejected": _connection_rejected,
    "connected": _connected,
}
_JUDGED: dict[str, Callable[[Call], Awaitable[Problems]]] = {
    "h1": _judge_http,
    "h2": _judge_http,
    "h2c": _judge_http,
    "grpc": _judge_grpc,
    "ws": _judge_websocket,
    "tcp": _judge_lines,
    "udp": _judge_datagram,
    "dns": _judge_dns,
}


def _handshake_problems(call: Call) -> Problems:
    wanted = call.step.get("tls", {}).get("client_certificate_requested")
    tls = call.target.tls
    if not wanted or tls is None or tls.handshake.was_asked_for_certificate:
        return []
    return ["the gateway did not ask for a client certificate"]


def _outgoing(call: Call) -> Outgoing:
    request, scheme, target = call.request, call.step["scheme"], call.target
    host = request.get("host")
    if host is None:
        host = target.address if target.port == DEFAULT_PORTS[scheme] else f"{target.address}:{target.port}"
    wanted = ",".join(f"{name}:{value}" for name, value in request.get("backend_set_response_headers", {}).items())
    return Outgoing(
        method=request.get("method", "GET"),
        path=request.get("path", "/"),
        host=host,
        headers=(*request.get("headers", {}).items(), ("X-Echo-Set-Header", wanted)),
        body=request.get("body", "").encode(),
    )


def _tls(tls: Json, protocol: str, vault: Vault) -> Tls:
    return Tls(
        server_name=tls["server_name"],
        trust=vault.read(tls["trust"]) if tls.get("trust") else None,
        certificate=vault.read(tls["client_certificate"]) if tls.get("client_certificate") else None,
        protocols=_PROTOCOLS.get(protocol, ()),
    )


def _certificate_only(reference: str) -> str:
    return reference if "#" in reference else f"{reference}#tls.crt"


def _filled(step: Json, fresh: str) -> Json:
    """Put a fresh value for `{uuid}`, and the unique query parameter into what is sent and what is expected."""
    filled: Json = _replaced(step, "{uuid}", fresh)
    parameter = filled.get("request", {}).get("unique_query_param")
    if parameter:
        for where in (filled["request"], filled["expect"]["request"]):
            where["path"] += f"{'&' if '?' in where['path'] else '?'}{parameter}={fresh}"
    return filled


def _replaced(value: Any, old: str, new: str) -> Any:
    """Copy JSON with a text replaced in all of its strings."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, list):
        return [_replaced(member, old, new) for member in value]
    if isinstance(value, dict):
        return {name: _replaced(member, old, new) for name, member in value.items()}
    return value
