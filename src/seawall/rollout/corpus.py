"""Corpus: requests to try a candidate with: ordinary, hostile and malformed ones, and a sample of real ones.

Pure and deterministic: the same targets give the same bytes. The hostile ones are the shapes that have crashed, confused or
slowed proxies before: smuggling, path tricks, odd hosts, headers by the hundred, and headers that steer Envoy itself.
Source: RFC 9112 sections 6 and 11, RFC 9110 section 17, Envoy's list of x-envoy-* headers.
Next rooms: `rollout.answers` compares what came back; `envoy.probes` makes requests out of the routes.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

Kind = Literal["probe", "normal", "hostile", "malformed", "sample"]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests can go: a listener, a host that it serves, and under TLS the server name to ask for."""

    listener: str
    host: str
    is_tls: bool = False
    server_name: str = ""

    @property
    def url(self) -> str:
        return f"{'https' if self.is_tls else 'http'}://{self.host}"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request as bytes. `expects` is what its route does; `any` where that cannot be foretold."""

    name: str
    kind: Kind
    target: Target
    wire: bytes
    method: str = "GET"
    expects: Literal["forward", "redirect", "direct", "any"] = "any"

    @property
    def host(self) -> str:
        return self.target.host


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A request as a client sent it, without what is private: values of headers are not kept."""

    method: Literal["GET", "HEAD", "OPTIONS"]
    host: str
    path: str
    headers: tuple[str, ...] = ()


Headers = tuple[tuple[str, str], ...]


