"""Policies: what a set of policies costs a request through the edge, beside Envoy with the same filters configured by hand.

The race of `bench.throughput`. Every request carries a token (RS256, checked, then remembered by both) and an Origin of CORS;
both write an access log of the same fields in JSON; in the second race pages of 2 KiB are compressed with gzip.
"""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from tests.support.tokens import Issuer

from bench.options import Options
from bench.report import Result, Table, goal
from bench.support import instances, manifests
from bench.support.envoys import bare_envoy
from bench.support.load import backend
from bench.support.programs import free_port
from bench.throughput import GOAL, HEADS, HOST, LOAD_CORES, PROXY_CORES, Contender, race
from seawall.envoy.request_logs import OPERATORS
from seawall.gateway.resources.listener_policies import LogField

QUESTION = "what do tokens, CORS, an access log and compression cost, beside Envoy with the same filters by hand?"
_HTTP = "type.googleapis.com/envoy.extensions.filters.http"
_FIELDS: tuple[LogField, ...] = (
    "time",
    "clientAddress",
    "method",
    "host",
    "path",
    "status",
    "duration",
    "backend",
    "userAgent",
)
_ORIGIN = "https://app.example"
_ISSUER = Issuer()


async def run(options: Options) -> Result:
    """Race both, without and with compression."""
    return await asyncio.to_thread(_run, options)


def _run(options: Options) -> Result:
    tables: list[Table] = []
    verdicts: list[str] = []
    for compresses in (False, True):
        headers = {"Authorization": f"Bearer {_ISSUER.token(lasts=3600)}", "Origin": _ORIGIN, "Accept-Encoding": "gzip"}
        with tempfile.TemporaryDirectory(prefix="sw-bench-") as name:
            folder = Path(name)
            with backend(folder, LOAD_CORES) as backend_port, ExitStack() as stack:
                contenders = [
                    stack.enter_context(_by_hand(folder, backend_port, compresses=compresses)),
                    stack.enter_context(_edge(folder, backend_port, compresses=compresses)),
                ]
                path = "/page" if compresses else "/"
                race(contenders, options.pick(7, 1), options.pick(4, 1), path=path, headers=headers)
        table, said = _compared(contenders, compresses=compresses)
        tables.append(table)
        verdicts += said
    return Result(bench="policies", question=QUESTION, tables=tuple(tables), verdicts=tuple(verdicts))


def _compared(contenders: list[Contender], *, compresses: bool) -> tuple[Table, list[str]]:
    bare, ours = contenders
    with_what = "with compression" if compresses else "without compression"
    table = Table(
        title=f"Tokens, CORS and a log, {with_what}", heads=HEADS, rows=tuple(one.row(bare) for one in contenders)
    )
    return table, [
        goal(f"requests/s against Envoy by hand, {with_what}", ours.rate_against(bare), GOAL, "", at_least=True),
        goal(
            f"the same by CPU per request (inverse), {with_what}", 1 / ours.cpu_against(bare), GOAL, "", at_least=True
        ),
    ]


# ── by hand ──────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _by_hand(folder: Path, backend_port: int, *, compresses: bool) -> Iterator[Contender]:
    port = free_port()
    manager = _manager(str(folder / "bare-access.log"), compresses=compresses)
    with bare_envoy(folder, port, backend_port, PROXY_CORES, manager=manager) as child:
        yield Contender(name="Envoy by hand", port=port, pid=child.pid)


def _manager(log: str, *, compresses: bool) -> dict[str, Any]:
    def filtered(name: str, kind: str, config: dict[str, Any] | None = None) -> dict[str, Any]:
        return {"name": name, "typed_config": {"@type": f"{_HTTP}.{kind}", **(config or {})}}

    issuer = {"issuer": _ISSUER.name, "local_jwks": {"inline_string": _ISSUER.keys}, "jwt_cache_config": {}}
    tokens = {"providers": {"id": issuer}, "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "id"}}]}
    cors = {
        "@type": f"{_HTTP}.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"exact": _ORIGIN}],
        "allow_methods": "GET",
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": "backend"}, "typed_per_filter_config": {"cors": cors}}
    gzip = {
        "@type": "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip",
        "compression_level": "BEST_SPEED",
    }
    compressor = {"compressor_library": {"name": "gzip", "typed_config": gzip}}
    chain = [filtered("cors", "cors.v3.Cors"), filtered("tokens", "jwt_authn.v3.JwtAuthentication", tokens)]
    chain += [filtered("compressor", "compressor.v3.Compressor", compressor)] if compresses else []
    fields = {name: OPERATORS[name] for name in _FIELDS}
    file = {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": log,
        "log_format": {"json_format": fields},
    }
    return {
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [*chain, filtered("router", "router.v3.Router")],
        "access_log": [{"name": "file", "typed_config": file}],
    }


# ── the edge ─────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _edge(folder: Path, backend_port: int, *, compresses: bool) -> Iterator[Contender]:
    manifest_dir, port = folder / "manifests", free_port()
    manifest_dir.mkdir()
    (manifest_dir / "base.yaml").write_text(manifests.base(port, backend_port), encoding="utf-8")
    objects = _objects(str(folder / "edge-access.log"), compresses=compresses)
    (manifest_dir / "route.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    with instances.up(manifest_dir, folder / "run", cores=PROXY_CORES) as instance:
        instance.wait_for(port, HOST, 401)
        yield Contender(name="Seawall edge", port=port, pid=instance.pid)


def _objects(log: str, *, compresses: bool) -> list[dict[str, Any]]:
    gateway = "gateway.networking.k8s.io"
    at_route = {"group": gateway, "kind": "HTTPRoute", "name": "h0"}
    at_gateway = {"group": gateway, "kind": "Gateway", "name": "edge"}
    cors = {"type": "CORS", "cors": {"allowOrigins": [_ORIGIN], "allowMethods": ["GET"]}}
    rule = {"filters": [cors], "backendRefs": [{"name": "backend", "port": 80}]}
    provider = {"name": "id", "issuer": _ISSUER.name, "keys": {"inline": json.dumps(json.loads(_ISSUER.keys))}}

    def made(version: str, kind: str, name: str, **spec: Any) -> dict[str, Any]:
        return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "bench"}, "spec": spec}

    own = "seawall.dev/v1alpha1"
    found = [
        made(f"{gateway}/v1", "HTTPRoute", "h0", parentRefs=[{"name": "edge"}], hostnames=[HOST], rules=[rule]),
        made(own, "AccessPolicy", "tokens", targetRefs=[at_route], jwt={"providers": [provider]}),
        made(
            own,
            "ListenerPolicy",
            "log",
            targetRefs=[at_gateway],
            accessLog={"fields": list(_FIELDS), "sinks": [{"type": "File", "path": log}]},
        ),
    ]
    if compresses:
        found.append(made(own, "TrafficPolicy", "small", targetRefs=[at_route], compression={"algorithms": ["gzip"]}))
    return found
