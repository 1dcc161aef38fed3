"""Manner reports: what we say of a ListenerPolicy, target by target, and how `explain` says what applies.

Pure. Next room: `gateway.reports`.
"""

from collections.abc import Iterator
from typing import Any, Final

from seawall.gateway.gateways import ADMISSION, FRONTEND, GATEWAY, quarantine_fault
from seawall.gateway.graph import ObjectKey
from seawall.gateway.indexes import LISTENER_SETS
from seawall.gateway.listeners import CLAIM, HTTP_PROTOCOLS, Offer
from seawall.gateway.manners import REVOCATION, collector, collector_refs, crl_key, is_target, policies_for
from seawall.gateway.objects import Object, object_key
from seawall.gateway.opened import OPENED
from seawall.gateway.resources.gateways import GatewaySpec, ListenerSetSpec
from seawall.gateway.resources.listener_policies import ListenerPolicySpec
from seawall.gateway.resources.refs import GATEWAY_GROUP, LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.status import Fault, Status, judge, problems
from seawall.gateway.targets import ancestor, conflicted, nowhere, told
from seawall.gateway.view import View

_Target = LocalPolicyTargetReferenceWithSectionName
_DEFAULT_SCOPE: Final = "Repeat in that policy what is to hold there as well: one policy applies, whole."


def listener_policy_report(view: View, obj: Object) -> Status | None:
    """Say for each target whether the policy applies to it."""
    assert isinstance(obj.spec, ListenerPolicySpec)
    refused = quarantine_fault(view, obj.key)
    unresolved = (*_crl(view, obj, obj.spec), *_collectors(view, obj, obj.spec))
    said = [*refused, *unresolved]
    ancestors: list[dict[str, Any]] = []
    for index, target in enumerate(obj.spec.target_refs):
        amiss = tuple(_amiss(view, obj, target, f"$.spec.targetRefs[{index}]"))
        said += amiss
        errors = (*(fault for fault in amiss if fault.severity == "error"), *refused)
        conditions = [
            judge("Accepted", errors, "The policy is accepted."),
            judge("ResolvedRefs", unresolved, "All references are resolved."),
            judge("Programmed", (*errors, *unresolved), "It is part of the configuration that edges get."),
        ]
        key = object_key(target.kind, obj.meta.namespace, target.name)
        if is_target(target) and _is_ours(view, key):
            ancestors.append(told(view, obj, ancestor(key, target.section_name), conditions))
    return Status(object=obj.key, body={"ancestors": ancestors}, problems=problems(obj.key, said))


def _is_ours(view: View, key: ObjectKey) -> bool:
    if key.startswith("Gateway/"):
        return view.get(GATEWAY, key) is not None
    return view.get(ADMISSION, key) is not None


# ── references ───────────────────────────────────────────────────────────────────────────────────────────────────


def _crl(view: View, obj: Object, spec: ListenerPolicySpec) -> Iterator[Fault]:
    key = crl_key(obj.key, spec)
    found = view.get(REVOCATION, key) if key is not None else None
    if key is None or found is None or not found.fault:
        return
    _, namespace, name = key.split("/", 2)
    yield Fault(
        reason="InvalidCRL",
        message=f"ConfigMap {namespace}/{name} {found.fault}",
        path="$.spec.clientCertificates.crl.name",
        hint="Put PEM revocation lists of all client CAs into its `ca.crl`; until then the listener lets nobody in.",
    )


def _collectors(view: View, obj: Object, spec: ListenerPolicySpec) -> Iterator[Fault]:
    for place, ref in collector_refs(spec):
        _, fault = collector(view, obj, ref)
        if fault is not None:
            hint = fault.hint or "Correct the reference."
            yield Fault(reason=fault.reason, message=fault.message, path=f"{place}{fault.path}", hint=hint)


