"""Secrets: following references to certificates with keys (Secret) and to trusted certificates (ConfigMap).

Pure. A wrong reference is a `Fault`, whose reason the caller chooses: the Gateway API has other words for each place.
Next room: `gateway.listeners` and `gateway.policies` use them; `gateway.resolve` puts the bytes into the graph.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from seawall.gateway.certificates import Checked, check_pair, check_trust
from seawall.gateway.grants import GRANT, Reference, grant_hint
from seawall.gateway.graph import CertificateSecret, ObjectKey, SecretName, TlsSecret, TrustSecret
from seawall.gateway.indexes import SECRETS, SUGGESTION
from seawall.gateway.objects import object_key
from seawall.gateway.resources.core import ConfigMapSpec, SecretSpec
from seawall.gateway.resources.refs import SecretObjectReference
from seawall.gateway.status import Fault
from seawall.gateway.view import Rule, View
from seawall.kit.digest import digest

CLOCK: Final = "clock"
"""The table of facts about time: for a Secret or ConfigMap, what is wrong with its dates (`has expired`)."""
QUARANTINE: Final = "quarantine"
"""The table of facts that holds, for an object that Envoy refused, what Envoy said."""


class Referrer(msgspec.Struct, frozen=True, kw_only=True):
    """Who refers, and where in it."""

    kind: str
    namespace: str
    path: str


class CertificateRef(msgspec.Struct, frozen=True, kw_only=True):
    """Where a reference to a certificate led."""

    name: SecretName | None = None
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """The trusted certificates that a list of references leads to: those of the good references, and all faults."""

    name: SecretName | None = None
    bundle: bytes = b""
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()


class TrustReasons(msgspec.Struct, frozen=True, kw_only=True):
    """The words for what can be wrong with a reference to a CA."""

    invalid: str
    kind: str


class AnyReference(Protocol):
    """What references to CA certificates have in common."""

    @property
    def group(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...


# ── what an object holds ─────────────────────────────────────────────────────────────────────────────────────────


def certificate(view: View, key: ObjectKey) -> Checked | None:
    """Check the certificate and key that a Secret holds; None if there is no such Secret."""
    obj = view.object(key)
    if obj is None or not isinstance(obj.spec, SecretSpec):
        return None
    message = view.fact(QUARANTINE, key)
    if message is not None:
        return Checked(fault=f"was refused by Envoy: {message}")
    data = obj.spec.data
    if "tls.crt" not in data or "tls.key" not in data:
        return Checked(fault="needs both `tls.crt` and `tls.key`")
    return check_pair(data["tls.crt"].reveal(), data["tls.key"].reveal())


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """The CA certificates that a ConfigMap holds."""

    pem: bytes
    checked: Checked


def bundle(view: View, key: ObjectKey) -> Bundle | None:
    """Check the CA certificates that a ConfigMap holds; None if there is no such ConfigMap."""
    obj = view.object(key)
    if obj is None or not isinstance(obj.spec, ConfigMapSpec):
        return None
    message = view.fact(QUARANTINE, key)
    if message is not None:
        return Bundle(pem=b"", checked=Checked(fault=f"was refused by Envoy: {message}"))
    text = obj.spec.data.get("ca.crt")
    pem = text.encode() if text is not None else obj.spec.binary_data.get("ca.crt")
    if pem is None:
        return Bundle(pem=b"", checked=Checked(fault="has no `ca.crt`"))
    return Bundle(pem=pem, checked=check_trust(pem))


CERTIFICATE: Final = Rule(certificate)
BUNDLE: Final = Rule(bundle)


# ── following references ─────────────────────────────────────────────────────────────────────────────────────────


def follow_certificate(view: View, ref: SecretObjectReference, referrer: Referrer, reason: str) -> CertificateRef:
    """Follow a reference to a Secret with a certificate and its key."""
    path = referrer.path
    if (ref.group, ref.kind) != ("", "Secret"):
        fault = Fault(
            reason=reason,
            message=f"A certificate can only come from a Secret, not from a {ref.kind} of group {ref.group!r}.",
            path=f"{path}.kind" if ref.kind != "Secret" else f"{path}.group",
            hint='Put the certificate into a Secret and refer to it with group "" and kind Secret.',
        )
        return CertificateRef(faults=(fault,))
    namespace = ref.namespace or referrer.namespace
    denied = _denied(view, "Secret", namespace, ref.name, referrer)
    if denied is not None:
        return CertificateRef(faults=(denied,))
    key = object_key("Secret", namespace, ref.name)
    checked = view.get(CERTIFICATE, key)
    if checked is None:
        return CertificateRef(
            faults=(_missing(view, "Secret", namespace, ref.name, Fault(reason=reason, message="", path=path)),)
        )
    if checked.fault:
        fault = Fault(
            reason=reason,
            message=f"Secret {namespace}/{ref.name} {checked.fault}.",
            path=f"{path}.name",
            hint="Replace its contents with a PEM certificate chain, leaf first, and the key that belongs to it.",
        )
        return CertificateRef(faults=(fault,))
    return CertificateRef(name=SecretName(key), warnings=_dates(view, key, path))


def follow_trust(
    view: View, refs: Sequence[tuple[AnyReference, str]], referrer: Referrer, reasons: TrustReasons
) -> Trust:
    """Follow references (each with its namespace) to ConfigMaps with CA certificates; `referrer.path` names the list."""
    pems: list[bytes] = []
    faults: list[Fault] = []
    warnings: list[Fault] = []
    for index, (ref, namespace) in enumerate(refs):
        place = Referrer(kind=referrer.kind, namespace=referrer.namespace, path=f"{referrer.path}[{index}]")
        found = _follow_bundle(view, ref, namespace, place, reasons)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            pems.append(found)
            warnings += _dates(view, object_key("ConfigMap", namespace, ref.name), place.path)
    joined = b"\n".join(dict.fromkeys(pem.strip() for pem in pems)) + b"\n"
    name = SecretName(f"ca/{digest(joined)}") if pems else None
    return Trust(name=name, bundle=joined if pems else b"", faults=tuple(faults), warnings=tuple(warnings))


def _follow_bundle(
    view: View, ref: AnyReference, namespace: str, referrer: Referrer, reasons: TrustReasons
) -> bytes | Fault:
    path = referrer.path
    if (ref.group, ref.kind) != ("", "ConfigMap"):
        return Fault(
            reason=reasons.kind,
            message=f"CA certificates can only come from a ConfigMap, not from a {ref.kind} of group {ref.group!r}.",
            path=f"{path}.kind" if ref.kind != "ConfigMap" else f"{path}.group",
            hint='Put them into `ca.crt` of a ConfigMap and refer to it with group "" and kind ConfigMap.',
        )
    denied = _denied(view, "ConfigMap", namespace, ref.name, referrer)
    if denied is not None:
        return denied
    found = view.get(BUNDLE, object_key("ConfigMap", namespace, ref.name))
    if found is None:
        return _missing(view, "ConfigMap", namespace, ref.name, Fault(reason=reasons.invalid, message="", path=path))
    if found.checked.fault:
        return Fault(
            reason=reasons.invalid,
            message=f"ConfigMap {namespace}/{ref.name} {found.checked.fault}.",
            path=f"{path}.name",
            hint="Put one or more PEM certificates into its key `ca.crt`.",
        )
    return found.pem


def _denied(view: View, kind: str, namespace: str, name: str, referrer: Referrer) -> Fault | None:
    reference = Reference(
        from_kind=referrer.kind,
        from_namespace=referrer.namespace,
        group="",
        kind=kind,
        namespace=namespace,
        name=name,
    )
    if namespace == referrer.namespace or view.get(GRANT, reference):
        return None
    return Fault(
        reason="RefNotPermitted",
        message=f"No ReferenceGrant allows the reference to {kind} {namespace}/{name}.",
        path=f"{referrer.path}.namespace",
        hint=grant_hint(reference),
    )


def _missing(view: View, kind: str, namespace: str, name: str, fault: Fault) -> Fault:
    near = view.get(SUGGESTION, (kind, namespace, name))
    return Fault(
        reason=fault.reason,
        message=f"There is no {kind} {namespace}/{name}.",
        path=f"{fault.path}.name",
        hint=f"Did you mean {near}?" if near else f"Create the {kind} or correct the reference.",
    )


def _dates(view: View, key: ObjectKey, path: str) -> tuple[Fault, ...]:
    said = view.fact(CLOCK, key)
    if said is None:
        return ()
    kind, namespace, name = key.split("/", 2)
    message = f"The certificate in {kind} {namespace}/{name} {said}."
    hint = "Renew it; it is served as it is until then."
    return (Fault(reason="Expired", message=message, path=f"{path}.name", hint=hint, severity="warning"),)


# ── into the graph ───────────────────────────────────────────────────────────────────────────────────────────────


def secret(view: View, name: SecretName) -> TlsSecret | None:
    """Fetch the bytes of a secret that something in the graph names."""
    used = next(iter(view.bucket(SECRETS, name).values()), None)
    if isinstance(used, TrustSecret):
        return used
    if used is not None:
        return TrustSecret(name=name, bundle=used)
    obj = view.object(ObjectKey(name))
    if obj is None or not isinstance(obj.spec, SecretSpec) or not {"tls.crt", "tls.key"} <= obj.spec.data.keys():
        return None
    return CertificateSecret(name=name, chain=obj.spec.data["tls.crt"].reveal(), key=obj.spec.data["tls.key"])


SECRET: Final = Rule(secret, each=SECRETS)
