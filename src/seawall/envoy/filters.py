"""The HTTP filter chain: the same filters in the same order on every listener, decided here and nowhere else.

The one exception are the native filters of an HTTPFilterPolicy: the operator's own, in his order, before the router.

Pure. Changing a route, a policy or a verdict never changes a listener; a reorder can only happen in a release of Seawall.
`docs/explanation/filter-chain.md` draws it with the reason for each position.

    request ─▶ rescope ─▶ verdicts ─▶ guard ─▶ cors ─▶ authn ─▶ authz ─▶ policy ─▶ (native …) ─▶ router ─▶ backend

`verdicts` are five filters of protection's own fast path: three that note which verdict a request is under, told by the agent while
they run (`envoy.verdicts`), one that chooses and one that acts (`envoy.acts`). They stand on the listener and not in routes, since
a request that no route knows is to be refused as well. `guard`, `authn` (who it is), `authz` (what he may) and `policy` are
*places*: composite filters with nothing in them, which a route fills with filters in the order of `GUARD`, `AUTHN`, `AUTHZ`
and `POLICY`. An empty place lets everything pass and costs 0.2 µs a request. Why they are not `disabled` on the listener, as one
would write it first: Envoy decides which filters a request gets from the route found before the chain starts, and a request that
`rescope` has to help has none yet: on a wildcard host its authentication would stay off. Why four: where a filter of a place makes
a request wait (for keys, for an answer), what stands after it in that place is never asked, so each question has a place. And why
not one per policy: each hostname's table would have to switch off the ones it does not use (measured with eight: 2 s more at a
cold start with 20,000 hosts).
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from seawall.envoy import acts, verdicts
from seawall.envoy.messages import ADS
from seawall.envoy.native import typed_config
from seawall.envoy.proto import TYPE_PREFIX, pack
from seawall.gateway.graph import NativeFilter

SCOPE_HEADER = "x-seawall-scope"
"""Which route table a request meets. Ours alone: overwritten at the door, removed before the backend."""
OWN_HEADERS: tuple[str, ...] = (acts.REF_HEADER, acts.TAG_HEADER)
"""Other headers of ours, removed at the door if a client sends them. By name: to look for a prefix costs 1 to 2 µs a request."""
FALLBACK_HOST = "*"
"""Stands in the scope key for `no exact hostname`: the table of a listener's wildcards and catch-all."""

RESCOPE = "seawall.rescope"
GUARD_PLACE = "seawall.guard"
CORS = "seawall.cors"
AUTHN_PLACE = "seawall.authn"
AUTHZ_PLACE = "seawall.authz"
POLICY_PLACE = "seawall.policy"
VERDICTS = (str(verdicts.KEYS), *(str(verdicts.resource_name(slot)) for slot in acts.SLOTS))
CHOOSE = "seawall.choose"
ACT = "seawall.act"
ROUTER = "envoy.filters.http.router"

CHAIN = (RESCOPE, *VERDICTS, CHOOSE, ACT, GUARD_PLACE, CORS, AUTHN_PLACE, AUTHZ_PLACE, POLICY_PLACE, ROUTER)
"""The order on every listener. Each name is also the key of a route's own configuration for that filter."""
GUARD = ("client-limit",)
"""The order inside `guard`: limits on who is still anonymous."""
AUTHN = ("addresses", "strip", "keys", "users", "tokens")
"""The order inside `authn`: where it comes from, what only we may say of it, who it is."""
AUTHZ = ("csrf", "tokens", "deny", "allow", "ask")
"""The order inside `authz`: foreign sites, who is only observed, what is denied, what is allowed, and what a service says."""
POLICY = ("quota", "traffic")
"""The order inside `policy`: how much, and how it is sent."""

_COMPOSITE = "envoy.extensions.filters.http.composite.v3.Composite"
_STATE = "envoy.extensions.filters.http.set_filter_state.v3.Config"
_EXECUTE = "envoy.extensions.filters.http.composite.v3.ExecuteFilterAction"


def http_filters(scope: str, native: Sequence[NativeFilter] = ()) -> list[dict[str, Any]]:
    """Return the chain for a listener whose route tables are those of `scope` (see `envoy.scopes`)."""
    configs = {
        RESCOPE: _rescope(scope),
        CHOOSE: acts.choose(),
        ACT: acts.act(),
        CORS: pack("envoy.extensions.filters.http.cors.v3.Cors"),
        # Envoy's own x-envoy-* headers tell a stranger about our insides and cost a little on every request.
        ROUTER: pack("envoy.extensions.filters.http.router.v3.Router", {"suppress_envoy_headers": True}),
    }
    empty = pack(_COMPOSITE)
    ours = [
        _verdicts(name) if name in VERDICTS else {"name": name, "typed_config": configs.get(name, empty)}
        for name in CHAIN
    ]
    return [*ours[:-1], *({"name": one.name, "typed_config": typed_config(one)} for one in native), ours[-1]]


def _verdicts(name: str) -> dict[str, Any]:
    """Have what notes verdicts come from the agent at any time; until it does, nothing is noted."""
    kinds = (_STATE, _COMPOSITE) if name == verdicts.KEYS else (_COMPOSITE,)
    discovery = {
        "config_source": ADS,
        "type_urls": [f"{TYPE_PREFIX}{kind}" for kind in kinds],
        "default_config": pack(kinds[0]),
        # Nobody waits for it: a listener opens, and serves, though there is no agent that has any (an Envoy under --xds).
        "apply_default_config_without_warming": True,
    }
    return {"name": name, "config_discovery": discovery}


def early_mutations(scope: str) -> list[dict[str, Any]]:
    """Return what happens to the headers before a route is looked up: strip ours, then name the scope (over whatever came)."""
    value = f"{scope}|%REQ(:AUTHORITY)%"
    mutations = [
        *({"remove": name} for name in OWN_HEADERS),
        {"append": _overwrite(SCOPE_HEADER, value)},
    ]
    config = pack(
        "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation", {"mutations": mutations}
    )
    return [{"name": "envoy.http.early_header_mutation.header_mutation", "typed_config": config}]


def table_filters() -> dict[str, Any]:
    """Return what the table of an exact hostname says of the chain: nothing to rescope here."""
    return {RESCOPE: _off()}


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
            "typed_config": pack(_STATE, {"clear_route_cache": True}),
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
