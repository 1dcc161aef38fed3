"""Rules for our own AccessPolicy. Pure. Each is ours, so none quotes the API."""

import ipaddress
from collections.abc import Iterable
from typing import Final

from seawall.gateway.resources.access import AccessPolicySpec, AccessRule, Addresses, ApiKeys, Csrf, Jwt
from seawall.gateway.rules.filters import CORS, EXTERNAL_AUTH
from seawall.gateway.rules.policies import TARGETS
from seawall.gateway.rules.rule import Finding, Findings, run
from seawall.gateway.rules.tokens import jwt
from seawall.gateway.rules.unique import no_repeats
from seawall.kit import cel

MOST_NETWORKS: Final = 262_144
_PARTS: Final = ("addresses", "api_keys", "basic_auth", "jwt", "external_auth", "cors", "csrf", "authorization")
CEL_NAMES: Final = frozenset({"request", "source", "destination", "connection", "metadata"})
"""What an expression of a rule may look at."""
RESERVED: Final = ("authorization", "host", "cookie", "connection", "content-length", "transfer-encoding")
"""Headers that cannot be used to tell a backend who the client is: they mean something else already."""


def access_policy(spec: AccessPolicySpec, findings: Findings) -> None:
    run(TARGETS, spec.target_refs, "$.spec.targetRefs", findings)
    if all(getattr(spec, name) is None for name in _PARTS):
        message = "The policy asks for nothing."
        hint = "Add addresses, apiKeys, basicAuth, jwt, externalAuth, cors, csrf or authorization."
        findings.append(Finding(path="$.spec", message=message, hint=hint))
    if spec.addresses is not None:
        _addresses(spec.addresses, findings)
    if spec.api_keys is not None:
        _api_keys(spec.api_keys, findings)
    if spec.api_keys is not None and spec.basic_auth is not None:
        message = "A policy can ask for an API key or for a password, not for both."
        findings.append(Finding(path="$.spec.basicAuth", message=message, hint="Remove one of the two."))
    if spec.basic_auth is not None and spec.basic_auth.user_header is not None:
        _free(spec.basic_auth.user_header, "$.spec.basicAuth.userHeader", findings)
    if spec.jwt is not None:
        _tokens(spec.jwt, findings)
    if spec.external_auth is not None:
        run(EXTERNAL_AUTH, spec.external_auth, "$.spec.externalAuth", findings)
    if spec.cors is not None:
        run(CORS, spec.cors, "$.spec.cors", findings)
    if spec.csrf is not None:
        _csrf(spec.csrf, findings)
    if spec.authorization is not None:
        no_repeats(
            [one.name for one in spec.authorization.rules], "$.spec.authorization.rules", "rule", findings, "name"
        )
        for index, rule in enumerate(spec.authorization.rules):
            _rule(rule, f"$.spec.authorization.rules[{index}]", findings)
            if rule.claims and spec.jwt is None:
                message = f"The rule {rule.name} asks for claims, and the policy for no token."
                path = f"$.spec.authorization.rules[{index}].claims"
                findings.append(Finding(path=path, message=message, hint="Add jwt, which says who issues tokens."))


def _addresses(addresses: Addresses, findings: Findings) -> None:
    at = "$.spec.addresses"
    if not addresses.allow and not addresses.deny:
        message = "Neither allow nor deny has any network."
        findings.append(Finding(path=at, message=message, hint="Add some, or remove addresses."))
    if len(addresses.allow) + len(addresses.deny) > MOST_NETWORKS:
        message = f"allow and deny hold more than {MOST_NETWORKS:,} networks together."
        findings.append(Finding(path=at, message=message, hint="Join neighbouring networks."))
    allowed = _networks(addresses.allow, f"{at}.allow", findings)
    for index, network in _networks(addresses.deny, f"{at}.deny", findings).items():
        if network in set(allowed.values()):
            message = f"{network} is in allow as well."
            findings.append(Finding(path=f"{at}.deny[{index}]", message=message, hint="Remove one of the two."))


def _networks(texts: Iterable[str], at: str, findings: Findings) -> dict[int, str]:
    found: dict[int, str] = {}
    seen: set[str] = set()
    for index, text in enumerate(texts):
        try:
            network = str(ipaddress.ip_network(text))
        except ValueError:
            message = f"{text[:80]!r} is neither an address nor a network whose host bits are zero."
            hint = "Write it as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32."
            findings.append(Finding(path=f"{at}[{index}]", message=message, hint=hint))
            continue
        if network in seen:
            message = f"{network} is there twice."
            findings.append(Finding(path=f"{at}[{index}]", message=message, hint="Remove one of the two."))
        seen.add(network)
        found[index] = network
    return found


def _api_keys(keys: ApiKeys, findings: Findings) -> None:
    no_repeats([one.name for one in keys.secrets], "$.spec.apiKeys.secrets", "Secret", findings)
    for index, source in enumerate(keys.sources):
        if sum(name is not None for name in (source.header, source.query, source.cookie)) != 1:
            message = "A source is exactly one of header, query and cookie."
            path = f"$.spec.apiKeys.sources[{index}]"
            findings.append(Finding(path=path, message=message, hint="Make an entry of its own for each."))
    if keys.client_header is not None:
        _free(keys.client_header, "$.spec.apiKeys.clientHeader", findings)


def _tokens(written: Jwt, findings: Findings) -> None:
    jwt(written, findings)
    for index, provider in enumerate(written.providers):
        for number, one in enumerate(provider.claim_headers):
            _free(one.header, f"$.spec.jwt.providers[{index}].claimHeaders[{number}].header", findings)


def _free(header: str, path: str, findings: Findings) -> None:
    name = header.lower()
    if name in RESERVED or name.startswith(("x-seawall-", "x-envoy-", "x-forwarded-")):
        message = f"The header {name} cannot carry who the client is: it means something else."
        findings.append(Finding(path=path, message=message, hint="Use another one, as x-client or x-user."))


def _csrf(csrf: Csrf, findings: Findings) -> None:
    for index, origin in enumerate(csrf.origins):
        if "/" in origin or "*" in origin or origin != origin.strip().lower():
            message = f"{origin[:80]!r} is no host in lower case, with its port where that is not the usual one."
            hint = "Write it as app.example.com or app.example.com:8443, without https://."
            findings.append(Finding(path=f"$.spec.csrf.origins[{index}]", message=message, hint=hint))


def _rule(rule: AccessRule, at: str, findings: Findings) -> None:
    is_narrow = rule.methods or rule.paths or rule.headers or rule.claims or rule.certificates or rule.cel
    if not is_narrow and rule.action == "deny" and rule.mode == "enforce":
        message = f"The rule {rule.name} denies every request."
        findings.append(
            Finding(path=at, message=message, hint="Add methods, paths, headers, claims, certificates or cel.")
        )
    for index, path in enumerate(rule.paths):
        if not path.value.startswith("/"):
            message = f"The path {path.value[:80]!r} does not begin with a slash."
            findings.append(Finding(path=f"{at}.paths[{index}].value", message=message, hint="Begin it with /."))
    if rule.cel is not None:
        try:
            cel.parse(rule.cel, CEL_NAMES)
        except cel.CelError as exc:
            message = f"The expression of the rule {rule.name} {exc}."
            hint = "Write it in CEL: request.method == 'GET' && request.headers['x-a'] in ['b', 'c']."
            findings.append(Finding(path=f"{at}.cel", message=message, hint=hint))
