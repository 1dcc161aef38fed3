"""Reports: the status of each object, in the Gateway API's own shape.

Pure. A route that attaches changes a count in a status and nothing else: verdicts on listeners are `gateway.verdicts`.
Next room: `gateway.resolve` collects them.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from seawall.gateway.access_reports import access_report
from seawall.gateway.addresses import settings_of
from seawall.gateway.backends import OWN_TLS
from seawall.gateway.features import SUPPORTED
from seawall.gateway.gateways import (
    ADMISSION,
    GATEWAY,
    GatewayFacts,
    class_faults,
    is_insecure,
    parent_gateway,
    quarantine_fault,
)
from seawall.gateway.graph import ObjectKey
from seawall.gateway.indexes import ATTACHED, LISTENER_SETS, SLICES, SUGGESTION, USERS, USES, WITH_STATUS
from seawall.gateway.limit_reports import rate_limit_report
from seawall.gateway.manner_reports import listener_policy_report
from seawall.gateway.native import filter_policy_report
from seawall.gateway.objects import Object
from seawall.gateway.perimeters import perimeter_report
from seawall.gateway.policies import POLICY, conflicts
from seawall.gateway.protection import protection_report
from seawall.gateway.resources.gateways import GatewayClassSpec, GatewaySpec
from seawall.gateway.resources.policies import BackendTLSPolicySpec
from seawall.gateway.resources.refs import GATEWAY_GROUP
from seawall.gateway.routes import GRPC_ROUTE, HTTP_ROUTE, RouteFacts
from seawall.gateway.status import Condition, Fault, Problem, Status, bad, conditions_body, good, judge, problems
from seawall.gateway.streams import STREAM_ROUTE, StreamFacts, shadows
from seawall.gateway.traffic_reports import backend_traffic_report, traffic_report
from seawall.gateway.verdicts import VERDICTS, ListenerVerdict
from seawall.gateway.view import Entries, Rule, View


def is_used(view: View, use: tuple[ObjectKey, ObjectKey]) -> bool:
    """Say whether any route of a Gateway uses a backend: so a policy need not look at all the routes."""
    return bool(view.bucket(USES, use))


def _publish_use(use: tuple[ObjectKey, ObjectKey], found: bool) -> Entries:
    backend, gateway = use
    return {USERS.at(backend): gateway} if found else {}


USE: Final = Rule(is_used, each=USES, publish=_publish_use)


# ── Gateway and ListenerSet ──────────────────────────────────────────────────────────────────────────────────────


def _listeners_body(view: View, owner: ObjectKey, found: Iterable[ListenerVerdict], generation: int) -> list[Any]:
    return [
        {
            "name": verdict.name,
            "supportedKinds": [{"group": group, "kind": kind} for group, kind in verdict.kinds],
            "attachedRoutes": len(view.bucket(ATTACHED, (owner, verdict.name))),
            "conditions": conditions_body(verdict.conditions, generation),
        }
        for verdict in found
    ]


def is_attached(view: View, key: ObjectKey) -> bool:
    """Say whether a ListenerSet is admitted and has a listener that is good."""
    return any(verdict.is_sound for verdict in view.get(VERDICTS, key))


SET_ATTACHED: Final = Rule(is_attached)


def _gateway(view: View, obj: Object) -> Status | None:
    assert isinstance(obj.spec, GatewaySpec)
    facts = view.get(GATEWAY, obj.key)
    if facts is None:
        return _unclaimed(view, obj, obj.spec)
    found = view.get(VERDICTS, obj.key)
    generation = obj.meta.generation
    refused = quarantine_fault(view, obj.key)
    sets = sum(view.get(SET_ATTACHED, key) for key in view.bucket(LISTENER_SETS, obj.key))
    conditions = [
        _gateway_accepted(facts, found),
        _gateway_programmed(facts, found, refused),
        judge("ResolvedRefs", facts.refs, "All references are resolved."),
    ]
    if is_insecure(obj.spec):
        message = "Clients without a valid certificate are let in (mode AllowInsecureFallback)."
        conditions.append(good("InsecureFrontendValidationMode", "ConfigurationChanged", message))
    body = {
        "addresses": [{"type": "IPAddress", "value": address} for address in facts.serves_on],
        "conditions": conditions_body(conditions, generation),
        "listeners": _listeners_body(view, obj.key, found, generation),
        "attachedListenerSets": sets,
    }
    of_listeners = [fault for verdict in found for fault in verdict.faults]
    faults = [*facts.accepted, *facts.programmed, *facts.refs, *facts.warnings, *refused, *of_listeners]
    return Status(object=obj.key, body=body, problems=problems(obj.key, faults))


def _unclaimed(view: View, obj: Object, spec: GatewaySpec) -> Status | None:
    """Speak of a Gateway that is not ours only if its class does not exist: then nobody else will."""
    name = spec.gateway_class_name
    if view.object(ObjectKey(f"GatewayClass//{name}")) is not None:
        return None
    near = view.get(SUGGESTION, ("GatewayClass", "", name))
    message = f"There is no GatewayClass {name}."
    hint = f"Did you mean {near}?" if near else f"Create one with controllerName {settings_of(view).controller}."
    fault = Fault(reason="Pending", message=message, path="$.spec.gatewayClassName", hint=hint)
    conditions = [
        Condition(type=kind, status="Unknown", reason="Pending", message=message) for kind in ("Accepted", "Programmed")
    ]
    body = {"conditions": conditions_body(conditions, obj.meta.generation)}
    return Status(object=obj.key, body=body, problems=problems(obj.key, [fault]))


def _gateway_accepted(facts: GatewayFacts, found: tuple[ListenerVerdict, ...]) -> Condition:
    if facts.accepted:
        return bad("Accepted", facts.accepted)
    faults = [fault for verdict in found if not verdict.is_accepted for fault in verdict.faults]
    if not any(verdict.is_accepted for verdict in found):
        return bad("Accepted", faults, "ListenersNotValid")
    if faults:
        return good("Accepted", "ListenersNotValid", bad("Accepted", faults).message)
    return good("Accepted", message="The Gateway is accepted.")


def _gateway_programmed(
    facts: GatewayFacts, found: tuple[ListenerVerdict, ...], refused: tuple[Fault, ...]
) -> Condition:
    if facts.accepted:
        return bad("Programmed", facts.accepted, "Invalid")
    if facts.programmed or refused:
        return bad("Programmed", (*facts.programmed, *refused))
    if any(verdict.is_programmed for verdict in found):
        return good("Programmed", message="The Gateway is part of the configuration that edges get.")
    return bad("Programmed", [fault for verdict in found for fault in verdict.faults], "Invalid")


def _listener_set(view: View, obj: Object) -> Status | None:
    admitted = view.get(ADMISSION, obj.key)
    if admitted is None:
        return _parentless(view, obj)
    generation = obj.meta.generation
    if admitted.faults:
        conditions = [bad("Accepted", admitted.faults), bad("Programmed", admitted.faults)]
        body = {"conditions": conditions_body(conditions, generation)}
        return Status(object=obj.key, body=body, problems=problems(obj.key, admitted.faults))
    found = view.get(VERDICTS, obj.key)
    faults = [fault for verdict in found for fault in verdict.faults]
    refused = quarantine_fault(view, obj.key)
    body = {
        "conditions": conditions_body(_set_conditions(found, faults, refused), generation),
        "listeners": _listeners_body(view, obj.key, found, generation),
    }
    return Status(object=obj.key, body=body, problems=problems(obj.key, [*refused, *faults]))


def _set_conditions(
    found: tuple[ListenerVerdict, ...], faults: list[Fault], refused: tuple[Fault, ...]
) -> Iterator[Condition]:
    if not any(verdict.is_sound for verdict in found):
        yield bad("Accepted", faults, "ListenersNotValid")
        yield bad("Programmed", faults, "ListenersNotValid")
        return
    if all(verdict.is_sound for verdict in found):
        yield good("Accepted", message="The ListenerSet is accepted.")
    else:
        yield good("Accepted", "ListenersNotValid", bad("Accepted", faults).message)
    if any(verdict.is_programmed for verdict in found):
        yield good("Programmed", message="The ListenerSet is part of the configuration that edges get.")
    elif refused or faults:
        yield bad("Programmed", [*refused, *faults], "Invalid")
    else:
        message = "The Gateway is not accepted or has no address."
        yield Condition(type="Programmed", status="False", reason="Pending", message=message)


def _parentless(view: View, obj: Object) -> Status | None:
    parent = parent_gateway(obj)
    if parent is None or view.object(parent) is not None:
        return None
    kind, namespace, name = parent.split("/", 2)
    near = view.get(SUGGESTION, (kind, namespace, name))
    fault = Fault(
        reason="ParentNotFound",
        message=f"There is no Gateway {namespace}/{name} to add listeners to.",
        path="$.spec.parentRef.name",
        hint=f"Did you mean {near}?" if near else "Create the Gateway, or correct name and namespace.",
    )
    return Status(object=obj.key, body={}, problems=problems(obj.key, [fault]))


# ── the other kinds ──────────────────────────────────────────────────────────────────────────────────────────────


def _gateway_class(view: View, obj: Object) -> Status | None:
    assert isinstance(obj.spec, GatewayClassSpec)
    if obj.spec.controller_name != settings_of(view).controller:
        return None
    faults = class_faults(obj.spec)
    conditions = [judge("Accepted", faults, "Seawall serves Gateways of this class."), good("SupportedVersion")]
    body = {
        "conditions": conditions_body(conditions, obj.meta.generation),
        "supportedFeatures": [{"name": name} for name in SUPPORTED],
    }
    return Status(object=obj.key, body=body, problems=problems(obj.key, faults))


def _route(view: View, obj: Object) -> Status | None:
    return _of_route(view, obj, view.get(HTTP_ROUTE if obj.kind == "HTTPRoute" else GRPC_ROUTE, obj.key))


def _stream(view: View, obj: Object) -> Status | None:
    facts = view.get(STREAM_ROUTE, obj.key)
    return _of_route(view, obj, facts, shadows(view, obj, facts) if facts is not None else ())


def _of_route(
    view: View, obj: Object, facts: RouteFacts | StreamFacts | None, more: Iterable[Fault] = ()
) -> Status | None:
    if facts is None or not (facts.parents or facts.faults):
        return None
    parents = [
        {
            "parentRef": {key: value for key, value in msgspec.to_builtins(verdict.ref).items() if value is not None},
            "controllerName": settings_of(view).controller,
            "conditions": conditions_body(verdict.conditions, obj.meta.generation),
        }
        for verdict in facts.parents
    ]
    return Status(object=obj.key, body={"parents": parents}, problems=problems(obj.key, [*facts.faults, *more]))


_ANCESTORS = 16
"""The Gateway API's limit for ancestors in a status."""


