"""Native filters: which HTTPFilterPolicies apply to a listener, in which order, and what we say of them.

Pure. Whether a configuration fits its type only Envoy's schema knows, which lies above this room: the caller of the
resolver hands in a `CheckFilter`. A policy that does not pass, or that Envoy refuses, is left out whole: half of an
ordered list of filters is not what anybody wrote.
Next room: `gateway.sockets` puts the filters into filter chains.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from seawall.gateway.addresses import settings_of
from seawall.gateway.gateways import GATEWAY, age, quarantine_fault
from seawall.gateway.graph import NativeFilter, ObjectKey
from seawall.gateway.indexes import FILTER_POLICIES, SUGGESTION
from seawall.gateway.listeners import CLAIM, HTTP_PROTOCOLS, Offer
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.gateways import GatewaySpec
from seawall.gateway.resources.http_filters import HTTPFilterPolicySpec
from seawall.gateway.resources.refs import GATEWAY_GROUP, LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.rules.rule import Finding
from seawall.gateway.settings import SETTINGS
from seawall.gateway.status import Fault, Status, conditions_body, judge, problems
from seawall.gateway.view import Rule, View

CheckFilter = Callable[[str, Mapping[str, Any]], Finding | None]
"""Says what keeps Envoy from reading a configuration (type URL, JSON without `@type`); the path is relative to it."""
CHECK_FILTER: Final = "check_filter"
"""The key, beside the settings, of the CheckFilter."""
_Target = LocalPolicyTargetReferenceWithSectionName
ListenerKey = tuple[ObjectKey, ObjectKey, str]
"""A listener: its owner, the Gateway that it serves for, its name in the owner."""


class PolicyFilters(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy brings; with faults it brings nothing."""

    filters: tuple[NativeFilter, ...] = ()
    faults: tuple[Fault, ...] = ()


def policy_filters(view: View, key: ObjectKey) -> PolicyFilters:
    """Judge a policy by itself."""
    obj = view.object(key)
    if obj is None or not isinstance(obj.spec, HTTPFilterPolicySpec):
        return PolicyFilters()
    check: CheckFilter | None = view.fact(SETTINGS, CHECK_FILTER)
    unreadable = unreadable_filters(obj, check) if check is not None else ()
    faults = (*quarantine_fault(view, key), *unreadable)
    if faults:
        return PolicyFilters(faults=faults)
    return PolicyFilters(
        filters=tuple(
            NativeFilter(
                # Envoy's own word for a filter is only a label; ours says whose it is.
                name=f"{obj.meta.namespace}/{obj.meta.name}/{one.name}",
                type_url=str(one.typed_config["@type"]),
                config=msgspec.json.encode(_body(one.typed_config), order="deterministic"),
                origin=key,
            )
            for one in obj.spec.filters
        )
    )


POLICY_FILTERS: Final = Rule(policy_filters)


def unreadable_filters(obj: Object, check: CheckFilter) -> tuple[Fault, ...]:
    """Say which configurations of a policy Envoy could not read. A source asks, too: an edit that is wrong is no edit."""
    if not isinstance(obj.spec, HTTPFilterPolicySpec):
        return ()
    found = [check(str(one.typed_config["@type"]), _body(one.typed_config)) for one in obj.spec.filters]
    return tuple(
        Fault(
            reason="Invalid",
            message=one.message,
            path=f"$.spec.filters[{index}].typedConfig{one.path}",
            hint=one.hint,
        )
        for index, one in enumerate(found)
        if one is not None
    )


def _body(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "@type"}


# ── one listener ─────────────────────────────────────────────────────────────────────────────────────────────────


def listener_filters(view: View, listener: ListenerKey) -> tuple[NativeFilter, ...]:
    """List the filters of a listener, in order: those of policies for just it, or else those for its whole Gateway."""
    owner, gateway, name = listener
    own = _policies(view, gateway, name) if owner == gateway else []
    found = own or _policies(view, gateway, None)
    return tuple(one for key in found for one in view.get(POLICY_FILTERS, key).filters)


LISTENER_FILTERS: Final = Rule(listener_filters)


def _policies(view: View, gateway: ObjectKey, section: str | None) -> list[ObjectKey]:
    """Name the policies for exactly this target, older first."""
    found: list[Object] = []
    for obj in view.bucket(FILTER_POLICIES, gateway).values():
        assert isinstance(obj.spec, HTTPFilterPolicySpec)
        if any(
            _is_gateway(ref)
            and object_key("Gateway", obj.meta.namespace, ref.name) == gateway
            and ref.section_name == section
            for ref in obj.spec.target_refs
        ):
            found.append(obj)
    return [obj.key for obj in sorted(found, key=age)]


