"""Explain is right: what it says of a request is what the real Envoy does with it."""

import asyncio
import random
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from seawall.app.offline import Offline
from seawall.gateway.explain import Outcome
from seawall.gateway.matching import Request, parse_request
from tests.support.manifests import GATEWAY_API, Json
from tests.support.seawall import free_port, seawall_up

pytestmark = pytest.mark.e2e

_SRC = str(Path(__file__).parents[2] / "src")
_SEED = 20261123
_ROUNDS = 400
_SERVICES = ("one", "two", "three")
_HOSTNAMES = ("a.example", "*.example", "*.a.example", "b.a.example", "*", "other.test")
_PATHS = ("/", "/a", "/a/b", "/a/b/", "/ab", "/A", "/a/b/c", "/x", "/a//b", "/a/./b", "/a/b/../c", "/a%2Fb")
_PREFIXES = ("/", "/a", "/a/b", "/x")


@pytest.fixture(autouse=True)
def _with_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", _SRC)


class Writer:
    """Writes manifests and requests at random, but always the same."""

    def __init__(self, http: int, https: int) -> None:
        self._random = random.Random(_SEED)
        self._ports = (http, https)

    def manifests(self) -> list[Json]:
        return [*self._gateway(), *map(_service, _SERVICES), *(self._route(number) for number in range(18))]

    def _gateway(self) -> list[Json]:
        http, https = self._ports
        annotations = {"seawall.dev/self-signed": "a.example, *.a.example, other.test"}
        tls = {"certificateRefs": [{"name": "certificate"}]}
        listeners: list[Json] = [
            {"name": "http", "protocol": "HTTP", "port": http},
            {"name": "narrow", "protocol": "HTTP", "port": http, "hostname": "*.a.example"},
            {"name": "wide", "protocol": "HTTPS", "port": https, "hostname": "*.example", "tls": tls},
            {"name": "exact", "protocol": "HTTPS", "port": https, "hostname": "b.a.example", "tls": tls},
            {"name": "other", "protocol": "HTTPS", "port": https, "hostname": "other.test", "tls": tls},
        ]
        meta = {"name": "certificate", "namespace": "test", "annotations": annotations}
        return [
            {
                "apiVersion": GATEWAY_API,
                "kind": "GatewayClass",
                "metadata": {"name": "seawall"},
                "spec": {"controllerName": "seawall.dev/gateway-controller"},
            },
            {
                "apiVersion": GATEWAY_API,
                "kind": "Gateway",
                "metadata": {"name": "edge", "namespace": "test"},
                "spec": {"gatewayClassName": "seawall", "listeners": listeners},
            },
            {"apiVersion": "v1", "kind": "Secret", "metadata": meta},
        ]

    def _route(self, number: int) -> Json:
        parent: Json = {"name": "edge"}
        if self._random.random() < 0.3:
            parent["sectionName"] = self._random.choice(["http", "wide", "other"])
        hostname = self._random.choice(_HOSTNAMES)
        spec: Json = {
            "parentRefs": [parent],
            "rules": [self._rule() for _ in range(self._random.randint(1, 3))],
            **({"hostnames": [hostname]} if hostname != "*" else {}),
        }
        meta = {"name": f"r{number}", "namespace": "test"}
        return {"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": meta, "spec": spec}

    def _rule(self) -> Json:
        match: Json = {"path": self._path_match()}
        if self._random.random() < 0.25:
            match["method"] = self._random.choice(["GET", "POST"])
        if self._random.random() < 0.25:
            match["headers"] = [{"name": "X-A", "value": self._random.choice(["1", "2"])}]
        if self._random.random() < 0.25:
            match["queryParams"] = [{"name": "q", "value": self._random.choice(["1", "a b"])}]
        if self._random.random() < 0.2:
            return {"matches": [match], "filters": [{"type": "RequestRedirect", "requestRedirect": self._redirect()}]}
        filters = [{"type": "URLRewrite", "urlRewrite": self._rewrite(match)}] if self._random.random() < 0.4 else []
        backend = self._random.choice([*_SERVICES, *_SERVICES, "missing"])
        return {"matches": [match], "filters": filters, "backendRefs": [{"name": backend, "port": 80}]}

    def _path_match(self) -> Json:
        kind = self._random.choice(["PathPrefix", "PathPrefix", "Exact", "RegularExpression"])
        value = self._random.choice(_PREFIXES) if kind != "RegularExpression" else "/a/[bc]+"
        return {"type": kind, "value": value}

    def _redirect(self) -> Json:
        redirect: Json = {"statusCode": self._random.choice([301, 302, 307, 308])}
        if self._random.random() < 0.5:
            redirect["scheme"] = "https"
        if self._random.random() < 0.5:
            redirect["hostname"] = "elsewhere.example"
        if self._random.random() < 0.3:
            redirect["port"] = 8443
        if self._random.random() < 0.3:
            redirect["path"] = {"type": "ReplaceFullPath", "replaceFullPath": "/new"}
        return redirect

    def _rewrite(self, match: Json) -> Json:
        rewrite: Json = {}
        if self._random.random() < 0.5:
            rewrite["hostname"] = "inside.example"
        if match["path"]["type"] == "PathPrefix":
            value = self._random.choice(["/", "/new", "/new/"])
            rewrite["path"] = {"type": "ReplacePrefixMatch", "replacePrefixMatch": value}
        else:
            rewrite["path"] = {"type": "ReplaceFullPath", "replaceFullPath": "/new"}
        return rewrite

    def request(self) -> tuple[Request, str]:
        """Return a request, and its path as it is sent: before anybody normalises it."""
        choose = self._random.choice
        scheme = choose(["http", "http", "https"])
        port = self._ports[scheme == "https"]
        host = choose(["a.example", "A.Example", "c.example", "b.a.example", "x.y.a.example", "other.test", "no.where"])
        sni = choose([host, host, host, "other.test", "b.a.example"]).lower() if scheme == "https" else None
        query = choose(["", "", "?q=1", "?q=a%20b", "?q=2&q=1"])
        headers = choose([(), (), ("X-A: 1",), ("X-A: 1", "X-A: 2"), ("x-a: 3",)])
        target = choose(_PATHS) + query
        url = f"{scheme}://{host}:{port}{target}"
        return parse_request(choose(["GET", "POST", "PUT"]), url, headers, sni), target


