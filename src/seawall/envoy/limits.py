"""Limits: RateLimitPolicies of a route table → what fills its places in the filter chain.

Pure. A limit is a bucket for each value of its keys (`local_ratelimit` with wildcard descriptors). Buckets belong to the
filter's configuration, so that stands once in the table of a host and all its routes share it: a limit of 100 is not 100
for each rule. The table is a SRDS resource, so a policy that changes touches no listener and drains no connection; it
does empty the buckets of that host.

    one policy for every route of a host     policy = [exempt?] ─▶ limits
    several, or routes without               guard  = note the route's policy, which its metadata names
                                             policy = by what was noted ─▶ [exempt?] ─▶ limits

`docs/explanation/limits.md` has the measurements behind it.
"""

import ipaddress
import math
from collections.abc import Iterable, Sequence
from typing import Any

from seawall.envoy import filters
from seawall.envoy.messages import duration
from seawall.envoy.proto import TYPE_PREFIX, pack
from seawall.fleet.quota import SCALE
from seawall.gateway.graph import Limit, Limited, LimitKey, RateLimit, Route

_HTTP = "envoy.extensions.filters.http."
_EXECUTE = f"{_HTTP}composite.v3.ExecuteFilterAction"
PER_ROUTE = f"{_HTTP}composite.v3.CompositePerRoute"
_LIMIT = f"{_HTTP}local_ratelimit.v3.LocalRateLimit"
_STATE = f"{_HTTP}set_filter_state.v3.Config"
_MUTATION = f"{_HTTP}header_mutation.v3.HeaderMutation"
_EXTRACT = f"{_HTTP}header_to_metadata.v3.Config"
_GENERIC = "envoy.extensions.formatter.generic_secret.v3.GenericSecret"
_RESPONSE = f"{_HTTP}custom_response.v3.CustomResponse"
_CLAIM = "envoy.extensions.rate_limit_descriptors.jwt_claim.v3.Descriptor"
STATE_INPUT = "envoy.extensions.matching.common_inputs.network.v3.FilterStateInput"
_SOURCE_IP = "envoy.extensions.matching.common_inputs.network.v3.SourceIPInput"
_IP = "envoy.extensions.matching.input_matchers.ip.v3.Ip"
_HEADER_INPUT = "envoy.type.matcher.v3.HttpRequestHeaderMatchInput"
_STATUS_INPUT = "envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput"
_LOCAL_INPUT = "envoy.type.matcher.v3.HttpResponseLocalReplyMatchInput"
_LOCAL_RESPONSE = "envoy.extensions.http.custom_response.local_response_policy.v3.LocalResponsePolicy"

METADATA = "seawall.limit"
"""Namespace of what is noted for limits: in a route's metadata, and in that of a request."""
STAT_PREFIX = "ratelimit."
QUOTA_FOLDER = "quota"
"""In Envoy's working folder: what a request costs in the buckets of policies that the fleet shares, a file a slot."""
_COST = "seawall.cost"
_SELECTED = "seawall.limit"
_JA4 = "x-seawall-ja4"
_ALWAYS = {"default_value": {"numerator": 100}}
_NEVER = {"default_value": {"numerator": 0}}
# The filter wants a bucket for requests that no descriptor fits; nothing is to be refused by it.
_ENDLESS = {
    "max_tokens": 1_000_000_000,
    "tokens_per_fill": {"value": 1_000_000_000},
    "fill_interval": {"seconds": 1},
}
_ABSENT = "-"
_HEADERS = ("Limit", "Remaining", "Reset")


def route_metadata(limited: Limited | None) -> dict[str, Any]:
    """Return the metadata by which a route names its policy."""
    if limited is None:
        return {}
    return {"filter_metadata": {METADATA: {"fields": {"policy": {"string_value": limited.by.name}}}}}


