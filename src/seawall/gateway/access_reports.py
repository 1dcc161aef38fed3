"""Access reports: what we say of an AccessPolicy, target by target.

Pure. Next room: `gateway.reports`.
"""

from collections.abc import Iterator
from typing import Any

from seawall.gateway.access import ACCESS, ACCESS_FOR, is_target
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.access import AccessPolicySpec
from seawall.gateway.resources.refs import GATEWAY_GROUP, LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.status import Fault, Status, problems
from seawall.gateway.targets import MOST_ANCESTORS, ancestors_of, conflicted, judged, missing_section, nowhere
from seawall.gateway.view import View


def access_report(view: View, obj: Object) -> Status | None:
    """Say for each target whether the policy applies to it; one that cannot be followed closes it."""
    assert isinstance(obj.spec, AccessPolicySpec)
    found = view.get(ACCESS, obj.key)
    assert found is not None
    said = list(found.faults)
    ancestors: list[dict[str, Any]] = []
    for index, target in enumerate(obj.spec.target_refs):
        amiss = tuple(_amiss(view, obj, target, f"$.spec.targetRefs[{index}]"))
        said += amiss
        ancestors += judged(view, obj, ancestors_of(view, obj, target, is_target), (*amiss, *found.faults))
    return Status(object=obj.key, body={"ancestors": ancestors[:MOST_ANCESTORS]}, problems=problems(obj.key, said))


def _amiss(view: View, obj: Object, target: LocalPolicyTargetReferenceWithSectionName, path: str) -> Iterator[Fault]:
    if not is_target(target):
        message = f"An AccessPolicy cannot apply to a {target.kind} of group {target.group!r}."
        hint = f"Use group {GATEWAY_GROUP} and kind Gateway, HTTPRoute or GRPCRoute."
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
    first, *_ = view.get(ACCESS_FOR, (found.key, target.section_name))
    yield from conflicted(obj, first, path)
