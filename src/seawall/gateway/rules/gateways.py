"""Rules for Gateways, ListenerSets and label selectors.

Pure.
"""

import re
from typing import Final

from seawall.gateway.resources.gateways import (
    GatewayAddress,
    GatewayInfrastructure,
    GatewaySpec,
    ListenerSetSpec,
    ListenerSpec,
)
from seawall.gateway.resources.refs import LabelSelector
from seawall.gateway.resources.scalars import HOSTNAME
from seawall.gateway.rules.names import check_keys, is_address
from seawall.gateway.rules.rule import Finding, Findings, Rule, run
from seawall.gateway.rules.unique import no_repeats

_HOSTNAME: Final = re.compile(HOSTNAME)


# ── one listener ─────────────────────────────────────────────────────────────────────────────────────────────────


def _tls_fits_protocol(listener: ListenerSpec, at: str, findings: Findings) -> None:
    tls = listener.tls
    if tls is not None and listener.protocol in ("HTTP", "TCP", "UDP"):
        message = f"A listener with protocol {listener.protocol} must not have tls."
        hint = "Use protocol HTTPS (or TLS), or remove tls."
        findings.append(Finding(path=f"{at}.tls", message=message, hint=hint))
    if tls is not None and listener.protocol == "HTTPS" and tls.mode != "Terminate":
        message = "An HTTPS listener must terminate TLS, so tls.mode must be Terminate."
        hint = "Use protocol TLS to pass connections through."
        findings.append(Finding(path=f"{at}.tls.mode", message=message, hint=hint))
    if tls is None and listener.protocol == "TLS":
        message = "A listener with protocol TLS needs tls, with its mode."
        hint = "Add tls.mode: Passthrough, or Terminate with certificateRefs."
        findings.append(Finding(path=at, message=message, hint=hint))


def _terminate_needs_certificates(listener: ListenerSpec, at: str, findings: Findings) -> None:
    tls = listener.tls
    if tls is not None and tls.mode == "Terminate" and not tls.certificate_refs and not tls.options:
        message = "TLS cannot be terminated without a certificate."
        hint = "Add certificateRefs: the name of a Secret with tls.crt and tls.key."
        findings.append(Finding(path=f"{at}.tls", message=message, hint=hint))


def _hostname_fits_protocol(listener: ListenerSpec, at: str, findings: Findings) -> None:
    if listener.hostname is None:
        return
    if listener.protocol in ("TCP", "UDP"):
        message = f"A listener with protocol {listener.protocol} must not have a hostname: there is none to see."
        findings.append(Finding(path=f"{at}.hostname", message=message, hint="Remove it."))
    if is_address(listener.hostname):
        message = f"{listener.hostname!r} is an IP address, not a host name."
        hint = "Leave hostname out to take every host; the address to listen on goes into spec.addresses."
        findings.append(Finding(path=f"{at}.hostname", message=message, hint=hint))


def _selectors(listener: ListenerSpec, at: str, findings: Findings) -> None:
    selector = listener.allowed_routes.namespaces.selector
    if selector is not None:
        run(SELECTOR, selector, f"{at}.allowedRoutes.namespaces.selector", findings)


LISTENER: Final[tuple[Rule[ListenerSpec], ...]] = (
    Rule(
        check=_tls_fits_protocol,
        quotes=(
            "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']",
            "tls mode must be Terminate for protocol HTTPS",
            "tls mode must be set for protocol TLS",
        ),
    ),
    Rule(
        check=_terminate_needs_certificates,
        quotes=("certificateRefs or options must be specified when mode is Terminate",),
    ),
    Rule(check=_hostname_fits_protocol, quotes=("hostname must not be specified for protocols ['TCP', 'UDP']",)),
    Rule(check=_selectors),
)


# ── all listeners ────────────────────────────────────────────────────────────────────────────────────────────────


def _listener_names_once(listeners: tuple[ListenerSpec, ...], at: str, findings: Findings) -> None:
    no_repeats([listener.name for listener in listeners], at, "listener name", findings, "name")


def _listeners_told_apart(listeners: tuple[ListenerSpec, ...], at: str, findings: Findings) -> None:
    first: dict[tuple[int, str, str | None], str] = {}
    for index, listener in enumerate(listeners):
        key = (listener.port, listener.protocol, listener.hostname)
        other = first.setdefault(key, listener.name)
        if other is not listener.name:
            host = listener.hostname or "no hostname"
            message = (
                f"The listeners {other!r} and {listener.name!r} have the same port, protocol and hostname "
                f"({listener.port}, {listener.protocol}, {host})."
            )
            findings.append(Finding(path=f"{at}[{index}]", message=message, hint="Change one of them, or remove it."))


LISTENERS: Final[tuple[Rule[tuple[ListenerSpec, ...]], ...]] = (
    Rule(check=_listener_names_once, quotes=("Listener name must be unique within the Gateway",)),
    Rule(
        check=_listeners_told_apart,
        quotes=("Combination of port, protocol and hostname must be unique for each listener",),
    ),
)


