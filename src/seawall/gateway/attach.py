"""Attach: where a route may attach, and where it does.

Pure. The same for every kind of route. Next room: `gateway.routes` makes rules for the places that were found.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from seawall.gateway.gateways import ADMISSION
from seawall.gateway.graph import HostKey, Hostname, ListenerName, ObjectKey, SecretName, TableName
from seawall.gateway.hostnames import hostname_of, intersect
from seawall.gateway.indexes import SUGGESTION
from seawall.gateway.listeners import CLAIM, RouteKind
from seawall.gateway.namespaces import admits
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.gateways import RouteNamespaces
from seawall.gateway.resources.refs import GATEWAY_GROUP, ParentReference
from seawall.gateway.sockets import OWNER, table_of
from seawall.gateway.status import Fault
from seawall.gateway.view import Rule, View

PARENT_KINDS: Final = ("Gateway", "ListenerSet")


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A listener as routes see it: nothing of its TLS, so that a new certificate moves no route. No tables: not served."""

    name: str
    port: int
    is_tls: bool
    is_passthrough: bool = False
    hostname: Hostname
    allowed: RouteNamespaces
    kinds: tuple[RouteKind, ...]
    tables: tuple[tuple[ListenerName, TableName], ...]


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """A Gateway or ListenerSet of ours. `faults` say why nobody can attach to it."""

    key: ObjectKey
    gateway: ObjectKey
    namespace: str
    client_certificate: SecretName | None = None
    points: tuple[Point, ...] = ()
    faults: tuple[Fault, ...] = ()


def parent(view: View, key: ObjectKey) -> Parent | None:
    """Say what routes find at a Gateway or ListenerSet; None if it is not there or not ours."""
    claim = view.get(CLAIM, key)
    if claim is not None:
        points = tuple(
            Point(
                name=offer.name,
                port=offer.port,
                is_tls=offer.protocol != "HTTP",
                is_passthrough=offer.is_passthrough,
                hostname=offer.hostname,
                allowed=offer.allowed,
                kinds=offer.kinds,
                tables=tuple((socket, table_of(socket, offer)) for socket in offer.sockets if offer.is_sound),
            )
            for offer in claim.offers
        )
        return Parent(
            key=key,
            gateway=claim.gateway,
            namespace=claim.namespace,
            client_certificate=claim.client_certificate,
            points=points,
        )
    admission = view.get(ADMISSION, key)
    if admission is None:
        return None
    return Parent(key=key, gateway=admission.gateway, namespace="", faults=admission.faults)


PARENT: Final = Rule(parent)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A listener that a route attached to, with what both match."""

    point: Point
    hostnames: tuple[Hostname, ...]


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one parentRef: places, or a fault."""

    ref: ParentReference
    path: str
    parent: Parent
    places: tuple[Place, ...] = ()
    fault: Fault | None = None


class Attached(msgspec.Struct, frozen=True, kw_only=True):
    """What became of all parentRefs: one attachment for each parent of ours, and faults of those that lead nowhere."""

    attachments: tuple[Attachment, ...]
    dangling: tuple[Fault, ...]


def attach(view: View, route: Object, refs: Sequence[ParentReference], hostnames: Sequence[str]) -> Attached:
    """Attach a route to whatever its parentRefs name."""
    wanted = tuple(dict.fromkeys(hostname_of(hostname) for hostname in hostnames))
    attachments: list[Attachment] = []
    dangling: list[Fault] = []
    for index, ref in enumerate(refs):
        if ref.group != GATEWAY_GROUP or ref.kind not in PARENT_KINDS:
            continue
        path = f"$.spec.parentRefs[{index}]"
        namespace = ref.namespace or route.meta.namespace
        found = view.get(PARENT, object_key(ref.kind, namespace, ref.name))
        if found is not None:
            attachments.append(_attachment(view, route, Attachment(ref=ref, path=path, parent=found), wanted))
        elif view.object(object_key(ref.kind, namespace, ref.name)) is None:
            dangling.append(_dangling(view, ref, namespace, path))
    return Attached(attachments=tuple(attachments), dangling=tuple(dangling))