def table_filters(routes: Iterable[Route], *, has_others: bool) -> dict[str, Any]:
    """Return what fills the places of a route table. `has_others`: it answers more than these routes by itself."""
    limits: dict[str, RateLimit] = {}
    for route in routes:
        if route.limited is None:
            has_others = True
        else:
            limits[route.limited.by.name] = route.limited.by
    if not limits:
        return {}
    if len(limits) == 1 and not has_others:
        (only,) = limits.values()
        return {filters.POLICY_PLACE: pack(PER_ROUTE, {"matcher": matcher(only)})}
    by_name = {"map": {name: {"matcher": matcher(limits[name])} for name in sorted(limits)}}
    tree = {
        "input": {"name": "policy", "typed_config": pack(STATE_INPUT, {"key": _SELECTED})},
        "exact_match_map": by_name,
    }
    return {
        filters.GUARD_PLACE: pack(
            PER_ROUTE,
            {"matcher": {"on_no_match": execute([select(_SELECTED, f"%METADATA(ROUTE:{METADATA}:policy)%")])}},
        ),
        filters.POLICY_PLACE: pack(PER_ROUTE, {"matcher": {"matcher_tree": tree}}),
    }


def execute(steps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"action": {"name": "do", "typed_config": pack(_EXECUTE, {"filter_chain": {"typed_config": list(steps)}})}}


def select(key: str, wanted: str) -> dict[str, Any]:
    """Note what the route wants where the next place can ask for it: a matcher cannot look at a route."""
    note = {
        "object_key": key,
        "factory_key": "envoy.string",
        "format_string": {
            "text_format_source": {"inline_string": wanted},
            "formatters": [
                {"name": "metadata", "typed_config": pack("envoy.extensions.formatter.metadata.v3.Metadata")}
            ],
            "omit_empty_values": True,
        },
    }
    return {"name": "select", "typed_config": pack(_STATE, {"on_request_headers": [note]})}


# ── one policy ───────────────────────────────────────────────────────────────────────────────────────────────────