def build(
    target: Target, method: str, path: str, headers: Headers = (), kind: Kind = "normal", what: str = ""
) -> Request:
    """Build a well-formed request without a body."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {target.host}", *(f"{name}: {value}" for name, value in headers)]
    wire = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
    name = f"{method} {target.url}{path[:100]}{f' ({what})' if what else ''}"
    return Request(name=name, kind=kind, target=target, wire=wire, method=method)


def corpus(targets: Iterable[Target], rare_headers: Iterable[str] = ()) -> tuple[Request, ...]:
    """Build the whole corpus for each target. `rare_headers` are names that clients of this edge have sent."""
    rare = tuple(dict.fromkeys((*RARE_HEADERS, *((name, "true") for name in rare_headers))))
    return tuple(
        request
        for target in targets
        for request in (*_normal(target), *_rare(target, rare), *_hostile(target), *_malformed(target))
    )


def samples(targets: Iterable[Target], seen: Iterable[Sample]) -> tuple[Request, ...]:
    """Build the requests of a sample. A host of its own among the targets is asked there, any other one (below a wildcard) at
    every door."""
    by_host, doors = _by_host(targets)
    found: list[Request] = []
    for one in seen:
        if not _is_clean(one):
            continue
        headers = tuple((name, "1") for name in one.headers if name.lower() not in _FRAMING)
        asked = by_host.get(one.host) or [
            msgspec.structs.replace(door, host=one.host, server_name=one.host) for door in doors
        ]
        found.extend(build(target, one.method, one.path, headers, "sample", "sampled") for target in asked)
        if len(found) >= MOST_SAMPLED:
            break
    return tuple(found)


def _by_host(targets: Iterable[Target]) -> tuple[dict[str, list[Target]], list[Target]]:
    by_host: dict[str, list[Target]] = {}
    doors: dict[tuple[str, bool], Target] = {}
    for target in targets:
        by_host.setdefault(target.host, []).append(target)
        doors.setdefault((target.listener, target.is_tls), target)
    return by_host, list(doors.values())[:MOST_DOORS]


MOST_SAMPLED, MOST_DOORS = 400, 4
_FRAMING = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "te", "trailer"}
)


def _is_clean(sample: Sample) -> bool:
    parts = (sample.path, sample.host, *sample.headers)
    return sample.path.startswith("/") and not any(c.isspace() or ord(c) < 33 for part in parts for c in part)


RARE_HEADERS: Headers = (
    # Those that steer Envoy: a client must not be able to crash, delay or re-route anything with them.
    ("x-envoy-kill-request", "true"),
    ("x-envoy-fault-abort-request", "503"),
    ("x-envoy-fault-delay-request", "50"),
    ("x-envoy-force-trace", "true"),
    ("x-envoy-internal", "true"),
    ("x-envoy-original-path", "/admin"),
    ("x-envoy-retry-on", "5xx"),
    ("x-envoy-max-retries", "100"),
    # Not 1: whether a backend answers within a millisecond is chance.
    ("x-envoy-upstream-rq-timeout-ms", "30000"),
    ("x-envoy-decorator-operation", "probe"),
    # Those that applications and proxies read without anybody thinking of it.
    ("x-forwarded-for", "203.0.113.7, 198.51.100.9"),
    ("x-forwarded-proto", "gopher"),
    ("x-forwarded-host", "elsewhere.invalid"),
    ("x-http-method-override", "DELETE"),
    ("x-original-url", "/admin"),
    ("x-request-id", "not-a-uuid"),
    ("forwarded", "for=203.0.113.7;proto=https"),
    ("via", "1.0 fred, 1.1 p.example.net"),
    ("range", "bytes=0-0,1-1,2-2,-1"),
    ("traceparent", "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01"),
    ("baggage", "a=b;c=d"),
    ("authorization", "Basic Og=="),
    ("authorization", "Bearer eyJhbGciOiJub25lIn0.e30."),
    ("cookie", "a=; =b; c"),
    ("priority", "u=9, i"),
    ("sec-websocket-protocol", "x"),
    ("grpc-timeout", "1n"),
    ("x-debug", "true"),
    ("x-test", "true"),
)


def _normal(target: Target) -> Iterator[Request]:
    for method in ("GET", "HEAD", "OPTIONS"):
        yield build(target, method, "/")
    yield build(target, "GET", "/?a=1&b=2")
    yield build(target, "GET", "/index.html", (("accept", "text/html"), ("accept-encoding", "gzip, br")))
    yield build(
        target, "GET", "/", (("accept-language", "de-DE,de;q=0.9"), ("user-agent", "Mozilla/5.0")), what="browser"
    )
    origin = (("origin", target.url), ("access-control-request-method", "PUT"))
    yield build(target, "OPTIONS", "/", origin, what="preflight")
    yield _body(target, "a form", (("content-type", "application/x-www-form-urlencoded"),), b"a=1&b=2")
    yield _body(target, "JSON", (("content-type", "application/json"),), b'{"a": 1}')
    chunked = b"5\r\nhello\r\n0\r\nx-trailer: 1\r\n\r\n"
    yield _raw(target, "normal", "chunked, with a trailer", "POST", (("transfer-encoding", "chunked"),), chunked)
    yield _raw(
        target, "normal", "expect: 100-continue", "POST", (("expect", "100-continue"), ("content-length", "2")), b"ok"
    )


def _rare(target: Target, headers: Iterable[tuple[str, str]]) -> Iterator[Request]:
    for name, value in headers:
        yield build(target, "GET", "/", ((name, value),), "hostile", f"with {name}")


def _hostile(target: Target) -> Iterator[Request]:
    tricks = (
        *("/../../etc/passwd", "/%2e%2e/%2e%2e/", "//", "/a//b", "/a/./b", "/%2f..%2f", "/a%5cb", "/a;b=c/../d"),
        *("/%00", "/%ff%fe", "/%", "/%zz", "/a%252fb", "/?%00", "/" + "a" * 4096, "/?" + "a=1&" * 2000),
    )
    for path in tricks:
        yield build(target, "GET", path, (), "hostile", f"path of {len(path)} characters")
    yield build(target, "GET", "/", (("x-long", "a" * 16000),), "hostile", "header of 16,000 characters")
    yield build(target, "GET", "/", (("x-too-long", "a" * 100_000),), "hostile", "header of 100,000 characters")
    yield build(target, "GET", "/", tuple((f"x-n{n}", "1") for n in range(90)), "hostile", "90 headers")
    yield build(target, "GET", "/", tuple((f"x-n{n}", "1") for n in range(500)), "hostile", "500 headers")
    yield build(target, "GET", "/", (("x_under_score", "1"),), "hostile", "underscores in a header")
    upgrade: Headers = (("connection", "upgrade"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABkAAQAAP__"))
    yield build(target, "GET", "/", upgrade, "hostile", "upgrade to h2c")
    for method in ("TRACE", "PATCH", "PROPFIND", "CONNECT", "BREW"):
        yield build(target, method, "/", (), "hostile")
    for what, host in (
        ("capitals", target.host.upper()),
        ("a final dot", target.host + "."),
        ("a port", target.host + ":99"),
    ):
        yield _line(target, "hostile", f"host with {what}", b"GET / HTTP/1.1\r\nhost: " + host.encode() + b"\r\n\r\n")
    absolute = f"GET {target.url}/ HTTP/1.1\r\nhost: {target.host}\r\n\r\n"
    yield _line(target, "hostile", "absolute form", absolute.encode())


def _malformed(target: Target) -> Iterator[Request]:
    host = f"host: {target.host}\r\n".encode()
    length = b"content-length: "
    shapes = (
        ("HTTP/1.0 without a host", b"GET / HTTP/1.0\r\n\r\n"),
        ("no host", b"GET / HTTP/1.1\r\n\r\n"),
        ("an empty host", b"GET / HTTP/1.1\r\nhost: \r\n\r\n"),
        ("two hosts", b"GET / HTTP/1.1\r\n" + host + b"host: elsewhere.invalid\r\n\r\n"),
        ("a host that is none", b"GET / HTTP/1.1\r\nhost: a b@[::\r\n\r\n"),
        ("CL.TE", b"POST / HTTP/1.1\r\n" + host + length + b"4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("two lengths", b"POST / HTTP/1.1\r\n" + host + length + b"1\r\n" + length + b"2\r\n\r\nab"),
        ("a negative length", b"POST / HTTP/1.1\r\n" + host + length + b"-1\r\n\r\n"),
        ("a bad chunk", b"POST / HTTP/1.1\r\n" + host + b"transfer-encoding: chunked\r\n\r\nzz\r\n"),
        ("TE twice", b"POST / HTTP/1.1\r\n" + host + b"transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        ("bad UTF-8", b"GET /\xff\xfe HTTP/1.1\r\n" + host + b"x-bytes: \xc3\x28\r\n\r\n"),
        ("a NUL in a header", b"GET / HTTP/1.1\r\n" + host + b"x-nul: a\x00b\r\n\r\n"),
        ("a folded header", b"GET / HTTP/1.1\r\n" + host + b"x-folded: a\r\n b\r\n\r\n"),
        ("a space before the colon", b"GET / HTTP/1.1\r\n" + host + b"x-space : a\r\n\r\n"),
        ("bare line feeds", b"GET / HTTP/1.1\n" + host.replace(b"\r", b"") + b"\n"),
        ("HTTP/9.9", b"GET / HTTP/9.9\r\n" + host + b"\r\n"),
        ("no HTTP", b"\x16\x03\x01\x00\x05hello\r\n\r\n"),
        ("an HTTP/2 preface cut short", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x09"),
    )
    for what, wire in shapes:
        yield _line(target, "malformed", what, wire)


def _body(target: Target, what: str, headers: Headers, body: bytes) -> Request:
    return _raw(target, "normal", what, "POST", (*headers, ("content-length", str(len(body)))), body)


def _raw(target: Target, kind: Kind, what: str, method: str, headers: Headers, body: bytes) -> Request:
    request = build(target, method, "/", headers, kind, what)
    return msgspec.structs.replace(request, wire=request.wire + body)


def _line(target: Target, kind: Kind, what: str, wire: bytes) -> Request:
    return Request(name=f"{target.url} ({what})", kind=kind, target=target, wire=wire)