def _dangling(view: View, ref: ParentReference, namespace: str, path: str) -> Fault:
    near = view.get(SUGGESTION, (ref.kind, namespace, ref.name))
    return Fault(
        reason="NoMatchingParent",
        message=f"There is no {ref.kind} {namespace}/{ref.name} to attach to.",
        path=f"{path}.name",
        hint=f"Did you mean {near}?" if near else f"Create the {ref.kind}, or correct name and namespace.",
    )


def _attachment(view: View, route: Object, found: Attachment, wanted: tuple[Hostname, ...]) -> Attachment:
    """Narrow the listeners down step by step; the first step that leaves none gives the fault."""
    where = found.parent
    if where.faults:
        message = f"{where.key} is not accepted itself: {where.faults[0].message}"
        return _refuse(found, "NotAllowedByListeners", "", message, where.faults[0].hint)
    points = [point for point in where.points if _is_named(point, found.ref)]
    if not points:
        return _refuse_unnamed(found)
    kind = (GATEWAY_GROUP, route.kind)
    allowed = [
        point
        for point in points
        if kind in point.kinds and admits(view, point.allowed, where.namespace, route.meta.namespace)
    ]
    if not allowed:
        return _refuse_disallowed(found, route, points)
    places = tuple(
        Place(point=point, hostnames=common) for point in allowed if (common := _common(point.hostname, wanted))
    )
    if not places:
        theirs = ", ".join(sorted({point.hostname for point in allowed}))
        message = f"None of the hostnames {', '.join(wanted)} matches a listener of {where.key} (which have {theirs})."
        hint = "Use a hostname that a listener matches, or add a listener for it."
        refused = _refuse(found, "NoMatchingListenerHostname", "", message, hint)
        assert refused.fault is not None
        return msgspec.structs.replace(refused, fault=msgspec.structs.replace(refused.fault, path="$.spec.hostnames"))
    return msgspec.structs.replace(found, places=places)


def _is_named(point: Point, ref: ParentReference) -> bool:
    return ref.section_name in (None, "", point.name) and ref.port in (None, point.port)


def _common(listener: Hostname, wanted: tuple[Hostname, ...]) -> tuple[Hostname, ...]:
    if not wanted:
        return (listener,)
    return tuple(dict.fromkeys(common for hostname in wanted if (common := intersect(listener, hostname)) is not None))


def _refuse(found: Attachment, reason: str, field: str, message: str, hint: str) -> Attachment:
    fault = Fault(reason=reason, message=message, path=f"{found.path}{field}", hint=hint)
    return msgspec.structs.replace(found, fault=fault)


def _refuse_unnamed(found: Attachment) -> Attachment:
    ref, where = found.ref, found.parent
    named = " and ".join(
        ([f"name {ref.section_name}"] if ref.section_name else []) + ([f"port {ref.port}"] if ref.port else [])
    )
    theirs = ", ".join(f"{point.name} (port {point.port})" for point in where.points)
    message = f"{where.key} has no listener with {named}."
    field = ".sectionName" if ref.section_name else ".port"
    return _refuse(found, "NoMatchingParent", field, message, f"Its listeners are {theirs}.")


def _refuse_disallowed(found: Attachment, route: Object, points: Sequence[Point]) -> Attachment:
    kinds = {kind for point in points for _, kind in point.kinds}
    key = found.parent.key
    if route.kind not in kinds:
        message = f"No listener of {key} that this parentRef selects takes routes of kind {route.kind}."
        hint = f"They take {', '.join(sorted(kinds)) or 'none'}: change `allowedRoutes.kinds` or the protocol there."
    else:
        message = f"No listener of {key} that this parentRef selects takes routes of namespace {route.meta.namespace}."
        hint = "Widen `allowedRoutes.namespaces` of the listener, or move the route."
    return _refuse(found, "NotAllowedByListeners", "", message, hint)


# ── hosts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def hosts(view: View, attachment: Attachment, place: Place) -> Iterator[HostKey]:
    """Yield the virtual hosts that a route gets into at a place.

    Listener isolation: on each socket a hostname belongs to the most specific listener; at all others the route keeps
    its status but gets none of the requests.
    """
    mine = (attachment.parent.key, place.point.name)
    for name, table in place.point.tables:
        for hostname in place.hostnames:
            if view.get(OWNER, (name, hostname)) == mine:
                yield HostKey(table, hostname)
