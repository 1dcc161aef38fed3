"""Traffic reports: what we say of a TrafficPolicy and of an XBackendTrafficPolicy, target by target.

Pure. Next room: `gateway.reports`.
"""

from collections.abc import Callable, Iterator
from typing import Any

from seawall.gateway.addresses import settings_of
from seawall.gateway.gateways import GATEWAY, quarantine_fault
from seawall.gateway.graph import ObjectKey
from seawall.gateway.indexes import SUGGESTION, USERS
from seawall.gateway.listeners import CLAIM, HTTP_PROTOCOLS
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.core import ServiceSpec
from seawall.gateway.resources.gateways import GatewaySpec
from seawall.gateway.resources.grpc import GRPCRouteSpec
from seawall.gateway.resources.http import HTTPRouteSpec
from seawall.gateway.resources.policies import XBackendTrafficPolicySpec
from seawall.gateway.resources.refs import GATEWAY_GROUP, LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.resources.traffic import TrafficPolicySpec
from seawall.gateway.routes import GRPC_ROUTE, HTTP_ROUTE
from seawall.gateway.status import Fault, Status, conditions_body, judge, problems
from seawall.gateway.traffic import BACKEND_WINNER, KINDS, TRAFFIC_WINNER, is_target, session_warnings
from seawall.gateway.view import View

_Target = LocalPolicyTargetReferenceWithSectionName
_ANCESTORS = 16
"""The Gateway API's limit for ancestors in a status."""


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
    return Status(object=obj.key, body={"ancestors": ancestors[:_ANCESTORS]}, problems=problems(obj.key, said))


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
        ancestors += judged(view, obj, _gateways_of(view, obj, target), (*amiss, *refused))
    if obj.spec.session_persistence is not None:
        said += session_warnings(obj.spec.session_persistence, "$.spec.sessionPersistence")
    return Status(object=obj.key, body={"ancestors": ancestors[:_ANCESTORS]}, problems=problems(obj.key, said))


def judged(
    view: View, obj: Object, ancestors: Iterator[dict[str, str]], faults: tuple[Fault, ...]
) -> Iterator[dict[str, Any]]:
    errors = tuple(fault for fault in faults if fault.severity == "error")
    conditions = [
        judge("Accepted", errors, "The policy is accepted."),
        judge("Programmed", errors, "The policy is part of the configuration that edges get."),
    ]
    for ancestor in ancestors:
        yield {
            "ancestorRef": ancestor,
            "controllerName": settings_of(view).controller,
            "conditions": conditions_body(conditions, obj.meta.generation),
        }


def ancestors_of(
    view: View, obj: Object, target: _Target, is_target: Callable[[_Target], bool]
) -> Iterator[dict[str, str]]:
    """A Gateway is its own ancestor; those of a route or a backend are what requests come to it from."""
    key = object_key(target.kind, obj.meta.namespace, target.name)
    if not is_target(target):
        return
    if target.kind == "Gateway":
        if view.get(GATEWAY, key) is not None:
            yield _ancestor(key, target.section_name)
    elif target.kind in ("HTTPRoute", "GRPCRoute"):
        rule = HTTP_ROUTE if target.kind == "HTTPRoute" else GRPC_ROUTE
        facts = view.get(rule, key) if view.object(key) is not None else None
        owners = {owner for owner, _ in facts.attached} if facts is not None else set()
        yield from (_ancestor(owner, None) for owner in sorted(owners))
    else:
        yield from _gateways_of(view, obj, target)


def _gateways_of(view: View, obj: Object, target: _Target) -> Iterator[dict[str, str]]:
    users = view.bucket(USERS, object_key(target.kind, obj.meta.namespace, target.name)).values()
    yield from (_ancestor(owner, None) for owner in sorted(set(users)))


def _ancestor(owner: ObjectKey, section: str | None) -> dict[str, str]:
    kind, namespace, name = owner.split("/", 2)
    where = {"sectionName": section} if section is not None else {}
    return {"group": GATEWAY_GROUP, "kind": kind, "namespace": namespace, "name": name, **where}


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
    yield from _lost(obj, view.get(TRAFFIC_WINNER, (found.key, target.section_name)), path)


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
    yield from _lost(obj, view.get(BACKEND_WINNER, found.key), path)


def nowhere(view: View, obj: Object, target: _Target, path: str) -> Fault:
    near = view.get(SUGGESTION, (target.kind, obj.meta.namespace, target.name))
    message = f"There is no {target.kind} {obj.meta.namespace}/{target.name}."
    create = f"Create the {target.kind}, or correct the name; the namespace is the policy's."
    hint = f"Did you mean {near}?" if near else create
    return Fault(reason="TargetNotFound", message=message, path=f"{path}.name", hint=hint)


def _lost(obj: Object, first: ObjectKey | None, path: str) -> Iterator[Fault]:
    if first not in (None, obj.key):
        message = f"{first} has the same target and is older, or first by name; it applies."
        hint = "Put the settings of both into one policy."
        yield Fault(reason="Conflicted", message=message, path=path, hint=hint)


def missing_section(view: View, found: Object, target: _Target) -> tuple[str, str] | None:
    """Say what is wrong with a sectionName, and what to do."""
    name = target.section_name
    if name is None:
        return None
    what = f"{found.kind} {found.meta.namespace}/{found.meta.name}"
    if isinstance(found.spec, HTTPRouteSpec | GRPCRouteSpec):
        names, part = [rule.name for rule in found.spec.rules if rule.name], "rule named"
    elif isinstance(found.spec, ServiceSpec):
        names, part = [port.name for port in found.spec.ports if port.name], "port named"
    elif isinstance(found.spec, GatewaySpec):
        names, part = [listener.name for listener in found.spec.listeners], "listener"
    else:
        return f"{what} has no sections.", "Remove sectionName."
    if name not in names:
        return f"{what} has no {part} {name}.", f"Name one of {', '.join(names)}." if names else "None has a name."
    claim = view.get(CLAIM, found.key) if found.kind == "Gateway" else None
    offers = [one for one in claim.offers if one.name == name] if claim is not None else []
    if offers and offers[0].protocol not in HTTP_PROTOCOLS:
        message = f"The listener {name} speaks {offers[0].protocol}, in which there are no requests."
        return message, "Name an HTTP or HTTPS listener."
    return None