def _policy(view: View, obj: Object) -> Status | None:
    assert isinstance(obj.spec, BackendTLSPolicySpec)
    facts = view.get(POLICY, obj.key)
    assert facts is not None
    lost = conflicts(view, obj)
    is_lost = bool(lost) and len(lost) == len(obj.spec.target_refs)
    accepted = (*facts.accepted, *(lost if is_lost else ()))
    conditions = [
        judge("Accepted", accepted, "The policy is accepted."),
        judge("ResolvedRefs", facts.trust.faults, "All references are resolved."),
    ]
    gateways = {
        gateway
        for target in obj.spec.target_refs
        for gateway in view.bucket(USERS, ObjectKey(f"Service/{obj.meta.namespace}/{target.name}")).values()
    }
    ancestors = [
        {
            "ancestorRef": _gateway_ref(gateway),
            "controllerName": settings_of(view).controller,
            "conditions": conditions_body(conditions, obj.meta.generation),
        }
        for gateway in sorted(gateways)[:_ANCESTORS]
    ]
    faults = [*facts.accepted, *facts.trust.faults, *facts.targets, *lost, *facts.trust.warnings]
    return Status(object=obj.key, body={"ancestors": ancestors}, problems=problems(obj.key, faults))


def _gateway_ref(gateway: ObjectKey) -> dict[str, str]:
    kind, namespace, name = gateway.split("/", 2)
    return {"group": GATEWAY_GROUP, "kind": kind, "namespace": namespace, "name": name}


