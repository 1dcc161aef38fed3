"""Access: AccessPolicies of routes, and whom routes ask → what fills the places `authn` and `authz`.

Pure. In the order of a request:

    authn   addresses ─▶ strip what only we may say ─▶ API key, or user and password ─▶ token
    authz   foreign sites ─▶ deny rules ─▶ allow rules ─▶ ask a service

The places stand behind CORS: a preflight never carries credentials, so what CORS answers is answered before anybody is asked
for any. Filters are given to the virtual host where all its routes have one policy, else to each route. A route without a
policy beside others strips the same headers: a backend that believes `x-user` must not hear it from a client through a side door.

What is hashed and what is not: passwords come as hashes already (Envoy knows SHA-1 alone) and stay so. API keys stand in the
route table as they are: Envoy compares them itself and takes neither hashes nor SDS for them. Its dumps leave them out.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from seawall.envoy import filters
from seawall.envoy.external_auth import ask
from seawall.envoy.limits import PER_ROUTE, execute
from seawall.envoy.proto import TYPE_PREFIX, encode, message, pack, part
from seawall.envoy.tokens import check_tokens, claim, has_token
from seawall.gateway.entrance import Access, ExternalAuth, Keys, Users
from seawall.gateway.graph import Route
from seawall.gateway.resources.access import AccessRule, Addresses, Csrf, KeySource
from seawall.gateway.rules.access import CEL_NAMES
from seawall.kit import cel

_HTTP: Final = "envoy.extensions.filters.http."
_SOURCE_IP: Final = "envoy.extensions.matching.common_inputs.network.v3.SourceIPInput"
_RANGE: Final = "xds.core.v3.CidrRange"
_IP_TREE: Final = "xds.type.matcher.v3.IPMatcher"
_ON_MATCH: Final = "xds.type.matcher.v3.Matcher.OnMatch"
_ACTION: Final = "envoy.config.rbac.v3.Action"
_CERTIFICATE: Final = "envoy.extensions.rbac.principals.mtls_authenticated.v3.Config"
STAT_PREFIX: Final = "access."
_ALWAYS: Final = {"default_value": {"numerator": 100}}
_NEVER: Final = {"default_value": {"numerator": 0}}
Steps = list[dict[str, Any]]


def filters_of(routes: Iterable[Route]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what a virtual host says of the places and what each of its routes says."""
    known = tuple(routes)
    wanted = [(route.admitted.by if route.admitted is not None else None, asked_by(route)) for route in known]
    if not any(access or asked for access, asked in wanted):
        return {}, [{} for _ in known]
    sayers = [one for pair in wanted for one in pair if one is not None]
    stripped = tuple(sorted({name for one in sayers for name in one.own_headers}))
    first = wanted[0]
    if all(one == first for one in wanted[1:]):
        return _filled(*first, stripped), [{} for _ in known]
    return {}, [_filled(*one, stripped) for one in wanted]


def asked_by(route: Route) -> ExternalAuth | None:
    """Say who is asked about the requests of a route: what the rule itself says goes before its policy."""
    if route.external_auth is not None or route.admitted is None or route.admitted.by.fault:
        return route.external_auth
    return route.admitted.by.external_auth


def _filled(access: Access | None, asked: ExternalAuth | None, stripped: tuple[str, ...]) -> dict[str, Any]:
    # Last of all: whoever is refused anyhow is not asked about, and what stands behind a filter that waits is skipped.
    asking = [ask(asked)] if asked is not None else []
    places = {
        filters.AUTHN_PLACE: _authn(access, stripped),
        filters.AUTHZ_PLACE: [*(_authz(access) if access is not None and not access.fault else []), *asking],
    }
    return {
        place: pack(PER_ROUTE, {"matcher": {"on_no_match": execute(steps)}}) for place, steps in places.items() if steps
    }


def redacted(shown: Any) -> Any:
    """Leave out keys and passwords of a message that is shown as JSON."""
    if isinstance(shown, list):
        return [redacted(one) for one in shown]
    if not isinstance(shown, dict):
        return shown
    kept = {name: redacted(value) for name, value in shown.items()}
    match str(shown.get("@type", "")).removeprefix(f"{TYPE_PREFIX}{_HTTP}"):
        case "api_key_auth.v3.ApiKeyAuth":
            kept["credentials"] = [{**one, "key": "***"} for one in kept["credentials"]]
        case "basic_auth.v3.BasicAuth":
            kept["users"] = {"inline_string": "***"}
    return kept


