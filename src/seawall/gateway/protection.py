"""Protection: which ProtectionPolicy is in force, and what we say of each.

Pure. Protection looks at the whole fleet's traffic at once, so one policy says how it behaves: the oldest whose Gateway is there.
Next rooms: `gateway.resolve` puts it into the graph, `app.protection` follows it.
"""

from collections.abc import Iterator
from typing import Any, Final

from seawall.gateway.addresses import settings_of
from seawall.gateway.gateways import GATEWAY, age, quarantine_fault
from seawall.gateway.graph import ObjectKey, Protection
from seawall.gateway.indexes import ALL, PROTECTIONS, SUGGESTION
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.protection import ProtectionPolicySpec
from seawall.gateway.resources.refs import GATEWAY_GROUP, LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.status import Fault, Status, conditions_body, judge, problems
from seawall.gateway.view import Rule, View

_Target = LocalPolicyTargetReferenceWithSectionName
_ANCESTORS: Final = 16


def protection(view: View, _: str) -> Protection | None:
    """Return the oldest policy with a Gateway of ours."""
    for obj in sorted(view.bucket(PROTECTIONS, ALL).values(), key=age):
        assert isinstance(obj.spec, ProtectionPolicySpec)
        if any(_is_there(view, obj, target) for target in obj.spec.target_refs):
            return Protection(name=obj.key, spec=obj.spec)
    return None


PROTECTION: Final = Rule(protection, each=PROTECTIONS)


def protection_report(view: View, obj: Object) -> Status | None:
    """Say for each target whether the policy is in force."""
    assert isinstance(obj.spec, ProtectionPolicySpec)
    found = view.get(PROTECTION, ALL)
    refused = quarantine_fault(view, obj.key)
    said: list[Fault] = list(refused)
    ancestors: list[dict[str, Any]] = []
    for index, target in enumerate(obj.spec.target_refs):
        amiss = tuple(_amiss(view, obj, target, f"$.spec.targetRefs[{index}]"))
        if not amiss and found is not None and found.name != obj.key:
            amiss = (_conflict(found.name, f"$.spec.targetRefs[{index}]"),)
        said += amiss
        if not _is_there(view, obj, target):
            continue
        conditions = [judge("Accepted", (*amiss, *refused), f"Protection does what it says; mode {obj.spec.mode}.")]
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
    return Status(object=obj.key, body={"ancestors": ancestors[:_ANCESTORS]}, problems=problems(obj.key, said))


def _is_gateway(target: _Target) -> bool:
    return target.group == GATEWAY_GROUP and target.kind == "Gateway" and target.section_name is None


def _key(obj: Object, target: _Target) -> ObjectKey:
    return object_key("Gateway", obj.meta.namespace, target.name)


def _is_there(view: View, obj: Object, target: _Target) -> bool:
    return _is_gateway(target) and view.get(GATEWAY, _key(obj, target)) is not None


def _amiss(view: View, obj: Object, target: _Target, path: str) -> Iterator[Fault]:
    if not _is_gateway(target):
        message = f"A ProtectionPolicy applies to a whole Gateway, not to {target.kind} {target.name}"
        message += f" ({target.section_name})." if target.section_name else "."
        hint = f"Use group {GATEWAY_GROUP} and kind Gateway, without sectionName; narrow it with allow."
        yield Fault(reason="Invalid", message=message, path=path, hint=hint)
        return
    if _is_there(view, obj, target):
        return
    near = view.get(SUGGESTION, ("Gateway", obj.meta.namespace, target.name))
    message = f"There is no Gateway {obj.meta.namespace}/{target.name} of ours."
    hint = (
        f"Did you mean {near}?" if near else "Create the Gateway, or correct the name; the namespace is the policy's."
    )
    yield Fault(reason="TargetNotFound", message=message, path=f"{path}.name", hint=hint)


def _conflict(winner: ObjectKey, path: str) -> Fault:
    return Fault(
        reason="Conflicted",
        message=f"{winner} is older, or first by name: it says how protection behaves, and this one has no effect.",
        path=path,
        hint="Protection looks at the whole fleet at once: keep one policy.",
    )
