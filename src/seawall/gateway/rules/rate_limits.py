"""Rules for our own RateLimitPolicy. Pure. Each is ours, so none quotes the API."""

import ipaddress
import re
from typing import Final

from seawall.gateway.resources.rate_limits import Exemptions, Limit, LimitKey, RateLimitPolicySpec
from seawall.gateway.resources.scalars import seconds
from seawall.gateway.rules.policies import TARGETS
from seawall.gateway.rules.rule import Finding, Findings, run
from seawall.gateway.rules.unique import no_repeats

LONGEST_WINDOW: Final = 86_400
_NAMED: Final = ("header", "cookie", "claim")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def rate_limit_policy(spec: RateLimitPolicySpec, findings: Findings) -> None:
    run(TARGETS, spec.target_refs, "$.spec.targetRefs", findings)
    no_repeats([one.name for one in spec.limits], "$.spec.limits", "limit", findings, "name")
    for index, one in enumerate(spec.limits):
        _limit(one, f"$.spec.limits[{index}]", findings)
    _exemptions(spec.exempt, findings)
    if _CONTROL.search(spec.response.body):
        message = "The body has control characters in it."
        findings.append(Finding(path="$.spec.response.body", message=message, hint="Use text, tabs and line breaks."))
    if spec.when_away is not None and spec.scope != "fleet":
        message = "whenAway is about shares of a limit, which only `scope: fleet` has."
        findings.append(Finding(path="$.spec.whenAway", message=message, hint="Remove it, or say `scope: fleet`."))


def _limit(limit: Limit, at: str, findings: Findings) -> None:
    window = seconds(limit.window)
    if not 1 <= window <= LONGEST_WINDOW or window % 1:
        message = f"The window {limit.window} is not a whole number of seconds between 1s and 24h."
        findings.append(Finding(path=f"{at}.window", message=message, hint="Scale requests and window together."))
    no_repeats([(one.type, one.name or "") for one in limit.keys], f"{at}.keys", "key", findings)
    for index, key in enumerate(limit.keys):
        _key(key, f"{at}.keys[{index}]", findings)


def _key(key: LimitKey, at: str, findings: Findings) -> None:
    if key.type in _NAMED and key.name is None:
        message = f"A key of type {key.type} needs the name of the {key.type}."
        findings.append(Finding(path=at, message=message, hint="Add name."))
    if key.type not in (*_NAMED, "apiKey") and key.name is not None:
        message = f"A key of type {key.type} has no name."
        findings.append(
            Finding(path=f"{at}.name", message=message, hint="Remove it, or use the type header or cookie.")
        )
    if key.type != "client" and (key.ipv4_prefix, key.ipv6_prefix) != (32, 64):
        message = f"A key of type {key.type} has no address, and so no prefix of one."
        findings.append(Finding(path=at, message=message, hint="Remove the prefix, or use the type client."))
    if key.type in ("client", "path", "method") and key.absent == "skip":
        message = f"Every request has a {key.type}, so nothing can be skipped."
        findings.append(Finding(path=f"{at}.absent", message=message, hint="Remove it."))


def _exemptions(exempt: Exemptions, findings: Findings) -> None:
    for index, text in enumerate(exempt.clients):
        try:
            ipaddress.ip_network(text)
        except ValueError:
            message = f"{text[:80]!r} is neither an address nor a network whose host bits are zero."
            hint = "Write it as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32."
            findings.append(Finding(path=f"$.spec.exempt.clients[{index}]", message=message, hint=hint))