def _step(name: str, kind: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "typed_config": pack(_HTTP + kind, config)}


# ── who it is ────────────────────────────────────────────────────────────────────────────────────────────────────


def _authn(access: Access | None, stripped: tuple[str, ...]) -> Steps:
    found: Steps = []
    is_open = access is not None and not access.fault
    if access is not None and is_open and access.addresses is not None:
        found.append(_addresses(access.addresses, access.name))
    if stripped:
        mutations = {"request_mutations": [{"remove": name} for name in stripped]}
        found.append(_step("strip", "header_mutation.v3.HeaderMutation", {"mutations": mutations}))
    if access is not None and is_open and access.keys is not None:
        found.append(_keys(access.keys))
    if access is not None and is_open and access.users is not None:
        found.append(_users(access.users))
    if access is not None and is_open and access.tokens is not None:
        found.append(check_tokens(access.tokens, access.name))
    return found


def _addresses(addresses: Addresses, name: str) -> dict[str, Any]:
    matcher = {
        "matcher_tree": {
            "input": {"name": "client", "typed_config": pack(_SOURCE_IP)},
            "custom_match": {"name": "networks", "typed_config": _networks(addresses)},
        },
        "on_no_match": _decided("DENY" if addresses.allow else "ALLOW"),
    }
    prefix = f"{STAT_PREFIX}{name}.addresses."
    if addresses.mode == "observe":
        return _step("addresses", "rbac.v3.RBAC", {"shadow_matcher": matcher, "shadow_rules_stat_prefix": prefix})
    return _step("addresses", "rbac.v3.RBAC", {"matcher": matcher, "rules_stat_prefix": prefix})


def _decided(action: str) -> dict[str, Any]:
    decision = pack(_ACTION, {"name": action.lower(), "action": action})
    return {"action": {"name": action.lower(), "typed_config": decision}}


@lru_cache(maxsize=64)
def _networks(addresses: Addresses) -> dict[str, Any]:
    """Make a tree of all networks. As bytes: a list may have a hundred thousand, and many hosts the same one."""
    members = []
    for texts, action in ((addresses.deny, "DENY"), (addresses.allow, "ALLOW")):
        on_match = part(2, encode(_ON_MATCH, _decided(action)))
        ranges = b"".join(part(1, _range(text)) for text in texts)
        if ranges:
            members.append(part(1, ranges + on_match))
    return {"type_url": f"{TYPE_PREFIX}{_IP_TREE}", "value": b"".join(members)}


def _range(text: str) -> bytes:
    network = ipaddress.ip_network(text)
    made = message(_RANGE)(address_prefix=str(network.network_address), prefix_len={"value": network.prefixlen})
    return made.SerializeToString(deterministic=True)


def _keys(keys: Keys) -> dict[str, Any]:
    forwarding: dict[str, Any] = {"hide_credentials": True}
    if keys.client_header:
        forwarding["header"] = keys.client_header
    config = {
        "credentials": [{"key": key.reveal().decode(), "client": client} for client, key in keys.clients],
        "key_sources": [_source(one) for one in keys.sources],
        "forwarding": forwarding,
    }
    return _step("keys", "api_key_auth.v3.ApiKeyAuth", config)


def _source(source: KeySource) -> dict[str, Any]:
    if source.header is not None:
        return {"header": source.header.lower()}
    return {"query": source.query} if source.query is not None else {"cookie": source.cookie}


def _users(users: Users) -> dict[str, Any]:
    config: dict[str, Any] = {"users": {"inline_bytes": users.lines.reveal()}}
    if users.user_header:
        config["forward_username_header"] = users.user_header
    return _step("users", "basic_auth.v3.BasicAuth", config)


# ── what he may ──────────────────────────────────────────────────────────────────────────────────────────────────