def _is_gateway(target: _Target) -> bool:
    return (target.group, target.kind) == (GATEWAY_GROUP, "Gateway")


# ── what we say of a policy ──────────────────────────────────────────────────────────────────────────────────────


def filter_policy_report(view: View, obj: Object) -> Status | None:
    """Say for each target whether the policy applies to it."""
    assert isinstance(obj.spec, HTTPFilterPolicySpec)
    facts = view.get(POLICY_FILTERS, obj.key)
    ancestors = []
    said = list(facts.faults)
    for index, target in enumerate(obj.spec.target_refs):
        path = f"$.spec.targetRefs[{index}]"
        amiss = tuple(_amiss(view, obj, target, path))
        said += amiss
        gateway = object_key("Gateway", obj.meta.namespace, target.name)
        if not _is_gateway(target) or view.get(GATEWAY, gateway) is None:
            continue
        errors = tuple(fault for fault in amiss if fault.severity == "error")
        conditions = [
            judge("Accepted", errors, "The policy is accepted."),
            judge("Programmed", (*errors, *facts.faults), "The filters are part of the configuration that edges get."),
        ]
        if facts.faults and not errors:
            conditions[0] = judge("Accepted", facts.faults)
        ancestors.append(
            {
                "ancestorRef": _ancestor(gateway, target),
                "controllerName": settings_of(view).controller,
                "conditions": conditions_body(conditions, obj.meta.generation),
            }
        )
    return Status(object=obj.key, body={"ancestors": ancestors}, problems=problems(obj.key, said))


def _ancestor(gateway: ObjectKey, target: _Target) -> dict[str, str]:
    kind, namespace, name = gateway.split("/", 2)
    section = {"sectionName": target.section_name} if target.section_name is not None else {}
    return {"group": GATEWAY_GROUP, "kind": kind, "namespace": namespace, "name": name, **section}


def _amiss(view: View, obj: Object, target: _Target, path: str) -> Iterator[Fault]:
    if not _is_gateway(target):
        message = f"An HTTPFilterPolicy cannot apply to a {target.kind} of group {target.group!r}."
        hint = f"Use group {GATEWAY_GROUP} and kind Gateway, with sectionName for one of its listeners."
        yield Fault(reason="Invalid", message=message, path=f"{path}.kind", hint=hint)
        return
    key = object_key("Gateway", obj.meta.namespace, target.name)
    gateway = view.object(key)
    if gateway is None:
        near = view.get(SUGGESTION, ("Gateway", obj.meta.namespace, target.name))
        message = f"There is no Gateway {obj.meta.namespace}/{target.name}."
        hint = (
            f"Did you mean {near}?"
            if near
            else "Create the Gateway, or correct the name; the namespace is the policy's."
        )
        yield Fault(reason="TargetNotFound", message=message, path=f"{path}.name", hint=hint)
        return
    assert isinstance(gateway.spec, GatewaySpec)
    names = [listener.name for listener in gateway.spec.listeners]
    if target.section_name is not None and target.section_name not in names:
        message = f"Gateway {obj.meta.namespace}/{target.name} has no listener {target.section_name}."
        hint = f"Its listeners are {', '.join(names)}."
        yield Fault(reason="TargetNotFound", message=message, path=f"{path}.sectionName", hint=hint)
        return
    claim = view.get(CLAIM, key)
    if claim is None:
        return
    offers = [one for one in claim.offers if target.section_name in (None, one.name)]
    if target.section_name is not None and not any(_speaks_http(one) for one in offers):
        message = f"The listener {target.section_name} speaks {offers[0].protocol}, which no HTTP filter sees."
        yield Fault(
            reason="Invalid", message=message, path=f"{path}.sectionName", hint="Name an HTTP or HTTPS listener."
        )
    if target.section_name is None:
        yield from _overridden(view, key, offers, obj, path)


def _speaks_http(offer: Offer) -> bool:
    return offer.protocol in HTTP_PROTOCOLS


def _overridden(view: View, gateway: ObjectKey, offers: list[Offer], obj: Object, path: str) -> Iterator[Fault]:
    """Say on which listeners a policy for the whole Gateway does not apply."""
    for offer in offers:
        others = _policies(view, gateway, offer.name) if _speaks_http(offer) else []
        if others and obj.key not in others:
            yield Fault(
                reason="Overridden",
                message=f"The listener {offer.name} has a policy of its own, {others[0]}; this one does not apply there.",
                path=path,
                hint="Repeat its filters in that policy if both are to run.",
                severity="warning",
            )
