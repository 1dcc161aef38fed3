"""Policies: BackendTLSPolicy, and which one applies to a port of a Service.

Pure. A policy that cannot be followed still applies: its backends get no connection at all, never one in plain text.
Next room: `gateway.backends`.
"""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from seawall.gateway.gateways import Age, age, quarantine_fault
from seawall.gateway.graph import ClientTls, ObjectKey, SecretName
from seawall.gateway.indexes import POLICIES, SECRETS, SUGGESTION
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.core import ServiceSpec
from seawall.gateway.resources.policies import BackendTLSPolicySpec, SubjectAltName
from seawall.gateway.resources.refs import LocalObjectReference, LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.secrets import Referrer, Trust, TrustReasons, follow_trust
from seawall.gateway.status import Fault
from seawall.gateway.view import Entries, Rule, View

Names = tuple[tuple[Literal["DNS", "URI"], str], ...]
Port = tuple[ObjectKey, str]
"""A port of a Service, by its name there."""


class TrustSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which CAs vouch for a backend: a list of ConfigMaps, or those of the system."""

    refs: tuple[LocalObjectReference, ...]
    well_known: str | None
    path: str


def backend_trust(view: View, settings: TrustSettings, kind: str, namespace: str) -> tuple[Trust, tuple[Fault, ...]]:
    """Follow CA references of a policy or a Backend; return what is trusted, and why nothing may be (if so)."""
    if settings.well_known is not None and settings.well_known != "System":
        fault = Fault(
            reason="Invalid",
            message=f"There are no well-known CA certificates {settings.well_known!r}.",
            path=f"{settings.path}.wellKnownCACertificates",
            hint="Use System, or name ConfigMaps in caCertificateRefs.",
        )
        return Trust(), (fault,)
    if not settings.refs:
        return Trust(), ()
    path = f"{settings.path}.caCertificateRefs"
    referrer = Referrer(kind=kind, namespace=namespace, path=path)
    reasons = TrustReasons(invalid="InvalidCACertificateRef", kind="InvalidKind")
    trust = follow_trust(view, [(ref, namespace) for ref in settings.refs], referrer, reasons)
    if trust.name is not None:
        return trust, ()
    fault = Fault(
        reason="NoValidCACertificate",
        message="None of the CA certificates can be used, so no connection to the backend is made.",
        path=path,
        hint="Name a ConfigMap with PEM certificates in `ca.crt`.",
    )
    return trust, (fault,)


def subject_names(names: tuple[SubjectAltName, ...]) -> Names:
    """Return the names to verify instead of the SNI."""
    found: list[tuple[Literal["DNS", "URI"], str]] = []
    for name in names:
        if name.type == "Hostname" and name.hostname:
            found.append(("DNS", name.hostname.lower()))
        elif name.type == "URI" and name.uri:
            found.append(("URI", name.uri))
    return tuple(dict.fromkeys(found))


# ── one policy ───────────────────────────────────────────────────────────────────────────────────────────────────


class PolicyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy says. `accepted` faults mean that no connection may be made."""

    sni: str
    names: Names
    trust: Trust
    accepted: tuple[Fault, ...]
    targets: tuple[Fault, ...]


def policy(view: View, key: ObjectKey) -> PolicyFacts | None:
    """Judge a BackendTLSPolicy by itself."""
    obj = view.object(key)
    if obj is None or not isinstance(obj.spec, BackendTLSPolicySpec):
        return None
    validation = obj.spec.validation
    settings = TrustSettings(
        refs=validation.ca_certificate_refs,
        well_known=validation.well_known_ca_certificates,
        path="$.spec.validation",
    )
    trust, faults = backend_trust(view, settings, obj.kind, obj.meta.namespace)
    return PolicyFacts(
        sni=validation.hostname.lower(),
        names=subject_names(validation.subject_alt_names),
        trust=trust,
        accepted=(*quarantine_fault(view, key), *faults),
        targets=tuple(_target_faults(view, obj)),
    )


