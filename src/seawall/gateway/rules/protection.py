"""Rules for our own ProtectionPolicy. Pure. Each is ours, so none quotes the API."""

import ipaddress
from collections.abc import Sequence
from typing import Final

from seawall.gateway.resources.protection import Clients, ProtectionPolicySpec
from seawall.gateway.resources.scalars import seconds
from seawall.gateway.rules.policies import TARGETS
from seawall.gateway.rules.rule import Finding, Findings, run

LONGEST_LEARNING: Final = 7 * 86_400
SHORTEST_NETWORK: Final = {4: 8, 6: 16}


def protection_policy(spec: ProtectionPolicySpec, findings: Findings) -> None:
    run(TARGETS, spec.target_refs, "$.spec.targetRefs", findings)
    _clients(spec.allow, "$.spec.allow", findings)
    _clients(spec.protected, "$.spec.protected", findings)
    for one in sorted(set(spec.allow) & set(spec.protected), key=repr):
        at = f"$.spec.protected[{spec.protected.index(one)}]"
        message = "These requests are also in allow, where nothing is ever done about them."
        findings.append(Finding(path=at, message=message, hint="Keep one of the two."))
    learning = seconds(spec.learning)
    if not 0 <= learning <= LONGEST_LEARNING:
        message = f"Learning for {spec.learning} is longer than 7 days, which is as far as protection remembers."
        findings.append(Finding(path="$.spec.learning", message=message, hint="Say at most 168h."))


def _clients(listed: Sequence[Clients], at: str, findings: Findings) -> None:
    for index, one in enumerate(listed):
        if one == Clients():
            message = "This matches every request: nobody would be protected from anything."
            findings.append(
                Finding(path=f"{at}[{index}]", message=message, hint="Say client, host, path, agent or ja4.")
            )
        if one.client is not None:
            _network(one.client, f"{at}[{index}].client", findings)


def _network(text: str, at: str, findings: Findings) -> None:
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        message = f"{text[:80]!r} is neither an address nor a network whose host bits are zero."
        hint = "Write it as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32."
        findings.append(Finding(path=at, message=message, hint=hint))
        return
    if found.prefixlen < SHORTEST_NETWORK[found.version]:
        message = f"{text} is so wide that an attack could hide in it."
        hint = f"Name networks of /{SHORTEST_NETWORK[found.version]} or narrower."
        findings.append(Finding(path=at, message=message, hint=hint))
