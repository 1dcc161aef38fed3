"""gRPC: a GRPCRoute said in the words of an HTTPRoute. A call is a POST to `/<service>/<method>`.

Pure. So everything that is true of HTTPRoutes (filters, shares, mirrors, statuses) is true of GRPCRoutes by construction.
What differs is which match goes first, and the answer in place of a backend that cannot be used.
Next room: `gateway.routes`.
"""

from collections.abc import Sequence

from seawall.gateway.graph import RouteMatch
from seawall.gateway.resources.grpc import (
    GRPCBackendRef,
    GRPCMethodMatch,
    GRPCRouteFilter,
    GRPCRouteMatch,
    GRPCRouteRule,
)
from seawall.gateway.resources.http import (
    HTTPBackendRef,
    HTTPHeaderMatch,
    HTTPPathMatch,
    HTTPRouteFilter,
    HTTPRouteMatch,
    HTTPRouteRule,
)

_ANY_NAME = "[^/]+"


def http_rules(rules: Sequence[GRPCRouteRule]) -> tuple[HTTPRouteRule, ...]:
    """Say the rules of a GRPCRoute as those of an HTTPRoute, matches at the same places."""
    return tuple(
        HTTPRouteRule(
            name=rule.name,
            matches=tuple(_match(match) for match in rule.matches or (GRPCRouteMatch(),)),
            filters=_filters(rule.filters),
            backend_refs=tuple(_backend(ref) for ref in rule.backend_refs),
            session_persistence=rule.session_persistence,
        )
        for rule in rules
    )


def specificity(written: GRPCRouteMatch, match: RouteMatch) -> tuple[int, int, bool, int, int]:
    """Sort first what goes first: most characters of the service, then of the method, then most headers.

    Of two that are as long, the exact one goes before the regular expression.
    """
    method = written.method or GRPCMethodMatch()
    is_pattern = method.type == "RegularExpression"
    return -len(method.service or ""), -len(method.method or ""), is_pattern, -len(match.headers), 0


def _match(written: GRPCRouteMatch) -> HTTPRouteMatch:
    headers = tuple(HTTPHeaderMatch(type=one.type, name=one.name, value=one.value) for one in written.headers)
    return HTTPRouteMatch(path=_path(written.method), headers=headers)


def _path(method: GRPCMethodMatch | None) -> HTTPPathMatch:
    if method is None or not (method.service or method.method):
        return HTTPPathMatch()
    if method.type == "RegularExpression":
        service, name = (f"(?:{one})" if one else _ANY_NAME for one in (method.service, method.method))
        return HTTPPathMatch(type="RegularExpression", value=f"/{service}/{name}")
    if not method.service:
        return HTTPPathMatch(type="RegularExpression", value=f"/{_ANY_NAME}/{method.method}")
    if not method.method:
        return HTTPPathMatch(type="PathPrefix", value=f"/{method.service}")
    return HTTPPathMatch(type="Exact", value=f"/{method.service}/{method.method}")


def _filters(filters: Sequence[GRPCRouteFilter]) -> tuple[HTTPRouteFilter, ...]:
    return tuple(
        HTTPRouteFilter(
            type=one.type,
            request_header_modifier=one.request_header_modifier,
            response_header_modifier=one.response_header_modifier,
            request_mirror=one.request_mirror,
            extension_ref=one.extension_ref,
        )
        for one in filters
    )


def _backend(ref: GRPCBackendRef) -> HTTPBackendRef:
    return HTTPBackendRef(
        group=ref.group,
        kind=ref.kind,
        namespace=ref.namespace,
        name=ref.name,
        port=ref.port,
        weight=ref.weight,
        filters=_filters(ref.filters),
    )