def _publish(_: ObjectKey, facts: PolicyFacts | None) -> Entries:
    if facts is None or facts.trust.name is None:
        return {}
    return {SECRETS.at(facts.trust.name): facts.trust.bundle}


POLICY: Final = Rule(policy, publish=_publish)


def _target_faults(view: View, obj: Object) -> Iterator[Fault]:
    assert isinstance(obj.spec, BackendTLSPolicySpec)
    for index, target in enumerate(obj.spec.target_refs):
        path = f"$.spec.targetRefs[{index}]"
        if not _is_service(target):
            message = f"A BackendTLSPolicy cannot apply to a {target.kind} of group {target.group!r}."
            hint = 'Use group "" and kind Service. A Backend has TLS settings of its own.'
            yield Fault(reason="Invalid", message=message, path=f"{path}.kind", hint=hint)
            continue
        service = view.object(object_key("Service", obj.meta.namespace, target.name))
        if service is None:
            near = view.get(SUGGESTION, ("Service", obj.meta.namespace, target.name))
            message = f"There is no Service {obj.meta.namespace}/{target.name}."
            hint = f"Did you mean {near}?" if near else "Create the Service or correct the name."
            yield Fault(reason="TargetNotFound", message=message, path=f"{path}.name", hint=hint)
            continue
        assert isinstance(service.spec, ServiceSpec)
        names = [port.name for port in service.spec.ports if port.name]
        if target.section_name is not None and target.section_name not in names:
            message = f"Service {obj.meta.namespace}/{target.name} has no port named {target.section_name}."
            hint = f"Its named ports are {', '.join(names)}." if names else "None of its ports has a name."
            yield Fault(reason="TargetNotFound", message=message, path=f"{path}.sectionName", hint=hint)


def _is_service(target: LocalPolicyTargetReferenceWithSectionName) -> bool:
    return (target.group, target.kind) == ("", "Service")


# ── several policies ─────────────────────────────────────────────────────────────────────────────────────────────


def winner(view: View, target: tuple[ObjectKey, str | None]) -> ObjectKey | None:
    """Return the policy that targets exactly this Service (None) or section of it, and is the oldest to do so."""
    service, section = target
    rivals: list[tuple[Age, ObjectKey]] = []
    for obj in view.bucket(POLICIES, service).values():
        assert isinstance(obj.spec, BackendTLSPolicySpec)
        if any(
            _is_service(ref)
            and object_key("Service", obj.meta.namespace, ref.name) == service
            and ref.section_name == section
            for ref in obj.spec.target_refs
        ):
            rivals.append((age(obj), obj.key))
    return min(rivals)[1] if rivals else None


WINNER: Final = Rule(winner)


def conflicts(view: View, obj: Object) -> tuple[Fault, ...]:
    """Say which targets of a policy an older one has."""
    assert isinstance(obj.spec, BackendTLSPolicySpec)
    faults: list[Fault] = []
    for index, target in enumerate(obj.spec.target_refs):
        if not _is_service(target):
            continue
        service = object_key("Service", obj.meta.namespace, target.name)
        first = view.get(WINNER, (service, target.section_name))
        if first not in (None, obj.key):
            fault = Fault(
                reason="Conflicted",
                message=f"{first} targets {service} as well and is older, or first by name; it applies.",
                path=f"$.spec.targetRefs[{index}]",
                hint="Remove one of the two.",
            )
            faults.append(fault)
    return tuple(faults)


def client_tls(view: View, port: Port, certificate: SecretName | None) -> tuple[ClientTls, ObjectKey] | None:
    """Say how to speak TLS to a port of a Service, and which policy says so; None for plain text.

    A policy for the port alone goes before one for the whole Service.
    """
    service, section = port
    key = (view.get(WINNER, (service, section)) if section else None) or view.get(WINNER, (service, None))
    facts = view.get(POLICY, key) if key is not None else None
    if key is None or facts is None:
        return None
    tls = ClientTls(
        sni=facts.sni,
        ca=facts.trust.name,
        names=facts.names,
        certificate=certificate,
        invalid=facts.accepted[0].message if facts.accepted else "",
    )
    return tls, key
