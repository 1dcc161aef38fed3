"""Tokens: the filter that checks JSON Web Tokens, and what rules ask of their claims.

Pure. The filter waits when it has no keys yet, so it is the last one of its place. Keys of a server are fetched beside the
requests, and used on while it is away.
"""

from typing import Any, Final

from seawall.envoy.messages import duration
from seawall.envoy.proto import pack
from seawall.gateway.entrance import Provider, Tokens
from seawall.gateway.resources.access import ClaimIs
from seawall.gateway.resources.scalars import seconds
from seawall.gateway.resources.tokens import TokenSource

_FILTER: Final = "envoy.filters.http.jwt_authn"
_JWT: Final = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
_CLAIMS: Final = "claims"
"""Where claims stand in the metadata of a request, whoever issued the token."""
_LISTS: Final = ("scope", "scp")
"""Claims that are lists with spaces between: RFC 8693 section 4.2."""
_FETCH: Final = 5.0
_CACHED: Final = 500
"""Tokens whose signatures are known to be good, for each worker: a check costs 40 to 100 µs."""


def check_tokens(tokens: Tokens, policy: str) -> dict[str, Any]:
    """Build the filter."""
    names = {f"{policy}/{one.written.name}": one for one in tokens.providers}
    asked: list[dict[str, Any]] = [{"provider_name": name} for name in names]
    if tokens.mode == "observe":
        asked.append({"allow_missing_or_failed": {}})
    elif tokens.is_optional:
        asked.append({"allow_missing": {}})
    requires = asked[0] if len(asked) == 1 else {"requires_any": {"requirements": asked}}
    config = {
        "providers": {name: _provider(one) for name, one in names.items()},
        "rules": [{"match": {"prefix": "/"}, "requires": requires}],
    }
    return {"name": "tokens", "typed_config": pack(_JWT, config)}


def has_token() -> dict[str, Any]:
    """Return the permission of those who have shown a good token."""
    return _metadata([], {"present_match": True})


def claim(wanted: ClaimIs) -> dict[str, Any]:
    """Return the permission of those whose claim is, or has, one of the values."""
    values = [one for value in wanted.values for one in _value(value)]
    return _metadata(wanted.name.split("."), {"or_match": {"value_matchers": values}})


def _metadata(path: list[str], value: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"filter": _FILTER, "path": [{"key": one} for one in (_CLAIMS, *path)], "value": value}}


def _value(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"string_match": {"exact": text}}]
    if text in {"true", "false"}:
        found.append({"bool_match": text == "true"})
    elif _is_number(text):
        found.append({"double_match": {"exact": float(text)}})
    return [*found, *({"list_match": {"one_of": one}} for one in found)]


def _is_number(text: str) -> bool:
    try:
        return text.strip() == text and abs(float(text)) < 1e15
    except ValueError:
        return False


def _provider(provider: Provider) -> dict[str, Any]:
    written = provider.written
    built: dict[str, Any] = {
        "forward": written.forward,
        "payload_in_metadata": _CLAIMS,
        "normalize_payload_in_metadata": {"space_delimited_claims": list(_LISTS)},
        "clock_skew_seconds": int(seconds(written.clock_skew)),
        "jwt_cache_config": {"jwt_cache_size": _CACHED},
        "claim_to_headers": [
            {"header_name": one.header.lower(), "claim_name": one.claim} for one in written.claim_headers
        ],
        **_sources(written.sources),
        **_keys(provider),
    }
    if written.issuer is not None:
        built["issuer"] = written.issuer
    if written.audiences:
        built["audiences"] = list(written.audiences)
    return built


def _sources(sources: tuple[TokenSource, ...]) -> dict[str, Any]:
    headers = [{"name": one.header.lower(), "value_prefix": one.prefix or ""} for one in sources if one.header]
    built: dict[str, Any] = {
        "from_headers": headers,
        "from_params": [one.query for one in sources if one.query],
        "from_cookies": [one.cookie for one in sources if one.cookie],
    }
    return {name: value for name, value in built.items() if value}


def _keys(provider: Provider) -> dict[str, Any]:
    remote = provider.written.keys.remote
    if remote is None:
        return {"local_jwks": {"inline_string": provider.keys}}
    uri = {"uri": f"http://{provider.host}{remote.path}", "cluster": provider.cluster, "timeout": duration(_FETCH)}
    # Never waited for when a table comes: a server that is away must not hold up what has nothing to do with it.
    fetch = {"fast_listener": True, "failed_refetch_duration": duration(1.0)}
    return {
        "remote_jwks": {
            "http_uri": uri,
            "cache_duration": duration(seconds(remote.refresh)),
            "async_fetch": fetch,
        }
    }
