"""Gateways: whether a Gateway is ours and fit to serve, and which ListenerSets it lets in.

Pure. What its listeners are is in `gateway.listeners`; what we say of it, in `gateway.reports`.
"""

from typing import Final

import msgspec

from seawall.gateway.addresses import ADDRESSES, class_of
from seawall.gateway.graph import ObjectKey, SecretName
from seawall.gateway.indexes import SECRETS
from seawall.gateway.namespaces import admits
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.gateways import (
    FrontendTlsValidation,
    GatewayClassSpec,
    GatewaySpec,
    ListenerNamespaces,
    ListenerSetSpec,
)
from seawall.gateway.resources.refs import GATEWAY_GROUP
from seawall.gateway.secrets import (
    QUARANTINE,
    CertificateRef,
    Referrer,
    Trust,
    TrustReasons,
    follow_certificate,
    follow_trust,
)
from seawall.gateway.status import Fault
from seawall.gateway.view import Entries, Rule, View

Age = tuple[float, str, str]
"""Older first, then by namespace and name: the Gateway API's order where only one can win."""


def age(obj: Object) -> Age:
    return obj.meta.created, obj.meta.namespace, obj.meta.name


class GatewayFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A Gateway of ours. `accepted` faults keep it from serving at all, `programmed` ones some of its addresses."""

    age: Age
    addresses: tuple[str, ...]
    accepted: tuple[Fault, ...]
    programmed: tuple[Fault, ...]
    refs: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    client_certificate: SecretName | None

    @property
    def serves_on(self) -> tuple[str, ...]:
        return () if self.accepted else self.addresses


def gateway(view: View, key: ObjectKey) -> GatewayFacts | None:
    """Judge a Gateway; None if there is none, or if it is not ours."""
    obj = view.object(key)
    if obj is None or not isinstance(obj.spec, GatewaySpec):
        return None
    gateway_class = class_of(view, obj.spec)
    if gateway_class is None:
        return None
    found = view.get(ADDRESSES, key)
    certificate = _client_certificate(view, obj)
    return GatewayFacts(
        age=age(obj),
        addresses=found.values,
        accepted=(*_parameters(gateway_class, obj.spec), *found.unsupported),
        programmed=found.unusable,
        refs=certificate.faults,
        warnings=certificate.warnings,
        client_certificate=certificate.name,
    )


def _publish(key: ObjectKey, facts: GatewayFacts | None) -> Entries:
    if facts is None or facts.client_certificate is None:
        return {}
    return {SECRETS.at(facts.client_certificate): None}


GATEWAY: Final = Rule(gateway, publish=_publish)


def class_faults(gateway_class: GatewayClassSpec) -> tuple[Fault, ...]:
    """Say what is wrong with a GatewayClass of ours."""
    ref = gateway_class.parameters_ref
    if ref is None:
        return ()
    return (_no_parameters(ref.kind, ref.name, "$.spec.parametersRef"),)


def _parameters(gateway_class: Object, spec: GatewaySpec) -> tuple[Fault, ...]:
    assert isinstance(gateway_class.spec, GatewayClassSpec)
    if class_faults(gateway_class.spec):
        fault = Fault(
            reason="InvalidParameters",
            message=f"GatewayClass {gateway_class.meta.name} is not accepted because of its parametersRef.",
            path="$.spec.gatewayClassName",
            hint="Correct the GatewayClass.",
        )
        return (fault,)
    if spec.infrastructure is None or spec.infrastructure.parameters_ref is None:
        return ()
    ref = spec.infrastructure.parameters_ref
    return (_no_parameters(ref.kind, ref.name, "$.spec.infrastructure.parametersRef"),)


def _no_parameters(kind: str, name: str, path: str) -> Fault:
    return Fault(
        reason="InvalidParameters",
        message=f"The parametersRef to {kind} {name} cannot be followed: Seawall has no kind of parameters.",
        path=path,
        hint="Remove parametersRef.",
    )


def _client_certificate(view: View, obj: Object) -> CertificateRef:
    assert isinstance(obj.spec, GatewaySpec)
    tls = obj.spec.tls
    if tls is None or tls.backend is None or tls.backend.client_certificate_ref is None:
        return CertificateRef()
    referrer = Referrer(kind="Gateway", namespace=obj.meta.namespace, path="$.spec.tls.backend.clientCertificateRef")
    return follow_certificate(view, tls.backend.client_certificate_ref, referrer, "InvalidClientCertificateRef")


# ── whose certificates clients may present ───────────────────────────────────────────────────────────────────────


class Frontend(msgspec.Struct, frozen=True, kw_only=True):
    """Client validation of one port. No `trust`: clients are not asked."""

    trust: Trust | None = None
    is_insecure: bool = False
    path: str = ""


_FRONTEND_REASONS: Final = TrustReasons(invalid="InvalidCACertificateRef", kind="InvalidCACertificateKind")


def frontend(view: View, place: tuple[ObjectKey, int]) -> Frontend:
    """Say whose certificates clients may present to TLS listeners of a Gateway on a port."""
    key, port = place
    obj = view.object(key)
    if obj is None or not isinstance(obj.spec, GatewaySpec):
        return Frontend()
    validation, path = _validation(obj.spec, port)
    if validation is None:
        return Frontend()
    path = f"$.spec.tls.frontend.{path}.validation.caCertificateRefs"
    refs = [(ref, ref.namespace or obj.meta.namespace) for ref in validation.ca_certificate_refs]
    referrer = Referrer(kind="Gateway", namespace=obj.meta.namespace, path=path)
    trust = follow_trust(view, refs, referrer, _FRONTEND_REASONS)
    return Frontend(trust=trust, is_insecure=validation.mode == "AllowInsecureFallback", path=path)


def _validation(spec: GatewaySpec, port: int) -> tuple[FrontendTlsValidation | None, str]:
    if spec.tls is None or spec.tls.frontend is None:
        return None, ""
    for index, per_port in enumerate(spec.tls.frontend.per_port):
        if per_port.port == port:
            return per_port.tls.validation, f"perPort[{index}].tls"
    return spec.tls.frontend.default.validation, "default"


def _publish_trust(_: tuple[ObjectKey, int], found: Frontend) -> Entries:
    if found.trust is None or found.trust.name is None:
        return {}
    return {SECRETS.at(found.trust.name): found.trust.bundle}


FRONTEND: Final = Rule(frontend, publish=_publish_trust)


def is_insecure(spec: GatewaySpec) -> bool:
    """Say whether a Gateway lets in clients without a valid certificate anywhere."""
    if spec.tls is None or spec.tls.frontend is None:
        return False
    settings = (spec.tls.frontend.default, *(per_port.tls for per_port in spec.tls.frontend.per_port))
    return any(one.validation is not None and one.validation.mode == "AllowInsecureFallback" for one in settings)


# ── ListenerSets ─────────────────────────────────────────────────────────────────────────────────────────────────


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """A ListenerSet whose parent is a Gateway of ours; `faults` say why it is refused."""

    gateway: ObjectKey
    faults: tuple[Fault, ...] = ()


def admission(view: View, key: ObjectKey) -> Admission | None:
    """Say whether a ListenerSet may add to its Gateway; None if that is no business of ours."""
    obj = view.object(key)
    if obj is None or not isinstance(obj.spec, ListenerSetSpec):
        return None
    parent = parent_gateway(obj)
    if parent is None or view.get(GATEWAY, parent) is None:
        return None
    found = view.object(parent)
    assert found is not None
    assert isinstance(found.spec, GatewaySpec)
    allowed = found.spec.allowed_listeners
    rule = allowed.namespaces if allowed else ListenerNamespaces()
    if admits(view, rule, found.meta.namespace, obj.meta.namespace):
        return Admission(gateway=parent)
    fault = Fault(
        reason="NotAllowed",
        message=f"{parent} does not allow ListenerSets of namespace {obj.meta.namespace} (from: {rule.from_}).",
        path="$.spec.parentRef",
        hint="Widen `spec.allowedListeners.namespaces` of the Gateway.",
    )
    return Admission(gateway=parent, faults=(fault,))


def parent_gateway(listener_set: Object) -> ObjectKey | None:
    """Name the Gateway that a ListenerSet wants to add to; None if its parent is of another kind."""
    assert isinstance(listener_set.spec, ListenerSetSpec)
    ref = listener_set.spec.parent_ref
    if (ref.group, ref.kind) != (GATEWAY_GROUP, "Gateway"):
        return None
    return object_key("Gateway", ref.namespace or listener_set.meta.namespace, ref.name)


ADMISSION: Final = Rule(admission)


def quarantine_fault(view: View, key: ObjectKey) -> tuple[Fault, ...]:
    """Say that Envoy refused what was made of an object."""
    message = view.fact(QUARANTINE, key)
    if message is None:
        return ()
    fault = Fault(
        reason="Invalid",
        message=f"Envoy refused the configuration made of this object: {message}",
        path="$.spec",
        hint="Change what Envoy names; until then the object is left out and everything else goes on.",
    )
    return (fault,)
