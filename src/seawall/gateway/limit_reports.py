"""Limit reports: what we say of a RateLimitPolicy, target by target.

Pure. Next room: `gateway.reports`.
"""

from collections.abc import Iterator
from typing import Any

from seawall.gateway.gateways import quarantine_fault
from seawall.gateway.graph import ObjectKey
from seawall.gateway.indexes import ALL, ALL_LIMIT_POLICIES
from seawall.gateway.limits import FLEET_SLOTS, SLOTS, is_target, policies_for
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.rate_limits import RateLimitPolicySpec
from seawall.gateway.resources.refs import GATEWAY_GROUP, LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.routes import HTTP_ROUTE
from seawall.gateway.status import Fault, Status, problems
from seawall.gateway.targets import MOST_ANCESTORS, ancestors_of, conflicted, judged, missing_section, nowhere
from seawall.gateway.view import View

_Target = LocalPolicyTargetReferenceWithSectionName


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
        ancestors += judged(view, obj, ancestors_of(view, obj, target, is_target), (*amiss, *refused))
    return Status(object=obj.key, body={"ancestors": ancestors[:MOST_ANCESTORS]}, problems=problems(obj.key, said))


def _crowded(view: View, obj: Object) -> Iterator[Fault]:
    assert isinstance(obj.spec, RateLimitPolicySpec)
    if obj.spec.scope == "fleet" and obj.key not in view.get(FLEET_SLOTS, ALL):
        message = f"{SLOTS} older policies share their limits across the fleet, which is as many as an edge can follow."
        yield Fault(
            reason="Invalid", message=message, path="$.spec.scope", hint="Put limits together, or use scope edge."
        )


def _amiss(view: View, obj: Object, target: _Target, path: str) -> Iterator[Fault]:
    if not is_target(target):
        message = f"A RateLimitPolicy cannot apply to a {target.kind} of group {target.group!r}."
        hint = f"Use group {GATEWAY_GROUP} and kind Gateway or HTTPRoute, with sectionName for a listener or a rule."
        yield Fault(reason="Invalid", message=message, path=f"{path}.kind", hint=hint)
        return
    key = object_key(target.kind, obj.meta.namespace, target.name)
    found = view.object(key)
    if found is None:
        yield nowhere(view, obj, target, path)
        return
    missing = missing_section(view, found, target)
    if missing is not None:
        yield Fault(reason="TargetNotFound", message=missing[0], path=f"{path}.sectionName", hint=missing[1])
        return
    first = policies_for(view, key, target.section_name)
    if first[:1] != (obj.key,) and not quarantine_fault(view, obj.key):
        yield from conflicted(obj, first[0] if first else None, path)
        return
    yield from _overridden(view, obj, key, target.section_name, path)


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
    return found is not None and first[:1] == (policy.key,) and missing_section(view, found, target) is None


def _is_within(view: View, inner: ObjectKey, part: str | None, outer: ObjectKey, section: str | None) -> bool:
    """Say whether one target is a part of the other, so that its policy goes before."""
    if inner == outer:
        return section is None and part is not None
    if outer.startswith("Gateway/") and inner.startswith("HTTPRoute/"):
        facts = view.get(HTTP_ROUTE, inner) if view.object(inner) is not None else None
        attached = facts.attached if facts is not None else frozenset()
        return any(owner == outer and section in (None, listener) for owner, listener in attached)
    return False
