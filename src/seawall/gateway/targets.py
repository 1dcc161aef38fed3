"""Targets: what is said of the targetRefs of our policies, the same of each kind of policy.

Pure. Next rooms: `gateway.traffic_reports`, `gateway.access_reports`, `gateway.limit_reports`, `gateway.manner_reports`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from seawall.gateway.addresses import settings_of
from seawall.gateway.gateways import GATEWAY
from seawall.gateway.graph import ObjectKey
from seawall.gateway.indexes import SUGGESTION, USERS
from seawall.gateway.listeners import CLAIM, HTTP_PROTOCOLS
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.core import ServiceSpec
from seawall.gateway.resources.gateways import GatewaySpec, ListenerSetSpec
from seawall.gateway.resources.grpc import GRPCRouteSpec
from seawall.gateway.resources.http import HTTPRouteSpec
from seawall.gateway.resources.refs import GATEWAY_GROUP, LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.routes import GRPC_ROUTE, HTTP_ROUTE
from seawall.gateway.status import Condition, Fault, conditions_body, judge
from seawall.gateway.view import View

_Target = LocalPolicyTargetReferenceWithSectionName
MOST_ANCESTORS: Final = 16
"""The Gateway API's limit for ancestors in a status."""


def judged(
    view: View, obj: Object, ancestors: Iterator[dict[str, str]], faults: tuple[Fault, ...]
) -> Iterator[dict[str, Any]]:
    """Say the same of a policy for each ancestor."""
    errors = tuple(fault for fault in faults if fault.severity == "error")
    conditions = [
        judge("Accepted", errors, "The policy is accepted."),
        judge("Programmed", errors, "The policy is part of the configuration that edges get."),
    ]
    for one in ancestors:
        yield told(view, obj, one, conditions)


def told(view: View, obj: Object, of: dict[str, str], conditions: Sequence[Condition]) -> dict[str, Any]:
    """Write down what is said of a policy for one ancestor."""
    return {
        "ancestorRef": of,
        "controllerName": settings_of(view).controller,
        "conditions": conditions_body(list(conditions), obj.meta.generation),
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
            yield ancestor(key, target.section_name)
    elif target.kind in ("HTTPRoute", "GRPCRoute"):
        rule = HTTP_ROUTE if target.kind == "HTTPRoute" else GRPC_ROUTE
        facts = view.get(rule, key) if view.object(key) is not None else None
        owners = {owner for owner, _ in facts.attached} if facts is not None else set()
        yield from (ancestor(owner, None) for owner in sorted(owners))
    else:
        yield from gateways_of(view, obj, target)


def gateways_of(view: View, obj: Object, target: _Target) -> Iterator[dict[str, str]]:
    """Name the Gateways from which requests come to a backend."""
    users = view.bucket(USERS, object_key(target.kind, obj.meta.namespace, target.name)).values()
    yield from (ancestor(owner, None) for owner in sorted(set(users)))


def ancestor(owner: ObjectKey, section: str | None) -> dict[str, str]:
    """Refer to a Gateway or a ListenerSet, or to one listener of it."""
    kind, namespace, name = owner.split("/", 2)
    where = {"sectionName": section} if section is not None else {}
    return {"group": GATEWAY_GROUP, "kind": kind, "namespace": namespace, "name": name, **where}


def nowhere(view: View, obj: Object, target: _Target, path: str) -> Fault:
    """Say of a target that it is not there."""
    near = view.get(SUGGESTION, (target.kind, obj.meta.namespace, target.name))
    message = f"There is no {target.kind} {obj.meta.namespace}/{target.name}."
    create = f"Create the {target.kind}, or correct the name; the namespace is the policy's."
    hint = f"Did you mean {near}?" if near else create
    return Fault(reason="TargetNotFound", message=message, path=f"{path}.name", hint=hint)


def conflicted(obj: Object, first: ObjectKey | None, path: str) -> Iterator[Fault]:
    """Say of a policy that another one for the same target goes before it."""
    if first not in (None, obj.key):
        message = f"{first} has the same target and is older, or first by name; it applies."
        hint = "Put what both ask for into one policy."
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
    elif isinstance(found.spec, GatewaySpec | ListenerSetSpec):
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
