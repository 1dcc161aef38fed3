"""Rivals: an HTTPRoute and a GRPCRoute that want the same hostname on the same listener; exactly one of them gets it.

Pure. "If a Route (A) of type HTTPRoute or GRPCRoute is attached to a Listener and that listener already has another Route
(B) of the other type attached and the intersection of the hostnames of A and B is non-empty, then the implementation MUST
accept exactly one of these two routes": the older, then the first by namespace and name.

A route finds its rivals by hostname, never by walking over all: `AT` has those that want a hostname itself, `BELOW` those
that want a narrower one. HTTPRoutes appear there only on listeners with a GRPCRoute: without one this costs a look a listener.
Who has lost beats nobody. So whether a route is accepted follows from older ones only, and asking ends with the oldest.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from seawall.gateway.attach import Attached, Attachment, Place
from seawall.gateway.gateways import Age, age
from seawall.gateway.graph import Hostname, ObjectKey
from seawall.gateway.hostnames import wider
from seawall.gateway.objects import Object
from seawall.gateway.sockets import ListenerRef
from seawall.gateway.status import Fault
from seawall.gateway.view import Entries, Index, Published, Rule, View

Standing = tuple[Age, str, ObjectKey]
"""Who goes first: the older; of the same age and name, by kind."""


class Rival(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A route on a listener, with all hostnames that it wants there."""

    standing: Standing
    hostnames: tuple[Hostname, ...]


AT: Final = Index[tuple[str, ListenerRef, Hostname], object, Rival]("web routes by kind, listener and hostname")
BELOW: Final = Index[tuple[str, ListenerRef, Hostname], object, Rival]("web routes by kind, listener and wider name")
_GRPC_ON: Final = Index[ListenerRef, object, bool]("grpc routes by listener")
_OTHER: Final = {"HTTPRoute": "GRPCRoute", "GRPCRoute": "HTTPRoute"}

Wish = tuple[ListenerRef, tuple[Hostname, ...]]
"""A listener, and the hostnames that a route wants there."""


def has_grpc(view: View, listener: ListenerRef) -> bool:
    """Say whether any GRPCRoute attaches to a listener. A rule of its own: the second one moves no HTTPRoute."""
    return bool(view.bucket(_GRPC_ON, listener))


HAS_GRPC: Final = Rule(has_grpc)


def standing(obj: Object) -> Standing:
    return age(obj), obj.kind, obj.key


def wishes(view: View, obj: Object, attached: Attached) -> tuple[Wish, ...]:
    """Say what others must know of a route's hostnames; for an HTTPRoute only where there are GRPCRoutes."""
    return tuple(
        (_listener(one, place), place.hostnames)
        for one in attached.attachments
        for place in one.places
        if obj.kind == "GRPCRoute" or view.get(HAS_GRPC, _listener(one, place))
    )


def publish(kind: str, standing: Standing, wanted: Iterable[Wish]) -> Entries:
    entries: Published = {}
    for listener, hostnames in wanted:
        rival = Rival(standing=standing, hostnames=hostnames)
        if kind == "GRPCRoute":
            entries[_GRPC_ON.at(listener)] = True
        for hostname in hostnames:
            entries[AT.at((kind, listener, hostname))] = rival
            entries.update((BELOW.at((kind, listener, wide)), rival) for wide in wider(hostname))
    return entries


def contest(view: View, obj: Object, attached: Attached) -> Attached:
    """Take away the places where an older route of the other kind has a hostname; say so where none is left."""
    if not any(view.get(HAS_GRPC, _listener(one, place)) for one in attached.attachments for place in one.places):
        return attached
    return msgspec.structs.replace(
        attached, attachments=tuple(_contest(view, obj, one) if one.places else one for one in attached.attachments)
    )


def _contest(view: View, obj: Object, found: Attachment) -> Attachment:
    lost: list[tuple[Standing, Hostname, str]] = []
    kept: list[Place] = []
    for place in found.places:
        older = min(_older(view, obj, _listener(found, place), place.hostnames), default=None)
        if older is None:
            kept.append(place)
        else:
            lost.append((*older, place.point.name))
    if not lost:
        return found
    if kept:
        return msgspec.structs.replace(found, places=tuple(kept))
    (_, _, winner), hostname, listener = lost[0]
    fault = Fault(
        reason="HostnameConflict",
        message=f"{winner} is older and has hostname {hostname} on listener {listener} of {found.parent.key}; an HTTPRoute "
        "and a GRPCRoute cannot share one.",
        path=found.path,
        hint="Give gRPC a hostname or a listener of its own.",
    )
    return msgspec.structs.replace(found, places=(), fault=fault)


def _older(
    view: View, obj: Object, listener: ListenerRef, hostnames: tuple[Hostname, ...]
) -> Iterator[tuple[Standing, Hostname]]:
    kind, mine = _OTHER[obj.kind], standing(obj)
    for rival, hostname in _rivals(view, kind, listener, hostnames):
        # HTTPRoutes that have lost say nothing of themselves; a GRPCRoute does not know yet, so that is asked here.
        if rival.standing < mine and (kind == "HTTPRoute" or not _has_lost(view, listener, rival)):
            yield rival.standing, hostname


def _has_lost(view: View, listener: ListenerRef, calls: Rival) -> bool:
    """Say whether an HTTPRoute that is older than a GRPCRoute has any of its hostnames."""
    return any(web.standing < calls.standing for web, _ in _rivals(view, "HTTPRoute", listener, calls.hostnames))


def _rivals(
    view: View, kind: str, listener: ListenerRef, hostnames: tuple[Hostname, ...]
) -> Iterator[tuple[Rival, Hostname]]:
    """Yield routes of a kind whose hostnames overlap these, each with the one of these that it overlaps."""
    for hostname in hostnames:
        buckets = [view.bucket(AT, (kind, listener, name)) for name in (hostname, *wider(hostname))]
        if hostname.startswith("*"):
            buckets.append(view.bucket(BELOW, (kind, listener, hostname)))
        yield from ((rival, hostname) for bucket in buckets for rival in bucket.values())


def _listener(found: Attachment, place: Place) -> ListenerRef:
    return found.parent.key, place.point.name
