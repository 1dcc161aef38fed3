"""Names: what is a host name, an address, a label.

Pure.
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import Final

from seawall.gateway.resources.scalars import DNS_LABEL, DNS_SUBDOMAIN, LABEL_VALUE
from seawall.gateway.rules.rule import Finding, Findings

_LABEL_NAME: Final = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]\Z")
_LABEL_VALUE: Final = re.compile(LABEL_VALUE)
_SUBDOMAIN: Final = re.compile(DNS_SUBDOMAIN)
_DNS_LABEL: Final = re.compile(DNS_LABEL)


def is_subdomain(text: str) -> bool:
    return len(text) <= 253 and _SUBDOMAIN.match(text) is not None


def is_dns_label(text: str) -> bool:
    return len(text) <= 63 and _DNS_LABEL.match(text) is not None


def is_label_value(text: str) -> bool:
    return len(text) <= 63 and _LABEL_VALUE.match(text) is not None


def is_address(text: str) -> bool:
    # Nearly every host name has a letter in its last label; parsing raises, which costs.
    if not text[-1:].isdigit() and ":" not in text:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def no_addresses(hostnames: tuple[str, ...], at: str, findings: Findings) -> None:
    """Refuse IP addresses as host names: "IPs are not allowed", says the API, though only TLSRoutes have a rule for it."""
    for index, hostname in enumerate(hostnames):
        if is_address(hostname):
            message = f"{hostname!r} is an IP address, not a host name."
            hint = "Leave hostnames out to match every host, or name the host that clients use."
            findings.append(Finding(path=f"{at}[{index}]", message=message, hint=hint))


def why_no_key(key: str) -> str:
    """Say what is wrong with a key of labels or annotations: `name` or `prefix/name`; empty if nothing is."""
    prefix, slash, name = key.rpartition("/")
    if slash and not is_subdomain(prefix):
        return "its prefix is no DNS name of at most 253 characters"
    if not _LABEL_NAME.match(name):
        return "its name is not 1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"
    return ""


def check_keys(values: Mapping[str, object], at: str, what: str, findings: Findings) -> None:
    """Report keys that Kubernetes would not take."""
    for key in values:
        wrong = why_no_key(key)
        if wrong:
            message = f"{key!r} is no {what} key: {wrong}."
            findings.append(Finding(path=at, message=message, hint="Write it as name or example.com/name."))
