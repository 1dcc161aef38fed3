"""Routes: virtual hosts of the graph → Envoy's.

Pure. Matching and actions are those of the Gateway API; where Envoy's field means something slightly else, a comment
says what makes up for it. Next room: `envoy.scopes`.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from seawall.envoy import access, filters, places
from seawall.envoy.edits import header_edits, host_edit
from seawall.envoy.forward import forward
from seawall.envoy.proto import pack
from seawall.envoy.redirect import redirect
from seawall.envoy.retries import SAFE_RETRIES
from seawall.gateway.graph import (
    Apart,
    ClusterName,
    Cors,
    Forward,
    Hostname,
    Redirect,
    Respond,
    Route,
    RouteMatch,
    ValueMatch,
    VirtualHost,
    WeightedBackend,
)

_MILLION = 1_000_000
_CORS_POLICY = "envoy.extensions.filters.http.cors.v3.CorsPolicy"
NOT_FOUND = "not-found"
"""The last route of every virtual host. Without it a path that matches nothing would be a request without a route, and
`rescope` would take it for an unknown host."""


def virtual_host(host: VirtualHost, domains: Iterable[Hostname]) -> dict[str, Any]:
    """Build a virtual host: its routes in order, then the 404."""
    shared, own = access.filters_of(host.routes)
    made = [
        built
        for route, asked in zip(host.routes, own, strict=True)
        for built in _routes(route, host.key.hostname, asked)
    ]
    return {
        "name": host.key.hostname,
        "domains": list(domains),
        "routes": [*made, _answer(NOT_FOUND, 404)],
        "retry_policy": SAFE_RETRIES,
        **({"typed_per_filter_config": shared} if shared else {}),
    }


def answering(name: str, domains: Iterable[Hostname], status: int) -> dict[str, Any]:
    """Build a virtual host that answers every request by itself."""
    return {"name": name, "domains": list(domains), "routes": [_answer(name, status)]}


def clusters(host: VirtualHost) -> Iterable[str]:
    """Name the clusters that the routes of a host send to."""
    for route in host.routes:
        if isinstance(route.action, Forward):
            yield from (backend.cluster for backend in route.action.backends if backend.cluster is not None)
            yield from (mirror.cluster for mirror in route.action.mirrors)
            aparts = (backend.apart for backend in route.action.backends if backend.apart is not None)
            yield from (mirror.cluster for apart in aparts for mirror in apart.mirrors)
        if route.admitted is not None and route.admitted.by.tokens is not None:
            yield from (ClusterName(one.cluster) for one in route.admitted.by.tokens.providers if one.cluster)
        if (asked := access.asked_by(route)) is not None:
            yield ClusterName(asked.cluster)


def _answer(name: str, status: int) -> dict[str, Any]:
    return {"name": name, "match": {"prefix": "/"}, "direct_response": {"status": status}}


def _route(route: Route, hostname: Hostname, asked: dict[str, Any]) -> dict[str, Any]:
    built: dict[str, Any] = {
        "name": route.name,
        "match": _match(route.match),
        **header_edits(route.request_headers, route.response_headers),
    }
    match route.action:
        case Forward() as action:
            built |= forward(action, route.match, host_edit(route.request_headers))
        case Redirect() as action:
            built["redirect"] = redirect(action, route.match, hostname)
        case Respond() as answer:
            built["direct_response"] = _respond(answer)
    if metadata := places.route_metadata(route):
        built["metadata"] = metadata
    if route.cors is not None:
        asked = {**asked, filters.CORS: pack(_CORS_POLICY, _cors(route.cors))}
    if asked:
        built["typed_per_filter_config"] = asked
    return built


def _routes(route: Route, hostname: Hostname, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Build a route, or one for the share of each backend where something is done for one of them that Envoy does for a route.

    It draws one number for a request and asks every route with that: so each route's fraction is its own share and those before
    it, and the last one takes what is left.
    """
    backends = [one for one in route.action.backends if one.weight] if isinstance(route.action, Forward) else []
    if not isinstance(route.action, Forward) or not any(one.apart for one in backends):
        return [_route(route, hostname, asked)]
    total, before = sum(one.weight for one in backends), 0
    found = []
    for number, backend in enumerate(backends):
        built = _route(msgspec.structs.replace(route, action=_of_share(route.action, backend)), hostname, asked)
        before += backend.weight
        built["name"] = f"{route.name}/{number}"
        if number < len(backends) - 1:
            share = {"numerator": round(before * _MILLION / total), "denominator": "MILLION"}
            built["match"] = {**built["match"], "runtime_fraction": {"default_value": share}}
        found.append(built)
    return found


def _of_share(action: Forward, backend: WeightedBackend) -> Forward | Redirect:
    own = backend.apart or Apart()
    if own.redirect is not None:
        return own.redirect
    return msgspec.structs.replace(
        action,
        backends=(msgspec.structs.replace(backend, apart=None),),
        rewrite_host=own.rewrite_host or action.rewrite_host,
        rewrite_path=own.rewrite_path or action.rewrite_path,
        mirrors=(*action.mirrors, *own.mirrors),
    )


def _respond(answer: Respond) -> dict[str, Any]:
    if answer.template:
        body = {"text_format_source": {"inline_string": answer.template}, "content_type": answer.content_type}
        return {"status": answer.status, "body_format": body}
    # Why is said in the status and by `explain`: what is wrong with a configuration is none of a client's business.
    return {"status": answer.status}


def _match(match: RouteMatch) -> dict[str, Any]:
    built: dict[str, Any] = {}
    if match.path_type == "Exact":
        built["path"] = match.path
    elif match.path_type == "RegularExpression":
        built["safe_regex"] = {"regex": match.path}
    elif match.path == "/":
        built["prefix"] = "/"
    else:
        built["path_separated_prefix"] = match.path
    headers = [_header(header) for header in match.headers]
    if match.method is not None:
        headers.insert(0, {"name": ":method", "string_match": {"exact": match.method}})
    if headers:
        built["headers"] = headers
    if match.query:
        built["query_parameters"] = [{"name": q.name, "string_match": _value(q)} for q in match.query]
    return built


def _header(match: ValueMatch) -> dict[str, Any]:
    return {"name": match.name, "string_match": _value(match)}


def _value(match: ValueMatch) -> dict[str, Any]:
    return {"safe_regex": {"regex": match.value}} if match.type == "RegularExpression" else {"exact": match.value}


def _cors(cors: Cors) -> dict[str, Any]:
    built: dict[str, Any] = {
        "allow_origin_string_match": [_origin(origin) for origin in cors.allow_origins],
        "allow_credentials": {"value": cors.allow_credentials},
        "max_age": str(cors.max_age),
        # A preflight never reaches the backend, not even one from a wrong origin.
        "forward_not_matching_preflights": {"value": False},
    }
    lists = {
        "allow_methods": cors.allow_methods,
        "allow_headers": cors.allow_headers,
        "expose_headers": cors.expose_headers,
    }
    return built | {name: ", ".join(values) for name, values in lists.items() if values}


def _origin(origin: str) -> dict[str, Any]:
    if origin == "*":
        return {"safe_regex": {"regex": ".*"}}
    if "*" in origin:
        return {"safe_regex": {"regex": ".*".join(re.escape(part) for part in origin.split("*"))}}
    return {"exact": origin}
