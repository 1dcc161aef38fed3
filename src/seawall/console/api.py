"""API: what a running instance tells about itself, as JSON over HTTP.

Answers requests; decides nothing. `app.serve` is the instance behind it, `cli.client` the first to ask.

    GET  /v1/objects                              every object: metadata, status, problems
    GET  /v1/objects/{kind}/{namespace}/{name}    one of them; `_` for no namespace
    GET  /v1/edges                                every edge: what it runs, what it refuses
    GET  /v1/status                               all of it, in short
    POST /v1/explain                              {"method", "url", "headers": [], "sni", "from"} → what would happen
    GET  /metrics                                 for Prometheus
    …    /v1/rollouts, /v1/bundles, /v1/diff      see `console.rollouts`
    …    /v1/protection, /v1/attacks, /v1/top, /v1/why    see `console.protection`
"""

import asyncio
from collections.abc import Iterable
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from seawall.console import protection, rollouts
from seawall.console.answers import Json, body_of, error, json
from seawall.kit.errors import ConfigError

_AT_A_TIME = 100
_LARGEST_QUESTION = 1 << 16
_HOSTS = ["seawall", "localhost", "127.0.0.1"]
"""Names under which the console is asked. A page in somebody's browser that has rebound its own name is none of them."""


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"client": "from"}):
    """A request to explain. Headers as `Name: value`; `sni` None means the URL's host."""

    url: str
    method: str = "GET"
    headers: tuple[str, ...] = ()
    sni: str | None = None
    client: str = ""


class Instance(Protocol):
    """What the console asks."""

    def objects(self) -> Iterable[Json]: ...

    def object(self, kind: str, namespace: str, name: str) -> Json | None: ...

    def edges(self) -> list[Json]: ...

    def status(self) -> Json: ...

    def explain(self, question: Question) -> Json:
        """Raise ConfigError if the question makes no sense."""

    def metrics(self) -> str: ...


def api(
    instance: Instance, desk: rollouts.RolloutDesk | None = None, watch: protection.ProtectionDesk | None = None
) -> Starlette:
    """Make the ASGI application."""

    async def objects(_: Request) -> Response:
        found: list[bytes] = []
        for one in instance.objects():
            found.append(msgspec.json.encode(one))
            if len(found) % _AT_A_TIME == 0:
                # Twenty thousand objects must not hold up a change.
                await asyncio.sleep(0)
        return Response(b"[" + b",".join(found) + b"]", media_type="application/json")

    async def one_object(request: Request) -> Response:
        kind, namespace, name = (request.path_params[part] for part in ("kind", "namespace", "name"))
        found = instance.object(kind, "" if namespace == "_" else namespace, name)
        return json(found) if found is not None else error(404, f"there is no {kind} {namespace}/{name}.")

    async def edges(_: Request) -> Response:
        return json(instance.edges())

    async def status(_: Request) -> Response:
        return json(instance.status())

    async def explain(request: Request) -> Response:
        body = await body_of(request, _LARGEST_QUESTION)
        if body is None:
            return error(413, f"a question may have at most {_LARGEST_QUESTION} bytes.")
        try:
            return json(instance.explain(msgspec.json.decode(body, type=Question)))
        except (msgspec.DecodeError, ConfigError) as exc:
            return error(400, str(exc))

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(instance.metrics(), media_type="text/plain; version=0.0.4")

    routes = [
        Route("/v1/objects", objects),
        Route("/v1/objects/{kind}/{namespace}/{name}", one_object),
        Route("/v1/edges", edges),
        Route("/v1/status", status),
        Route("/v1/explain", explain, methods=["POST"]),
        Route("/metrics", metrics),
        *(rollouts.routes(desk) if desk is not None else ()),
        *(protection.routes(watch) if watch is not None else ()),
    ]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS)])