def _authz(access: Access) -> Steps:
    found: Steps = []
    if access.csrf is not None:
        found.append(_csrf(access.csrf))
    if access.tokens is not None and access.tokens.mode == "observe":
        found.append(_observed_tokens(access.name))
    denying = [rule for rule in access.rules if rule.action == "deny"]
    allowing = [rule for rule in access.rules if rule.action == "allow"]
    if denying:
        enforced = [rule for rule in denying if rule.mode == "enforce"]
        found.append(_rules("DENY", enforced, [rule for rule in denying if rule.mode == "observe"], access.name))
    if allowing:
        enforced = [rule for rule in allowing if rule.mode == "enforce"]
        # Were the observed ones enforced, a request would pass that fits any of both.
        found.append(_rules("ALLOW", enforced, allowing if len(enforced) < len(allowing) else [], access.name))
    return found


def _observed_tokens(name: str) -> dict[str, Any]:
    """Count who would be refused for want of a good token: the filter itself only says who has one."""
    policies = {"token": {"permissions": [has_token()], "principals": [{"any": True}]}}
    config = {
        "shadow_rules": {"action": "ALLOW", "policies": policies},
        "shadow_rules_stat_prefix": f"{STAT_PREFIX}{name}.jwt.",
    }
    return _step("tokens", "rbac.v3.RBAC", config)


def _csrf(csrf: Csrf) -> dict[str, Any]:
    is_observed = csrf.mode == "observe"
    config = {
        "filter_enabled": _NEVER if is_observed else _ALWAYS,
        "shadow_enabled": _ALWAYS if is_observed else _NEVER,
        "additional_origins": [{"exact": origin} for origin in csrf.origins],
    }
    return _step("csrf", "csrf.v3.CsrfPolicy", config)


def _rules(action: str, enforced: list[AccessRule], observed: list[AccessRule], name: str) -> dict[str, Any]:
    config: dict[str, Any] = {"track_per_rule_stats": True}
    prefix = f"{STAT_PREFIX}{name}.{action.lower()}."
    for rules, field in ((enforced, "rules"), (observed, "shadow_rules")):
        if rules:
            policies = {
                rule.name: {
                    "permissions": [_permission(rule)],
                    "principals": _principals(rule),
                    **({"condition": cel.numbered(cel.parse(rule.cel, CEL_NAMES))} if rule.cel is not None else {}),
                }
                for rule in rules
            }
            config |= {field: {"action": action, "policies": policies}, f"{field}_stat_prefix": prefix}
    return _step(action.lower(), "rbac.v3.RBAC", config)


def _principals(rule: AccessRule) -> Steps:
    """Return who is meant. Only a certificate that was verified names anybody: on some listeners others get in, too."""
    if not rule.certificates:
        return [{"any": True}]
    return [_certified({"san_type": one.type, "matcher": {"exact": one.value}}) for one in rule.certificates]


def _certified(name: dict[str, Any]) -> dict[str, Any]:
    return {"custom": {"name": "certificate", "typed_config": pack(_CERTIFICATE, {"san_matcher": name})}}


def _permission(rule: AccessRule) -> dict[str, Any]:
    parts = []
    if rule.methods:
        parts.append(_any([_header(":method", {"exact": method}) for method in rule.methods]))
    if rule.paths:
        parts.append(_any([one for path in rule.paths for one in _paths(path.type, path.value)]))
    for header in rule.headers:
        name = header.name.lower()
        if header.values:
            parts.append(_any([_header(name, {"exact": value}) for value in header.values]))
        else:
            parts.append({"header": {"name": name, "present_match": True}})
    parts += [claim(one) for one in rule.claims]
    if not parts:
        return {"any": True}
    return parts[0] if len(parts) == 1 else {"and_rules": {"rules": parts}}


def _any(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return parts[0] if len(parts) == 1 else {"or_rules": {"rules": parts}}


def _header(name: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"header": {"name": name, "string_match": value}}


def _paths(kind: str, value: str) -> Steps:
    """Match a path, or all below it as well: at element boundaries, as a route does."""
    if kind == "Exact":
        return [{"url_path": {"path": {"exact": value}}}]
    below = value.rstrip("/")
    whole = [{"url_path": {"path": {"exact": below}}}] if below else []
    return [*whole, {"url_path": {"path": {"prefix": f"{below}/"}}}]
