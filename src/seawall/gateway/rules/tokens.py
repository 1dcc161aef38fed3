"""Rules for the tokens of an AccessPolicy. Pure."""

import json
from typing import Final

from seawall.gateway.resources.access import Jwt
from seawall.gateway.resources.scalars import seconds
from seawall.gateway.resources.tokens import KeySet, TokenProvider
from seawall.gateway.rules.rule import Finding, Findings
from seawall.gateway.rules.unique import no_repeats

_AT: Final = "$.spec.jwt"
_SHORTEST, _LONGEST = 1.0, 86_400.0
_SECRET: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})
"""Members that only private and shared keys have (RFC 7518 section 6)."""


def jwt(written: Jwt, findings: Findings) -> None:
    no_repeats([one.name for one in written.providers], f"{_AT}.providers", "provider", findings, "name")
    for index, provider in enumerate(written.providers):
        _provider(provider, f"{_AT}.providers[{index}]", findings)


def _provider(provider: TokenProvider, at: str, findings: Findings) -> None:
    _keys(provider.keys, f"{at}.keys", findings)
    for index, source in enumerate(provider.sources):
        if sum(name is not None for name in (source.header, source.query, source.cookie)) != 1:
            message = "A source is exactly one of header, query and cookie."
            hint = "Make an entry of its own for each."
            findings.append(Finding(path=f"{at}.sources[{index}]", message=message, hint=hint))
        elif source.prefix is not None and source.header is None:
            message = "Only a header has a prefix before the token."
            findings.append(Finding(path=f"{at}.sources[{index}].prefix", message=message, hint="Remove prefix."))
    headers = [one.header.lower() for one in provider.claim_headers]
    no_repeats(headers, f"{at}.claimHeaders", "header", findings, "header")


def _keys(keys: KeySet, at: str, findings: Findings) -> None:
    if sum(one is not None for one in (keys.inline, keys.config_map, keys.remote)) != 1:
        message = "The keys are exactly one of inline, configMap and remote."
        findings.append(Finding(path=at, message=message, hint="Keep the one that is meant."))
    if keys.inline is not None and (said := wrong_keys(keys.inline)):
        hint = 'Write a JSON Web Key Set: {"keys": [{"kty": …}]}, with public keys alone.'
        findings.append(Finding(path=f"{at}.inline", message=f"The key set {said}.", hint=hint))
    if keys.remote is not None and not _SHORTEST <= seconds(keys.remote.refresh) <= _LONGEST:
        message = f"The key set is to be fetched every {keys.remote.refresh}."
        findings.append(Finding(path=f"{at}.remote.refresh", message=message, hint="Say something from 1s to 24h."))


def wrong_keys(text: str) -> str:
    """Say what is wrong with a key set, as the end of a sentence; never what stands in it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return "is no JSON"
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list) or not keys:
        return "has no list `keys` with a key in it"
    for number, key in enumerate(keys, 1):
        if not isinstance(key, dict) or not isinstance(key.get("kty"), str):
            return f"has a key without a kty: the {number}. one"
        if _SECRET & key.keys():
            return f"has a key that is not public: the {number}. one"
    return ""