def _backend(view: View, obj: Object) -> Status | None:
    own = view.get(OWN_TLS, obj.key)
    refused = quarantine_fault(view, obj.key)
    conditions = [
        judge("Accepted", refused, "The Backend is accepted."),
        judge("ResolvedRefs", own.faults, "All references are resolved."),
    ]
    body = {"conditions": conditions_body(conditions, obj.meta.generation)}
    return Status(object=obj.key, body=body, problems=problems(obj.key, [*refused, *own.faults, *own.warnings]))


def _service(view: View, obj: Object) -> Status | None:
    """Speak of a Service only if routes use it and it has no endpoints at all: that is a mistake in files."""
    refused = quarantine_fault(view, obj.key)
    found: tuple[Problem, ...] = problems(obj.key, refused)
    if view.bucket(USERS, obj.key) and not view.bucket(SLICES, obj.key):
        fault = Fault(
            reason="NoEndpoints",
            message="Routes use this Service, but no EndpointSlice says where its endpoints are: they get a 503.",
            path="$.metadata.name",
            hint=f"Add an EndpointSlice with the label kubernetes.io/service-name: {obj.meta.name}, or use a Backend.",
            severity="warning",
        )
        found += problems(obj.key, [fault])
    return Status(object=obj.key, body={}, problems=found) if found else None


_REPORTS: Final = {
    "GatewayClass": _gateway_class,
    "Gateway": _gateway,
    "ListenerSet": _listener_set,
    "HTTPRoute": _route,
    "GRPCRoute": _route,
    "TLSRoute": _stream,
    "TCPRoute": _stream,
    "UDPRoute": _stream,
    "BackendTLSPolicy": _policy,
    "HTTPFilterPolicy": filter_policy_report,
    "ListenerPolicy": listener_policy_report,
    "RateLimitPolicy": rate_limit_report,
    "ProtectionPolicy": protection_report,
    "Perimeter": perimeter_report,
    "TrafficPolicy": traffic_report,
    "AccessPolicy": access_report,
    "XBackendTrafficPolicy": backend_traffic_report,
    "Backend": _backend,
    "Service": _service,
}


def report(view: View, key: ObjectKey) -> Status | None:
    """Say what we think of an object; None if nothing."""
    obj = view.object(key)
    return _REPORTS[obj.kind](view, obj) if obj is not None else None


STATUS: Final = Rule(report, each=WITH_STATUS)
