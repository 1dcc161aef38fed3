"""Answers: is what came back what a step expects?

Pure. Each function returns what is wrong, as sentences that name the expected and the actual.
"""

import json
from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

from tests.conformance.clients.http import DEFAULT_PORTS, Incoming
from tests.conformance.clients.http2 import GrpcAnswer
from tests.conformance.data import Json

_TIMEOUTS = {408, 504}
"""Both say that it took too long; upstream takes one for the other."""


def http_problems(expect: Json, answer: Incoming, url: str) -> list[str]:
    """Compare an HTTP answer with what is expected; `url` is what was asked for."""
    wrong = _status(expect.get("status", [200]), answer)
    if "response_protocol" in expect and answer.protocol != expect["response_protocol"]:
        wrong.append(f"protocol {answer.protocol}, expected {expect['response_protocol']}")
    if answer.status in (200, 204):
        wrong += _backend(expect, answer) + _response_headers(expect, answer)
    if "redirect" in expect and 300 <= answer.status < 400:
        wrong += _redirect(expect["redirect"], answer.header("location"), url)
    return wrong


def echoed(answer: Incoming) -> Json | None:
    """Return the echo in an answer, None if the gateway answered itself."""
    try:
        found = json.loads(answer.body)
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"pod", "namespace", "headers"} <= set(found) else None


def grpc_problems(expect: Json, answer: GrpcAnswer) -> list[str]:
    """Compare a gRPC answer with what is expected."""
    if answer.code != expect["grpc_code"]:
        return [f"gRPC code {answer.code}, expected {expect['grpc_code']}"]
    if answer.reply is None:
        return []
    reply = {"method": answer.reply.method, "pod": answer.reply.pod, "namespace": answer.reply.namespace}
    wrong = _who(expect, reply)
    if "grpc_method" in expect and reply["method"] != expect["grpc_method"]:
        wrong.append(f"method {reply['method']}, expected {expect['grpc_method']}")
    return wrong


def line_problems(expect: Json, answers: Mapping[str, str]) -> list[str]:
    """Compare the answers of a TCP backend with what is expected."""
    wrong = []
    if answers.get("PING", "PONG") != "PONG":
        wrong.append(f"PING was answered {answers['PING']!r}")
    if "backend_is_tls" in expect and answers["IS_TLS"] != str(expect["backend_is_tls"]).lower():
        wrong.append(f"IS_TLS was answered {answers['IS_TLS']!r}, expected {expect['backend_is_tls']}")
    if "TEST" in answers:
        facts: Json = json.loads(answers["TEST"])
        tls = facts.get("tls", {})
        wrong += _who(expect, facts)
        for field, actual in (("sni", tls.get("serverName")), ("negotiated_protocol", tls.get("negotiatedProtocol"))):
            if field in expect and actual != expect[field]:
                wrong.append(f"{field} {actual!r}, expected {expect[field]!r}")
    return wrong


def datagram_problems(expect: Json, answer: bytes) -> list[str]:
    """Compare the answer of a UDP backend with what is expected."""
    facts: Json = json.loads(answer)
    fields = [field for field in ("service", "namespace") if field in expect]
    return [
        f"{field} {facts.get(field)!r}, expected {expect[field]!r}"
        for field in fields
        if facts.get(field) != expect[field]
    ]


def _status(allowed: list[int], answer: Incoming) -> list[str]:
    fits = answer.status in allowed or (answer.status in _TIMEOUTS and _TIMEOUTS & set(allowed))
    return [] if fits else [f"status {answer.status}, expected {allowed}; body {answer.body[:200]!r}"]


def _backend(expect: Json, answer: Incoming) -> list[str]:
    echo = echoed(answer)
    if expect.get("from_backend") is False:
        return [f"a backend answered: {echo['pod']}"] if echo is not None else []
    if not expect.get("from_backend"):
        return []
    if echo is None:
        return [f"not a backend's answer: {answer.body[:200]!r}"]
    wrong = _who(expect, echo) + _request(expect.get("request", {}), echo)
    if name := expect.get("backend_from_request_header"):
        values = _values(echo, name)
        if len(values) != 1 or not echo["pod"].startswith(values[0]):
            wrong.append(f"{echo['pod']} was asked with {name}: {values}, expected its own name")
    return wrong


def _who(expect: Json, facts: Json) -> list[str]:
    wrong = []
    if not facts["pod"].startswith(expect.get("backend", "")):
        wrong.append(f"backend {facts['pod']}, expected {expect['backend']}")
    if expect.get("namespace") and facts["namespace"] != expect["namespace"]:
        wrong.append(f"namespace {facts['namespace']}, expected {expect['namespace']}")
    return wrong


def _request(wanted: Json, echo: Json) -> list[str]:
    tls = echo.get("tls", {})
    actual = {
        "method": echo["method"],
        "path": echo["path"],
        "host": echo["host"],
        "http_port": echo["httpPort"],
        "sni": tls.get("serverName"),
    }
    wrong = [
        f"the backend saw {field} {actual[field]!r}, expected {wanted[field]!r}"
        for field in actual
        if field in wanted and actual[field] != wanted[field]
    ]
    for name, value in wanted.get("headers", {}).items():
        if ",".join(_values(echo, name)) != value:
            wrong.append(f"the backend saw {name}: {_values(echo, name)}, expected {value!r}")
    for name in wanted.get("absent_headers", ()):
        if _values(echo, name):
            wrong.append(f"the backend saw {name}: {_values(echo, name)}, expected none")
    if "client_cert" in wanted and wanted["client_cert"].strip() not in map(str.strip, tls.get("peerCertificates", ())):
        wrong.append("the backend did not see the expected client certificate")
    return wrong


def _values(echo: Json, name: str) -> list[str]:
    return [value for key, values in echo["headers"].items() if key.lower() == name.lower() for value in values]


def _response_headers(expect: Json, answer: Incoming) -> list[str]:
    wanted = {name: [value] for name, value in expect.get("response_headers", {}).items()}
    wanted |= expect.get("response_headers_one_of", {})
    wrong = []
    for name, allowed in wanted.items():
        actual = answer.header(name)
        if expect.get("ignore_whitespace"):
            actual = actual.replace(" ", "") if actual is not None else None
            allowed = [value.replace(" ", "") for value in allowed]  # noqa: PLW2901 - the same values, as compared
        if actual not in allowed:
            wrong.append(f"response header {name}: {actual!r}, expected one of {allowed}")
    for name in expect.get("absent_response_headers", ()):
        if answer.header(name) is not None:
            wrong.append(f"response header {name}: {answer.header(name)!r}, expected none")
    return wrong


def _redirect(wanted: Json, location: str | None, url: str) -> list[str]:
    if location is None:
        return ["the redirect has no Location"]
    actual = urlsplit(urljoin(url, location))
    wrong = []
    for field, found in (("scheme", actual.scheme), ("path", actual.path), ("host", actual.hostname)):
        if field in wanted and wanted[field] != found:
            wrong.append(f"redirect to {location}: {field} {found!r}, expected {wanted[field]!r}")
    if wanted.get("port"):
        ports = {int(wanted["port"])}
    else:
        ports = {DEFAULT_PORTS[actual.scheme]} if actual.scheme in DEFAULT_PORTS else set()
    port = actual.port or DEFAULT_PORTS.get(actual.scheme)
    if port not in ports:
        wrong.append(f"redirect to {location}: port {port}, expected {sorted(ports)}")
    return wrong
