"""Rules for our own ProtectionPolicy. Pure. Each is ours, so none quotes the API."""

import ipaddress
from typing import Final

from seawall.gateway.resources.protection import ProtectionPolicySpec, Whose
from seawall.gateway.resources.scalars import seconds
from seawall.gateway.rules.policies import TARGETS
from seawall.gateway.rules.rule import Finding, Findings, run
from seawall.gateway.rules.unique import no_repeats

LONGEST_COLD_START: Final = 86_400


def protection_policy(spec: ProtectionPolicySpec, findings: Findings) -> None:
    run(TARGETS, spec.target_refs, "$.spec.targetRefs", findings)
    _whose(spec.allow, "$.spec.allow", findings)
    _whose(spec.protected, "$.spec.protected", findings)
    no_repeats([one.token for one in spec.quotas], "$.spec.quotas", "quota", findings, "token")
    if seconds(spec.cold_start) > LONGEST_COLD_START:
        message = f"A cold start of {spec.cold_start} leaves the fleet without denies for more than a day."
        findings.append(Finding(path="$.spec.coldStart", message=message, hint="Use up to 24h."))


def _whose(one: Whose, at: str, findings: Findings) -> None:
    for index, text in enumerate(one.clients):
        path = f"{at}.clients[{index}]"
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            message = f"{text!r} is neither an address nor a network whose host bits are zero."
            hint = "Write it as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32."
            findings.append(Finding(path=path, message=message, hint=hint))
            continue
        if network.prefixlen == 0:
            message = f"{text} is everybody: protection would never do anything."
            findings.append(Finding(path=path, message=message, hint="Name a narrower network, or use mode: observe."))
    for index, text in enumerate(one.paths):
        if not text.startswith("/") or "?" in text:
            message = f"{text[:80]!r} is no path: it begins with / and has no query."
            findings.append(Finding(path=f"{at}.paths[{index}]", message=message, hint="Write it as /healthz."))
    for name, values in (("clients", one.clients), ("paths", one.paths), ("tokens", one.tokens)):
        no_repeats(values, f"{at}.{name}", "value", findings)
