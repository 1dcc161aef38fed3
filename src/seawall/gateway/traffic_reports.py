"""Traffic reports: what we say of a TrafficPolicy and of an XBackendTrafficPolicy, target by target.

Pure. Next room: `gateway.reports`.
"""

from collections.abc import Iterator
from typing import Any

from seawall.gateway.gateways import quarantine_fault
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.policies import XBackendTrafficPolicySpec
from seawall.gateway.resources.refs import LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.resources.traffic import TrafficPolicySpec
from seawall.gateway.status import Fault, Status, problems
from seawall.gateway.targets import (
    MOST_ANCESTORS,
    ancestors_of,
    conflicted,
    gateways_of,
    judged,
    missing_section,
    nowhere,
)
from seawall.gateway.traffic import BACKEND_WINNER, KINDS, TRAFFIC_WINNER, is_target, session_warnings
from seawall.gateway.view import View

_Target = LocalPolicyTargetReferenceWithSectionName


def traffic_report(view: View, obj: Object) -> Status | None:
    """Say for each target whether the policy applies to it."""
    assert isinstance(obj.spec, TrafficPolicySpec)
    refused = quarantine_fault(view, obj.key)
    said = list(refused)
    ancestors: list[dict[str, Any]] = []
    for index, target in enumerate(obj.spec.target_refs):
        amiss = tuple(_amiss(view, obj, target, f"$.spec.targetRefs[{index}]"))
        said += amiss
        ancestors += judged(view, obj, ancestors_of(view, obj, target, is_target), (*amiss, *refused))
    if obj.spec.session_persistence is not None:
        said += session_warnings(obj.spec.session_persistence, "$.spec.sessionPersistence")
    return Status(object=obj.key, body={"ancestors": ancestors[:MOST_ANCESTORS]}, problems=problems(obj.key, said))


def backend_traffic_report(view: View, obj: Object) -> Status | None:
    """Say the same of an XBackendTrafficPolicy."""
    assert isinstance(obj.spec, XBackendTrafficPolicySpec)
    refused = quarantine_fault(view, obj.key)
    said = list(refused)
    ancestors: list[dict[str, Any]] = []
    for index, ref in enumerate(obj.spec.target_refs):
        target = _Target(group=ref.group, kind=ref.kind, name=ref.name)
        amiss = tuple(_amiss_backend(view, obj, target, f"$.spec.targetRefs[{index}]"))
        said += amiss
        ancestors += judged(view, obj, gateways_of(view, obj, target), (*amiss, *refused))
    if obj.spec.session_persistence is not None:
        said += session_warnings(obj.spec.session_persistence, "$.spec.sessionPersistence")
    return Status(object=obj.key, body={"ancestors": ancestors[:MOST_ANCESTORS]}, problems=problems(obj.key, said))


def _amiss(view: View, obj: Object, target: _Target, path: str) -> Iterator[Fault]:
    if not is_target(target):
        message = f"A TrafficPolicy cannot apply to a {target.kind} of group {target.group!r}."
        hint = f"Use {', '.join(f'{kind} of group {group!r}' for kind, group in KINDS.items())}."
        yield Fault(reason="Invalid", message=message, path=f"{path}.kind", hint=hint)
        return
    found = view.object(object_key(target.kind, obj.meta.namespace, target.name))
    if found is None:
        yield nowhere(view, obj, target, path)
        return
    missing = missing_section(view, found, target)
    if missing is not None:
        yield Fault(reason="TargetNotFound", message=missing[0], path=f"{path}.sectionName", hint=missing[1])
        return
    yield from conflicted(obj, view.get(TRAFFIC_WINNER, (found.key, target.section_name)), path)


def _amiss_backend(view: View, obj: Object, target: _Target, path: str) -> Iterator[Fault]:
    if not is_target(target) or target.kind not in ("Service", "Backend"):
        message = f"An XBackendTrafficPolicy cannot apply to a {target.kind} of group {target.group!r}."
        hint = 'Use kind Service of group "", or kind Backend of group seawall.dev.'
        yield Fault(reason="Invalid", message=message, path=f"{path}.kind", hint=hint)
        return
    found = view.object(object_key(target.kind, obj.meta.namespace, target.name))
    if found is None:
        yield nowhere(view, obj, target, path)
        return
    yield from conflicted(obj, view.get(BACKEND_WINNER, found.key), path)