def _service(name: str) -> Json:
    meta = {"name": name, "namespace": "test", "annotations": {"seawall.dev/demo": "true"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": 80}]}}


async def _ask(client: httpx.AsyncClient, request: Request, raw_path: str) -> httpx.Response | None:
    """Send it as it is; None if the connection fails."""
    headers = [("host", request.authority), *request.headers]
    url = httpx.URL(scheme=request.scheme, host="127.0.0.1", port=request.port, raw_path=raw_path.encode())
    extensions = {"sni_hostname": request.sni} if request.sni else {}
    try:
        return await client.send(client.build_request(request.method, url, headers=headers, extensions=extensions))
    except httpx.TransportError:
        return None


def _differs(outcome: Outcome, answer: httpx.Response | None, service: str) -> str:
    """Say in what the explanation is wrong; empty if it is right."""
    if outcome.kind == "refuse" or answer is None:
        return "" if outcome.kind == "refuse" and answer is None else f"{outcome} and {answer}"
    if outcome.kind == "forward":
        if answer.status_code != 200:
            return f"{outcome} and {answer.status_code}"
        said: dict[str, Any] = answer.json()
        sent = urlsplit(outcome.sent)
        expected = (service, sent.netloc, sent.path + (f"?{sent.query}" if sent.query else ""))
        return "" if expected == (said["service"], said["host"], said["path"]) else f"{expected} and {said}"
    if outcome.status != answer.status_code:
        return f"{outcome} and {answer.status_code}"
    if outcome.location and _plain(outcome.location) != _plain(answer.headers["location"]):
        return f"{outcome.location} and {answer.headers['location']}"
    return ""


def _plain(location: str) -> str:
    """A default port may be written or not."""
    parts = urlsplit(location)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}{parts.path}?{parts.query}".lower()


def test_what_explain_says_is_what_envoy_does(tmp_path: Path) -> None:
    async def run() -> list[str]:
        writer = Writer(free_port(), free_port())
        async with seawall_up({"all": writer.manifests()}, root=tmp_path / "root") as instance:
            offline = Offline(instance.folder)
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            wrong: list[str] = []
            # A connection for each request: its server name must be its own.
            limits = httpx.Limits(max_keepalive_connections=0)
            async with httpx.AsyncClient(verify=context, limits=limits, trust_env=False) as client:
                for _ in range(_ROUNDS):
                    request, target = writer.request()
                    found = offline.explain(request)
                    outcome = found.outcome
                    service = (
                        outcome.backends[0].cluster.removeprefix("Service/").rsplit("/", 1)[0]
                        if outcome.backends
                        else ""
                    )
                    answer = await _ask(client, request, target)
                    if difference := _differs(outcome, answer, service):
                        wrong.append(
                            f"{request.method} {request.url} sni={request.sni} {request.headers}: {difference}"
                        )
            return wrong

    wrong = asyncio.run(run())

    assert not wrong, "\n".join([f"{len(wrong)} of {_ROUNDS}:", *wrong[:10]])