def matcher(policy: RateLimit, after: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Match who is exempt to nothing, all else to the policy's filters; `after` are filters that come for both."""
    steps: list[dict[str, Any]] = []
    if not policy.is_shadow and policy.slot is None:
        # First in the chain is last to see the response: it renames what the limit has written.
        steps.append(_response_headers())
    if policy.body and not policy.is_shadow:
        steps.append(_response_body(policy))
    steps += _extract(policy)
    if policy.slot is not None:
        steps.append(_cost(policy.slot))
    steps.append({"name": "limit", "typed_config": pack(_LIMIT, _limit_filter(policy))})
    built: dict[str, Any] = {"on_no_match": execute([*steps, *after])}
    exempt = [*_exempt_clients(policy), *_exempt_headers(policy)]
    if exempt:
        predicate = exempt[0] if len(exempt) == 1 else {"or_matcher": {"predicate": exempt}}
        on_match = execute(after) if after else _nothing()
        built["matcher_list"] = {"matchers": [{"predicate": predicate, "on_match": on_match}]}
    return built


def _nothing() -> dict[str, Any]:
    """A match must do something: this does it to 0 % of the requests."""
    idle = {"name": "nothing", "typed_config": pack(_STATE)}
    return {
        "action": {
            "name": "nothing",
            "typed_config": pack(_EXECUTE, {"typed_config": idle, "sample_percent": _NEVER}),
        }
    }


def _exempt_clients(policy: RateLimit) -> list[dict[str, Any]]:
    if not policy.exempt_clients:
        return []
    networks = [ipaddress.ip_network(text) for text in policy.exempt_clients]
    ranges = [{"address_prefix": str(one.network_address), "prefix_len": {"value": one.prefixlen}} for one in networks]
    config = pack(_IP, {"stat_prefix": "exempt", "cidr_ranges": ranges})
    return [
        {
            "single_predicate": {
                "input": {"name": "client", "typed_config": pack(_SOURCE_IP)},
                "custom_match": {"name": "ip", "typed_config": config},
            }
        }
    ]


def _exempt_headers(policy: RateLimit) -> list[dict[str, Any]]:
    return [
        {
            "single_predicate": {
                "input": {"name": "header", "typed_config": pack(_HEADER_INPUT, {"header_name": name})},
                "value_match": {"exact": value},
            }
        }
        for name, value in policy.exempt_headers
    ]


# ── what is counted ──────────────────────────────────────────────────────────────────────────────────────────────


def _limit_filter(policy: RateLimit) -> dict[str, Any]:
    # What an edge of several has left is not what the client has left.
    is_told = not policy.is_shadow and policy.slot is None
    # Two limits may have the same keys and different windows: the first entry tells them apart.
    addend = {"hits_addend": {"format": f"%FILTER_STATE({_COST}:PLAIN)%"}} if policy.slot is not None else {}
    counted = [
        {
            "actions": [{"generic_key": {"descriptor_key": "limit", "descriptor_value": one.name}}, *_actions(one)],
            **addend,
        }
        for one in policy.limits
    ]
    return {
        "stat_prefix": f"{STAT_PREFIX}{policy.name}",
        "status": {"code": policy.status},
        "token_bucket": _ENDLESS,
        "filter_enabled": _ALWAYS,
        "filter_enforced": _ALWAYS,
        "always_consume_default_token_bucket": {"value": False},
        "rate_limits": counted,
        "descriptors": [_descriptor(one, policy) for one in policy.limits],
        "max_dynamic_descriptors": {"value": max(one.max_keys for one in policy.limits)},
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03" if is_told else "OFF",
        "enable_retry_after_header": not policy.is_shadow,
    }


def _descriptor(limit: Limit, policy: RateLimit) -> dict[str, Any]:
    # No value: a bucket for each value that comes.
    keys = [{"key": _descriptor_key(key)} for key in limit.keys]
    scale = SCALE if policy.slot is not None else 1
    return {
        "entries": [{"key": "limit", "value": limit.name}, *keys],
        "token_bucket": {
            "max_tokens": limit.burst * scale,
            "tokens_per_fill": {"value": limit.requests * scale},
            "fill_interval": duration(limit.window),
        },
        "shadow_mode": policy.is_shadow,
    }


def _descriptor_key(key: LimitKey) -> str:
    # Envoy's word for an address by prefix is not ours to choose.
    return "masked_remote_address" if key.type == "client" else f"{key.type}.{key.name}"


def _actions(limit: Limit) -> list[dict[str, Any]]:
    return [_action(key) for key in limit.keys]


def _action(key: LimitKey) -> dict[str, Any]:
    name = _descriptor_key(key)
    if key.type == "client":
        v4, v6 = key.prefixes
        return {"masked_remote_address": {"v4_prefix_mask_len": {"value": v4}, "v6_prefix_mask_len": {"value": v6}}}
    if key.type == "method":
        return {"request_headers": {"header_name": ":method", "descriptor_key": name}}
    default = {} if key.is_skipped else {"default_value": _ABSENT}
    if key.type == "claim":
        claim = {
            "descriptor_key": name,
            "header_name": "authorization",
            "value_prefix": "Bearer ",
            "claim_name": key.name,
        }
        return {"extension": {"name": "claim", "typed_config": pack(_CLAIM, {**claim, **default})}}
    place = {"key": METADATA, "path": [{"key": name}]}
    return {"metadata": {"descriptor_key": name, "metadata_key": place, "source": "DYNAMIC", **default}}


def _extract(policy: RateLimit) -> list[dict[str, Any]]:
    """Note values that no action of Envoy's can take from a request by itself: cookies, paths without query, JA4."""
    keys = {_descriptor_key(key): key for limit in policy.limits for key in limit.keys}
    rules = [rule for name in sorted(keys) if (rule := _rule(keys[name], name))]
    steps = []
    if any(key.type == "ja4" for key in keys.values()):
        steps.append(_ja4_header())
    if rules:
        steps.append({"name": "extract", "typed_config": pack(_EXTRACT, {"request_rules": rules})})
    return steps


def _rule(key: LimitKey, name: str) -> dict[str, Any]:
    note: dict[str, Any] = {"metadata_namespace": METADATA, "key": name}
    match key.type:
        case "header":
            return {"header": key.name, "on_header_present": note}
        case "cookie":
            return {"cookie": key.name, "on_header_present": note}
        case "path":
            return {"header": ":path", "on_header_present": {**note, **_rewrite(r"^([^?#]*).*$")}}
        case "ja4":
            # The third part is another on every connection of a browser that varies its signature algorithms.
            part = {**note, **_rewrite(r"^([^_]*_[^_]*)_.*$")}
            return {"header": _JA4, "on_header_present": part, "remove": True}
        case _:
            return {}


def _rewrite(pattern: str) -> dict[str, Any]:
    return {"regex_value_rewrite": {"pattern": {"regex": pattern}, "substitution": r"\1"}}


def _ja4_header() -> dict[str, Any]:
    value = {"header": {"key": _JA4, "value": "%TLS_JA4_FINGERPRINT%"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    # Removed first: over plain HTTP there is no fingerprint, and a client's own word would stand.
    mutations = {"request_mutations": [{"remove": _JA4}, {"append": value}]}
    return {"name": "ja4", "typed_config": pack(_MUTATION, {"mutations": mutations})}


# ── what the fleet shares ────────────────────────────────────────────────────────────────────────────────────────


def _cost(slot: int) -> dict[str, Any]:
    """Note what a request costs here now.

    A secret by SDS is the one thing that a filter reads anew while it runs; the same file in many tables is one
    subscription. (With %FILE_CONTENT% it is a watch for each, and Envoy dies where the kernel has no more: 128.)
    """
    source = {"path_config_source": {"path": f"{QUOTA_FOLDER}/{slot}.json"}, "resource_api_version": "V3"}
    secret = {"cost": {"name": f"quota-{slot}", "sds_config": source}}
    note = {
        "object_key": _COST,
        "factory_key": "envoy.string",
        "format_string": {
            "text_format_source": {"inline_string": "%SECRET(cost)%"},
            "formatters": [{"name": "secret", "typed_config": pack(_GENERIC, {"secret_configs": secret})}],
        },
    }
    return {"name": "cost", "typed_config": pack(_STATE, {"on_request_headers": [note]})}


def price(slot: int, cost: int) -> dict[str, Any]:
    """Return the content of a slot's file."""
    secret = {
        "@type": f"{TYPE_PREFIX}envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": f"quota-{slot}",
        "generic_secret": {"secret": {"inline_string": str(cost)}},
    }
    return {"resources": [secret]}


# ── what is answered ─────────────────────────────────────────────────────────────────────────────────────────────


def _response_headers() -> dict[str, Any]:
    """Give Envoy's x-ratelimit-* the names of the IETF's draft."""
    named = [_header(f"RateLimit-{one}", f"%RESP(x-ratelimit-{one.lower()})%") for one in _HEADERS]
    dropped = [{"remove": f"x-ratelimit-{one.lower()}"} for one in _HEADERS]
    return {
        "name": "headers",
        "typed_config": pack(_MUTATION, {"mutations": {"response_mutations": [*named, *dropped]}}),
    }


def _response_body(policy: RateLimit) -> dict[str, Any]:
    """Answer with a body. Envoy makes the response anew for it, so what the limit has written into it is said again."""
    wait = max(math.ceil(one.window / one.requests) for one in policy.limits)
    said = {
        "Content-Type": policy.content_type,
        "Retry-After": str(wait),
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": str(wait),
    }
    if len(policy.limits) == 1:
        said["RateLimit-Limit"] = str(policy.limits[0].burst)
    response = {
        "body": {"inline_string": policy.body},
        "response_headers_to_add": [_header(name, value)["append"] for name, value in said.items()],
        "preserve_response_code_details": True,
    }
    # Only what this edge refuses by itself: a 429 of the backend is the backend's to word.
    ours = [
        _response_is(_STATUS_INPUT, str(policy.status)),
        _response_is(_LOCAL_INPUT, "true"),
    ]
    action = {"action": {"name": "body", "typed_config": pack(_LOCAL_RESPONSE, response)}}
    matcher = {"matcher_list": {"matchers": [{"predicate": {"and_matcher": {"predicate": ours}}, "on_match": action}]}}
    return {"name": "body", "typed_config": pack(_RESPONSE, {"custom_response_matcher": matcher})}


def _response_is(kind: str, value: str) -> dict[str, Any]:
    return {
        "single_predicate": {"input": {"name": "response", "typed_config": pack(kind)}, "value_match": {"exact": value}}
    }


def _header(key: str, value: str) -> dict[str, Any]:
    return {"append": {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
