"""Echo answer: what a backend of the conformance suite answers to one HTTP request, whatever version carried it.

Talks to nobody: `echo_http1` and `echo_http2` read requests and write what `answer` returns. The contract is the suite's
README, section 3; field names of the answer are upstream's.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from urllib.parse import parse_qs

import msgspec

JSON_TYPE = "application/json"


class Pod(msgspec.Struct, frozen=True, kw_only=True):
    """One backend process. `servers` maps a port to its mode; `files` maps a path that `env` names to where it comes from."""

    name: str
    namespace: str
    deployment: str
    manifest: str
    address: str
    servers: Mapping[str, str]
    env: Mapping[str, str] = {}
    files: Mapping[str, str] = {}


class TlsFacts(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What the backend knows of a TLS connection."""

    version: str
    server_name: str
    cipher_suite: str
    negotiated_protocol: str = ""
    peer_certificates: tuple[str, ...] = ()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as received. `headers` without the Host."""

    method: str
    target: str
    protocol: str
    host: str
    headers: tuple[tuple[str, str], ...]
    client: str
    tls: TlsFacts | None = None

    def header(self, name: str) -> str:
        """Return the header's values joined by commas, empty if absent."""
        return ",".join(value for key, value in self.headers if key.lower() == name)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    """Break the TCP connection instead of answering."""


class Backend:
    """One pod's memory: which paths it was asked for, and how often each retry failed."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.seen: Counter[str] = Counter()
        self.log: list[str] = []
        self._failures: Counter[str] = Counter()

    @property
    def context(self) -> dict[str, str]:
        """Who answers: four of the fields of every answer."""
        env = self.pod.env
        names = {"namespace": "NAMESPACE", "ingress": "INGRESS_NAME", "service": "SERVICE_NAME", "pod": "POD_NAME"}
        return {field: env.get(name, "") for field, name in names.items()}

    async def answer(self, request: Request) -> Answer | Reset:
        """Answer a request to http or https."""
        path, _, query = request.target.partition("?")
        path = path.replace("//", "/")
        if path == "/health":
            return Answer(status=200, body=b"OK")
        if found := re.fullmatch(r"/status/(\d{3})", path):
            return Answer(status=int(found[1]))
        if path.startswith("/retry/"):
            return await self._retry(request, parse_qs(query))
        return await self.echo(request)

    async def echo(self, request: Request) -> Answer:
        """Tell the client what it sent."""
        self.seen[request.target] += 1
        self.log.append(f"Echoing back request made to {request.target} to client ({request.client})")
        delay = parse_qs(request.target.partition("?")[2]).get("delay")
        if delay:
            await asyncio.sleep(seconds(delay[0]))
        headers: dict[str, list[str]] = {}
        for name, value in request.headers:
            headers.setdefault(canonical(name), []).append(value)
        body: dict[str, object] = {
            "path": request.target,
            "host": request.host,
            "method": request.method,
            "proto": request.protocol,
            "headers": headers,
            "httpPort": self.pod.env.get("HTTP_PORT", "3000"),
            **self.context,
        }
        if request.tls is not None:
            body["tls"] = request.tls
        return Answer(
            status=200,
            headers=(
                ("Content-Type", JSON_TYPE),
                ("X-Content-Type-Options", "nosniff"),
                *headers_to_set(request.header("x-echo-set-header")),
            ),
            body=msgspec.json.encode(body),
        )

    async def _retry(self, request: Request, query: Mapping[str, list[str]]) -> Answer | Reset:
        uuid, wanted = query.get("uuid"), query.get("succeedAfter")
        if not uuid or not wanted or not wanted[0].isdecimal():
            return Answer(status=400, body=b"uuid and succeedAfter are required\n")
        if self._failures[uuid[0]] >= int(wanted[0]):
            return await self.echo(request)
        self._failures[uuid[0]] += 1
        if "delayRetry" in query:
            await asyncio.sleep(seconds(query["delayRetry"][0]))
        return Answer(status=int(query["responseCode"][0])) if "responseCode" in query else Reset()


def headers_to_set(wanted: str) -> list[tuple[str, str]]:
    """Read `name:value,name:value`; the case of names is kept, values of one name are joined by commas."""
    found: dict[str, list[str]] = {}
    spelling: dict[str, str] = {}
    for pair in wanted.split(","):
        name, colon, value = pair.strip().partition(":")
        if colon:
            spelling.setdefault(name.lower(), name)
            found.setdefault(name.lower(), []).append(value.strip())
    return [(spelling[name], ",".join(values)) for name, values in found.items()]


def canonical(name: str) -> str:
    """Spell a header as Go does: `x-header-set` is `X-Header-Set`."""
    return "-".join(word.capitalize() for word in name.split("-"))


def seconds(duration: str) -> float:
    """Read a duration as Go writes it: `1s`, `500ms`, `1m30s`."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
    return sum(float(n) * units[unit] for n, unit in re.findall(r"([\d.]+)(ms|us|µs|ns|h|m|s)", duration))
