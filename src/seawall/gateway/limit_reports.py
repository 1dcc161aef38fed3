"""Limit reports: what we say of a RateLimitPolicy, target by target.

Pure. Next room: `gateway.reports`.
"""

from collections.abc import Iterator
from typing import Any

from seawall.gateway.addresses import settings_of
from seawall.gateway.gateways import GATEWAY, quarantine_fault
from seawall.gateway.graph import ObjectKey
from seawall.gateway.indexes import ALL, ALL_LIMIT_POLICIES, SUGGESTION
from seawall.gateway.limits import FLEET_SLOTS, SLOTS, is_target, policies_for
from seawall.gateway.listeners import CLAIM, HTTP_PROTOCOLS
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.gateways import GatewaySpec
from seawall.gateway.resources.http import HTTPRouteSpec
from seawall.gateway.resources.rate_limits import RateLimitPolicySpec
from seawall.gateway.resources.refs import GATEWAY_GROUP, LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.routes import HTTP_ROUTE
from seawall.gateway.status import Fault, Status, conditions_body, judge, problems
from seawall.gateway.view import View

_Target = LocalPolicyTargetReferenceWithSectionName
_ANCESTORS = 16
"""The Gateway API's limit for ancestors in a status."""


def rate_limit_report(view: View, obj: Object) -> Status | None:
    """Say for each target whether the policy applies to it."""
    assert isinstance(obj.spec, RateLimitPolicySpec)
    refused = quarantine_fault(view, obj.key)
    refused = (*refused, *_crowded(view, obj))
    said = list(refused)
    ancestors: list[dict[str, Any]] = []
    for index, target in enumerate(obj.spec.target_refs):
        path = f"$.spec.targetRefs[{index}]"
        amiss = tuple(_amiss(view, obj, target, path))
        said += amiss
        errors = tuple(fault for fault in amiss if fault.severity == "error")
        conditions = [
            judge("Accepted", (*errors, *refused), "The policy is accepted."),
            judge("Programmed", (*errors, *refused), "The limits are part of the configuration that edges get."),
        ]
        ancestors += [
            {
                "ancestorRef": ancestor,
                "controllerName": settings_of(view).controller,
                "conditions": conditions_body(conditions, obj.meta.generation),
            }
            for ancestor in _ancestors(view, obj, target)
        ]
    return Status(object=obj.key, body={"ancestors": ancestors[:_ANCESTORS]}, problems=problems(obj.key, said))


def _crowded(view: View, obj: Object) -> Iterator[Fault]:
    assert isinstance(obj.spec, RateLimitPolicySpec)
    if obj.spec.scope == "fleet" and obj.key not in view.get(FLEET_SLOTS, ALL):
        message = f"{SLOTS} older policies share their limits across the fleet, which is as many as an edge can follow."
        yield Fault(
            reason="Invalid", message=message, path="$.spec.scope", hint="Put limits together, or use scope edge."
        )


def _ancestors(view: View, obj: Object, target: _Target) -> Iterator[dict[str, str]]:
    """A Gateway of ours is its own ancestor; the ancestors of a route are what it is attached to."""
    key = object_key(target.kind, obj.meta.namespace, target.name)
    if not is_target(target):
        return
    if target.kind == "Gateway":
        if view.get(GATEWAY, key) is not None:
            yield _ancestor(key, target.section_name)
        return
    facts = view.get(HTTP_ROUTE, key) if view.object(key) is not None else None
    owners = {owner for owner, _ in facts.attached} if facts is not None else set()
    yield from (_ancestor(owner, None) for owner in sorted(owners))


def _ancestor(owner: ObjectKey, section: str | None) -> dict[str, str]:
    kind, namespace, name = owner.split("/", 2)
    where = {"sectionName": section} if section is not None else {}
    return {"group": GATEWAY_GROUP, "kind": kind, "namespace": namespace, "name": name, **where}