# ── targets ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _amiss(view: View, obj: Object, target: _Target, path: str) -> Iterator[Fault]:
    if not is_target(target):
        message = f"A ListenerPolicy cannot apply to a {target.kind} of group {target.group!r}."
        hint = f"Use group {GATEWAY_GROUP} and kind Gateway or ListenerSet, with sectionName for one listener."
        yield Fault(reason="Invalid", message=message, path=f"{path}.kind", hint=hint)
        return
    key = object_key(target.kind, obj.meta.namespace, target.name)
    found = view.object(key)
    if found is None:
        yield nowhere(view, obj, target, path)
        return
    assert isinstance(found.spec, GatewaySpec | ListenerSetSpec)
    names = [listener.name for listener in found.spec.listeners]
    if target.section_name is not None and target.section_name not in names:
        message = f"{target.kind} {obj.meta.namespace}/{target.name} has no listener {target.section_name}."
        hint = f"Name one of {', '.join(names)}."
        yield Fault(reason="TargetNotFound", message=message, path=f"{path}.sectionName", hint=hint)
        return
    first = policies_for(view, key, target.section_name)
    if first[:1] != (obj.key,) and not quarantine_fault(view, obj.key):
        yield from conflicted(obj, first[0] if first else None, path)
        return
    yield from _overridden(view, key, target, path)
    yield from _on_listeners(view, obj, key, target, path)


def _overridden(view: View, key: ObjectKey, target: _Target, path: str) -> Iterator[Fault]:
    """Say where a more specific policy applies instead."""
    if target.section_name is not None:
        return
    claim = view.get(CLAIM, key)
    places: list[tuple[ObjectKey, str | None]] = [(key, one.name) for one in claim.offers] if claim is not None else []
    places += [(one, None) for one in sorted(view.bucket(LISTENER_SETS, key))]
    for owner, name in places:
        others = policies_for(view, owner, name)
        if not others:
            continue
        what = f"listener {name}" if name is not None else owner
        yield Fault(
            reason="Overridden",
            message=f"The {what} has a policy of its own, {others[0]}; this one does not apply there.",
            path=path,
            hint=_DEFAULT_SCOPE,
            severity="warning",
        )


def _on_listeners(view: View, obj: Object, key: ObjectKey, target: _Target, path: str) -> Iterator[Fault]:
    """Say what of a policy cannot be followed on the listeners that it is for."""
    assert isinstance(obj.spec, ListenerPolicySpec)
    claim = view.get(CLAIM, key)
    offers = [one for one in claim.offers if target.section_name in (None, one.name)] if claim is not None else []
    for offer in offers:
        if target.section_name is not None and offer.protocol not in HTTP_PROTOCOLS and not obj.spec.proxy_protocol:
            message = f"The listener {offer.name} speaks {offer.protocol}, where only proxyProtocol has an effect."
            hint = "Name an HTTP or HTTPS listener."
            yield Fault(reason="Invalid", message=message, path=f"{path}.sectionName", hint=hint)
        if offer.protocol == "HTTPS" and obj.spec.client_certificates is not None and claim is not None:
            yield from _unasked(view, claim.gateway, offer)
        if (other := _shared_with(view, obj, offer)) is not None:
            message = f"The listener {offer.name} shares port {offer.port} with one for which {other} decides."
            hint = "Plain HTTP listeners of a port are one to Envoy: use one policy for all, or another port."
            yield Fault(reason="Conflicted", message=message, path=path, hint=hint, severity="warning")


def _unasked(view: View, gateway: ObjectKey, offer: Offer) -> Iterator[Fault]:
    if view.get(FRONTEND, (gateway, offer.port)).trust is None:
        yield Fault(
            reason="NoTrust",
            message=f"{gateway} does not say which CAs sign client certificates for port {offer.port}: nobody is let in.",
            path="$.spec.clientCertificates",
            hint="Name them in the Gateway's spec.tls.frontend, or remove clientCertificates.",
        )


def _shared_with(view: View, obj: Object, offer: Offer) -> ObjectKey | None:
    """Name the policy that decides for a plain HTTP port instead of this one."""
    if offer.protocol != "HTTP":
        return None
    for name in offer.sockets:
        found = view.get(OPENED, name)
        said = found.listener.chains[0].manner if found is not None else None
        if said is not None and said.by != obj.key and obj.key not in said.over:
            return said.by
    return None
