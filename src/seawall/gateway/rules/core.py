"""Rules for Service, EndpointSlice, Secret and ConfigMap: the API server's own checks, as far as they concern us.

Pure.
"""

import ipaddress
import re
from typing import Final

from seawall.gateway.resources.core import ConfigMapSpec, EndpointSliceSpec, SecretSpec, ServiceSpec
from seawall.gateway.rules.names import is_subdomain
from seawall.gateway.rules.rule import Finding, Findings
from seawall.gateway.rules.unique import no_repeats

_DATA_KEY: Final = re.compile(r"^[-._a-zA-Z0-9]{1,253}\Z")
_MAX_DATA: Final = 1 << 20
_REQUIRED_KEYS: Final = {"kubernetes.io/tls": ("tls.crt", "tls.key")}


def service(spec: ServiceSpec, findings: Findings) -> None:
    if spec.type == "ExternalName":
        if not is_subdomain(spec.external_name):
            message = f"A Service of type ExternalName needs externalName: a DNS name, not {spec.external_name!r}."
            findings.append(Finding(path="$.spec.externalName", message=message, hint="Write the DNS name."))
    elif not spec.ports and spec.cluster_ip != "None":
        message = "A Service needs at least one port."
        findings.append(Finding(path="$.spec", message=message, hint="Add ports, or clusterIP: None."))
    at = "$.spec.ports"
    no_repeats([(port.port, port.protocol) for port in spec.ports], at, "port", findings, "port")
    no_repeats([port.name for port in spec.ports if port.name], at, "port name", findings)
    if len(spec.ports) > 1:
        for index, port in enumerate(spec.ports):
            if not port.name:
                message = "A Service with several ports must name each of them."
                findings.append(Finding(path=f"{at}[{index}]", message=message, hint="Add name, for example http."))


def endpoint_slice(spec: EndpointSliceSpec, findings: Findings) -> None:
    no_repeats([port.name for port in spec.ports], "$.ports", "port name", findings)
    for index, endpoint in enumerate(spec.endpoints):
        for number, address in enumerate(endpoint.addresses):
            if not _fits(spec.address_type, address):
                message = f"{address!r} is no address of type {spec.address_type}, which addressType promises."
                hint = "Correct it, or put it into a slice with another addressType."
                findings.append(Finding(path=f"$.endpoints[{index}].addresses[{number}]", message=message, hint=hint))


def _fits(address_type: str, address: str) -> bool:
    if address_type == "FQDN":
        return is_subdomain(address.removesuffix("."))
    try:
        if address_type == "IPv4":
            ipaddress.IPv4Address(address)
        else:
            ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return "%" not in address


def secret(spec: SecretSpec, findings: Findings) -> None:
    _data_keys(tuple(spec.data), sum(len(value.reveal()) for value in spec.data.values()), findings)
    for key in _REQUIRED_KEYS.get(spec.type, ()):
        if key not in spec.data:
            message = f"A Secret of type {spec.type} needs the key {key!r}."
            findings.append(
                Finding(path="$", message=message, hint="Add it to data or stringData, or change the type.")
            )


def config_map(spec: ConfigMapSpec, findings: Findings) -> None:
    size = sum(len(value.encode(errors="surrogatepass")) for value in spec.data.values())
    size += sum(len(value) for value in spec.binary_data.values())
    _data_keys((*spec.data, *spec.binary_data), size, findings)
    for key in spec.data.keys() & spec.binary_data.keys():
        message = f"The key {key!r} stands in both data and binaryData."
        findings.append(Finding(path="$.binaryData", message=message, hint="Remove it from one of the two."))


def _data_keys(keys: tuple[str, ...], size: int, findings: Findings) -> None:
    for key in keys:
        if not _DATA_KEY.match(key) or key in (".", "..") or key.startswith("../"):
            message = f"{key!r} is no key of data: it is not 1 to 253 letters, digits, '-', '_' and '.'."
            findings.append(Finding(path="$", message=message, hint="Rename it."))
    if size > _MAX_DATA:
        message = f"The data has {size} bytes; at most {_MAX_DATA} are allowed."
        findings.append(Finding(path="$", message=message, hint="Split it."))
