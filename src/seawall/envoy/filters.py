"""The HTTP filter chain: the same filters in the same order on every listener, decided here and nowhere else.

Pure. Changing a route, a policy or a verdict never changes a listener; a reorder can only happen in a release of Seawall.
`docs/explanation/filter-chain.md` draws it with the reason for each position.

    request ─▶ rescope ─▶ verdict ─▶ client-limit ─▶ cors ─▶ authn ─▶ authz ─▶ quota ─▶ traffic ─▶ router ─▶ backend

The places between `rescope` and `router` are *slots*: composite filters with nothing in them, which a route fills by
its own configuration (`CompositePerRoute`). An empty slot lets everything pass. Every table of an exact hostname switches
the slots that it does not use off (measured: an empty slot costs 0.2 µs a request, one that is off nothing). The slots
cannot be off on the listener and on per route, as one would write it first: Envoy decides which filters a request gets
from the route found before the chain starts, and a request that `rescope` has to help has none yet.
"""

from functools import cache
from typing import Any

from seawall.envoy.proto import pack

SCOPE_HEADER = "x-seawall-scope"
"""Which route table a request meets. Ours alone: overwritten at the door, removed before the backend."""
OWN_HEADERS = "x-seawall-"
"""Headers of ours; whatever a client sends under this prefix is removed at the door."""
FALLBACK_HOST = "*"
"""Stands in the scope key for `no exact hostname`: the table of a listener's wildcards and catch-all."""

RESCOPE = "seawall.rescope"
VERDICT = "seawall.verdict"
CLIENT_LIMIT = "seawall.client-limit"
CORS = "seawall.cors"
AUTHN = "seawall.authn"
AUTHZ = "seawall.authz"
QUOTA = "seawall.quota"
TRAFFIC = "seawall.traffic"
ROUTER = "envoy.filters.http.router"

CHAIN = (RESCOPE, VERDICT, CLIENT_LIMIT, CORS, AUTHN, AUTHZ, QUOTA, TRAFFIC, ROUTER)
"""The order. Each name is also the key of a route's own configuration for that place."""
SLOTS = (VERDICT, CLIENT_LIMIT, AUTHN, AUTHZ, QUOTA, TRAFFIC)
"""Places that are reserved: empty until a route or a policy fills them."""

_COMPOSITE = "envoy.extensions.filters.http.composite.v3.Composite"
_EXECUTE = "envoy.extensions.filters.http.composite.v3.ExecuteFilterAction"


def http_filters(scope: str) -> list[dict[str, Any]]:
    """Return the chain for a listener whose route tables are those of `scope` (see `envoy.scopes`)."""
    configs = {
        RESCOPE: _rescope(scope),
        CORS: pack("envoy.extensions.filters.http.cors.v3.Cors"),
        # Envoy's own x-envoy-* headers tell a stranger about our insides and cost a little on every request.
        ROUTER: pack("envoy.extensions.filters.http.router.v3.Router", {"suppress_envoy_headers": True}),
    }
    empty = pack(_COMPOSITE)
    return [{"name": name, "typed_config": configs.get(name, empty)} for name in CHAIN]


def early_mutations(scope: str) -> list[dict[str, Any]]:
    """Return what happens to the headers before a route is looked up: strip ours, then name the scope."""
    value = f"{scope}|%REQ(:AUTHORITY)%"
    mutations = [
        {"remove_on_match": {"key_matcher": {"prefix": OWN_HEADERS}}},
        {"append": _overwrite(SCOPE_HEADER, value)},
    ]
    config = pack(
        "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation", {"mutations": mutations}
    )
    return [{"name": "envoy.http.early_header_mutation.header_mutation", "typed_config": config}]


def unused(used: frozenset[str]) -> dict[str, Any]:
    """Return the per-table configuration that switches off `rescope` and every place that is not used there."""
    off = _off()
    return {name: off for name in (RESCOPE, *SLOTS, CORS) if name not in used}


@cache
def _off() -> dict[str, Any]:
    return pack("envoy.config.route.v3.FilterConfig", {"disabled": True})


def _rescope(scope: str) -> dict[str, Any]:
    """Find the table of a request whose Host names no table as it stands.

    Runs only then. A Host in lower case goes to the fallback table in one native step (2 µs); one with capitals is
    first tried in lower case (8 µs, in Lua: the scope key is case-sensitive and Envoy has no native way to fold it).
    """
    lua = {"default_source_code": {"inline_string": _LUA % {"scope": scope, "header": SCOPE_HEADER}}}
    capitals = {
        "single_predicate": {
            "input": {
                "name": "host",
                "typed_config": pack(
                    "envoy.type.matcher.v3.HttpRequestHeaderMatchInput", {"header_name": ":authority"}
                ),
            },
            "value_match": {"safe_regex": {"google_re2": {}, "regex": ".*[A-Z].*"}},
        }
    }
    fold = {"typed_config": {"name": "fold", "typed_config": pack("envoy.extensions.filters.http.lua.v3.Lua", lua)}}
    fallback = {"append": _overwrite(SCOPE_HEADER, f"{scope}|{FALLBACK_HOST}")}
    steps = [
        {
            "name": "fallback",
            "typed_config": pack(
                "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
                {"mutations": {"request_mutations": [fallback]}},
            ),
        },
        {
            "name": "reroute",
            "typed_config": pack(
                "envoy.extensions.filters.http.set_filter_state.v3.Config", {"clear_route_cache": True}
            ),
        },
    ]
    matcher = {
        "matcher_list": {
            "matchers": [
                {"predicate": capitals, "on_match": {"action": {"name": "fold", "typed_config": pack(_EXECUTE, fold)}}}
            ]
        },
        "on_no_match": {
            "action": {"name": "fallback", "typed_config": pack(_EXECUTE, {"filter_chain": {"typed_config": steps}})}
        },
    }
    return pack(_COMPOSITE, {"matcher": matcher})


_LUA = """
function envoy_on_request(handle)
  local headers = handle:headers()
  headers:replace("%(header)s", "%(scope)s|" .. string.lower(headers:get(":authority")))
  handle:clearRouteCache()
  handle:metadata():get("-")
  if handle:streamInfo():routeName() == "" then
    headers:replace("%(header)s", "%(scope)s|*")
    handle:clearRouteCache()
  end
end
"""
# `metadata()` makes Envoy look the route up again, so that its name can be asked for; every route of ours has one.


def _overwrite(key: str, value: str) -> dict[str, Any]:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