def _amiss(view: View, obj: Object, target: _Target, path: str) -> Iterator[Fault]:
    if not is_target(target):
        message = f"A RateLimitPolicy cannot apply to a {target.kind} of group {target.group!r}."
        hint = f"Use group {GATEWAY_GROUP} and kind Gateway or HTTPRoute, with sectionName for a listener or a rule."
        yield Fault(reason="Invalid", message=message, path=f"{path}.kind", hint=hint)
        return
    key = object_key(target.kind, obj.meta.namespace, target.name)
    found = view.object(key)
    if found is None:
        near = view.get(SUGGESTION, (target.kind, obj.meta.namespace, target.name))
        message = f"There is no {target.kind} {obj.meta.namespace}/{target.name}."
        create = f"Create the {target.kind}, or correct the name; the namespace is the policy's."
        hint = f"Did you mean {near}?" if near else create
        yield Fault(reason="TargetNotFound", message=message, path=f"{path}.name", hint=hint)
        return
    missing = _missing_section(view, found, target)
    if missing is not None:
        yield Fault(reason="TargetNotFound", message=missing[0], path=f"{path}.sectionName", hint=missing[1])
        return
    first = policies_for(view, key, target.section_name)
    if first and first[0] != obj.key and not quarantine_fault(view, obj.key):
        message = f"{first[0]} has the same target and is older, or first by name; it applies."
        yield Fault(reason="Conflicted", message=message, path=path, hint="Remove one of the two.")
        return
    yield from _overridden(view, obj, key, target.section_name, path)


def _missing_section(view: View, found: Object, target: _Target) -> tuple[str, str] | None:
    """Say what is wrong with a sectionName, and what to do."""
    name = target.section_name
    if name is None:
        return None
    if isinstance(found.spec, HTTPRouteSpec):
        rules = [rule.name for rule in found.spec.rules if rule.name]
        hint = f"Its named rules are {', '.join(rules)}." if rules else "Give the rule a name: none of them has one."
        message = f"HTTPRoute {found.meta.namespace}/{found.meta.name} has no rule named {name}."
        return None if name in rules else (message, hint)
    assert isinstance(found.spec, GatewaySpec)
    names = [listener.name for listener in found.spec.listeners]
    if name not in names:
        message = f"Gateway {found.meta.namespace}/{found.meta.name} has no listener {name}."
        return message, f"Its listeners are {', '.join(names)}."
    claim = view.get(CLAIM, found.key)
    offers = [one for one in claim.offers if one.name == name] if claim is not None else []
    if offers and offers[0].protocol not in HTTP_PROTOCOLS:
        message = f"The listener {name} speaks {offers[0].protocol}, in which there are no requests to count."
        return message, "Name an HTTP or HTTPS listener."
    return None


def _overridden(view: View, obj: Object, key: ObjectKey, section: str | None, path: str) -> Iterator[Fault]:
    """Say where a more specific policy applies instead."""
    for other in sorted(view.bucket(ALL_LIMIT_POLICIES, ALL).values(), key=lambda one: one.key):
        assert isinstance(other.spec, RateLimitPolicySpec)
        if other.key == obj.key:
            continue
        for target in other.spec.target_refs:
            where = object_key(target.kind, other.meta.namespace, target.name)
            is_inside = is_target(target) and _is_within(view, where, target.section_name, key, section)
            if not is_inside or not _is_in_force(view, other, where, target):
                continue
            what = f"{target.kind} {other.meta.namespace}/{target.name}"
            part = f" ({target.section_name})" if target.section_name else ""
            yield Fault(
                reason="Overridden",
                message=f"{what}{part} has a policy of its own, {other.key}; this one does not apply there.",
                path=path,
                hint="Repeat its limits in that policy if both are to hold.",
                severity="warning",
            )


def _is_in_force(view: View, policy: Object, where: ObjectKey, target: _Target) -> bool:
    found = view.object(where)
    first = policies_for(view, where, target.section_name)
    return found is not None and first[:1] == (policy.key,) and _missing_section(view, found, target) is None


def _is_within(view: View, inner: ObjectKey, part: str | None, outer: ObjectKey, section: str | None) -> bool:
    """Say whether one target is a part of the other, so that its policy goes before."""
    if inner == outer:
        return section is None and part is not None
    if outer.startswith("Gateway/") and inner.startswith("HTTPRoute/"):
        facts = view.get(HTTP_ROUTE, inner) if view.object(inner) is not None else None
        attached = facts.attached if facts is not None else frozenset()
        return any(owner == outer and section in (None, listener) for owner, listener in attached)
    return False
