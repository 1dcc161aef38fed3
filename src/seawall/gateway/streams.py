"""Streams: a TLSRoute, TCPRoute or UDPRoute made into where connections go, and what we say of it.

Pure. One computation for each route; where several want the same hostname of a listener (of TCP and UDP listeners: the
whole), the oldest gets it. All of them are attached and say so; the others are told who got it.
Next room: `gateway.opened` makes filter chains of it.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from seawall.gateway.actions import Seen, follow_backend
from seawall.gateway.attach import Attached, Attachment, Place, attach
from seawall.gateway.backends import Resolution
from seawall.gateway.gateways import Age, age
from seawall.gateway.graph import Hostname, ListenerName, ObjectKey, WeightedBackend
from seawall.gateway.hostnames import ANY
from seawall.gateway.indexes import ATTACHED, STREAM_ROUTES, USES
from seawall.gateway.objects import Object
from seawall.gateway.resources.streams import TCPRouteSpec, TLSRouteSpec, UDPRouteSpec
from seawall.gateway.routes import ParentVerdict, idle, parentless
from seawall.gateway.secrets import QUARANTINE
from seawall.gateway.sockets import OWNER, ListenerRef
from seawall.gateway.status import Condition, Fault, bad, good, judge
from seawall.gateway.view import Entries, Index, Published, Rule, View

StreamPlace = tuple[ListenerName, ListenerRef, Hostname]
"""A hostname of a listener on a socket; `*` for TCP and UDP."""


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """What a route does with connections at a place. No backends: they are closed."""

    age: Age
    origin: ObjectKey
    backends: tuple[WeightedBackend, ...] = ()


class StreamFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a route. `uses` are backends with the Gateways through which they are reached."""

    parents: tuple[ParentVerdict, ...] = ()
    faults: tuple[Fault, ...] = ()
    streams: Mapping[StreamPlace, Stream] = {}
    attached: frozenset[tuple[ObjectKey, str]] = frozenset()
    uses: frozenset[tuple[ObjectKey, ObjectKey]] = frozenset()


def stream_route(view: View, key: ObjectKey) -> StreamFacts | None:
    """Resolve a TLSRoute, TCPRoute or UDPRoute."""
    obj = view.object(key)
    if obj is None or not isinstance(obj.spec, TLSRouteSpec | TCPRouteSpec | UDPRouteSpec):
        return None
    hostnames = obj.spec.hostnames if isinstance(obj.spec, TLSRouteSpec) else ()
    return _Resolved(view, obj, obj.spec, attach(view, obj, obj.spec.parent_refs, hostnames)).facts()


STREAMS: Final = Index[StreamPlace, object, Stream]("streams by place")
CHAINS: Final = Index[ListenerName, object, tuple[ListenerRef, Hostname, Stream]]("chosen streams by socket")


def _publish(key: ObjectKey, facts: StreamFacts | None) -> Entries:
    if facts is None:
        return {}
    entries: Published = {STREAMS.at(place): stream for place, stream in facts.streams.items()}
    entries.update((ATTACHED.at(listener), True) for listener in facts.attached)
    entries.update((USES.at(use), True) for use in facts.uses)
    return entries if key else {}


STREAM_ROUTE: Final = Rule(stream_route, each=STREAM_ROUTES, publish=_publish)


def chosen(view: View, place: StreamPlace) -> Stream | None:
    """Choose the oldest of those that want a place."""
    return min(view.bucket(STREAMS, place).values(), key=lambda stream: stream.age, default=None)


def _publish_chosen(place: StreamPlace, stream: Stream | None) -> Entries:
    socket, listener, hostname = place
    return {CHAINS.at(socket): (listener, hostname, stream)} if stream is not None else {}


CHOSEN: Final = Rule(chosen, each=STREAMS, publish=_publish_chosen)


def shadows(view: View, obj: Object, facts: StreamFacts) -> Iterator[Fault]:
    """Name the older routes that get connections which this one wants, too."""
    for place in facts.streams:
        winner = view.get(CHOSEN, place)
        if winner is not None and winner.origin != obj.key:
            _, (owner, listener), hostname = place
            what = "all connections" if hostname == ANY else f"connections for {hostname}"
            yield Fault(
                reason="Shadowed",
                message=f"{winner.origin} is older and gets {what} of listener {listener} of {owner}; this route gets none.",
                path="$.spec",
                hint="Attach one of the two to another listener, or give it another hostname.",
                severity="warning",
            )