# ── addresses, infrastructure, selectors ─────────────────────────────────────────────────────────────────────────


def _address_values(addresses: tuple[GatewayAddress, ...], at: str, findings: Findings) -> None:
    seen: set[tuple[str, str]] = set()
    for index, address in enumerate(addresses):
        if address.value is None or address.type not in ("IPAddress", "Hostname"):
            continue
        if (address.type, address.value) in seen:
            message = f"The address {address.value!r} stands here for the second time."
            findings.append(Finding(path=f"{at}[{index}].value", message=message, hint="Remove one of the two."))
        seen.add((address.type, address.value))
        if address.type == "Hostname" and address.value and not _HOSTNAME.match(address.value):
            message = f"{address.value!r} is no host name."
            hint = "Use lower-case letters, digits, '-' and '.', or type IPAddress for an address."
            findings.append(Finding(path=f"{at}[{index}].value", message=message, hint=hint))


ADDRESSES: Final[tuple[Rule[tuple[GatewayAddress, ...]], ...]] = (
    Rule(
        check=_address_values,
        quotes=(
            "IPAddress values must be unique",
            "Hostname values must be unique",
            r"Hostname value must be empty or contain only valid characters (matching "
            r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$)",
        ),
    ),
)


def _infrastructure_keys(infrastructure: GatewayInfrastructure, at: str, findings: Findings) -> None:
    check_keys(infrastructure.labels, f"{at}.labels", "label", findings)
    check_keys(infrastructure.annotations, f"{at}.annotations", "annotation", findings)


_REQUIRED_NAME: Final = "followed by a required name segment of up to 63 characters."
INFRASTRUCTURE: Final[tuple[Rule[GatewayInfrastructure], ...]] = (
    Rule(
        check=_infrastructure_keys,
        quotes=(
            f"Label keys must be in the form of an optional DNS subdomain prefix {_REQUIRED_NAME}",
            "If specified, the label key's prefix must be a DNS subdomain not longer than 253 characters in total.",
            f"Annotation keys must be in the form of an optional DNS subdomain prefix {_REQUIRED_NAME}",
            "If specified, the annotation key's prefix must be a DNS subdomain not longer than 253 characters in total.",
        ),
    ),
)


def _requirements(selector: LabelSelector, at: str, findings: Findings) -> None:
    # Ours: the API takes any operator and leaves it to controllers to choke on it.
    for index, requirement in enumerate(selector.match_expressions):
        here = f"{at}.matchExpressions[{index}]"
        if requirement.operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            message = f"{requirement.operator!r} is no operator of a label selector."
            hint = "Use In, NotIn, Exists or DoesNotExist."
            findings.append(Finding(path=f"{here}.operator", message=message, hint=hint))
        elif requirement.operator in ("In", "NotIn") and not requirement.values:
            message = f"The operator {requirement.operator} needs values to compare with."
            findings.append(Finding(path=here, message=message, hint="Add values, or use Exists."))
        elif requirement.operator in ("Exists", "DoesNotExist") and requirement.values:
            message = f"The operator {requirement.operator} takes no values."
            findings.append(Finding(path=f"{here}.values", message=message, hint="Remove values, or use In."))


SELECTOR: Final[tuple[Rule[LabelSelector], ...]] = (Rule(check=_requirements),)


def _client_tls_ports_once(spec: GatewaySpec, at: str, findings: Findings) -> None:
    if spec.tls is not None and spec.tls.frontend is not None:
        ports = [entry.port for entry in spec.tls.frontend.per_port]
        no_repeats(ports, f"{at}.tls.frontend.perPort", "port", findings, "port")


GATEWAY: Final[tuple[Rule[GatewaySpec], ...]] = (
    Rule(check=_client_tls_ports_once, quotes=("Port for TLS configuration must be unique within the Gateway",)),
)


# ── whole objects ────────────────────────────────────────────────────────────────────────────────────────────────


def gateway(spec: GatewaySpec, findings: Findings) -> None:
    _listeners(spec.listeners, findings)
    run(ADDRESSES, spec.addresses, "$.spec.addresses", findings)
    run(GATEWAY, spec, "$.spec", findings)
    if spec.infrastructure is not None:
        run(INFRASTRUCTURE, spec.infrastructure, "$.spec.infrastructure", findings)
    if spec.allowed_listeners is not None and spec.allowed_listeners.namespaces.selector is not None:
        run(
            SELECTOR,
            spec.allowed_listeners.namespaces.selector,
            "$.spec.allowedListeners.namespaces.selector",
            findings,
        )


def listener_set(spec: ListenerSetSpec, findings: Findings) -> None:
    _listeners(spec.listeners, findings)


def _listeners(listeners: tuple[ListenerSpec, ...], findings: Findings) -> None:
    run(LISTENERS, listeners, "$.spec.listeners", findings)
    for index, listener in enumerate(listeners):
        run(LISTENER, listener, f"$.spec.listeners[{index}]", findings)
