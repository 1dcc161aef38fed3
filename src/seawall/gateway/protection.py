"""Protection policies: which one is in force, and what we say of each.

Pure. There is one decision for the whole fleet, so the oldest policy that is attached to a Gateway of ours governs all of it.
Next room: `app.protection_policy` makes it settings of the machine that decides.
"""

from collections.abc import Iterator
from typing import Any, Final

from seawall.gateway.addresses import settings_of
from seawall.gateway.gateways import GATEWAY, age, quarantine_fault
from seawall.gateway.graph import ObjectKey, Protection
from seawall.gateway.indexes import ALL, PROTECTION_POLICIES, SUGGESTION
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.protection import ProtectionPolicySpec
from seawall.gateway.resources.refs import GATEWAY_GROUP, LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.status import Fault, Status, conditions_body, judge, problems
from seawall.gateway.view import Rule, View

_Target = LocalPolicyTargetReferenceWithSectionName


def protection(view: View, _: str) -> Protection | None:
    """Return the oldest policy with a Gateway of ours."""
    for obj in sorted(view.bucket(PROTECTION_POLICIES, ALL).values(), key=age):
        assert isinstance(obj.spec, ProtectionPolicySpec)
        if any(_gateway(view, obj, ref) is not None for ref in obj.spec.target_refs):
            return Protection(name=obj.key, spec=obj.spec)
    return None


PROTECTION: Final = Rule(protection, each=PROTECTION_POLICIES)


def protection_report(view: View, obj: Object) -> Status | None:
    """Say for each target whether the policy is in force."""
    assert isinstance(obj.spec, ProtectionPolicySpec)
    found = view.get(PROTECTION, ALL)
    refused = quarantine_fault(view, obj.key)
    lost = _conflict(found.name) if found is not None and found.name != obj.key else ()
    said = list(refused)
    ancestors: list[dict[str, Any]] = []
    for index, target in enumerate(obj.spec.target_refs):
        path = f"$.spec.targetRefs[{index}]"
        amiss = tuple(_amiss(view, obj, target, path)) or lost
        said += [one for one in amiss if one not in said]
        key = _gateway(view, obj, target)
        if key is not None:
            conditions = [judge("Accepted", (*amiss, *refused), "The policy is in force, for the whole fleet.")]
            ancestors.append(
                {
                    "ancestorRef": {
                        "group": GATEWAY_GROUP,
                        "kind": "Gateway",
                        "namespace": obj.meta.namespace,
                        "name": target.name,
                    },
                    "controllerName": settings_of(view).controller,
                    "conditions": conditions_body(conditions, obj.meta.generation),
                }
            )
    return Status(object=obj.key, body={"ancestors": ancestors}, problems=problems(obj.key, said))


def _gateway(view: View, obj: Object, target: _Target) -> ObjectKey | None:
    """Return the Gateway of ours that a target is."""
    if (target.group, target.kind, target.section_name) != (GATEWAY_GROUP, "Gateway", None):
        return None
    key = object_key("Gateway", obj.meta.namespace, target.name)
    return key if view.get(GATEWAY, key) is not None else None


def _amiss(view: View, obj: Object, target: _Target, path: str) -> Iterator[Fault]:
    if (target.group, target.kind) != (GATEWAY_GROUP, "Gateway") or target.section_name is not None:
        part = " listener" if target.section_name is not None else ""
        yield Fault(
            reason="Invalid",
            message=f"A ProtectionPolicy cannot apply to a {target.kind}{part}: what is decided holds for the whole fleet.",
            path=f"{path}.kind",
            hint="Name a Gateway without sectionName. To spare a path, put it into spec.allow.paths.",
        )
        return
    if view.object(object_key("Gateway", obj.meta.namespace, target.name)) is None:
        near = view.get(SUGGESTION, ("Gateway", obj.meta.namespace, target.name))
        hint = f"Did you mean {near}?" if near else "Create it, or correct the name; the namespace is the policy's."
        message = f"There is no Gateway {obj.meta.namespace}/{target.name}."
        yield Fault(reason="TargetNotFound", message=message, path=f"{path}.name", hint=hint)


def _conflict(winner: ObjectKey) -> tuple[Fault, ...]:
    _, _, name = winner.partition("/")
    fault = Fault(
        reason="Conflicted",
        message=f"ProtectionPolicy {name} is older, or first by name: it is in force, and this one has no effect.",
        path="$.metadata.name",
        hint="There is one ProtectionPolicy for a control plane: remove one of the two.",
    )
    return (fault,)