class _Resolved:
    """Makes the streams of one route for all places that it attached to."""

    def __init__(
        self, view: View, obj: Object, spec: TLSRouteSpec | TCPRouteSpec | UDPRouteSpec, attached: Attached
    ) -> None:
        self._view = view
        self._obj = obj
        self._spec = spec
        self._attached = attached
        self._found: dict[Seen, tuple[Resolution, ...]] = {}
        self._refused = view.fact(QUARANTINE, obj.key)

    def facts(self) -> StreamFacts:
        streams: dict[StreamPlace, Stream] = {}
        listeners: set[ListenerRef] = set()
        uses: set[tuple[ObjectKey, ObjectKey]] = set()
        for attachment in self._attached.attachments:
            for place in attachment.places:
                seen = _seen(attachment, place)
                listeners.add((attachment.parent.key, place.point.name))
                uses.update(
                    (found.recipe.backend, attachment.parent.gateway)
                    for found in self._resolutions(seen)
                    if found.recipe is not None
                )
                streams.update((where, self._stream(seen)) for where in self._reached(attachment, place))
        return StreamFacts(
            parents=tuple(self._verdict(attachment) for attachment in self._attached.attachments),
            faults=tuple(self._faults()),
            streams=streams,
            attached=frozenset(listeners),
            uses=frozenset(uses),
        )

    def _reached(self, attachment: Attachment, place: Place) -> Iterator[StreamPlace]:
        """Yield where the route competes: of each hostname only the most specific listener of a socket has a say."""
        mine = (attachment.parent.key, place.point.name)
        for socket, _ in place.point.tables:
            for hostname in place.hostnames:
                if self._view.get(OWNER, (socket, hostname)) == mine:
                    yield socket, mine, hostname

    def _resolutions(self, seen: Seen) -> tuple[Resolution, ...]:
        if seen not in self._found:
            self._found[seen] = tuple(
                follow_backend(self._view, self._obj, ref, f"$.spec.rules[{index}].backendRefs[{at}]", seen)
                for index, rule in enumerate(self._spec.rules)
                for at, ref in enumerate(rule.backend_refs)
            )
        return self._found[seen]

    def _stream(self, seen: Seen) -> Stream:
        refs = [ref for rule in self._spec.rules for ref in rule.backend_refs]
        backends = tuple(
            WeightedBackend(cluster=found.recipe.cluster.name if found.recipe else None, weight=ref.weight)
            for ref, found in zip(refs, self._resolutions(seen), strict=True)
        )
        is_served = self._refused is None and any(one.cluster is not None and one.weight for one in backends)
        return Stream(age=age(self._obj), origin=self._obj.key, backends=backends if is_served else ())

    def _ref_faults(self, attachment: Attachment) -> list[Fault]:
        # References are judged all the same where the route is not attached: "ResolvedRefs" does not depend on "Accepted".
        seen = [_seen(attachment, place) for place in attachment.places] or [Seen(is_served=False)]
        faults = [found.fault for one in seen for found in self._resolutions(one) if found.fault is not None]
        return list(dict.fromkeys(faults))

    def _verdict(self, attachment: Attachment) -> ParentVerdict:
        is_refused = attachment.fault is not None
        conditions: list[Condition] = [
            bad("Accepted", [attachment.fault])
            if attachment.fault
            else good("Accepted", message="The route is attached."),
            judge("ResolvedRefs", self._ref_faults(attachment), "All references are resolved."),
        ]
        if self._refused is not None and not is_refused:
            conditions.append(bad("Programmed", self._quarantined()))
        return ParentVerdict(ref=attachment.ref, conditions=tuple(conditions))

    def _quarantined(self) -> list[Fault]:
        if self._refused is None:
            return []
        message = f"Envoy refused what was made of this route: {self._refused}"
        hint = "Change what Envoy names; until then its connections are closed."
        return [Fault(reason="Invalid", message=message, path="$.spec", hint=hint)]

    def _faults(self) -> Iterator[Fault]:
        attachments = self._attached.attachments
        yield from self._attached.dangling
        yield from (one.fault for one in attachments if one.fault is not None)
        yield from self._quarantined()
        for attachment in attachments:
            yield from self._ref_faults(attachment)
            if attachment.places and not any(
                True for place in attachment.places for _ in self._reached(attachment, place)
            ):
                yield idle(attachment, "connections")
        if not attachments and not self._attached.dangling and not self._spec.parent_refs:
            yield parentless()


def _seen(attachment: Attachment, place: Place) -> Seen:
    return Seen(
        client_certificate=attachment.parent.client_certificate,
        is_raw=place.point.is_passthrough,
    )
